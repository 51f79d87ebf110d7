//! What is there: listing, looking.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::VolumeFs;
use super::beneath::{Links, kind_of, look, names};
use super::error::FsError;
use super::path::Inner;

/// What kind of thing an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A pipe, socket or device.
    Special,
}

impl EntryKind {
    /// As it is written in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Link => "link",
            Self::Special => "special",
        }
    }
}

/// What is known of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileStat {
    /// What kind of thing it is.
    pub kind: EntryKind,
    /// Bytes in it.
    pub size: u64,
    /// Permissions, with the set-id bits.
    pub mode: u32,
    /// Its owner's number.
    pub uid: u32,
    /// Its group's number.
    pub gid: u32,
    /// Names it has.
    pub links: u64,
    /// When it was written.
    pub modified: SystemTime,
}

/// A name in a directory, and what it names; links are not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DirEntry {
    /// The name.
    pub name: OsString,
    /// What is known of it.
    pub stat: FileStat,
}

impl FileStat {
    pub(super) fn of(stat: &Stat) -> Self {
        let kind = match kind_of(stat) {
            FileType::RegularFile => EntryKind::File,
            FileType::Directory => EntryKind::Directory,
            FileType::Symlink => EntryKind::Link,
            _ => EntryKind::Special,
        };
        Self {
            kind,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            links: stat.st_nlink,
            modified: time(stat.st_mtime, stat.st_mtime_nsec),
        }
    }
}

fn time(seconds: i64, nanos: u64) -> SystemTime {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let base = if seconds < 0 {
        UNIX_EPOCH.checked_sub(whole)
    } else {
        UNIX_EPOCH.checked_add(whole)
    };
    let base = base.unwrap_or(UNIX_EPOCH);
    base.checked_add(Duration::from_nanos(nanos)).unwrap_or(base)
}

impl VolumeFs {
    /// What is in the directory at `path`, by name.
    ///
    /// # Errors
    /// Where it is no directory, or cannot be reached beneath the root.
    pub fn list(&self, path: impl AsRef<Path>) -> Result<Vec<DirEntry>, FsError> {
        let path = Inner::new(path.as_ref())?;
        let failed = FsError::new("list", &path);
        let directory = self.root.directory(&path, Links::Follow).map_err(&failed)?;
        let mut entries = Vec::new();
        for name in names(directory.as_fd()).map_err(&failed)? {
            // One that is gone meanwhile is not listed.
            if let Some(stat) = look(directory.as_fd(), &name).map_err(&failed)? {
                let stat = FileStat::of(&stat);
                entries.push(DirEntry { name, stat });
            }
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    /// What is at `path`; links are followed as far as they stay beneath the root.
    ///
    /// # Errors
    /// Where there is nothing, or it cannot be reached beneath the root.
    pub fn stat(&self, path: impl AsRef<Path>) -> Result<FileStat, FsError> {
        self.stat_with(path.as_ref(), Links::Follow)
    }

    /// What is at `path`; a link is itself.
    ///
    /// # Errors
    /// As [`VolumeFs::stat`].
    pub fn symlink_stat(&self, path: impl AsRef<Path>) -> Result<FileStat, FsError> {
        self.stat_with(path.as_ref(), Links::FollowParents)
    }

    fn stat_with(&self, path: &Path, links: Links) -> Result<FileStat, FsError> {
        let path = Inner::new(path)?;
        let look = || -> io::Result<Stat> {
            let node = self.root.resolve(&path, OFlags::PATH, Mode::empty(), links)?;
            Ok(rustix::fs::fstat(&node)?)
        };
        look()
            .map(|stat| FileStat::of(&stat))
            .map_err(FsError::new("stat", &path))
    }

    /// Whether there is something at `path`; a link that leads nowhere is something.
    ///
    /// # Errors
    /// Where that cannot be known.
    pub fn exists(&self, path: impl AsRef<Path>) -> Result<bool, FsError> {
        match self.symlink_stat(path) {
            Ok(_) => Ok(true),
            Err(FsError::Io { source, .. }) if is_nothing(&source) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::NOTDIR))
}
