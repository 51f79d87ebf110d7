//! Which inodes hold an `O_PATH` descriptor: as many as the process may have open, less what is needed otherwise.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::parts::Part;
use super::{Identity, Inode};

/// Left to the rest of the process, and to calls that are under way.
const RESERVE: usize = 96;
/// More would not be faster: each one keeps a dentry of the host in memory.
const MOST: usize = 16_384;
/// So many are kept however many files are open: `EMFILE` takes them away.
const FEWEST: usize = 16;

/// What has a descriptor.
#[derive(Debug)]
enum Holder {
    Inode(Weak<Inode>),
    Part(Weak<Part>),
}

/// The second-chance queue of descriptors. What is used again before its turn comes stays.
#[derive(Debug)]
pub(in crate::backend) struct DescriptorCache {
    queue: Mutex<VecDeque<Holder>>,
    files: AtomicUsize,
    limit: usize,
}

impl DescriptorCache {
    /// By the process's `RLIMIT_NOFILE`.
    pub(in crate::backend) fn new() -> Self {
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
    pub(in crate::backend) fn file_opened(&self) {
        self.files.fetch_add(1, Ordering::Relaxed);
        self.trim();
    }

    /// An open file is closed.
    pub(in crate::backend) fn file_closed(&self) {
        self.files.fetch_sub(1, Ordering::Relaxed);
    }

    /// Remembers the descriptor of an inode that has this identity. Another one that came first stays; either way the inode
    /// has one.
    pub(in crate::backend) fn keep(&self, inode: &Arc<Inode>, identity: Identity, path: Arc<OwnedFd>) {
        {
            let mut state = inode.state();
            if state.path.is_some() || state.identity != identity {
                return;
            }
            state.path = Some(path);
        }
        self.lock().push_back(Holder::Inode(Arc::downgrade(inode)));
        self.trim();
    }

    /// The same of a part of a directory.
    pub(in crate::backend) fn keep_part(&self, part: &Arc<Part>, path: Arc<OwnedFd>) {
        {
            let mut held = part.path();
            if held.is_some() {
                return;
            }
            *held = Some(path);
        }
        self.lock().push_back(Holder::Part(Arc::downgrade(part)));
        self.trim();
    }

    /// A part has got a descriptor otherwise.
    pub(in crate::backend) fn keep_again(&self, part: &Arc<Part>) {
        self.lock().push_back(Holder::Part(Arc::downgrade(part)));
        self.trim();
    }

    /// An inode has got a descriptor otherwise.
    pub(in crate::backend) fn queue(&self, inode: &Arc<Inode>) {
        self.lock().push_back(Holder::Inode(Arc::downgrade(inode)));
        self.trim();
    }

    /// Closes as many as that, used or not.
    pub(in crate::backend) fn shrink(&self, count: usize) {
        for _ in 0..count {
            let Some(holder) = self.lock().pop_front() else {
                return;
            };
            self.evict(&holder, Chance::None);
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
            let Some(holder) = queue.pop_front() else { return };
            drop(queue);
            self.evict(&holder, Chance::Second);
        }
    }

    /// The descriptor is closed after every lock is released.
    fn evict(&self, holder: &Holder, chance: Chance) {
        match holder {
            Holder::Inode(inode) => self.evict_inode(inode, chance),
            Holder::Part(part) => self.evict_part(part, chance),
        }
    }

    /// One that is the only way to its file stays; it leaves the queue, and ends with the inode.
    fn evict_inode(&self, inode: &Weak<Inode>, chance: Chance) {
        let Some(inode) = inode.upgrade() else { return };
        if chance == Chance::Second && inode.used.swap(false, Ordering::Relaxed) {
            self.lock().push_back(Holder::Inode(Arc::downgrade(&inode)));
            return;
        }
        let closed = {
            let mut state = inode.state();
            let reachable = state.place.is_some() || state.open.strong_count() > 0;
            if reachable { state.path.take() } else { None }
        };
        drop(closed);
    }

    fn evict_part(&self, part: &Weak<Part>, chance: Chance) {
        let Some(part) = part.upgrade() else { return };
        if chance == Chance::Second && part.used.swap(false, Ordering::Relaxed) {
            self.lock().push_back(Holder::Part(Arc::downgrade(&part)));
            return;
        }
        let closed = part.path().take();
        drop(closed);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Holder>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chance {
    None,
    Second,
}
