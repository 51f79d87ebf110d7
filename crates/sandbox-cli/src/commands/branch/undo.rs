//! `sandbox branch undo`.

use std::process::ExitCode;

use sandbox::branch::{CommitId, CommitStatus, Workspace};

use super::show_changes::changes;
use crate::error::CliError;
use crate::interrupt::Guard;
use crate::output::tell;
use crate::progress::Bar;
use crate::workspace::WorkspaceArgs;

/// Take a commit back: the workspace is what it was before, times included
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Refused, with every path, where the workspace has moved on since: nothing is lost then.

Example:
  $ sandbox branch undo c7")]
pub(super) struct Args {
    /// The commit [default: the last that is not undone]
    commit: Option<CommitId>,
}

pub(super) fn run(args: &Args, workspace: &WorkspaceArgs) -> Result<ExitCode, CliError> {
    let workspace = workspace.open()?;
    let id = match args.commit {
        Some(id) => id,
        None => last(&workspace)?,
    };
    let _guard = Guard::writing(&workspace);
    let mut bar = Bar::new();
    let info = workspace.undo(id, &mut |progress| bar.show(progress))?;
    drop(bar);
    tell(format_args!(
        "undone {id} ({} of {})",
        changes(info.changes),
        info.branch
    ));
    Ok(ExitCode::SUCCESS)
}

fn last(workspace: &Workspace) -> Result<CommitId, CliError> {
    let commits = workspace.commits()?;
    let done = commits
        .iter()
        .rev()
        .find(|commit| commit.status == CommitStatus::Done);
    done.map(|commit| commit.id).ok_or_else(|| CliError::NoCommit {
        workspace: workspace.base().to_owned(),
    })
}
