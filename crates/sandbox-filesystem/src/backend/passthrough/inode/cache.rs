//! Which inodes hold an `O_PATH` descriptor: as many as the process may have open, less what is needed otherwise.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::Inode;

/// Left to the rest of the process, and to calls that are under way.
const RESERVE: usize = 96;
/// More would not be faster: each one keeps a dentry of the host in memory.
const MOST: usize = 16_384;
/// So many are kept however many files are open: `EMFILE` takes them away.
const FEWEST: usize = 16;

/// The second-chance queue of descriptors. What is used again before its turn comes stays.
#[derive(Debug)]
pub(in super::super) struct DescriptorCache {
    queue: Mutex<VecDeque<Weak<Inode>>>,
    files: AtomicUsize,
    limit: usize,
}

impl DescriptorCache {
    /// By the process's `RLIMIT_NOFILE`.
    pub(in super::super) fn new() -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let limit = limit.map_or(MOST + RESERVE, |limit| {
            usize::try_from(limit).unwrap_or(usize::MAX)
        });
        Self {
            queue: Mutex::default(),
            files: AtomicUsize::new(0),
            limit: limit.saturating_sub(RESERVE),
        }
    }

    /// Another file is open, and needs its descriptor itself.
    pub(in super::super) fn file_opened(&self) {
        self.files.fetch_add(1, Ordering::Relaxed);
        self.trim();
    }

    /// An open file is closed.
    pub(in super::super) fn file_closed(&self) {
        self.files.fetch_sub(1, Ordering::Relaxed);
    }

    /// Remembers the descriptor of an inode. Another one that came first stays; either way the inode has one.
    pub(in super::super) fn keep(&self, inode: &Arc<Inode>, path: Arc<OwnedFd>) {
        {
            let mut state = inode.state();
            if state.path.is_some() {
                return;
            }
            state.path = Some(path);
        }
        self.lock().push_back(Arc::downgrade(inode));
        self.trim();
    }

    /// Closes as many as that, used or not.
    pub(in super::super) fn shrink(&self, count: usize) {
        for _ in 0..count {
            let Some(inode) = self.lock().pop_front() else {
                return;
            };
            self.evict(&inode, Ordering::Relaxed, Chance::None);
        }
    }

    fn trim(&self) {
        let room = self.limit.saturating_sub(self.files.load(Ordering::Relaxed));
        let room = room.clamp(FEWEST, MOST);
        // Each is looked at twice at most: the first look takes its mark away.
        for _ in 0..2 * MOST {
            let mut queue = self.lock();
            if queue.len() <= room {
                return;
            }
            let Some(inode) = queue.pop_front() else { return };
            drop(queue);
            self.evict(&inode, Ordering::Relaxed, Chance::Second);
        }
    }

    /// The descriptor is closed after every lock is released. One that is the only way to its file stays; it leaves the
    /// queue, and ends with the inode.
    fn evict(&self, inode: &Weak<Inode>, order: Ordering, chance: Chance) {
        let Some(inode) = inode.upgrade() else { return };
        if chance == Chance::Second && inode.used.swap(false, order) {
            self.lock().push_back(Arc::downgrade(&inode));
            return;
        }
        let closed = {
            let mut state = inode.state();
            let reachable = state.place.is_some() || state.open.strong_count() > 0;
            if reachable { state.path.take() } else { None }
        };
        drop(closed);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Weak<Inode>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chance {
    None,
    Second,
}
