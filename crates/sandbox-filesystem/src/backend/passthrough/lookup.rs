//! Entries: what a name leads to, and for how long that may be believed.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use rustix::fs::{Mode, Statx};
use rustix::io::Errno as HostErrno;
use sandbox_types::CachePolicy;

use super::config::Access;
use super::inode::{Identity, Inode};
use super::resolve::STAND_IN;
use super::{PassthroughFs, host};
use crate::fs::{Attr, Entry, Errno, FsResult, Ino, ROOT_INO};

/// NAME_MAX.
const LONGEST_NAME: usize = 255;

impl PassthroughFs {
    pub(in crate::backend) fn do_lookup(&self, parent: Ino, name: &OsStr) -> FsResult<Entry> {
        let (dir, fd) = self.directory(parent)?;
        match name.as_bytes() {
            b"." => return self.known_entry(&dir),
            b".." => {
                let above = dir.place().map_or(dir, |place| place.parent);
                return self.known_entry(&above);
            }
            _ => self.check_name(&dir, name)?,
        }
        self.watch_entries(&dir, fd.as_fd());
        match self.find(&dir, fd.as_fd(), name) {
            Err(Errno::ENOENT) if self.config.cache == CachePolicy::Always => Ok(self.nothing_in(&dir)),
            other => other,
        }
    }

    /// Refuses what is no name of an entry, and in the root of a single file every other name.
    pub(in crate::backend) fn check_name(&self, dir: &Inode, name: &OsStr) -> FsResult<()> {
        let bytes = name.as_bytes();
        if bytes.len() > LONGEST_NAME {
            return Err(Errno::ENAMETOOLONG);
        }
        if matches!(bytes, b"" | b"." | b"..") || bytes.iter().any(|byte| matches!(byte, 0 | b'/')) {
            return Err(Errno::EINVAL);
        }
        match &self.config.only {
            Some(only) if dir.number == ROOT_INO && only != name => Err(Errno::ENOENT),
            _ => Ok(()),
        }
    }

    /// As `check_name`, for a change of the entry: the root of a single file has none.
    pub(in crate::backend) fn check_change(&self, dir: &Inode, name: &OsStr) -> FsResult<()> {
        self.check_writable()?;
        if self.config.only.is_some() && dir.number == ROOT_INO {
            return Err(Errno::EPERM);
        }
        self.check_name(dir, name)
    }

    pub(in crate::backend) fn check_writable(&self) -> FsResult<()> {
        if self.config.access == Access::ReadOnly {
            Err(Errno::EROFS)
        } else {
            Ok(())
        }
    }

    /// The entry that has this name now.
    pub(in crate::backend) fn find(
        &self,
        dir: &Arc<Inode>,
        fd: BorrowedFd<'_>,
        name: &OsStr,
    ) -> FsResult<Entry> {
        if !self.config.is_virtual() {
            let stat = host::stat_in(fd, name)?;
            return Ok(self.entry(dir, name, &stat, self.attr(&stat, None)));
        }
        let found = self.with_descriptors(|| rustix::fs::openat(fd, name, STAND_IN, Mode::empty()))?;
        self.entry_of(dir, name, found)
    }

    /// The entry of a file that is open, known under this name.
    pub(in crate::backend) fn entry_of(
        &self,
        dir: &Arc<Inode>,
        name: &OsStr,
        found: OwnedFd,
    ) -> FsResult<Entry> {
        let (stat, attr) = self.look(found.as_fd())?;
        let (inode, entry) = self.entry_and_inode(dir, name, &stat, attr);
        self.cache.keep(&inode, Identity::of(&stat), Arc::new(found));
        Ok(entry)
    }

    pub(in crate::backend) fn entry(
        &self,
        dir: &Arc<Inode>,
        name: &OsStr,
        stat: &Statx,
        attr: Attr,
    ) -> Entry {
        self.entry_and_inode(dir, name, stat, attr).1
    }

    pub(in crate::backend) fn entry_and_inode(
        &self,
        dir: &Arc<Inode>,
        name: &OsStr,
        stat: &Statx,
        attr: Attr,
    ) -> (Arc<Inode>, Entry) {
        let (inode, gone) = self.table.found(Identity::of(stat), attr.mode, dir, name);
        self.charge_known(&inode, stat);
        self.forgotten(gone);
        let mut entry = self.entry_for(&inode, attr);
        entry.attr_timeout = self.believed(dir, entry.attr_timeout);
        entry.entry_timeout = self.believed(dir, entry.entry_timeout);
        (inode, entry)
    }

    pub(in crate::backend) fn entry_for(&self, inode: &Inode, attr: Attr) -> Entry {
        Entry {
            ino: inode.number,
            generation: self.config.generation,
            attr: inode.dress(attr),
            attr_timeout: self.config.attr_timeout,
            entry_timeout: self.config.entry_timeout,
        }
    }

    /// A further reference to what is known already.
    pub(in crate::backend) fn known_entry(&self, inode: &Arc<Inode>) -> FsResult<Entry> {
        let fd = self.descriptor(inode)?;
        let attr = self.look(fd.as_fd())?.1;
        if inode.number != ROOT_INO {
            self.table.refer_again(inode);
        }
        Ok(self.entry_for(inode, attr))
    }

    pub(in crate::backend) fn nothing_in(&self, dir: &Inode) -> Entry {
        Entry {
            ino: 0,
            generation: 0,
            attr: Attr::default(),
            attr_timeout: self.config.attr_timeout,
            entry_timeout: self.believed(dir, self.config.entry_timeout),
        }
    }

    /// What is known of an entry that is about to lose its name: its stat data, and the inode where the kernel knows it.
    pub(in crate::backend) fn peek(
        &self,
        fd: BorrowedFd<'_>,
        name: &OsStr,
    ) -> FsResult<Option<(Statx, Option<Arc<Inode>>)>> {
        match host::stat_in(fd, name) {
            Ok(stat) => {
                let known = self.table.known(&Identity::of(&stat));
                Ok(Some((stat, known)))
            }
            Err(HostErrno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(in crate::backend) fn do_forget(&self, ino: Ino, count: u64) {
        self.forgotten(self.table.forget(ino, count));
    }

    /// Ends what nobody knows any more. Descriptors are closed here, with no lock held.
    pub(in crate::backend) fn forgotten(&self, gone: Vec<Arc<Inode>>) {
        for inode in gone {
            self.unwatch(&inode);
            self.give_back_data(&inode);
        }
    }
}
