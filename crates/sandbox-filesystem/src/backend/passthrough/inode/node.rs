//! One inode that somebody knows.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use rustix::fs::Statx;

use super::parts::Parts;
use crate::fs::{Attr, Ino};

/// Which directory of the host a file is beneath: 0 is the only one of a plain directory and the writable one of an
/// overlay, whose read-only ones are numbered from the bottom, beginning with 1.
pub(in crate::backend) type Layer = u16;

/// What makes a file of the host the same file: a number that is given to another file later has another time of
/// creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::backend) struct Identity {
    device: u64,
    inode: u64,
    seconds: i64,
    nanoseconds: u32,
    layer: Layer,
}

impl Identity {
    pub(in crate::backend) fn of(stat: &Statx) -> Self {
        Self {
            device: device(stat),
            inode: stat.stx_ino,
            seconds: stat.stx_btime.tv_sec,
            nanoseconds: stat.stx_btime.tv_nsec,
            layer: 0,
        }
    }

    /// The same file, seen in another layer, is another one.
    pub(in crate::backend) fn in_layer(self, layer: Layer) -> Self {
        Self { layer, ..self }
    }

    pub(in crate::backend) fn layer(&self) -> Layer {
        self.layer
    }

    /// Another name for another file; the same one after the host was started anew, when devices have other numbers.
    pub(in crate::backend) fn key(&self) -> String {
        let Self {
            inode,
            seconds,
            nanoseconds,
            layer,
            ..
        } = self;
        format!("{layer:x}-{inode:x}-{seconds:x}-{nanoseconds:x}")
    }

    pub(in crate::backend) fn device(&self) -> u64 {
        self.device
    }
}

fn device(stat: &Statx) -> u64 {
    rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor)
}

/// Where an inode was seen last.
#[derive(Debug, Clone)]
pub(in crate::backend) struct Place {
    pub(in crate::backend) parent: Arc<Inode>,
    pub(in crate::backend) name: Box<OsStr>,
}

/// An inode. It is in the table for as long as `references` is not 0.
#[derive(Debug)]
pub(in crate::backend) struct Inode {
    pub(in crate::backend) number: Ino,
    /// Those of the kernel, and one for each inode whose place is in this one.
    pub(in crate::backend) references: AtomicU64,
    /// Whether its descriptor was used since the cache looked last.
    pub(in crate::backend) used: AtomicBool,
    /// Bytes charged to the quota for its data; negative where nothing is known yet.
    pub(in crate::backend) charged: AtomicI64,
    /// Whether it is known to have neither setuid nor setgid bits nor capabilities.
    plain: AtomicBool,
    /// The number of its watch, where it is a directory and has one; otherwise [`NO_WATCH`].
    watch: AtomicI32,
    /// The number that programs see, where it is not the host's; otherwise 0.
    shown: AtomicU64,
    /// How many names it has that the host does not count; negative for those that only the host knows.
    pub(in crate::backend) links: AtomicI32,
    /// Of a directory of an overlay.
    pub(in crate::backend) parts: OnceLock<Box<Parts>>,
    state: Mutex<State>,
}

/// Watches are numbered from 1.
const NO_WATCH: i32 = 0;

#[derive(Debug)]
pub(in crate::backend) struct State {
    pub(in crate::backend) identity: Identity,
    /// What it was before it was copied up.
    pub(in crate::backend) origin: Option<Box<Identity>>,
    /// Its mode when it was found, as it is served; the type in it stays.
    pub(in crate::backend) mode: u32,
    /// None for the root, and for what has lost the name that was known.
    pub(in crate::backend) place: Option<Place>,
    /// An `O_PATH` descriptor, while the cache has room for it, or while there is no other way to it.
    pub(in crate::backend) path: Option<Arc<OwnedFd>>,
    /// Of a file that is open.
    pub(in crate::backend) open: Weak<OwnedFd>,
    /// Its last name is gone: what it holds is given back to the quota with its last reference.
    pub(in crate::backend) orphan: bool,
    /// What it weighs besides its data, while it has no name.
    pub(in crate::backend) held: u64,
    /// Size and time of change when it was opened last.
    seen: Option<(u64, i64, u32)>,
}

