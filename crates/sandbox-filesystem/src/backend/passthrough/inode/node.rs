//! One inode that somebody knows.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::fs::Statx;

use crate::fs::Ino;

/// What makes a file of the host the same file: a number that is given to another file later has another time of
/// creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) struct Identity {
    device: u64,
    inode: u64,
    created: (i64, u32),
}

impl Identity {
    pub(in super::super) fn of(stat: &Statx) -> Self {
        Self {
            device: device(stat),
            inode: stat.stx_ino,
            created: (stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec),
        }
    }

    pub(in super::super) fn device(&self) -> u64 {
        self.device
    }
}

fn device(stat: &Statx) -> u64 {
    rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor)
}

/// Where an inode was seen last.
#[derive(Debug, Clone)]
pub(in super::super) struct Place {
    pub(in super::super) parent: Arc<Inode>,
    pub(in super::super) name: Box<OsStr>,
}

/// An inode. It is in the table for as long as `references` is not 0.
#[derive(Debug)]
pub(in super::super) struct Inode {
    pub(in super::super) number: Ino,
    /// Those of the kernel, and one for each inode whose place is in this one.
    pub(super) references: AtomicU64,
    /// Whether its descriptor was used since the cache looked last.
    pub(super) used: AtomicBool,
    /// Bytes charged to the quota for its data; negative where nothing is known yet.
    pub(in super::super) charged: AtomicI64,
    /// Whether it is known to have neither setuid nor setgid bits nor capabilities.
    plain: AtomicBool,
    /// The number of its watch, where it is a directory and has one; otherwise [`NO_WATCH`].
    watch: AtomicI32,
    state: Mutex<State>,
}

/// Watches are numbered from 1.
const NO_WATCH: i32 = 0;

#[derive(Debug)]
pub(in super::super) struct State {
    pub(in super::super) identity: Identity,
    /// Its mode when it was found, as it is served; the type in it stays.
    pub(in super::super) mode: u32,
    /// None for the root, and for what has lost the name that was known.
    pub(in super::super) place: Option<Place>,
    /// An `O_PATH` descriptor, while the cache has room for it, or while there is no other way to it.
    pub(in super::super) path: Option<Arc<OwnedFd>>,
    /// Of a file that is open.
    pub(in super::super) open: Weak<OwnedFd>,
    /// Its last name is gone: what it holds is given back to the quota with its last reference.
    pub(in super::super) orphan: bool,
    /// What it weighs besides its data, while it has no name.
    pub(in super::super) held: u64,
    /// Size and time of change when it was opened last.
    seen: Option<(u64, i64, u32)>,
}

impl Inode {
    pub(super) fn new(number: Ino, identity: Identity, mode: u32, place: Option<Place>) -> Self {
        Self {
            number,
            references: AtomicU64::new(0),
            used: AtomicBool::new(false),
            charged: AtomicI64::new(-1),
            plain: AtomicBool::new(false),
            watch: AtomicI32::new(NO_WATCH),
            state: Mutex::new(State {
                identity,
                mode,
                place,
                path: None,
                open: Weak::new(),
                orphan: false,
                held: 0,
                seen: None,
            }),
        }
    }

    /// The lock is held for a few instructions, never during a system call.
    pub(in super::super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The type bits of its mode, as it is served.
    pub(in super::super) fn type_bits(&self) -> u32 {
        self.state().mode & libc::S_IFMT
    }

    pub(in super::super) fn identity(&self) -> Identity {
        self.state().identity
    }

    /// A descriptor that is there already.
    pub(in super::super) fn descriptor(&self) -> Option<Arc<OwnedFd>> {
        let state = self.state();
        if let Some(path) = &state.path {
            self.used.store(true, Ordering::Relaxed);
            return Some(Arc::clone(path));
        }
        state.open.upgrade()
    }

    pub(in super::super) fn place(&self) -> Option<Place> {
        self.state().place.clone()
    }

    /// Makes the descriptor of an open file usable for the inode.
    pub(in super::super) fn opened(&self, file: &Arc<OwnedFd>) {
        let mut state = self.state();
        if state.open.strong_count() == 0 {
            state.open = Arc::downgrade(file);
        }
    }

    pub(in super::super) fn is_watched(&self) -> bool {
        self.watch.load(Ordering::Acquire) != NO_WATCH
    }

    pub(in super::super) fn watched(&self, watch: i32) {
        self.watch.store(watch, Ordering::Release);
    }

    /// It is not watched any more; the number that its watch had.
    pub(in super::super) fn unwatched(&self) -> Option<i32> {
        let watch = self.watch.swap(NO_WATCH, Ordering::AcqRel);
        (watch != NO_WATCH).then_some(watch)
    }

    pub(in super::super) fn has_no_privileges(&self) -> bool {
        self.plain.load(Ordering::Relaxed)
    }

    pub(in super::super) fn found_no_privileges(&self) {
        self.plain.store(true, Ordering::Relaxed);
    }

    pub(in super::super) fn may_have_privileges(&self) {
        self.plain.store(false, Ordering::Relaxed);
    }

    /// Whether the file is as it was when this was asked last.
    pub(in super::super) fn is_as_seen(&self, stat: &Statx) -> bool {
        let now = (stat.stx_size, stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec);
        self.state().seen.replace(now) == Some(now)
    }
}
