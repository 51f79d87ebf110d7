//! Forking, so many at once as there can be, and gathering what they print.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};

use sandbox::{Branches, CloneOutput, Command, ForkOptions, Gathered, Gatherer, OnFailure, Sandbox, Stdio};

use super::args::CloneArgs;
use super::report::{Report, Row};
use crate::error::CliError;
use crate::progress::Bar;

/// Forks the template into all the clones that were asked for, and waits for them and for what reduces their output.
pub(crate) fn run(template: &mut Sandbox, args: &CloneArgs, report: &mut Report) -> Result<(), CliError> {
    let mut gatherer = gatherer(template, args)?;
    let mut options = ForkOptions::default().stderr(CloneOutput::Inherit);
    if args.branch_per_clone.is_some() {
        options = options.branches(Branches::PerClone);
    }
    let at_once = args.parallel.unwrap_or_else(|| options.most_at_once().max(1));
    let (mut bar, mut ended) = (Bar::new(), 0);
    let tell = |gathered| match gathered {
        Gathered::Ended { id, outcome } => {
            ended += 1;
            bar.items("clones", ended, u64::from(args.count()));
            report.ended(id, outcome);
        }
        Gathered::Result { id, branch, result } => report.result(Row::of(id, &result, branch)),
        _ => {}
    };
    gatherer.feed_from(template, args.count(), at_once, &options, tell)?;
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
