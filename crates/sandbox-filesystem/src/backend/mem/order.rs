//! The order in which directories are locked, so that no two operations can wait for each other. docs/architecture.md
//! has the whole of it.

use std::sync::{Arc, MutexGuard, PoisonError, RwLockWriteGuard};

use super::filesystem::MemFs;
use super::inode::{Inode, State};
use crate::fs::{Ino, ROOT_INO};

/// The two directories of a rename, locked; they may be one.
pub(super) struct Locked<'a> {
    old: RwLockWriteGuard<'a, State>,
    /// `None` where it is the same.
    new: Option<RwLockWriteGuard<'a, State>>,
}

impl Locked<'_> {
    pub(super) fn from(&mut self) -> &mut State {
        &mut self.old
    }

    pub(super) fn to(&mut self) -> &mut State {
        self.new.as_mut().unwrap_or(&mut self.old)
    }
}

impl MemFs {
    /// While it is held, no directory gets another parent. Needed by what locks two directories.
    pub(super) fn hold_renames(&self) -> MutexGuard<'_, ()> {
        self.renames.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks both; [`hold_renames`](Self::hold_renames) first where they are two.
    pub(super) fn lock_directories<'a>(&self, old: &'a Arc<Inode>, new: &'a Arc<Inode>) -> Locked<'a> {
        if Arc::ptr_eq(old, new) {
            return Locked {
                old: old.write(),
                new: None,
            };
        }
        let old_first = if self.is_below(new.ino, old.ino) {
            true
        } else if self.is_below(old.ino, new.ino) {
            false
        } else {
            old.ino < new.ino
        };
        if old_first {
            let old = old.write();
            Locked {
                old,
                new: Some(new.write()),
            }
        } else {
            let new = Some(new.write());
            Locked {
                old: old.write(),
                new,
            }
        }
    }

    /// Whether `ino` is `ancestor` or below it. To be called with the mutex of renames held.
    pub(super) fn is_below(&self, ino: Ino, ancestor: Ino) -> bool {
        let mut now = ino;
        loop {
            if now == ancestor {
                return true;
            }
            if now == ROOT_INO {
                return false;
            }
            let Ok(inode) = self.table.get(now) else {
                return false;
            };
            now = inode.parent();
        }
    }
}
