//! `sandbox branch gc`.

use std::process::ExitCode;

use sandbox::ByteSize;
use sandbox::branch::Workspace;

use crate::error::CliError;
use crate::output::{note, print};
use crate::workspace::WorkspaceArgs;

/// Remove what interrupted commands have left behind; normally nothing
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What a commit has replaced or deleted is kept, so that it can be undone, until --commits drops
it. What was committed stays in the workspace.")]
pub(super) struct Args {
    /// Of every workspace in the state directory
    #[arg(short, long)]
    all: bool,
    /// Also what commits have kept to be undone: they are final then
    #[arg(long)]
    commits: bool,
}

pub(super) fn run(args: &Args, workspace: &WorkspaceArgs) -> Result<ExitCode, CliError> {
    let workspaces = if args.all {
        Workspace::all()?
    } else {
        vec![workspace.open_kept()?]
    };
    let (mut freed, mut kept) = (0, 0);
    let mut status = ExitCode::SUCCESS;
    for workspace in &workspaces {
        // One that is damaged keeps nobody from cleaning up the others.
        match collect(workspace, args) {
            Ok(collected) => {
                freed += collected.freed;
                kept += collected.kept;
            }
            Err(error) => {
                error.print();
                status = ExitCode::FAILURE;
            }
        }
    }
    if kept > 0 {
        note(format_args!(
            "{} are kept to undo commits; to drop that: --commits",
            ByteSize::from_bytes(kept)
        ));
    }
    print(&format!("{} freed\n", ByteSize::from_bytes(freed)), status)
}

struct Collected {
    freed: u64,
    kept: u64,
}

fn collect(workspace: &Workspace, args: &Args) -> Result<Collected, CliError> {
    let mut freed = workspace.collect_garbage()?;
    if args.commits {
        freed += workspace.give_up_undo()?;
    }
    let kept = workspace.kept_for_undo()?;
    Ok(Collected { freed, kept })
}
