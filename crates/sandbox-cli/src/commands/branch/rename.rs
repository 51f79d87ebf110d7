//! `sandbox branch rename`.

use std::process::ExitCode;

use sandbox::BranchName;

use crate::error::CliError;
use crate::output::tell;
use crate::workspace::WorkspaceArgs;

/// Give a branch another name
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Its name
    from: BranchName,
    /// Its new name
    to: BranchName,
}

pub(super) fn run(args: &Args, workspace: &WorkspaceArgs) -> Result<ExitCode, CliError> {
    workspace.branch(&args.from)?.rename(&args.to)?;
    tell(format_args!("{} is now called {}", args.from, args.to));
    Ok(ExitCode::SUCCESS)
}
