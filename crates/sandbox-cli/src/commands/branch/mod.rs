//! `sandbox branch`: what has been done on branches, and what becomes of it.

pub(crate) mod age;
mod archive;
mod attach;
pub(crate) mod commit;
mod diff;
mod discard;
mod gc;
mod list;
mod merge;
mod recover;
mod rename;
pub(crate) mod review;
mod show;
pub(crate) mod show_changes;
mod undo;

use std::io::{self, BufRead, Write};
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
    /// The status to exit with: this takes back what a signal has interrupted.
    #[arg(long, hide = true, global = true, value_name = "STATUS")]
    interrupted: Option<u8>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    List(list::Args),
    Show(show::Args),
    Diff(diff::Args),
    Commit(commit::Args),
    Undo(undo::Args),
    Merge(merge::Args),
    Discard(discard::Args),
    Rename(rename::Args),
    Recover(recover::Args),
    Export(archive::ExportArgs),
    Import(archive::ImportArgs),
    Attach(attach::Args),
    Gc(gc::Args),
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let status = act(args)?;
    Ok(args.interrupted.map_or(status, ExitCode::from))
}

fn act(args: &Args) -> Result<ExitCode, CliError> {
    let workspace = &args.workspace;
    match &args.action {
        Action::List(args) => list::run(args, workspace),
        Action::Show(args) => show::run(args, workspace),
        Action::Diff(args) => diff::run(args, workspace),
        Action::Commit(args) => commit::run(args, workspace),
        Action::Undo(args) => undo::run(args, workspace),
        Action::Merge(args) => merge::run(args, workspace),
        Action::Export(args) => archive::export(args, workspace),
        Action::Import(args) => archive::import(args, workspace),
        Action::Attach(args) => attach::run(args, workspace),
        Action::Recover(args) => recover::run(args, workspace),
        Action::Discard(args) => discard::run(args, workspace),
        Action::Rename(args) => rename::run(args, workspace),
        Action::Gc(args) => gc::run(args, workspace),
    }
}

/// Asks on standard error; the answer without blanks, none at the end of the input.
pub(crate) fn question(text: &str) -> Result<Option<String>, CliError> {
    let mut stderr = io::stderr().lock();
    stderr
        .write_all(text.as_bytes())
        .and_then(|()| stderr.flush())
        .map_err(CliError::Stdout)?;
    let mut line = String::new();
    let count = io::stdin().lock().read_line(&mut line).map_err(CliError::Stdin)?;
    Ok((count > 0).then(|| line.trim().to_owned()))
}
