//! Inodes by number.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use super::inode::Inode;
use crate::fs::{Errno, FsResult, Ino, ROOT_INO};

const SHARDS: usize = 32;

/// Every inode that has a name or that somebody refers to. A number is never used again, so all generations are 0.
#[derive(Debug)]
pub(super) struct Table {
    shards: [RwLock<HashMap<Ino, Arc<Inode>>>; SHARDS],
    next: AtomicU64,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| RwLock::default()),
            next: AtomicU64::new(ROOT_INO + 1),
        }
    }

    pub(super) fn next_ino(&self) -> Ino {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// `ESTALE` for a number that nobody has (any more).
    pub(super) fn get(&self, ino: Ino) -> FsResult<Arc<Inode>> {
        let shard = self.shard(ino).ok_or(Errno::ESTALE)?;
        let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
        shard.get(&ino).map(Arc::clone).ok_or(Errno::ESTALE)
    }

    pub(super) fn insert(&self, inode: &Arc<Inode>) {
        if let Some(shard) = self.shard(inode.ino) {
            write(shard).insert(inode.ino, Arc::clone(inode));
        }
    }

    pub(super) fn remove(&self, ino: Ino) {
        let Some(shard) = self.shard(ino) else { return };
        let mut shard = write(shard);
        let removed = shard.remove(&ino);
        if shard.capacity() > 64 && shard.len() < shard.capacity() / 4 {
            let len = shard.len();
            shard.shrink_to(len * 2);
        }
        drop(shard);
        // Its pages are freed here, with no lock held.
        drop(removed);
    }

    /// Every inode that there is now.
    pub(super) fn all(&self) -> Vec<Arc<Inode>> {
        let mut all = Vec::new();
        for shard in &self.shards {
            all.extend(write(shard).values().map(Arc::clone));
        }
        all
    }

    fn shard(&self, ino: Ino) -> Option<&RwLock<HashMap<Ino, Arc<Inode>>>> {
        self.shards.get(usize::try_from(ino % SHARDS as u64).unwrap_or(0))
    }
}

fn write(shard: &RwLock<HashMap<Ino, Arc<Inode>>>) -> RwLockWriteGuard<'_, HashMap<Ino, Arc<Inode>>> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}
