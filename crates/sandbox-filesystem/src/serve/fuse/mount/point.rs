//! The mount point, looked at before anything is mounted, so that what is wrong with it can be said.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, StatxAttributes, StatxFlags};

use super::super::error::MountError;
use super::Options;

/// A place that can be mounted on.
#[derive(Debug)]
pub(in super::super) struct Point {
    path: PathBuf,
    kind: Kind,
}

/// What the root of the mount must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Kind {
    Directory,
    File,
}

impl Point {
    pub(in super::super) fn check(path: &Path, options: &Options) -> Result<Self, MountError> {
        let failed = |error| explained(path, error);
        let kind = kind(path)?;
        let path = fs::canonicalize(path).map_err(failed)?;
        if is_mount(&path) {
            return Err(MountError::AlreadyMounted { path });
        }
        if options.is_directory && kind == Kind::File {
            return Err(MountError::OnlyAFile { path });
        }
        let hides = kind == Kind::Directory && !options.non_empty;
        if hides && fs::read_dir(&path).map_err(failed)?.next().is_some() {
            return Err(MountError::NotEmpty { path });
        }
        if rustix::fs::access(&path, Access::WRITE_OK).is_err() {
            return Err(MountError::NotYours { path });
        }
        Ok(Self { path, kind })
    }

    pub(in super::super) fn path(&self) -> &Path {
        &self.path
    }

    pub(in super::super) fn kind(&self) -> Kind {
        self.kind
    }

    /// The kernel answers everything with `EIO` where the root is not what the mount point is.
    pub(in super::super) fn check_root(&self, is_directory: bool) -> Result<(), MountError> {
        let path = self.path.clone();
        match (self.kind, is_directory) {
            (Kind::File, true) => Err(MountError::OnlyAFile { path }),
            (Kind::Directory, false) => Err(MountError::OnlyADirectory { path }),
            _ => Ok(()),
        }
    }
}

fn kind(path: &Path) -> Result<Kind, MountError> {
    let kind = fs::metadata(path).map_err(|error| explained(path, error))?;
    if kind.is_dir() {
        Ok(Kind::Directory)
    } else if kind.is_file() {
        Ok(Kind::File)
    } else {
        Err(MountError::NoDirectory {
            path: path.to_owned(),
        })
    }
}

fn explained(path: &Path, source: std::io::Error) -> MountError {
    let path = path.to_owned();
    match source.kind() {
        ErrorKind::NotFound => MountError::NoMountPoint { path },
        ErrorKind::NotADirectory => MountError::NoDirectory { path },
        ErrorKind::NotConnected | ErrorKind::ConnectionAborted => MountError::Stale { path },
        _ => MountError::MountPoint { path, source },
    }
}

fn is_mount(path: &Path) -> bool {
    let asked = rustix::fs::statx(CWD, path, AtFlags::STATX_DONT_SYNC, StatxFlags::empty());
    asked.is_ok_and(|stat| {
        stat.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT)
            && stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)
    })
}