impl Inode {
    pub(in crate::backend) fn new(number: Ino, identity: Identity, mode: u32, place: Option<Place>) -> Self {
        Self {
            number,
            references: AtomicU64::new(0),
            used: AtomicBool::new(false),
            charged: AtomicI64::new(-1),
            plain: AtomicBool::new(false),
            watch: AtomicI32::new(NO_WATCH),
            shown: AtomicU64::new(0),
            links: AtomicI32::new(0),
            parts: OnceLock::new(),
            state: Mutex::new(State {
                identity,
                origin: None,
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

    /// One reference more; not where the last one is gone.
    pub(super) fn refer(&self) -> bool {
        let more = |references: u64| (references > 0).then_some(references + 1);
        self.references
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
    }

    /// The lock is held for a few instructions, never during a system call.
    pub(in crate::backend) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The type bits of its mode, as it is served.
    pub(in crate::backend) fn type_bits(&self) -> u32 {
        self.state().mode & libc::S_IFMT
    }

    pub(in crate::backend) fn identity(&self) -> Identity {
        self.state().identity
    }

    pub(in crate::backend) fn layer(&self) -> Layer {
        self.identity().layer
    }

    pub(in crate::backend) fn show_as(&self, number: u64) {
        self.shown.store(number, Ordering::Relaxed);
    }

    pub(in crate::backend) fn shown(&self) -> Option<u64> {
        Some(self.shown.load(Ordering::Relaxed)).filter(|number| *number != 0)
    }

    /// What programs see, where that is not what the host says of the file.
    pub(in crate::backend) fn dress(&self, attr: Attr) -> Attr {
        let links = self.links.load(Ordering::Relaxed);
        let nlink = match self.parts.get() {
            // What is in lower layers has not noticed.
            Some(parts) if parts.is_removed() => 0,
            // As overlayfs has it: nobody has counted.
            Some(parts) if parts.is_merged() => 1,
            _ => attr.nlink.saturating_add_signed(links),
        };
        Attr {
            ino: self.shown().unwrap_or(attr.ino),
            nlink,
            ..attr
        }
    }

    /// A descriptor that is there already, of its part in a layer.
    pub(in crate::backend) fn descriptor_in(&self, layer: Layer) -> Option<Arc<OwnedFd>> {
        {
            let state = self.state();
            if state.identity.layer() == layer {
                if let Some(path) = &state.path {
                    self.used.store(true, Ordering::Relaxed);
                    return Some(Arc::clone(path));
                }
                return state.open.upgrade();
            }
        }
        self.parts.get()?.in_layer(layer)?.descriptor()
    }

    /// A descriptor that is there already.
    pub(in crate::backend) fn descriptor(&self) -> Option<Arc<OwnedFd>> {
        let state = self.state();
        if let Some(path) = &state.path {
            self.used.store(true, Ordering::Relaxed);
            return Some(Arc::clone(path));
        }
        state.open.upgrade()
    }

    pub(in crate::backend) fn place(&self) -> Option<Place> {
        self.state().place.clone()
    }

    /// Makes the descriptor of an open file usable for the inode.
    pub(in crate::backend) fn opened(&self, file: &Arc<OwnedFd>) {
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

    pub(in crate::backend) fn has_no_privileges(&self) -> bool {
        self.plain.load(Ordering::Relaxed)
    }

    pub(in crate::backend) fn found_no_privileges(&self) {
        self.plain.store(true, Ordering::Relaxed);
    }

    pub(in crate::backend) fn may_have_privileges(&self) {
        self.plain.store(false, Ordering::Relaxed);
    }

    /// Whether the file is as it was when this was asked last.
    pub(in crate::backend) fn is_as_seen(&self, stat: &Statx) -> bool {
        let now = (stat.stx_size, stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec);
        self.state().seen.replace(now) == Some(now)
    }
}
