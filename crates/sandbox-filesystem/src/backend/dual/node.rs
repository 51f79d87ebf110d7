//! One inode: a part in A, in B, or in both.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::lock::Locks;
use super::side::{Held, Side};
use super::table::Maps;
use crate::fs::{Attr, Errno, FsResult, Ino};

/// An inode of ours.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) ino: Ino,
    /// Its type, as in `st_mode`.
    pub(super) kind: u32,
    parts: Mutex<Parts>,
    place: Mutex<Option<Place>>,
    names: RwLock<Life>,
    /// What programs see as its number.
    number: u64,
    /// Names that there are beyond those that the backend counts, which may be fewer; below 0 for a directory that was
    /// removed.
    links: AtomicI64,
    /// Of a directory in A: `KNOWN` once they were read.
    marks: AtomicU8,
    memory: Mutex<Memory>,
    pub(super) locks: Locks,
    maps: Arc<Mutex<Maps>>,
}

/// Where it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    pub(super) a: Option<Arc<Held>>,
    pub(super) b: Option<Arc<Held>>,
}

/// A name that leads to it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) parent: Arc<Node>,
    pub(super) name: OsString,
}

/// Whether a directory can still get names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Live,
    Removed,
}

/// What is noted of it where A keeps no notes.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) notes: HashMap<&'static str, Vec<u8>>,
    pub(super) whiteouts: HashSet<OsString>,
}

/// What a directory in A says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DirMarks {
    /// There may be copies in it, or what hides something of B's.
    pub(super) impure: bool,
    /// Whiteouts in it are files with an attribute.
    pub(super) attributes: bool,
}

const KNOWN: u8 = 1;
const IMPURE: u8 = 2;
const ATTRIBUTES: u8 = 4;

/// What a new node is.
#[derive(Debug)]
pub(super) struct NewNode {
    pub(super) kind: u32,
    pub(super) parts: Parts,
    pub(super) place: Option<Place>,
    pub(super) number: u64,
    pub(super) links: i64,
}

impl Parts {
    /// The one that its attributes and content are in.
    pub(super) fn top(&self) -> FsResult<&Arc<Held>> {
        self.a.as_ref().or(self.b.as_ref()).ok_or(Errno::ESTALE)
    }
}

impl Node {
    pub(super) fn new(ino: Ino, new: NewNode, maps: &Arc<Mutex<Maps>>) -> Self {
        Self {
            ino,
            kind: new.kind,
            parts: Mutex::new(new.parts),
            place: Mutex::new(new.place),
            names: RwLock::new(Life::Live),
            number: new.number,
            links: AtomicI64::new(new.links),
            marks: AtomicU8::new(0),
            memory: Mutex::default(),
            locks: Locks::default(),
            maps: Arc::clone(maps),
        }
    }

    pub(super) fn is_directory(&self) -> bool {
        self.kind == libc::S_IFDIR
    }

    pub(super) fn parts(&self) -> Parts {
        lock(&self.parts).clone()
    }

    pub(super) fn a(&self) -> Option<Arc<Held>> {
        lock(&self.parts).a.clone()
    }

    pub(super) fn b(&self) -> Option<Arc<Held>> {
        lock(&self.parts).b.clone()
    }

    /// The part that its attributes and content are in.
    pub(super) fn top(&self) -> FsResult<Arc<Held>> {
        self.parts().top().cloned()
    }

    /// The part in A of what was raised before.
    pub(super) fn raised(&self) -> FsResult<Arc<Held>> {
        self.a().ok_or(Errno::ESTALE)
    }

    /// Sets a part; what was there is returned, to be dropped with no lock held. See `Table::attach`.
    pub(super) fn set_part(&self, side: Side, part: Option<Arc<Held>>) -> Option<Arc<Held>> {
        let mut parts = lock(&self.parts);
        match side {
            Side::A => std::mem::replace(&mut parts.a, part),
            Side::B => std::mem::replace(&mut parts.b, part),
        }
    }

    pub(super) fn place(&self) -> Option<Place> {
        lock(&self.place).clone()
    }

