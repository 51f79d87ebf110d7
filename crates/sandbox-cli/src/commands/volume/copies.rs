//! `sandbox volume clone`, `snapshot` and `restore`.

use std::process::ExitCode;

use sandbox::volume::CloneSource;
use sandbox::{Label, VolumeName};

use super::complete;
use super::{backend, bar};
use crate::error::CliError;
use crate::output::tell;

/// Make a volume of what is in another
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Nobody may write to it meanwhile. Blocks are shared where the file system can.

Examples:
  $ sandbox volume clone data copy
  $ sandbox volume clone data earlier --snapshot before")]
pub(super) struct CloneArgs {
    /// The volume
    #[arg(add = complete::name())]
    name: VolumeName,
    /// What the new one is to be called
    to: VolumeName,
    /// What it held when this snapshot was taken
    #[arg(long, value_name = "NAME", add = complete::snapshot())]
    snapshot: Option<VolumeName>,
    /// A label of the new one; may be given several times
    #[arg(short, long, value_name = "KEY=VALUE")]
    label: Vec<Label>,
}

/// Keep what is in a volume now
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  $ sandbox volume snapshot data before-upgrade
  $ sandbox volume snapshot data before-upgrade --remove")]
pub(super) struct SnapshotArgs {
    /// The volume
    #[arg(add = complete::name())]
    name: VolumeName,
    /// What the snapshot is to be called
    #[arg(add = complete::snapshot())]
    snapshot: VolumeName,
    /// Remove the snapshot of that name instead
    #[arg(long)]
    remove: bool,
}

/// Make a volume hold what a snapshot holds; what is in it now is gone
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Nobody may use it meanwhile.

Example:
  $ sandbox volume restore data before")]
pub(super) struct RestoreArgs {
    /// The volume
    #[arg(add = complete::name())]
    name: VolumeName,
    /// The snapshot
    #[arg(add = complete::snapshot())]
    snapshot: VolumeName,
}

pub(super) async fn clone(args: &CloneArgs) -> Result<ExitCode, CliError> {
    let source = CloneSource {
        volume: &args.name,
        snapshot: args.snapshot.as_ref(),
    };
    let made = backend()
        .await?
        .clone_volume(source, &args.to, &args.label, &bar())
        .await?;
    tell(format_args!("cloned {} as {}", args.name, made.name));
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn snapshot(args: &SnapshotArgs) -> Result<ExitCode, CliError> {
    let backend = backend().await?;
    if args.remove {
        backend.remove_snapshot(&args.name, &args.snapshot).await?;
        tell(format_args!(
            "removed snapshot {} of {}",
            args.snapshot, args.name
        ));
    } else {
        backend.snapshot(&args.name, &args.snapshot, &bar()).await?;
        tell(format_args!("kept {} as {}", args.name, args.snapshot));
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn restore(args: &RestoreArgs) -> Result<ExitCode, CliError> {
    backend()
        .await?
        .restore(&args.name, &args.snapshot, &bar())
        .await?;
    tell(format_args!("{} is as it was in {}", args.name, args.snapshot));
    Ok(ExitCode::SUCCESS)
}
