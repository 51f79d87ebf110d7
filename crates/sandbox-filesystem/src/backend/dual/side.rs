//! One of the two backends, and what is held of it.

use std::ffi::OsStr;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::fs::{
    Attr, Context, DynFileSystem, Entry, Errno, FsResult, Handle, Ino, OpenFlags, Opened, ROOT_INO, SetAttr,
    SetTime,
};

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Side {
    A,
    B,
}

/// A reference to an inode of a backend, given back when it is dropped.
pub(super) struct Held {
    pub(super) fs: Arc<dyn DynFileSystem>,
    pub(super) side: Side,
    pub(super) ino: Ino,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}{}", self.side, self.ino)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.ino != ROOT_INO {
            self.fs.forget(self.ino, 1);
        }
    }
}

/// What a backend has under a name.
#[derive(Debug, Clone)]
pub(super) struct There {
    pub(super) held: Arc<Held>,
    pub(super) attr: Attr,
    pub(super) attr_timeout: Duration,
    pub(super) entry_timeout: Duration,
}

/// What looking a name up gives.
#[derive(Debug, Clone)]
pub(super) enum Looked {
    There(There),
    /// There is nothing, and how long that may be believed.
    Nothing(Duration),
}

impl There {
    pub(super) fn kind(&self) -> u32 {
        self.attr.mode & libc::S_IFMT
    }

    pub(super) fn is_directory(&self) -> bool {
        self.kind() == libc::S_IFDIR
    }
}

impl Looked {
    pub(super) fn there(self) -> Option<There> {
        match self {
            Self::There(there) => Some(there),
            Self::Nothing(_) => None,
        }
    }
}

impl Held {
    pub(super) fn root(fs: Arc<dyn DynFileSystem>, side: Side) -> Self {
        Self {
            fs,
            side,
            ino: ROOT_INO,
        }
    }

    /// What was found or made in the same backend.
    pub(super) fn adopt(&self, entry: &Entry) -> FsResult<There> {
        match self.entry(entry) {
            Looked::There(there) => Ok(there),
            Looked::Nothing(_) => Err(Errno::EIO),
        }
    }

    fn entry(&self, entry: &Entry) -> Looked {
        if entry.ino == 0 {
            return Looked::Nothing(entry.entry_timeout);
        }
        Looked::There(There {
            held: Arc::new(Self {
                fs: Arc::clone(&self.fs),
                side: self.side,
                ino: entry.ino,
            }),
            attr: entry.attr,
            attr_timeout: entry.attr_timeout,
            entry_timeout: entry.entry_timeout,
        })
    }

    pub(super) fn look(&self, ctx: &Context<'_>, name: &OsStr) -> FsResult<Looked> {
        match self.fs.lookup(ctx, self.ino, name) {
            Ok(entry) => Ok(self.entry(&entry)),
            Err(Errno::ENOENT) => Ok(Looked::Nothing(Duration::ZERO)),
            Err(error) => Err(error),
        }
    }

    pub(super) fn attr(&self, ctx: &Context<'_>) -> FsResult<Attr> {
        self.fs.getattr(ctx, self.ino, None).map(|(attr, _)| attr)
    }

    /// It was changed now.
    pub(super) fn touch(&self, ctx: &Context<'_>) -> FsResult<()> {
        let now = SetAttr {
            mtime: Some(SetTime::Now),
            ..SetAttr::default()
        };
        self.set(ctx, &now).map(drop)
    }

    pub(super) fn set(&self, ctx: &Context<'_>, change: &SetAttr) -> FsResult<Attr> {
        self.fs.setattr(ctx, self.ino, change).map(|(attr, _)| attr)
    }
}

/// An open file of a backend, released when it is dropped.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) held: Arc<Held>,
    pub(super) handle: Option<Handle>,
    flags: OpenFlags,
}

impl OpenFile {
    pub(super) fn new(held: Arc<Held>, opened: Opened, flags: OpenFlags) -> Self {
        Self {
            held,
            handle: opened.handle,
            flags,
        }
    }

    pub(super) fn open(ctx: &Context<'_>, held: &Arc<Held>, flags: OpenFlags) -> FsResult<(Self, Opened)> {
        let opened = match held.fs.open(ctx, held.ino, flags) {
            // It needs no opening.
            Err(Errno::ENOSYS) => Opened::default(),
            opened => opened?,
        };
        Ok((Self::new(Arc::clone(held), opened, flags), opened))
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        let Held { fs, ino, .. } = &*self.held;
        let done = fs.release(&Context::new(0, 0), *ino, self.handle, self.flags, None);
        match done {
            Ok(()) | Err(Errno::ENOSYS) => {}
            // As with close(2): nobody could do anything about it.
            Err(error) => tracing::debug!(%error, "a release"),
        }
    }
}

/// Whoever asks for what no client asks for.
pub(super) fn ourselves() -> Context<'static> {
    Context::new(0, 0)
}

/// Not done where there is nothing to do it with.
pub(super) fn if_known<T: Default>(result: FsResult<T>) -> FsResult<T> {
    match result {
        Err(Errno::ENOSYS) => Ok(T::default()),
        other => other,
    }
}
