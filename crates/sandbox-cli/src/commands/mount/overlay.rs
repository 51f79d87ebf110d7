//! `sandbox mount overlay`.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::ValueEnum;
use sandbox::Access;
use sandbox::backend::OverlayFs;
use sandbox::backend::overlay::{Durability, LayerFormat};
use sandbox::own::OwnWalls;

use super::job::{Job, Made};
use super::options::{Cache, Options, Permissions, Stat};
use super::serve::serve;
use crate::error::CliError;

/// Serve directories on top of each other, and write to the topmost alone
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Nothing is ever written to a layer. What is written goes to UPPER, in the format of the kernel's overlayfs (option \
userxattr), which mounts it as well. Renaming directories and hard links work. Nobody else may change the directories \
meanwhile.

Examples:
  $ sandbox mount overlay --layer ~/base --upper ~/changes --work ~/.changes-work /tmp/view
  $ sandbox mount overlay --layer bottom --layer middle --layer top --read-only /tmp/view
  $ sandbox mount overlay --layer ~/rootfs --upper u --work w --stat strict --daemon /tmp/view")]
pub(super) struct Args {
    #[command(flatten)]
    options: Options,
    /// A read-only layer; the first one is the bottom
    #[arg(long = "layer", value_name = "DIR", required = true)]
    layers: Vec<PathBuf>,
    /// The directory that is written to
    #[arg(
        long,
        value_name = "DIR",
        requires = "work",
        required_unless_present = "read_only"
    )]
    upper: Option<PathBuf>,
    /// For what is not finished: a directory for this alone, on UPPER's filesystem, to be kept as long as UPPER
    #[arg(long, value_name = "DIR", requires = "upper")]
    work: Option<PathBuf>,
    /// How layers say what they hide
    #[arg(long, value_name = "HOW", default_value = "detect")]
    format: Format,
    /// Where owner, group and mode of files are kept
    #[arg(long, value_name = "HOW", default_value = "off")]
    stat: Stat,
    /// Which mode files have on the host where their own is kept apart
    #[arg(long, value_name = "WHICH", default_value = "private")]
    permissions: Permissions,
    /// What the kernel may remember
    #[arg(long, value_name = "WHAT", default_value = "always")]
    cache: Cache,
    /// The kernel collects writes: faster
    #[arg(long)]
    writeback: bool,
    /// Nothing is synced unless a program asks for it: faster, and UPPER may be incomplete after a power failure
    #[arg(long)]
    volatile: bool,
    /// Every attribute of a file must be copied with it, also labels of security modules
    #[arg(long)]
    strict: bool,
    /// Made before the walls stand: inside them each directory is a mount of its own, and nothing can be renamed from one
    /// mount to another. What was opened before stays where it was.
    #[arg(skip)]
    made: OnceCell<Arc<OverlayFs>>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// As overlayfs does, or as layers of OCI images do (.wh. names)
    Detect,
    /// As overlayfs does; .wh. names are names
    Overlay,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    serve(&args.options, args)
}

impl Job for Args {
    fn name(&self) -> String {
        "overlay".to_owned()
    }

    fn shown(&self) -> Vec<&Path> {
        let layers = self.layers.iter().chain(&self.upper);
        layers.map(PathBuf::as_path).collect()
    }

    fn walls(&self) -> Result<OwnWalls, CliError> {
        if self.made.get().is_none() {
            let made = self.build()?;
            self.made.get_or_init(|| made);
        }
        let writable = self
            .upper
            .iter()
            .chain(&self.work)
            .map(|dir| (dir, Access::Write));
        let layers = self.layers.iter().map(|dir| (dir, Access::Read));
        // What is not there is said by who looks at it more closely.
        let mut walls = layers
            .chain(writable)
            .filter_map(|(dir, access)| Some((dir.canonicalize().ok()?, access)))
            .fold(OwnWalls::new(), |walls, (dir, access)| walls.reach(dir, access))
            .many_owners();
        if self.stat.is_off() {
            walls = walls.keep("mknod");
        }
        if self.stat.is_off() || self.options.kernel_io {
            // Attributes in trusted.*, and files that the kernel reads itself.
            walls = walls.keep("sys_admin");
        }
        Ok(walls)
    }

    fn filesystem(&self) -> Result<Made, CliError> {
        let fs = match self.made.get() {
            Some(made) => Arc::clone(made),
            None => self.build()?,
        };
        Ok(Made { fs, _watch: None })
    }
}

impl Args {
    fn build(&self) -> Result<Arc<OverlayFs>, CliError> {
        let format = match self.format {
            Format::Detect => LayerFormat::Detect,
            Format::Overlay => LayerFormat::Overlay,
        };
        let mut builder = OverlayFs::builder()
            .stat_virtualization(self.stat.into())
            .host_permissions(self.permissions.into())
            .cache_policy(self.cache.into())
            .writeback(self.writeback);
        for layer in &self.layers {
            builder = builder.layer_in(layer, format);
        }
        if let Some(upper) = &self.upper {
            builder = builder.writable(upper);
        }
        if let Some(work) = &self.work {
            builder = builder.staging(work);
        }
        if self.options.read_only {
            builder = builder.read_only();
        }
        if self.volatile {
            builder = builder.durability(Durability::Volatile);
        }
        if self.strict {
            builder = builder.strict();
        }
        Ok(Arc::new(builder.build()?))
    }
}
