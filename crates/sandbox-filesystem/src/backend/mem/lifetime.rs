//! References, and the end of inodes that have neither a name nor one.

use std::sync::Arc;

use super::filesystem::MemFs;
use super::inode::{Body, Inode};
use crate::fs::{Ino, ROOT_INO};

impl MemFs {
    pub(super) fn forget_inode(&self, ino: Ino, count: u64) {
        if let Ok(inode) = self.table.get(ino)
            && inode.drop_references(count)
        {
            self.reap(&inode);
            drop(inode);
            self.space.settle();
        }
    }

    /// Takes an inode out of the table when nothing leads to it. Call it with none of its locks held.
    pub(super) fn reap(&self, inode: &Arc<Inode>) {
        // With the lock held nobody gives it a name.
        let state = inode.read();
        let gone = state.nlink == 0 && !inode.has_references() && inode.ino != ROOT_INO;
        if gone {
            self.table.remove(inode.ino);
        }
        drop(state);
    }

    /// Every reference and every handle is gone.
    pub(super) fn forget_everything(&self) {
        self.listings.clear();
        for inode in self.table.all() {
            inode.locks.clear(inode.space());
            if inode.drop_references(u64::MAX) {
                self.reap(&inode);
            }
        }
        self.space.settle();
    }
}

/// Directories let go of their entries while the table still holds those, so that a deep tree is not dropped by
/// recursion.
impl Drop for MemFs {
    fn drop(&mut self) {
        for inode in self.table.all() {
            if let Body::Directory(directory) = &mut inode.write().body {
                directory.clear();
            }
        }
    }
}
