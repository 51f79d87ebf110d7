//! What is open.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::DualFs;
use super::copy::Keep;
use super::node::Node;
use super::side::{OpenFile, Side};
use crate::backend::union::Snapshot;
use crate::fs::{Context, Errno, FsResult, Handle, Ino, LockOwner, OpenFlags, OpenReplyFlags, Opened};

type Map<T> = RwLock<HashMap<Handle, Arc<T>>>;

/// Numbers of what is open. None is used twice.
#[derive(Debug, Default)]
pub(super) struct Handles {
    last: AtomicU64,
    files: Map<Open>,
    dirs: Map<OpenDir>,
}

/// An open file.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) node: Arc<Node>,
    flags: OpenFlags,
    /// In B until there is a copy in A.
    file: Mutex<Arc<OpenFile>>,
}

/// An open directory, with what it showed when its listing was begun.
#[derive(Debug)]
pub(super) struct OpenDir {
    pub(super) node: Arc<Node>,
    pub(super) snapshot: Mutex<Option<Arc<Snapshot>>>,
}

impl Handles {
    fn next(&self) -> Handle {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn clear(&self) {
        let files = std::mem::take(&mut *write(&self.files));
        let dirs = std::mem::take(&mut *write(&self.dirs));
        drop((files, dirs));
    }

    pub(super) fn dir(&self, handle: Option<Handle>) -> FsResult<Arc<OpenDir>> {
        get(&self.dirs, handle)
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        write(&self.files).len() + write(&self.dirs).len()
    }
}

fn get<T>(map: &Map<T>, handle: Option<Handle>) -> FsResult<Arc<T>> {
    let map = map.read().unwrap_or_else(PoisonError::into_inner);
    let found = handle.and_then(|handle| map.get(&handle));
    found.map(Arc::clone).ok_or(Errno::EBADF)
}

fn write<T>(map: &Map<T>) -> std::sync::RwLockWriteGuard<'_, HashMap<Handle, Arc<T>>> {
    map.write().unwrap_or_else(PoisonError::into_inner)
}

impl Open {
    fn file(&self) -> MutexGuard<'_, Arc<OpenFile>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DualFs {
    pub(super) fn do_open(&self, ctx: &Context<'_>, ino: Ino, flags: OpenFlags) -> FsResult<Opened> {
        let node = self.table.get(ino)?;
        self.open_node(ctx, &node, flags)
    }

    /// Opens it in A where it is to be changed, otherwise where it is.
    pub(super) fn open_node(
        &self,
        ctx: &Context<'_>,
        node: &Arc<Node>,
        flags: OpenFlags,
    ) -> FsResult<Opened> {
        match node.kind {
            libc::S_IFDIR if flags.writes() => return Err(Errno::EISDIR),
            libc::S_IFLNK => return Err(Errno::ELOOP),
            _ => {}
        }
        let (file, opened) = if flags.contains(OpenFlags::TRUNC) && node.kind == libc::S_IFREG {
            self.open_short(ctx, node, flags)?
        } else if flags.writes() || flags.contains(OpenFlags::TRUNC) {
            OpenFile::open(ctx, &self.raise(node, Keep::All)?, flags)?
        } else {
            OpenFile::open(ctx, &node.top()?, flags)?
        };
        Ok(self.register(node, file, flags, opened.flags))
    }

    /// What is cut off is not copied, and nothing is cut off where the copy cannot be opened.
    fn open_short(
        &self,
        ctx: &Context<'_>,
        node: &Arc<Node>,
        flags: OpenFlags,
    ) -> FsResult<(OpenFile, Opened)> {
        let mut opened = None;
        self.raise_and(node, Keep::Bytes(0), &mut |a| {
            opened = Some(OpenFile::open(ctx, a, flags)?);
            Ok(())
        })?;
        opened.ok_or(Errno::EIO)
    }

    pub(super) fn register(
        &self,
        node: &Arc<Node>,
        file: OpenFile,
        flags: OpenFlags,
        reply: OpenReplyFlags,
    ) -> Opened {
        let handle = self.handles.next();
        let open = Open {
            node: Arc::clone(node),
            flags: flags - OpenFlags::TRUNC - OpenFlags::EXCL,
            file: Mutex::new(Arc::new(file)),
        };
        write(&self.handles.files).insert(handle, Arc::new(open));
        Opened {
            handle: Some(handle),
            flags: reply,
        }
    }

    /// The open file, where its content is now: what was opened in B is opened in A once there is a copy.
    pub(super) fn opened(&self, ctx: &Context<'_>, handle: Option<Handle>) -> FsResult<Arc<OpenFile>> {
        let open = get(&self.handles.files, handle)?;
        let file = Arc::clone(&open.file());
        if file.held.side == Side::A {
            return Ok(file);
        }
        let Some(a) = open.node.a() else {
            return Ok(file);
        };
        let copy = Arc::new(OpenFile::open(ctx, &a, open.flags)?.0);
        let mut now = open.file();
        let before = if now.held.side == Side::A {
            Arc::clone(&now)
        } else {
            std::mem::replace(&mut *now, Arc::clone(&copy))
        };
        let current = Arc::clone(&now);
        drop(now);
        // Released with no lock held.
        drop((before, copy));
        Ok(current)
    }

    /// What a backend knows a handle by, where it is open there.
    pub(super) fn handle_in(&self, handle: Option<Handle>, side: Side) -> Option<Handle> {
        let open = get(&self.handles.files, handle).ok()?;
        let file = open.file();
        file.handle.filter(|_| file.held.side == side)
    }

    pub(super) fn do_flush(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        owner: LockOwner,
    ) -> FsResult<()> {
        if let Ok(node) = self.table.get(ino) {
            self.drop_record_locks(&node, owner);
        }
        let open = get(&self.handles.files, handle)?;
        let file = Arc::clone(&open.file());
        let flushed = file.held.fs.flush(ctx, file.held.ino, file.handle, owner);
        super::side::if_known(flushed)
    }

    pub(super) fn do_release(&self, handle: Option<Handle>, flock_owner: Option<LockOwner>) {
        let open = handle.and_then(|handle| write(&self.handles.files).remove(&handle));
        if let (Some(open), Some(handle)) = (&open, handle) {
            self.drop_locks_of(&open.node, handle, flock_owner);
        }
        // Released with no lock held.
        drop(open);
    }

    pub(super) fn do_opendir(&self, ino: Ino) -> FsResult<Opened> {
        let node = self.directory(ino)?;
        let handle = self.handles.next();
        let open = OpenDir {
            node,
            snapshot: Mutex::default(),
        };
        write(&self.handles.dirs).insert(handle, Arc::new(open));
        Ok(Opened {
            handle: Some(handle),
            flags: OpenReplyFlags::empty(),
        })
    }

    pub(super) fn do_releasedir(&self, handle: Option<Handle>) {
        let open = handle.and_then(|handle| write(&self.handles.dirs).remove(&handle));
        drop(open);
    }
}
