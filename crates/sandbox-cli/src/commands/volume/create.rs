//! `sandbox volume create` and `ensure`.

use std::process::ExitCode;

use sandbox::volume::{Volume, VolumeError};
use sandbox::{ByteSize, Label, VolumeForm, VolumeSpec};

use crate::error::CliError;
use crate::output::{note, print};

/// Make a volume, and print its name
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  $ sandbox volume create cache
  $ sandbox volume create data --quota 2G --inodes 100000 --label team=storage
  $ sandbox volume create disk --disk --size 100G")]
pub(super) struct CreateArgs {
    #[command(flatten)]
    spec: SpecArgs,
}

/// Make a volume unless there is one like it, and print its name
#[derive(Debug, clap::Args)]
#[command(after_help = "\
One of that name with another kind, quota or size is an error. Labels may differ.

Example:
  $ sandbox volume ensure cache && sandbox run --volume cache:/cache -- true")]
pub(super) struct EnsureArgs {
    #[command(flatten)]
    spec: SpecArgs,
}

#[derive(Debug, clap::Args)]
struct SpecArgs {
    /// Its name: letters, digits, and after the first . - _
    name: String,
    /// A disk: an ext4 file system in a file
    #[arg(long, requires = "size")]
    disk: bool,
    /// The size of a disk; what has not been written takes no space
    #[arg(long, value_name = "SIZE")]
    size: Option<ByteSize>,
    /// The most that a directory may hold [default: no limit]
    #[arg(long, value_name = "SIZE")]
    quota: Option<ByteSize>,
    /// The most files, directories and links that a directory may hold [default: no limit]
    #[arg(long, value_name = "N")]
    inodes: Option<u64>,
    /// A label; may be given several times
    #[arg(short, long, value_name = "KEY=VALUE")]
    label: Vec<Label>,
}

impl SpecArgs {
    fn spec(&self) -> Result<VolumeSpec, VolumeError> {
        let mut builder = VolumeSpec::builder(&self.name);
        if self.disk {
            builder = builder.disk();
        }
        if let Some(size) = self.size {
            builder = builder.size(size);
        }
        if let Some(quota) = self.quota {
            builder = builder.quota(quota);
        }
        if let Some(inodes) = self.inodes {
            builder = builder.inodes(inodes);
        }
        let labels = self.label.iter();
        let builder = labels.fold(builder, |builder, label| {
            builder.label(label.key(), label.value())
        });
        Ok(builder.build()?)
    }
}

pub(super) async fn create(args: &CreateArgs) -> Result<ExitCode, CliError> {
    said(&Volume::create(&args.spec.spec()?).await?)
}

pub(super) async fn ensure(args: &EnsureArgs) -> Result<ExitCode, CliError> {
    said(&Volume::ensure(&args.spec.spec()?).await?)
}

fn said(volume: &Volume) -> Result<ExitCode, CliError> {
    note_beyond_host(volume);
    print(&format!("{}\n", volume.name()), ExitCode::SUCCESS)
}

/// A disk may be larger than what the host has room for: it is sparse. Whoever makes one that is should know.
pub(super) fn note_beyond_host(volume: &Volume) {
    let VolumeForm::Disk { size } = volume.form() else {
        return;
    };
    let Some(host) = volume.path().ok().and_then(|path| rustix::fs::statvfs(path).ok()) else {
        return;
    };
    let free = ByteSize::from_bytes(host.f_bavail.saturating_mul(host.f_frsize));
    if size > free {
        note(format_args!(
            "{}: the host has room for {free} of its {size}; writing more than that will fail",
            volume.name()
        ));
    }
}
