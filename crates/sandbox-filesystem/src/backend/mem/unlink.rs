//! unlink, rmdir.

use std::ffi::OsStr;
use std::sync::Arc;

use super::filesystem::MemFs;
use super::inode::{Inode, State};
use super::name;
use crate::fs::{Errno, FsResult, Ino};

impl MemFs {
    pub(super) fn remove_file(&self, parent: Ino, name: &OsStr) -> FsResult<()> {
        name::check_old(name)?;
        let parent = self.table.get(parent)?;
        let mut state = parent.write();
        let inode = child(&state, name)?;
        if inode.is_directory() {
            return Err(Errno::EISDIR);
        }
        self.remove_entry(&mut state, name);
        state.modified();
        let unlinked = drop_name(&inode);
        drop(state);
        if unlinked {
            self.reap(&inode);
        }
        drop(inode);
        self.space.settle();
        Ok(())
    }

    pub(super) fn remove_directory(&self, parent: Ino, name: &OsStr) -> FsResult<()> {
        name::check_old(name)?;
        let parent = self.table.get(parent)?;
        let mut state = parent.write();
        let inode = child(&state, name)?;
        close_directory(&inode)?;
        self.remove_entry(&mut state, name);
        state.nlink = state.nlink.saturating_sub(1);
        state.modified();
        drop(state);
        self.reap(&inode);
        drop(inode);
        self.space.settle();
        Ok(())
    }

    /// Takes an entry out of a directory, and gives back what it cost.
    pub(super) fn remove_entry(&self, directory: &mut State, name: &OsStr) {
        if let Ok(entries) = directory.live_directory() {
            self.space.release(entries.remove(name));
        }
    }
}

/// What has `name`, or `ENOENT`.
pub(super) fn child(directory: &State, name: &OsStr) -> FsResult<Arc<Inode>> {
    let entry = directory.directory()?.get(name).ok_or(Errno::ENOENT)?;
    Ok(Arc::clone(&entry.inode))
}

/// A name of a file is gone; whether it was the last.
pub(super) fn drop_name(inode: &Inode) -> bool {
    let mut state = inode.write();
    state.nlink = state.nlink.saturating_sub(1);
    state.changed();
    state.nlink == 0
}

/// Makes an empty directory one that nothing can be made in; its name is about to go. `ENOTEMPTY`, `ENOTDIR`.
pub(super) fn close_directory(inode: &Inode) -> FsResult<()> {
    let mut state = inode.write();
    if !state.directory()?.is_empty() {
        return Err(Errno::ENOTEMPTY);
    }
    state.nlink = 0;
    state.changed();
    Ok(())
}
