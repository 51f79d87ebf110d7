//! The directories of the host that a directory of an overlay is made of, besides the topmost, which is its own.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{Identity, Layer};
use crate::backend::union::Marks;

/// What is beneath a directory.
#[derive(Debug)]
pub(in crate::backend) struct Parts {
    names: RwLock<Life>,
    below: RwLock<Arc<[Arc<Part>]>>,
    /// What its own, topmost part says of what is beneath it; only in a read-only layer.
    pub(in crate::backend) marks: OnceLock<Box<Marks>>,
    /// Whether its own part in the upper may hold what was copied up: not known, no, yes.
    impure: AtomicU8,
    removed: AtomicBool,
}

/// Whether names can still be made in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::backend) enum Life {
    There,
    Removed,
}

/// One directory of the host.
#[derive(Debug)]
pub(in crate::backend) struct Part {
    pub(in crate::backend) identity: Identity,
    /// From the root of its layer, where it does not have the names that lead to the directory.
    pub(in crate::backend) at: Option<Box<OsStr>>,
    pub(in crate::backend) marks: OnceLock<Box<Marks>>,
    /// Whether its descriptor was used since the cache looked last.
    pub(super) used: AtomicBool,
    path: Mutex<Option<Arc<OwnedFd>>>,
}

impl Parts {
    /// Of a directory with these beneath its own, the topmost first.
    pub(in crate::backend) fn new(below: Vec<Arc<Part>>) -> Self {
        Self {
            names: RwLock::new(Life::There),
            below: RwLock::new(below.into()),
            marks: OnceLock::new(),
            impure: AtomicU8::new(0),
            removed: AtomicBool::new(false),
        }
    }

    /// While it lives, no name in the directory gets another meaning.
    pub(in crate::backend) fn looking(&self) -> RwLockReadGuard<'_, Life> {
        self.names.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// While it lives, nobody else looks at or changes names in the directory.
    pub(in crate::backend) fn changing(&self) -> RwLockWriteGuard<'_, Life> {
        self.names.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::backend) fn below(&self) -> Arc<[Arc<Part>]> {
        Arc::clone(&self.below.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(in crate::backend) fn in_layer(&self, layer: Layer) -> Option<Arc<Part>> {
        let below = self.below.read().unwrap_or_else(PoisonError::into_inner);
        below.iter().find(|part| part.identity.layer() == layer).cloned()
    }

    pub(in crate::backend) fn is_merged(&self) -> bool {
        !self
            .below
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }

    /// Whether its own part may hold what was copied up, where that is known.
    pub(in crate::backend) fn impure(&self) -> Option<bool> {
        match self.impure.load(Ordering::Relaxed) {
            0 => None,
            known => Some(known == 2),
        }
    }

    pub(in crate::backend) fn set_impure(&self, impure: bool) {
        self.impure.store(if impure { 2 } else { 1 }, Ordering::Relaxed);
    }

    /// What was the directory's own part is beneath it from now on.
    pub(in crate::backend) fn push_down(&self, part: Arc<Part>) {
        let mut below = self.below.write().unwrap_or_else(PoisonError::into_inner);
        *below = std::iter::once(part).chain(below.iter().cloned()).collect();
    }

    /// Whether the directory has lost its name. Who holds it still sees it, and nothing in it.
    pub(in crate::backend) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Relaxed)
    }

    /// It has lost its name. Only for who holds the lock on its names, and has set its life.
    pub(in crate::backend) fn was_removed(&self) {
        self.removed.store(true, Ordering::Relaxed);
        self.became_opaque();
    }

    /// It hides everything beneath it.
    pub(in crate::backend) fn became_opaque(&self) {
        *self.below.write().unwrap_or_else(PoisonError::into_inner) = Arc::new([]);
    }
}

impl Part {
    pub(in crate::backend) fn new(identity: Identity, at: Option<Box<OsStr>>) -> Self {
        Self {
            identity,
            at,
            marks: OnceLock::new(),
            used: AtomicBool::new(false),
            path: Mutex::new(None),
        }
    }

    pub(in crate::backend) fn layer(&self) -> Layer {
        self.identity.layer()
    }

    /// A descriptor that is there already.
    pub(in crate::backend) fn descriptor(&self) -> Option<Arc<OwnedFd>> {
        let path = self.path();
        if path.is_some() {
            self.used.store(true, Ordering::Relaxed);
        }
        path.clone()
    }

    /// The lock is held for a few instructions, never during a system call.
    pub(in crate::backend) fn path(&self) -> MutexGuard<'_, Option<Arc<OwnedFd>>> {
        self.path.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
