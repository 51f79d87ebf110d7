//! `sandbox mount passthrough`.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use sandbox::Access;
use sandbox::ByteSize;
use sandbox::backend::PassthroughFs;
use sandbox::backend::quota::Quota;
use sandbox::own::OwnWalls;

use super::ids::Ids;
use super::job::{Job, Made};
use super::options::{Cache, Options, Permissions, Stat, directory};
use super::serve::serve;
use crate::error::CliError;
use crate::output::note;

/// Serve a directory of this machine, with owners and modes of its own
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Owners, groups, modes and device nodes that you may not give to files are kept in an extended attribute \
(user.containers.override_stat, as podman and fuse-overlayfs do it), so a plain user can serve a tree of many \
owners. Nothing outside of DIR is reachable.

Examples:
  $ sandbox mount passthrough ~/rootfs /tmp/view
  $ sandbox mount passthrough --stat off --cache always --writeback ~/data /tmp/view
  $ sandbox mount passthrough --quota 2G --daemon ~/data /tmp/view
  $ sandbox mount passthrough --map-users 0:1000 --map-groups 0:1000 ~/rootfs /tmp/view")]
pub(super) struct Args {
    /// The directory to serve
    #[arg(value_parser = directory())]
    dir: PathBuf,
    #[command(flatten)]
    options: Options,
    /// Where owner, group and mode of files are kept
    #[arg(long, value_name = "HOW", default_value = "strict")]
    stat: Stat,
    /// Which mode files have on the host where their own is kept apart
    #[arg(long, value_name = "WHICH", default_value = "private")]
    permissions: Permissions,
    #[command(flatten)]
    ids: Ids,
    /// What the kernel may remember of what others may change meanwhile
    #[arg(long, value_name = "WHAT", default_value = "auto")]
    cache: Cache,
    /// The kernel is told of what others change, as soon as this machine reports it (inotify)
    #[arg(long, conflicts_with = "single_file")]
    watch: bool,
    /// The kernel collects writes: faster, and nobody else may write there meanwhile
    #[arg(long)]
    writeback: bool,
    /// How much the tree may hold, as in 512M or 2G
    #[arg(long, value_name = "SIZE")]
    quota: Option<ByteSize>,
    /// How many files and directories it may hold
    #[arg(long, value_name = "N", requires = "quota")]
    quota_inodes: Option<u64>,
    /// DIR is a file, and the only one that is served
    #[arg(long)]
    single_file: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    serve(&args.options, args)
}

impl Job for Args {
    fn name(&self) -> String {
        self.dir.to_string_lossy().into_owned()
    }

    fn shown(&self) -> Vec<&Path> {
        // Nothing can be mounted in a file.
        let directory = (!self.single_file).then_some(&*self.dir);
        directory.into_iter().collect()
    }

    fn walls(&self) -> Result<OwnWalls, CliError> {
        let access = if self.options.read_only {
            Access::Read
        } else {
            Access::Write
        };
        let mut walls = OwnWalls::new();
        // What is not there is said by who looks at it more closely.
        if let Ok(root) = self.dir.canonicalize() {
            if let (true, Some(above)) = (self.single_file, root.parent()) {
                walls = walls.list(above);
            }
            walls = walls.reach(root, access);
        }
        if let Some(state) = self.quota_state()? {
            walls = walls.reach(state, Access::Write);
        }
        walls = walls.many_owners();
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
        let mut builder = PassthroughFs::builder()
            .root_dir(&self.dir)
            .stat_virtualization(self.stat.into())
            .host_permissions(self.permissions.into())
            .identity_map(self.ids.map())
            .cache_policy(self.cache.into())
            .writeback(self.writeback);
        if let Some(bytes) = self.quota {
            let mut quota = Quota::bytes(bytes);
            if let Some(inodes) = self.quota_inodes {
                quota = quota.inodes(inodes);
            }
            if let Some(state) = self.quota_state()? {
                quota = quota.state_dir(state);
            }
            builder = builder.quota(quota);
        }
        if self.options.read_only {
            builder = builder.read_only();
        }
        if self.single_file {
            builder = builder.single_file();
        }
        let fs = Arc::new(builder.build()?);
        if matches!(self.stat, Stat::Relaxed) && !fs.keeps_owners() {
            note(format_args!(
                "{}: no extended attributes of users there: the host's own owners and modes are shown",
                self.dir.display()
            ));
        }
        let watch = self.watch.then(|| fs.watch()).transpose();
        let watch = watch.map_err(|source| CliError::Serving {
            what: "--watch",
            source,
        })?;
        Ok(Made { fs, _watch: watch })
    }
}

impl Args {
    /// Where the quota's figure is kept, made where it is not there; none without a quota, or without a place.
    fn quota_state(&self) -> Result<Option<PathBuf>, CliError> {
        let state = sandbox::state_directory().filter(|_| self.quota.is_some());
        let Some(state) = state.map(|state| state.join("quota")) else {
            return Ok(None);
        };
        if !state.is_dir() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&state);
            made.map_err(|source| CliError::File {
                path: state.clone(),
                source,
            })?;
        }
        Ok(Some(state))
    }
}
