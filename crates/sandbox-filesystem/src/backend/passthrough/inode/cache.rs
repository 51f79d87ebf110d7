//! Which inodes hold an `O_PATH` descriptor: as many as the process may have open, less what is needed otherwise.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::parts::Part;
use super::queues::{Held, Queues};
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

impl Held for Holder {
    fn was_used(&self) -> bool {
        match self {
            Self::Inode(inode) => inode
                .upgrade()
                .is_some_and(|inode| inode.used.swap(false, Ordering::Relaxed)),
            Self::Part(part) => part
                .upgrade()
                .is_some_and(|part| part.used.swap(false, Ordering::Relaxed)),
        }
    }

    fn is_alive(&self) -> bool {
        match self {
            Self::Inode(inode) => inode.strong_count() > 0,
            Self::Part(part) => part.strong_count() > 0,
        }
    }
}

/// Who has a descriptor. What is used again before its turn comes stays.
#[derive(Debug)]
pub(in crate::backend) struct DescriptorCache {
    queues: Mutex<Queues<Holder>>,
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
            queues: Mutex::default(),
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
            // Whoever opened it does not count: it has to be used again.
            inode.used.store(false, Ordering::Relaxed);
        }
        self.add(Holder::Inode(Arc::downgrade(inode)));
    }

    /// The same of a part of a directory.
    pub(in crate::backend) fn keep_part(&self, part: &Arc<Part>, path: Arc<OwnedFd>) {
        {
            let mut held = part.path();
            if held.is_some() {
                return;
            }
            *held = Some(path);
            part.used.store(false, Ordering::Relaxed);
        }
        self.add(Holder::Part(Arc::downgrade(part)));
    }

    /// A part has got a descriptor otherwise.
    pub(in crate::backend) fn keep_again(&self, part: &Arc<Part>) {
        self.add(Holder::Part(Arc::downgrade(part)));
    }

    /// An inode has got a descriptor otherwise.
    pub(in crate::backend) fn queue(&self, inode: &Arc<Inode>) {
        self.add(Holder::Inode(Arc::downgrade(inode)));
    }

    /// Closes as many as that, used or not.
    pub(in crate::backend) fn shrink(&self, count: usize) {
        for _ in 0..count {
            let Some(holder) = self.lock().pop() else { return };
            evict(&holder);
        }
    }

    fn add(&self, holder: Holder) {
        let room = self.room();
        self.lock().add(holder, room);
        self.trim();
    }

    fn room(&self) -> usize {
        let room = self.limit.saturating_sub(self.files.load(Ordering::Relaxed));
        room.clamp(FEWEST, MOST)
    }

    fn trim(&self) {
        let room = self.room();
        // Each guard ends before what it gave is closed.
        let next = || self.lock().excess(room);
        while let Some(holder) = next() {
            evict(&holder);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queues<Holder>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The descriptor is closed after every lock is released. One that is the only way to its file stays; it leaves the
/// queues, and ends with the inode.
fn evict(holder: &Holder) {
    let closed = match holder {
        Holder::Inode(inode) => inode.upgrade().and_then(|inode| {
            let mut state = inode.state();
            let reachable = state.place.is_some() || state.open.strong_count() > 0;
            if reachable { state.path.take() } else { None }
        }),
        Holder::Part(part) => part.upgrade().and_then(|part| part.path().take()),
    };
    drop(closed);
}
