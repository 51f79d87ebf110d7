//! `sandbox branch gc`.

use std::process::ExitCode;

use sandbox::ByteSize;
use sandbox::branch::Workspace;

use crate::error::CliError;
use crate::output::print;
use crate::workspace::WorkspaceArgs;

/// Remove what interrupted commands have left behind; normally nothing
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Of every workspace in the state directory
    #[arg(short, long)]
    all: bool,
}

pub(super) fn run(args: &Args, workspace: &WorkspaceArgs) -> Result<ExitCode, CliError> {
    let workspaces = if args.all {
        Workspace::all()?
    } else {
        vec![workspace.open()?]
    };
    let mut freed = 0;
    for workspace in &workspaces {
        freed += workspace.collect_garbage()?;
    }
    print(
        &format!("{} freed\n", ByteSize::from_bytes(freed)),
        ExitCode::SUCCESS,
    )
}
