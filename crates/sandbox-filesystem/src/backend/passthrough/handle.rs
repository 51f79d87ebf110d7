//! What is open.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use super::dir::Listing;
use super::inode::{Inode, Layer};
use crate::backend::union::Snapshot;
use crate::fs::{Errno, FsResult, Handle};

/// An open file.
#[derive(Debug)]
pub(in crate::backend) struct OpenFile {
    pub(in crate::backend) file: Arc<OwnedFd>,
    pub(in crate::backend) inode: Arc<Inode>,
    /// The layer that it was opened in.
    pub(in crate::backend) from: AtomicU16,
    /// The copy in the upper layer of what was in a lower one when it was opened.
    pub(in crate::backend) copy: OnceLock<OwnedFd>,
    /// Whether the host's descriptor has `O_APPEND`, which fcntl(2) can change.
    pub(in crate::backend) appends: AtomicBool,
}

impl OpenFile {
    pub(in crate::backend) fn fd(&self) -> BorrowedFd<'_> {
        self.copy.get().map_or_else(|| self.file.as_fd(), AsFd::as_fd)
    }
}

/// An open directory.
#[derive(Debug)]
pub(in crate::backend) struct OpenDir {
    pub(in crate::backend) dir: OwnedFd,
    pub(in crate::backend) inode: Arc<Inode>,
    /// The layer that it was opened in.
    pub(in crate::backend) from: Layer,
    /// What was there when the listing was begun, where several directories are listed as one.
    pub(in crate::backend) merged: Mutex<Option<Arc<Snapshot>>>,
    pub(in crate::backend) listing: Mutex<Listing>,
}

/// Numbers of what is open. None is used twice.
#[derive(Debug, Default)]
pub(in crate::backend) struct Handles {
    last: AtomicU64,
    files: RwLock<HashMap<Handle, Arc<OpenFile>>>,
    dirs: RwLock<HashMap<Handle, Arc<OpenDir>>>,
}

impl Handles {
    pub(in crate::backend) fn add_file(&self, file: OpenFile) -> Handle {
        let handle = self.next();
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        files.insert(handle, Arc::new(file));
        handle
    }

    pub(in crate::backend) fn add_dir(&self, dir: OpenDir) -> Handle {
        let handle = self.next();
        let mut dirs = self.dirs.write().unwrap_or_else(PoisonError::into_inner);
        dirs.insert(handle, Arc::new(dir));
        handle
    }

    /// `EBADF` for what is not open.
    pub(in crate::backend) fn file(&self, handle: Option<Handle>) -> FsResult<Arc<OpenFile>> {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        handle
            .and_then(|handle| files.get(&handle))
            .cloned()
            .ok_or(Errno::EBADF)
    }

    /// All that a file is open by. Goes through everything that is open.
    pub(in crate::backend) fn of(&self, inode: &Arc<Inode>) -> Vec<Arc<OpenFile>> {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        let all = files.values().filter(|file| Arc::ptr_eq(&file.inode, inode));
        all.cloned().collect()
    }

    /// `EBADF` for what is not open.
    pub(in crate::backend) fn dir(&self, handle: Option<Handle>) -> FsResult<Arc<OpenDir>> {
        let dirs = self.dirs.read().unwrap_or_else(PoisonError::into_inner);
        handle
            .and_then(|handle| dirs.get(&handle))
            .cloned()
            .ok_or(Errno::EBADF)
    }

    pub(in crate::backend) fn remove_file(&self, handle: Option<Handle>) -> FsResult<Arc<OpenFile>> {
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        handle
            .and_then(|handle| files.remove(&handle))
            .ok_or(Errno::EBADF)
    }

    pub(in crate::backend) fn remove_dir(&self, handle: Option<Handle>) -> FsResult<Arc<OpenDir>> {
        let mut dirs = self.dirs.write().unwrap_or_else(PoisonError::into_inner);
        handle.and_then(|handle| dirs.remove(&handle)).ok_or(Errno::EBADF)
    }

    /// Everything is closed; how many that were.
    pub(in crate::backend) fn clear(&self) -> usize {
        let files = std::mem::take(&mut *self.files.write().unwrap_or_else(PoisonError::into_inner));
        let dirs = std::mem::take(&mut *self.dirs.write().unwrap_or_else(PoisonError::into_inner));
        files.len() + dirs.len()
    }

    fn next(&self) -> Handle {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }
}
