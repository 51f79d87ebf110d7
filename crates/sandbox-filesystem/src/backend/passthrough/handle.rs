//! What is open.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::dir::Listing;
use super::inode::Inode;
use crate::fs::{Errno, FsResult, Handle};

/// An open file.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) file: Arc<OwnedFd>,
    pub(super) inode: Arc<Inode>,
    /// Whether the host's descriptor has `O_APPEND`, which fcntl(2) can change.
    pub(super) appends: AtomicBool,
}

impl OpenFile {
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// An open directory.
#[derive(Debug)]
pub(super) struct OpenDir {
    pub(super) dir: OwnedFd,
    pub(super) inode: Arc<Inode>,
    pub(super) listing: Mutex<Listing>,
}

/// Numbers of what is open. None is used twice.
#[derive(Debug, Default)]
pub(super) struct Handles {
    last: AtomicU64,
    files: RwLock<HashMap<Handle, Arc<OpenFile>>>,
    dirs: RwLock<HashMap<Handle, Arc<OpenDir>>>,
}

impl Handles {
    pub(super) fn add_file(&self, file: OpenFile) -> Handle {
        let handle = self.next();
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        files.insert(handle, Arc::new(file));
        handle
    }

    pub(super) fn add_dir(&self, dir: OpenDir) -> Handle {
        let handle = self.next();
        let mut dirs = self.dirs.write().unwrap_or_else(PoisonError::into_inner);
        dirs.insert(handle, Arc::new(dir));
        handle
    }

    /// `EBADF` for what is not open.
    pub(super) fn file(&self, handle: Option<Handle>) -> FsResult<Arc<OpenFile>> {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        handle
            .and_then(|handle| files.get(&handle))
            .cloned()
            .ok_or(Errno::EBADF)
    }

    /// `EBADF` for what is not open.
    pub(super) fn dir(&self, handle: Option<Handle>) -> FsResult<Arc<OpenDir>> {
        let dirs = self.dirs.read().unwrap_or_else(PoisonError::into_inner);
        handle
            .and_then(|handle| dirs.get(&handle))
            .cloned()
            .ok_or(Errno::EBADF)
    }

    pub(super) fn remove_file(&self, handle: Option<Handle>) -> FsResult<Arc<OpenFile>> {
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        handle
            .and_then(|handle| files.remove(&handle))
            .ok_or(Errno::EBADF)
    }

    pub(super) fn remove_dir(&self, handle: Option<Handle>) -> FsResult<Arc<OpenDir>> {
        let mut dirs = self.dirs.write().unwrap_or_else(PoisonError::into_inner);
        handle.and_then(|handle| dirs.remove(&handle)).ok_or(Errno::EBADF)
    }

    /// Everything is closed; how many that were.
    pub(super) fn clear(&self) -> usize {
        let files = std::mem::take(&mut *self.files.write().unwrap_or_else(PoisonError::into_inner));
        let dirs = std::mem::take(&mut *self.dirs.write().unwrap_or_else(PoisonError::into_inner));
        files.len() + dirs.len()
    }

    fn next(&self) -> Handle {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }
}
