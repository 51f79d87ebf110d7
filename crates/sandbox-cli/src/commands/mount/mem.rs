//! `sandbox mount mem`.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use sandbox::ByteSize;
use sandbox::backend::MemFs;
use sandbox::fs::{Context, DynFileSystem, ROOT_INO, SetAttr};
use sandbox::own::OwnWalls;

use super::job::{Job, Made};
use super::options::Options;
use super::serve::serve;
use crate::error::CliError;

/// Serve a filesystem in memory, of a fixed size
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Everything counts against the size: data, names, extended attributes, inodes. Holes are free. What is in it goes when \
it is unmounted.

Examples:
  $ sandbox mount mem --size 64M /tmp/scratch
  $ sandbox mount mem --size 1G --inodes 10000 --daemon /tmp/scratch")]
pub(super) struct Args {
    #[command(flatten)]
    options: Options,
    /// How much memory everything in it may take, as in 64M or 1G
    #[arg(long, value_name = "SIZE")]
    size: ByteSize,
    /// How many files and directories there may be
    #[arg(long, value_name = "N")]
    inodes: Option<u64>,
    /// The kernel collects writes: faster, and a full filesystem is noticed on close or fsync
    #[arg(long)]
    writeback: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    serve(&args.options, args)
}

impl Job for Args {
    fn name(&self) -> String {
        "mem".to_owned()
    }

    fn shown(&self) -> Vec<&Path> {
        Vec::new()
    }

    fn walls(&self) -> Result<OwnWalls, CliError> {
        Ok(OwnWalls::new())
    }

    fn filesystem(&self) -> Result<Made, CliError> {
        let mut builder = MemFs::builder().capacity(self.size).writeback(self.writeback);
        if let Some(inodes) = self.inodes {
            builder = builder.max_inodes(inodes);
        }
        let fs = builder.build()?;
        belong_to_caller(&fs)?;
        Ok(Made {
            fs: Arc::new(fs),
            _watch: None,
        })
    }
}

/// Its root is whose who mounts it.
pub(super) fn belong_to_caller(fs: &MemFs) -> Result<(), CliError> {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let change = SetAttr {
        uid: Some(uid.as_raw()),
        gid: Some(gid.as_raw()),
        ..SetAttr::default()
    };
    fs.setattr(&Context::new(0, 0), ROOT_INO, &change)
        .map(drop)
        .map_err(|error| CliError::Serving {
            what: "the root of the filesystem",
            source: error.into(),
        })
}
