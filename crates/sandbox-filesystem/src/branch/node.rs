//! What an entry of a file system is, as statx(2) has it.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, StatxFlags};
use sandbox_types::NodeKind;
use serde::{Deserialize, Serialize};

use crate::content::Shape;

/// Seconds and nanoseconds since the epoch.
pub(crate) type Timestamp = (i64, u32);

/// What is known of an entry without opening it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meta {
    pub(crate) kind: NodeKind,
    /// Permission bits, setuid, setgid and sticky among them.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) size: u64,
    /// Bytes on the disk.
    pub(crate) allocated: u64,
    pub(crate) mtime: Timestamp,
    pub(crate) ctime: Timestamp,
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) nlink: u64,
    /// Device numbers, of devices.
    pub(crate) rdev: u64,
}

impl Meta {
    /// Of `name` in `dir`, links not followed; none where there is nothing.
    pub(crate) fn at(dir: impl AsFd, name: impl AsRef<Path>) -> io::Result<Option<Self>> {
        match rustix::fs::statat(dir, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Self::from_stat(&stat).map(Some),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Of an open file.
    pub(crate) fn of(file: impl AsFd) -> io::Result<Self> {
        Self::from_stat(&rustix::fs::fstat(file)?)
    }

    /// What to report as the bytes that it holds.
    pub(crate) fn held(&self) -> u64 {
        match self.kind {
            NodeKind::File | NodeKind::Symlink => self.size,
            _ => 0,
        }
    }

    /// Of what is at `path`, links not followed.
    pub(crate) fn of_path(path: &Path) -> io::Result<Self> {
        Self::from_stat(&rustix::fs::lstat(path)?)
    }

    /// When `name` in `dir` was made, where the file system knows: unlike its other times it cannot be set.
    pub(crate) fn born(dir: impl AsFd, name: impl AsRef<Path>) -> io::Result<Option<Timestamp>> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let stat = rustix::fs::statx(dir, name.as_ref(), flags, StatxFlags::BTIME)?;
        let is_known = stat.stx_mask & StatxFlags::BTIME.bits() != 0;
        Ok(is_known.then_some((stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec)))
    }

    fn from_stat(stat: &rustix::fs::Stat) -> io::Result<Self> {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => NodeKind::File,
            FileType::Directory => NodeKind::Directory,
            FileType::Symlink => NodeKind::Symlink,
            FileType::Fifo => NodeKind::Fifo,
            FileType::Socket => NodeKind::Socket,
            FileType::CharacterDevice => NodeKind::CharDevice,
            FileType::BlockDevice => NodeKind::BlockDevice,
            FileType::Unknown => return Err(io::ErrorKind::InvalidData.into()),
        };
        let time = |seconds: i64, nanoseconds: u64| (seconds, u32::try_from(nanoseconds).unwrap_or(0));
        Ok(Self {
            kind,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            allocated: u64::try_from(stat.st_blocks).unwrap_or(0) * 512,
            mtime: time(stat.st_mtime, stat.st_mtime_nsec),
            ctime: time(stat.st_ctime, stat.st_ctime_nsec),
            dev: stat.st_dev,
            ino: stat.st_ino,
            nlink: stat.st_nlink,
            rdev: stat.st_rdev,
        })
    }

    /// What is to be known to copy its content.
    pub(crate) fn shape(&self) -> Shape {
        Shape {
            device: self.dev,
            size: self.size,
            allocated: self.allocated,
        }
    }

    pub(crate) fn is_dir(&self) -> bool {
        self.kind == NodeKind::Directory
    }

    /// A whiteout, in an overlayfs layer: the character device 0/0.
    pub(crate) fn is_whiteout(&self) -> bool {
        self.kind == NodeKind::CharDevice && self.rdev == 0
    }
}
