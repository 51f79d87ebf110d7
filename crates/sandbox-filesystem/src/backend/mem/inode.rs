//! Inodes, and what is in them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::clock::now;
use super::content::Content;
use super::directory::Directory;
use super::lock::Locks;
use super::space::{PAGE, Space, allocation};
use crate::fs::{Attr, Errno, FsResult, Ino, Timestamp};

/// What an inode costs without names, content, attributes: itself with its counts, and its place in the table. A hash
/// table doubles when it is seven eighths full, so an entry has up to 16/7 places.
pub(super) const INODE_COST: u64 =
    allocation(size_of::<Inode>() + 16) + 3 * (size_of::<(Ino, Arc<Inode>)>() as u64);

/// A file, directory, link or node. What it is never changes; what is in it is behind the lock.
#[derive(Debug)]
pub(super) struct Inode {
    pub(super) ino: Ino,
    /// `S_IFMT` bits.
    pub(super) kind: u32,
    /// Of a device node.
    pub(super) rdev: u64,
    /// What the kernel has been told of and not forgotten.
    references: AtomicU64,
    /// Of a directory: where its ".." leads. Changed with the mutex of renames held.
    parent: AtomicU64,
    /// Charged beside [`INODE_COST`] when it was made.
    charged: u64,
    space: Arc<Space>,
    state: RwLock<State>,
    pub(super) locks: Locks,
}

/// What can change.
#[derive(Debug)]
pub(super) struct State {
    /// Permission bits, with setuid, setgid and sticky.
    pub(super) mode: u32,
    pub(super) nlink: u32,
    /// Made without a name, which it may still get (`O_TMPFILE` without `O_EXCL`).
    pub(super) linkable: bool,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) atime: Timestamp,
    pub(super) mtime: Timestamp,
    pub(super) ctime: Timestamp,
    btime: Timestamp,
    pub(super) xattrs: Xattrs,
    pub(super) body: Body,
}

/// Extended attributes; most files have none.
pub(super) type Xattrs = Option<Box<BTreeMap<OsString, Box<[u8]>>>>;

/// What is in an inode.
#[derive(Debug)]
pub(super) enum Body {
    File(Content),
    Directory(Box<Directory>),
    Link(Box<[u8]>),
    /// A FIFO, socket or device: nothing.
    Node,
}

/// What a new inode is to be.
#[derive(Debug)]
pub(super) struct NewInode<'a> {
    pub(super) kind: u32,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) rdev: u64,
    /// Of a symbolic link.
    pub(super) target: &'a [u8],
    /// The directory that it is made in.
    pub(super) parent: Ino,
}

impl Inode {
    /// Makes it, with no links yet. `ENOSPC` when there is no room for it.
    pub(super) fn new(space: &Arc<Space>, ino: Ino, new: &NewInode<'_>) -> FsResult<Arc<Self>> {
        let (body, charged) = match new.kind {
            libc::S_IFREG => (Body::File(Content::default()), 0),
            libc::S_IFDIR => {
                let directory = Box::<Directory>::default();
                (Body::Directory(directory), allocation(size_of::<Directory>()))
            }
            libc::S_IFLNK => (Body::Link(new.target.into()), allocation(new.target.len())),
            _ => (Body::Node, 0),
        };
        space.charge_inode(INODE_COST + charged)?;
        let now = now();
        Ok(Arc::new(Self {
            ino,
            kind: new.kind,
            rdev: new.rdev,
            references: AtomicU64::new(0),
            parent: AtomicU64::new(new.parent),
            charged,
            space: Arc::clone(space),
            state: RwLock::new(State {
                mode: new.mode & 0o7777,
                nlink: 0,
                linkable: false,
                uid: new.uid,
                gid: new.gid,
                atime: now,
                mtime: now,
                ctime: now,
                btime: now,
                xattrs: None,
                body,
            }),
            locks: Locks::default(),
        }))
    }

    pub(super) fn is_directory(&self) -> bool {
        self.kind == libc::S_IFDIR
    }

