//! link.

use std::ffi::OsStr;

use super::directory::entry_cost;
use super::filesystem::MemFs;
use super::name;
use crate::fs::{Entry, Errno, FsResult, Ino};

impl MemFs {
    pub(super) fn add_name(&self, ino: Ino, parent: Ino, name: &OsStr) -> FsResult<Entry> {
        name::check_new(name)?;
        let inode = self.table.get(ino)?;
        if inode.is_directory() {
            return Err(Errno::EPERM);
        }
        let parent = self.table.get(parent)?;
        let mut directory = parent.write();
        if directory.directory()?.get(name).is_some() {
            return Err(Errno::EEXIST);
        }
        let entries = directory.live_directory()?;
        let mut state = inode.write();
        if state.nlink == 0 && !(state.linkable && inode.has_references()) {
            return Err(Errno::ENOENT);
        }
        let links = state.nlink.checked_add(1).ok_or(Errno::EMLINK)?;
        self.space.charge(entry_cost(name))?;
        state.nlink = links;
        state.linkable = false;
        state.changed();
        entries.insert(name, &inode);
        let entry = self.entry(&inode, &state);
        directory.modified();
        Ok(entry)
    }
}
