//! `sandbox branch discard`.

use std::process::ExitCode;

use sandbox::BranchName;

use crate::error::CliError;
use crate::output::tell;
use crate::workspace::WorkspaceArgs;

/// Drop branches with everything that was changed on them; the workspace stays as it is
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The branches
    #[arg(required_unless_present = "all")]
    names: Vec<BranchName>,
    /// Every branch of the workspace
    #[arg(long, conflicts_with = "names")]
    all: bool,
}

pub(super) fn run(args: &Args, workspace: &WorkspaceArgs) -> Result<ExitCode, CliError> {
    let mut status = ExitCode::SUCCESS;
    let names = if args.all {
        workspace.open_kept()?.names()?
    } else {
        args.names.clone()
    };
    for name in &names {
        // One that cannot be dropped is no reason to keep the others.
        let branch = match workspace.branch(name) {
            Err(CliError::WorkspaceGone { workspace }) => workspace.get(name).map_err(Into::into),
            result => result,
        };
        let dropped = branch.and_then(|branch| Ok(branch.discard()?));
        match dropped {
            Ok(()) => tell(format_args!("discarded {name}")),
            Err(error) => {
                error.print();
                status = ExitCode::FAILURE;
            }
        }
    }
    Ok(status)
}