    pub(super) fn set_place(&self, parent: &Arc<Node>, name: &OsStr) {
        let new = Place {
            parent: Arc::clone(parent),
            name: name.to_owned(),
        };
        let old = lock(&self.place).replace(new);
        drop(old);
    }

    /// A name no longer leads here.
    pub(super) fn leave(&self, parent: &Arc<Node>, name: &OsStr) {
        let mut place = lock(&self.place);
        let old = place.take_if(|place| Arc::ptr_eq(&place.parent, parent) && place.name == name);
        drop(place);
        drop(old);
    }

    /// From the root, without a slash at its beginning.
    pub(super) fn path(&self) -> Option<PathBuf> {
        let mut names = Vec::new();
        let mut at = match (self.place(), self.ino) {
            (place @ Some(_), _) => place,
            (None, crate::fs::ROOT_INO) => return Some(PathBuf::new()),
            (None, _) => return None,
        };
        while let Some(place) = at {
            names.push(place.name);
            at = place.parent.place();
            if at.is_none() && place.parent.ino != crate::fs::ROOT_INO {
                return None;
            }
        }
        Some(names.into_iter().rev().collect())
    }

    /// For as long as names are looked up in it.
    pub(super) fn looking(&self) -> RwLockReadGuard<'_, Life> {
        self.names.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// For as long as it is changed what a name in it means.
    pub(super) fn changing(&self) -> RwLockWriteGuard<'_, Life> {
        self.names.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// As `changing`, where it still can get names.
    pub(super) fn changing_live(&self) -> FsResult<RwLockWriteGuard<'_, Life>> {
        let names = self.changing();
        match *names {
            Life::Live => Ok(names),
            Life::Removed => Err(Errno::ENOENT),
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn links(&self) -> i64 {
        self.links.load(Ordering::Relaxed)
    }

    /// So many more; how many there are then.
    pub(super) fn add_links(&self, more: i64) -> i64 {
        self.links.fetch_add(more, Ordering::Relaxed) + more
    }

    pub(super) fn set_links(&self, links: i64) {
        self.links.store(links, Ordering::Relaxed);
    }

    /// Its attributes as they are shown, from those of the backend that its file is in.
    pub(super) fn shown(&self, attr: Attr) -> Attr {
        let nlink = if self.is_directory() {
            let parts = self.parts();
            // Nobody counts the directories in a merged one.
            if self.links() < 0 {
                0
            } else if parts.a.is_some() && parts.b.is_some() {
                1
            } else {
                attr.nlink
            }
        } else {
            u32::try_from((i64::from(attr.nlink) + self.links()).max(0)).unwrap_or(u32::MAX)
        };
        Attr {
            ino: self.number(),
            nlink,
            ..attr
        }
    }

    pub(super) fn marks(&self) -> Option<DirMarks> {
        let marks = self.marks.load(Ordering::Acquire);
        (marks & KNOWN != 0).then_some(DirMarks {
            impure: marks & IMPURE != 0,
            attributes: marks & ATTRIBUTES != 0,
        })
    }

    pub(super) fn set_marks(&self, marks: DirMarks) {
        let impure = if marks.impure { IMPURE } else { 0 };
        let attributes = if marks.attributes { ATTRIBUTES } else { 0 };
        self.marks.store(KNOWN | impure | attributes, Ordering::Release);
    }

    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        lock(&self.memory)
    }
}

/// Numbers that lead here are forgotten; parents are let go of one after the other, however deep the tree is.
impl Drop for Node {
    fn drop(&mut self) {
        let parts = std::mem::take(self.parts.get_mut().unwrap_or_else(PoisonError::into_inner));
        {
            let mut maps = lock(&self.maps);
            for part in [&parts.a, &parts.b].into_iter().flatten() {
                maps.drop_way(part, std::ptr::from_ref(self));
            }
        }
        let mut above = take_parent(self);
        while let Some(mut parent) = above.and_then(Arc::into_inner) {
            above = take_parent(&mut parent);
        }
    }
}

fn take_parent(node: &mut Node) -> Option<Arc<Node>> {
    let place = node.place.get_mut().unwrap_or_else(PoisonError::into_inner);
    place.take().map(|place| place.parent)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
