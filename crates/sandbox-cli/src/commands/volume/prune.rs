//! `sandbox volume prune`.

use std::process::ExitCode;
use std::time::SystemTime;

use sandbox::volume::{Backend, Volume, VolumeError};
use sandbox::{Span, VolumeName};

use super::backend;
use super::list::FilterArgs;
use super::shown::lines;
use crate::error::CliError;
use crate::output::{note, print, tell};

/// Remove volumes by label and age; those in use or with snapshots stay
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  $ sandbox volume prune --label temporary --older-than 168h --dry-run")]
#[command(group(clap::ArgGroup::new("which").required(true).multiple(true).args(["label", "older_than", "all"])))]
pub(super) struct Args {
    #[command(flatten)]
    filter: FilterArgs,
    /// Only those made longer ago than this, as in 90m or 168h
    #[arg(long, value_name = "SPAN")]
    older_than: Option<Span>,
    /// All of them
    #[arg(long, conflicts_with_all = ["label", "older_than"])]
    all: bool,
    /// Print the names of those that would be removed, and leave them
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(args: &Args) -> Result<ExitCode, CliError> {
    let mut filter = args.filter.filter()?;
    if let Some(span) = args.older_than {
        let before = SystemTime::now().checked_sub(span.duration());
        filter = filter.before(before.unwrap_or(SystemTime::UNIX_EPOCH));
    }
    let backend = backend().await?;
    if args.dry_run {
        let mut names = Vec::new();
        for volume in backend.list(&filter).await? {
            if is_free(&*backend, &volume.name).await? {
                names.push(volume.name);
            }
        }
        return print(&lines(names), ExitCode::SUCCESS);
    }
    let mut status = ExitCode::SUCCESS;
    for (name, result) in Volume::prune_on(backend, &filter).await? {
        match result {
            Ok(()) => tell(format_args!("removed {name}")),
            Err(error @ (VolumeError::InUse { .. } | VolumeError::HasSnapshots { .. })) => {
                note(format_args!("{error}: it stays"));
            }
            Err(error) => {
                CliError::from(error).print();
                status = ExitCode::FAILURE;
            }
        }
    }
    Ok(status)
}

async fn is_free(backend: &dyn Backend, name: &VolumeName) -> Result<bool, VolumeError> {
    Ok(backend.snapshots(name).await?.is_empty() && backend.holders(name).await?.is_empty())
}