    /// For `d_type`.
    pub(super) fn entry_kind(&self) -> u8 {
        u8::try_from(self.kind >> 12).unwrap_or(libc::DT_UNKNOWN)
    }

    pub(super) fn space(&self) -> &Arc<Space> {
        &self.space
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn parent(&self) -> Ino {
        self.parent.load(Ordering::Acquire)
    }

    pub(super) fn set_parent(&self, parent: Ino) {
        self.parent.store(parent, Ordering::Release);
    }

    pub(super) fn add_reference(&self) {
        self.references.fetch_add(1, Ordering::AcqRel);
    }

    /// Gives back up to `count` references; whether none is left.
    pub(super) fn drop_references(&self, count: u64) -> bool {
        let subtract = |now: u64| Some(now.saturating_sub(count));
        let before = self
            .references
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, subtract);
        before.is_ok_and(|before| before <= count)
    }

    pub(super) fn has_references(&self) -> bool {
        self.references.load(Ordering::Acquire) > 0
    }

    pub(super) fn attr(&self, state: &State) -> Attr {
        Attr {
            ino: self.ino,
            size: state.body.size(),
            blocks: state.body.blocks(),
            atime: state.atime,
            mtime: state.mtime,
            ctime: state.ctime,
            btime: Some(state.btime),
            mode: self.kind | state.mode,
            nlink: state.nlink,
            uid: state.uid,
            gid: state.gid,
            rdev: self.rdev,
            blksize: u32::try_from(PAGE).unwrap_or(4096),
        }
    }
}

/// What it was charged comes back, with its pages.
impl Drop for Inode {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = INODE_COST + self.charged;
        for (name, value) in state.xattrs.iter().flat_map(|xattrs| xattrs.iter()) {
            bytes += xattr_cost(name.as_bytes(), value);
        }
        match &mut state.body {
            Body::File(content) => content.clear(&self.space),
            Body::Directory(directory) => bytes += directory.charged(),
            Body::Link(_) | Body::Node => {}
        }
        self.space.release_locks(self.locks.count());
        self.space.release_inode(bytes);
    }
}

impl State {
    /// `ENOTDIR` where it is none.
    pub(super) fn directory(&self) -> FsResult<&Directory> {
        match &self.body {
            Body::Directory(directory) => Ok(directory),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// `ENOTDIR` where it is none, `ENOENT` where it was removed: nothing is made in it any more.
    pub(super) fn live_directory(&mut self) -> FsResult<&mut Directory> {
        match &mut self.body {
            Body::Directory(_) if self.nlink == 0 => Err(Errno::ENOENT),
            Body::Directory(directory) => Ok(directory),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// `EISDIR` for a directory, `EINVAL` for what else has no content.
    pub(super) fn content(&mut self) -> FsResult<&mut Content> {
        match &mut self.body {
            Body::File(content) => Ok(content),
            Body::Directory(_) => Err(Errno::EISDIR),
            _ => Err(Errno::EINVAL),
        }
    }

    /// The content has changed.
    pub(super) fn modified(&mut self) {
        let now = now();
        self.mtime = now;
        self.ctime = now;
    }

    /// Something else has.
    pub(super) fn changed(&mut self) {
        self.ctime = now();
    }

    /// setuid and setgid go, as after a write: setgid only where it is no mark of mandatory locks.
    pub(super) fn kill_privileges(&mut self) {
        self.mode &= !libc::S_ISUID;
        if self.mode & libc::S_IXGRP != 0 {
            self.mode &= !libc::S_ISGID;
        }
    }
}

impl Body {
    fn size(&self) -> u64 {
        match self {
            Self::File(content) => content.size(),
            Self::Directory(directory) => directory.charged(),
            Self::Link(target) => target.len() as u64,
            Self::Node => 0,
        }
    }

    fn blocks(&self) -> u64 {
        match self {
            Self::File(content) => content.blocks(),
            _ => 0,
        }
    }
}

/// What an extended attribute costs: both allocations, and its place in the tree.
pub(super) const fn xattr_cost(name: &[u8], value: &[u8]) -> u64 {
    const PLACE: u64 = 96;
    allocation(name.len()) + allocation(value.len()) + PLACE
}
