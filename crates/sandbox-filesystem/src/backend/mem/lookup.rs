//! lookup, readlink.

use std::ffi::OsStr;
use std::sync::Arc;

use super::filesystem::MemFs;
use super::inode::{Body, Inode, State};
use super::name;
use crate::fs::{Attr, Entry, Errno, FsResult, Ino};

impl MemFs {
    pub(super) fn find(&self, parent: Ino, name: &OsStr) -> FsResult<Entry> {
        let parent = self.table.get(parent)?;
        if name::is_dots(name) {
            return self.find_dots(&parent, name);
        }
        name::check(name)?;
        let state = parent.read();
        match state.directory()?.get(name) {
            // With the directory locked, the entry keeps its inode alive until the reference is counted.
            Some(found) => Ok(self.entry(&found.inode, &found.inode.read())),
            None if self.caching.entry.is_zero() => Err(Errno::ENOENT),
            None => Ok(self.nothing()),
        }
    }

    pub(super) fn link_target(&self, ino: Ino) -> FsResult<Vec<u8>> {
        match &self.table.get(ino)?.read().body {
            Body::Link(target) => Ok(target.to_vec()),
            _ => Err(Errno::EINVAL),
        }
    }

    /// What the kernel is told of an inode: one more reference to it.
    pub(super) fn entry(&self, inode: &Arc<Inode>, state: &State) -> Entry {
        inode.add_reference();
        Entry {
            ino: inode.ino,
            generation: 0,
            attr: inode.attr(state),
            attr_timeout: self.caching.attr,
            entry_timeout: self.caching.entry,
        }
    }

    fn find_dots(&self, directory: &Arc<Inode>, name: &OsStr) -> FsResult<Entry> {
        directory.read().directory()?;
        let found = if name == "." {
            Arc::clone(directory)
        } else {
            self.table.get(directory.parent())?
        };
        let state = found.read();
        Ok(self.entry(&found, &state))
    }

    fn nothing(&self) -> Entry {
        Entry {
            ino: 0,
            generation: 0,
            attr: Attr::default(),
            attr_timeout: self.caching.attr,
            entry_timeout: self.caching.entry,
        }
    }
}
