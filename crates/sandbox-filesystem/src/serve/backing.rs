//! Files that the kernel reads and writes without asking.
//!
//! The kernel takes one backing file for all that have an inode open (`fs/fuse/iomode.c`), so it is registered with the
//! first of them and kept until the last is closed.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::fs::{DynFileSystem, FsResult, Handle, Ino};

/// How a transport tells the kernel of backing files (`FUSE_DEV_IOC_BACKING_OPEN`).
pub trait Backing: Send + Sync + std::fmt::Debug {
    /// The number that the kernel gives to `file`.
    fn open(&self, file: BorrowedFd<'_>) -> FsResult<u32>;

    /// The kernel needs it no more for files that are opened from now on.
    fn close(&self, id: u32);
}

#[derive(Debug, Default)]
pub(super) struct BackingFiles {
    files: Mutex<HashMap<Ino, Registered>>,
}

#[derive(Debug)]
struct Registered {
    id: u32,
    /// Who has it open. What was opened while the file could not be registered is none of them.
    handles: HashSet<Option<Handle>>,
}

impl BackingFiles {
    pub(super) fn opened(
        &self,
        backing: &dyn Backing,
        fs: &dyn DynFileSystem,
        ino: Ino,
        handle: Option<Handle>,
    ) -> Option<u32> {
        let mut files = self.lock();
        if let Some(known) = files.get_mut(&ino) {
            known.handles.insert(handle);
            return Some(known.id);
        }
        let file = fs.backing_file(ino, handle).ok()?;
        match backing.open(file.as_fd()) {
            Ok(id) => {
                let handles = HashSet::from([handle]);
                files.insert(ino, Registered { id, handles });
                Some(id)
            }
            Err(error) => {
                tracing::debug!(%error, ino, "the kernel does not take a file as a backing file");
                None
            }
        }
    }

    pub(super) fn closed(&self, backing: &dyn Backing, ino: Ino, handle: Option<Handle>) {
        let mut files = self.lock();
        let Some(known) = files.get_mut(&ino) else { return };
        known.handles.remove(&handle);
        if known.handles.is_empty() {
            backing.close(known.id);
            files.remove(&ino);
        }
    }

    pub(super) fn clear(&self, backing: Option<&dyn Backing>) {
        for (_, known) in self.lock().drain() {
            if let Some(backing) = backing {
                backing.close(known.id);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Ino, Registered>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
