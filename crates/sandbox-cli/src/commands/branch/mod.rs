//! `sandbox branch`: what has been done on branches, and what becomes of it.

mod age;
mod discard;
mod gc;
mod list;
mod rename;

use std::process::ExitCode;

use crate::error::CliError;
use crate::workspace::WorkspaceArgs;

/// Review, commit, merge and drop branches
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A branch is made by: sandbox run --branch=NAME -- COMMAND

Examples:
  $ sandbox branch list
  $ sandbox branch diff fix-42 --stat
  $ sandbox branch commit fix-42 --skip-held
  $ sandbox branch undo c7
  $ sandbox branch discard fix-42")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    workspace: WorkspaceArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    List(list::Args),
    Discard(discard::Args),
    Rename(rename::Args),
    Gc(gc::Args),
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let workspace = &args.workspace;
    match &args.action {
        Action::List(args) => list::run(args, workspace),
        Action::Discard(args) => discard::run(args, workspace),
        Action::Rename(args) => rename::run(args, workspace),
        Action::Gc(args) => gc::run(args, workspace),
    }
}
