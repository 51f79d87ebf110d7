//! Telling the kernel that what it remembers is no longer so.

use std::ffi::OsStr;

use super::{FsResult, Ino};

/// A way to say that something has changed behind the kernel's back (`FUSE_NOTIFY_*`).
///
/// Nothing waits for requests of this filesystem to be answered, so it may be called from anywhere but from within a
/// request that concerns the same inode, which the kernel may hold locked (`linux/fs/fuse/dev.c`). `ENOENT` means
/// that the kernel did not remember it.
pub trait Invalidate: Send + Sync {
    /// The attributes of `ino`, and its data from `offset` on for `len` bytes: 0 is to the end; a negative offset
    /// means the attributes alone.
    fn inode(&self, ino: Ino, offset: i64, len: i64) -> FsResult<()>;

    /// That `name` in `parent` leads where it led.
    fn entry(&self, parent: Ino, name: &OsStr) -> FsResult<()>;

    /// That there is a `name` in `parent`, which was `child`; whoever watches the directory is told.
    fn deleted(&self, parent: Ino, child: Ino, name: &OsStr) -> FsResult<()>;
}
