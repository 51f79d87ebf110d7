//! What is there: listing, looking.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{FileType, Mode, OFlags, Stat};

use super::HostFs;
use crate::fs::beneath::{Links, kind_of, look, names};
use crate::fs::error::FsError;
use crate::fs::path::Inner;
use crate::fs::types::{DirEntry, EntryKind, FileStat, time};

impl FileStat {
    fn of(stat: &Stat) -> Self {
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

impl HostFs {
    /// What is in the directory at `path`, by name.
    pub(in crate::fs) fn list(&self, path: &Inner) -> Result<Vec<DirEntry>, FsError> {
        let failed = FsError::new("list", path);
        let directory = self.root.directory(path, Links::Follow).map_err(&failed)?;
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
    pub(in crate::fs) fn stat(&self, path: &Inner) -> Result<FileStat, FsError> {
        self.stat_with(path, Links::Follow)
    }

    /// What is at `path`; a link is itself.
    pub(in crate::fs) fn symlink_stat(&self, path: &Inner) -> Result<FileStat, FsError> {
        self.stat_with(path, Links::FollowParents)
    }

    fn stat_with(&self, path: &Inner, links: Links) -> Result<FileStat, FsError> {
        let look = || -> io::Result<Stat> {
            let node = self.root.resolve(path, OFlags::PATH, Mode::empty(), links)?;
            Ok(rustix::fs::fstat(&node)?)
        };
        look()
            .map(|stat| FileStat::of(&stat))
            .map_err(FsError::new("stat", path))
    }
}
