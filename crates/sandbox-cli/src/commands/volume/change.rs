//! `sandbox volume rm`, `resize` and `rename`.

use std::process::ExitCode;
use std::str::FromStr;

use sandbox::volume::{Resize, Snapshots, VolumeError};
use sandbox::{ByteSize, Quota, VolumeForm, VolumeName};

use super::complete;
use super::create::note_beyond_host;
use super::shown::capacity;
use super::{backend, volume};
use crate::error::CliError;
use crate::output::tell;

/// Remove volumes that nobody uses, with all that is in them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  $ sandbox volume create old && sandbox volume rm old")]
pub(super) struct RemoveArgs {
    /// The volumes
    #[arg(required = true)]
    #[arg(add = complete::name())]
    names: Vec<VolumeName>,
    /// Their snapshots, too; a volume that has any is not removed otherwise
    #[arg(long)]
    snapshots: bool,
    /// What is not there is no error
    #[arg(short, long)]
    force: bool,
}

/// Change how much a volume may hold
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  $ sandbox volume create box --quota 1G
  $ sandbox volume resize box --quota 4G --inodes 100000
  $ sandbox volume resize box --quota none
  $ sandbox volume create disk --disk --size 1G
  $ sandbox volume resize disk --size 2G")]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true)))]
pub(super) struct ResizeArgs {
    /// The volume
    #[arg(add = complete::name())]
    name: VolumeName,
    /// The most bytes that a directory may hold, or none for no limit
    #[arg(long, value_name = "SIZE|none", group = "what")]
    quota: Option<Limit<ByteSize>>,
    /// The most inodes that a directory may hold, or none for no limit
    #[arg(long, value_name = "N|none", group = "what")]
    inodes: Option<Limit<u64>>,
    /// The size of a disk, which only grows
    #[arg(long, value_name = "SIZE", group = "what", conflicts_with_all = ["quota", "inodes"])]
    size: Option<ByteSize>,
}

/// A limit, or that there is none.
#[derive(Debug, Clone, Copy)]
struct Limit<T>(Option<T>);

impl<T: FromStr> FromStr for Limit<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        match text {
            "none" => Ok(Self(None)),
            text => text.parse().map(|limit| Self(Some(limit))),
        }
    }
}

/// Give a volume another name, also while it is used
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  $ sandbox volume rename data data-of-last-year")]
pub(super) struct RenameArgs {
    /// The volume
    #[arg(add = complete::name())]
    name: VolumeName,
    /// What it is to be called
    to: VolumeName,
}

pub(super) async fn remove(args: &RemoveArgs) -> Result<ExitCode, CliError> {
    let backend = backend().await?;
    let snapshots = if args.snapshots {
        Snapshots::Remove
    } else {
        Snapshots::Refuse
    };
    let mut status = ExitCode::SUCCESS;
    for name in &args.names {
        match backend.remove(name, snapshots).await {
            Ok(()) => tell(format_args!("removed {name}")),
            Err(VolumeError::NotFound { .. }) if args.force => {}
            Err(error) => {
                CliError::from(error).print();
                status = ExitCode::FAILURE;
            }
        }
    }
    Ok(status)
}

pub(super) async fn resize(args: &ResizeArgs) -> Result<ExitCode, CliError> {
    let mut volume = volume(&args.name).await?;
    let to = match (args.size, volume.form()) {
        (Some(size), _) => Resize::Size(size),
        (None, VolumeForm::Directory { quota }) => Resize::Quota(Quota {
            bytes: args.quota.map_or(quota.bytes, |limit| limit.0),
            inodes: args.inodes.map_or(quota.inodes, |limit| limit.0),
        }),
        (None, VolumeForm::Disk { .. }) => Resize::Quota(Quota::NONE),
    };
    volume.resize(to).await?;
    note_beyond_host(&volume);
    tell(format_args!("{}: {}", args.name, capacity(volume.form())));
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn rename(args: &RenameArgs) -> Result<ExitCode, CliError> {
    volume(&args.name).await?.rename(args.to.as_str()).await?;
    tell(format_args!("{} is called {} now", args.name, args.to));
    Ok(ExitCode::SUCCESS)
}
