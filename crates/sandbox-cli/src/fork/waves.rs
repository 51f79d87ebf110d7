//! Forking, so many at once as there can be, and gathering what they print.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};

use sandbox::{Branches, CloneOutput, Command, ForkOptions, Gatherer, OnFailure, Sandbox, Stdio};

use super::args::CloneArgs;
use super::report::{Report, Row};
use crate::error::CliError;
use crate::progress::Bar;

/// Forks the template into all the clones that were asked for, and waits for them and for what reduces their output.
pub(crate) fn run(template: &mut Sandbox, args: &CloneArgs, report: &mut Report) -> Result<(), CliError> {
    let mut gatherer = gatherer(template, args)?;
    let mut bar = Bar::new();
    let mut options = ForkOptions::default().stderr(CloneOutput::Inherit);
    if args.branch_per_clone.is_some() {
        options = options.branches(Branches::PerClone);
    }
    let mut first = 0;
    while first < args.count() {
        let most = args.parallel.unwrap_or_else(|| options.most_at_once().max(1));
        let count = most.min(args.count() - first);
        let mut clones = template.fork_with(count, &options.first(first))?;
        let mut ended = u64::from(first);
        let results = gatherer.feed(&mut clones, |index, outcome| {
            ended += 1;
            bar.items("clones", ended, u64::from(args.count()));
            let number = u32::try_from(index).map_or(u32::MAX, |index| first.saturating_add(index));
            report.ended(number, outcome);
        })?;
        let branches = clones.iter().map(|clone| clone.branch().cloned());
        let rows = results.into_iter().zip(branches);
        report.clones(first, rows.map(|(result, branch)| Row::of(&result, branch)));
        if args.stop_on_failure && !report.all_succeeded() {
            break;
        }
        first += count;
    }
    drop(bar);
    report.reducer = gatherer.finish()?;
    Ok(())
}

/// Where their output goes.
fn gatherer(template: &mut Sandbox, args: &CloneArgs) -> Result<Gatherer, CliError> {
    let gatherer = match &args.reduce {
        None => Gatherer::into(stdout()?),
        Some(script) => {
            let shell = Command::new("sh").arg("-c").arg(script);
            template.reducer(shell.stdout(Stdio::Inherit).stderr(Stdio::Inherit))?
        }
    };
    Ok(if args.stop_on_failure {
        gatherer.on_failure(OnFailure::Stop)
    } else {
        gatherer
    })
}

fn stdout() -> Result<OwnedFd, CliError> {
    let mut stdout = io::stdout();
    stdout
        .flush()
        .and_then(|()| stdout.as_fd().try_clone_to_owned())
        .map_err(CliError::Stdout)
}
