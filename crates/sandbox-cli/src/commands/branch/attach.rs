//! `sandbox branch attach`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueHint;

use crate::error::CliError;
use crate::output::tell;
use crate::workspace::WorkspaceArgs;

/// Take over the branches of a workspace that is elsewhere now
///
/// A workspace that was moved within a file system is recognized, and nothing has to be done. This is for one that was
/// moved to another file system, or restored.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Commits that were made before cannot be undone afterwards.

Example:
  $ cd /data/app && sandbox branch attach /home/me/app")]
pub(super) struct Args {
    /// Where the workspace was; see: sandbox branch list --all
    #[arg(value_name = "OLD", value_hint = ValueHint::DirPath)]
    from: PathBuf,
}

pub(super) fn run(args: &Args, workspace: &WorkspaceArgs) -> Result<ExitCode, CliError> {
    let attached = workspace.attach(&args.from)?;
    let count = attached.names()?.len();
    let branches = if count == 1 { "branch" } else { "branches" };
    tell(format_args!(
        "{count} {branches} of {} belong to {} now",
        args.from.display(),
        attached.base().display()
    ));
    Ok(ExitCode::SUCCESS)
}
