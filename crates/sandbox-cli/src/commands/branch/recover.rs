//! `sandbox branch recover`.

use std::process::ExitCode;

use sandbox::BranchName;
use sandbox::branch::{CommitId, CommitInfo, Direction, Workspace};

use super::age::ago;
use super::show_changes::changes;
use crate::error::CliError;
use crate::output::{print, tell};
use crate::progress::Bar;
use crate::workspace::WorkspaceArgs;

/// Finish, or take back, what a crash has interrupted
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without a flag: list what was interrupted; status 3 when something was.
A branch is named after the machine went down while it was in use: it is taken as it is.

Examples:
  $ sandbox branch recover
  $ sandbox branch recover c7 --finish
  $ sandbox branch recover c7 --roll-back")]
pub(super) struct Args {
    /// A commit, or a branch; without one, every commit that was interrupted
    what: Option<String>,
    /// Bring it to its end
    #[arg(long, group = "way")]
    finish: bool,
    /// Take it back
    #[arg(long, group = "way")]
    roll_back: bool,
}

pub(super) fn run(args: &Args, workspace: &WorkspaceArgs) -> Result<ExitCode, CliError> {
    let way = match (args.finish, args.roll_back) {
        (true, _) => Some(Direction::Finish),
        (_, true) => Some(Direction::RollBack),
        _ => None,
    };
    let named = match &args.what {
        None => None,
        Some(text) => match text.parse::<CommitId>() {
            Ok(id) => Some(id),
            Err(_) => return branch(text, workspace),
        },
    };
    let workspace = workspace.open()?;
    let all = workspace.commits()?;
    let meant: Vec<_> = match named {
        Some(id) => all.into_iter().filter(|commit| commit.id == id).collect(),
        None => all.into_iter().filter(CommitInfo::is_interrupted).collect(),
    };
    match way {
        None => list(&meant),
        Some(way) => meant
            .iter()
            .try_for_each(|commit| bring(&workspace, commit, way))
            .map(|()| ExitCode::SUCCESS),
    }
}

fn branch(name: &str, workspace: &WorkspaceArgs) -> Result<ExitCode, CliError> {
    let name: BranchName = name.parse().map_err(sandbox::branch::BranchError::from)?;
    workspace.branch(&name)?.accept_unsettled()?;
    tell(format_args!("{name} can be used again"));
    Ok(ExitCode::SUCCESS)
}

fn list(commits: &[CommitInfo]) -> Result<ExitCode, CliError> {
    if commits.is_empty() {
        tell("nothing was interrupted");
        return Ok(ExitCode::SUCCESS);
    }
    let lines = commits.iter().map(|commit| {
        let CommitInfo { id, branch, .. } = commit;
        format!(
            "{id}  {branch}  {}  {}  {}\n",
            changes(commit.changes),
            ago(commit.created),
            commit.status
        )
    });
    let is_open = commits.iter().any(CommitInfo::is_interrupted);
    let status = if is_open {
        super::commit::NEEDS_A_DECISION
    } else {
        0
    };
    print(&lines.collect::<String>(), ExitCode::from(status))
}

fn bring(workspace: &Workspace, commit: &CommitInfo, way: Direction) -> Result<(), CliError> {
    let mut bar = Bar::new();
    let info = workspace.recover(commit.id, way, &mut |progress| bar.show(progress))?;
    drop(bar);
    tell(format_args!("{}: {}", info.id, info.status));
    Ok(())
}
