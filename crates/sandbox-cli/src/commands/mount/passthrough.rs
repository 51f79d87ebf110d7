//! `sandbox mount passthrough`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use sandbox::ByteSize;
use sandbox::backend::PassthroughFs;
use sandbox::backend::quota::Quota;

use super::options::{Cache, Options, Permissions, Stat};
use super::serve::serve;
use crate::error::CliError;

/// Serve a directory of this machine, with owners and modes of its own
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Owners, groups, modes and device nodes that you may not give to files are kept in an extended attribute \
(user.containers.override_stat, as podman and fuse-overlayfs do it), so a plain user can serve a tree of many \
owners. Nothing outside of DIR is reachable.

Examples:
  $ sandbox mount passthrough ~/rootfs /tmp/view
  $ sandbox mount passthrough --stat off --cache always --writeback ~/data /tmp/view
  $ sandbox mount passthrough --quota 2G --daemon ~/data /tmp/view")]
pub(super) struct Args {
    /// The directory to serve
    dir: PathBuf,
    #[command(flatten)]
    options: Options,
    /// Where owner, group and mode of files are kept
    #[arg(long, value_name = "HOW", default_value = "strict")]
    stat: Stat,
    /// Which mode files have on the host where their own is kept apart
    #[arg(long, value_name = "WHICH", default_value = "private")]
    permissions: Permissions,
    /// What the kernel may remember of what others may change meanwhile
    #[arg(long, value_name = "WHAT", default_value = "auto")]
    cache: Cache,
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
    serve(&args.options, || {
        let mut builder = PassthroughFs::builder()
            .root_dir(&args.dir)
            .stat_virtualization(args.stat.into())
            .host_permissions(args.permissions.into())
            .cache_policy(args.cache.into())
            .writeback(args.writeback);
        if let Some(bytes) = args.quota {
            let quota = Quota::bytes(bytes);
            builder = builder.quota(match args.quota_inodes {
                Some(inodes) => quota.inodes(inodes),
                None => quota,
            });
        }
        if args.options.read_only {
            builder = builder.read_only();
        }
        if args.single_file {
            builder = builder.single_file();
        }
        let fs = Arc::new(builder.build()?);
        Ok(args.options.builder(fs, &args.dir.to_string_lossy()))
    })
}
