//! `sandbox branch merge`.

use std::process::ExitCode;

use sandbox::{BranchName, ConflictOutcome, ConflictPolicy, MergeReport};

use super::commit::NEEDS_A_DECISION;
use super::show_changes::thousands;
use crate::error::CliError;
use crate::interrupt::Guard;
use crate::output::{print_json, tell};
use crate::progress::Bar;
use crate::workspace::WorkspaceArgs;

/// Merge branches into a new one
///
/// Path by path, and line by line where several have changed the same text. The branches and the workspace stay as
/// they are; look at the result, and commit it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Status 3: there are conflicts that nothing settles; no branch was made.

Example:
  $ sandbox branch merge try-1 try-3 --into best
  $ sandbox branch diff best --stat")]
pub(super) struct Args {
    /// The branches
    #[arg(required = true, num_args = 2..)]
    names: Vec<BranchName>,
    /// The new branch
    #[arg(long, value_name = "NAME")]
    into: BranchName,
    /// What to do where they differ [default: text, with conflict markers]
    #[arg(long, value_name = "abort|ours|theirs|both|text")]
    on_conflict: Option<ConflictPolicy>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, workspace: &WorkspaceArgs) -> Result<ExitCode, CliError> {
    let policy = args.on_conflict.unwrap_or(ConflictPolicy::Text);
    let workspace = workspace.open()?;
    let guard = Guard::making(&workspace);
    let mut bar = Bar::new();
    let report = workspace.merge_with(&args.names, &args.into, policy, &mut |progress| {
        bar.show(progress);
    })?;
    drop((bar, guard));
    let is_settled = report.unsettled().next().is_none();
    let status = ExitCode::from(if is_settled { 0 } else { NEEDS_A_DECISION });
    if args.json {
        return print_json(&report, status);
    }
    say(&report);
    if is_settled {
        let into = &args.into;
        tell(format_args!(
            "merged into {into}; see: sandbox branch diff {into}"
        ));
    } else {
        tell("nothing was merged; say what to do: --on-conflict ours, theirs or both");
    }
    Ok(status)
}

fn say(report: &MergeReport) {
    let parts = [
        (report.taken, "path taken", "paths taken"),
        (
            report.merged.len() as u64,
            "text merged line by line",
            "texts merged line by line",
        ),
        (report.conflicts.len() as u64, "conflict", "conflicts"),
    ];
    let parts = parts.iter().filter(|(count, ..)| *count > 0);
    let said: Vec<_> = parts
        .map(|(count, one, many)| format!("{} {}", thousands(*count), if *count == 1 { one } else { many }))
        .collect();
    if !said.is_empty() {
        tell(said.join(", "));
    }
    for conflict in &report.conflicts {
        let what = match &conflict.outcome {
            ConflictOutcome::Unsettled { why } => format!("not settled: {why}"),
            ConflictOutcome::Taken { branch } => format!("as on {branch}"),
            ConflictOutcome::Copies { paths } => {
                let paths: Vec<_> = paths.iter().map(ToString::to_string).collect();
                format!("also as {}", paths.join(", "))
            }
            ConflictOutcome::Markers => "has conflict markers".to_owned(),
            _ => String::new(),
        };
        tell(format_args!("CONFLICT {}  {what}", conflict.path));
    }
}
