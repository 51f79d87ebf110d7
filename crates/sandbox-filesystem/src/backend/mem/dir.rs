//! opendir, readdir, readdirplus, releasedir.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sandbox_types::CachePolicy;

use super::clock::now;
use super::directory::{Dirent, FIRST_COOKIE};
use super::filesystem::MemFs;
use super::inode::Inode;
use super::io::{atime_is_stale, touch};
use crate::fs::{AddEntryPlus, DirEntry, Entry, Errno, Fit, FsResult, Handle, Ino, OpenReplyFlags, Opened};

/// How many entries are taken from a directory at a time, with its lock given up in between.
const BATCH: usize = 64;

/// Directories that are being listed.
#[derive(Debug, Default)]
pub(super) struct Listings {
    /// For each handle the cookie at which its listing ends.
    ends: Mutex<HashMap<Handle, u64>>,
    next: AtomicU64,
}

impl Listings {
    fn open(&self, end: u64) -> Handle {
        let handle = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        self.lock().insert(handle, end);
        handle
    }

    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Handle, u64>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemFs {
    pub(super) fn open_directory(&self, ino: Ino) -> FsResult<Opened> {
        let inode = self.table.get(ino)?;
        let end = inode.read().directory()?.next_cookie();
        Ok(Opened {
            handle: Some(self.listings.open(end)),
            flags: match self.caching.data {
                CachePolicy::Always => OpenReplyFlags::CACHE_DIR | OpenReplyFlags::KEEP_CACHE,
                CachePolicy::Auto | CachePolicy::Never => OpenReplyFlags::empty(),
            },
        })
    }

    pub(super) fn close_directory(&self, handle: Option<Handle>) {
        if let Some(handle) = handle {
            self.listings.lock().remove(&handle);
        }
    }

    pub(super) fn list(
        &self,
        ino: Ino,
        handle: Option<Handle>,
        offset: u64,
        add: &mut AddEntryPlus<'_>,
    ) -> FsResult<()> {
        let inode = self.table.get(ino)?;
        let end = self.end_of_listing(&inode, handle, offset)?;
        if stale(&inode) {
            touch(&inode);
        }
        if add_dots(&inode, offset, add)? == Fit::Full {
            return Ok(());
        }
        let mut after = offset.max(FIRST_COOKIE - 1);
        loop {
            let batch = next_batch(&inode, after, end)?;
            for entry in &batch {
                if self.add_entry(&inode, entry, add)? == Fit::Full {
                    return Ok(());
                }
            }
            match batch.last() {
                Some(last) if batch.len() == BATCH => after = last.cookie,
                _ => return Ok(()),
            }
        }
    }

    /// What is added to a directory once its listing has begun is not in it, so that every listing ends.
    fn end_of_listing(&self, inode: &Inode, handle: Option<Handle>, offset: u64) -> FsResult<u64> {
        let next = inode.read().directory()?.next_cookie();
        let mut ends = self.listings.lock();
        let end = match handle {
            Some(handle) => ends.get_mut(&handle).ok_or(Errno::EBADF)?,
            None => return Ok(next),
        };
        if offset == 0 {
            *end = next;
        }
        Ok(*end)
    }

    fn add_entry(&self, parent: &Inode, entry: &Arc<Dirent>, add: &mut AddEntryPlus<'_>) -> FsResult<Fit> {
        let shown = DirEntry {
            ino: entry.inode.ino,
            next_offset: entry.cookie,
            kind: entry.inode.entry_kind(),
            name: &entry.name,
        };
        add(shown, &mut || self.reference(parent, entry))
    }

    /// The entry, if it is still there.
    fn reference(&self, parent: &Inode, entry: &Dirent) -> FsResult<Option<Entry>> {
        let state = parent.read();
        let now = state.directory()?.get(&entry.name);
        Ok(now
            .filter(|now| Arc::ptr_eq(&now.inode, &entry.inode))
            .map(|now| self.entry(&now.inode, &now.inode.read())))
    }
}

fn stale(inode: &Inode) -> bool {
    atime_is_stale(&inode.read(), now())
}

fn add_dots(inode: &Inode, offset: u64, add: &mut AddEntryPlus<'_>) -> FsResult<Fit> {
    for (cookie, name, ino) in [(1, ".", inode.ino), (2, "..", inode.parent())] {
        let entry = DirEntry {
            ino,
            next_offset: cookie,
            kind: libc::DT_DIR,
            name: OsStr::new(name),
        };
        if offset < cookie && add(entry, &mut || Ok(None))? == Fit::Full {
            return Ok(Fit::Full);
        }
    }
    Ok(Fit::Taken)
}

fn next_batch(inode: &Inode, after: u64, end: u64) -> FsResult<Vec<Arc<Dirent>>> {
    let state = inode.read();
    let entries = state.directory()?.after(after);
    Ok(entries
        .take_while(|entry| entry.cookie < end)
        .take(BATCH)
        .map(Arc::clone)
        .collect())
}
