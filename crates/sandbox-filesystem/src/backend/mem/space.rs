//! What there is of memory, and who has it: the capacity.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::fs::{Errno, FsResult};
use crate::sys::heap;
use crate::sys::pages::{PAGE_SIZE, Page, Pages};

/// [`PAGE_SIZE`] for offsets.
pub(super) const PAGE: u64 = PAGE_SIZE as u64;

/// Freed pages that stay with the process, at most; and never more than this part of the capacity.
const KEPT_PAGES: u64 = 256;
const KEPT_PART: u64 = 64;

/// How much that was not pages may be freed before `malloc` is asked to give it back.
const TRIM_AFTER: u64 = 4 << 20;

/// What `malloc` needs beside what was asked for, and what is lost to rounding.
const ALLOCATION: u64 = 16;

/// How many ranges may be locked at the same time.
const MAX_LOCKS: u64 = 1 << 16;

/// Counts what is used, and gives out pages.
#[derive(Debug)]
pub(super) struct Space {
    capacity: u64,
    used: AtomicU64,
    max_inodes: u64,
    inodes: AtomicU64,
    locks: AtomicU64,
    /// Freed since `malloc` was asked.
    freed: AtomicU64,
    pages: Pages,
}

impl Space {
    pub(super) fn new(capacity: u64, max_inodes: u64) -> Self {
        let keep = KEPT_PAGES.min(capacity / PAGE / KEPT_PART);
        Self {
            capacity,
            used: AtomicU64::new(0),
            max_inodes,
            inodes: AtomicU64::new(0),
            locks: AtomicU64::new(0),
            freed: AtomicU64::new(0),
            pages: Pages::new(usize::try_from(keep).unwrap_or(0)),
        }
    }

    pub(super) fn capacity(&self) -> u64 {
        self.capacity
    }

    pub(super) fn free(&self) -> u64 {
        self.capacity.saturating_sub(self.used.load(Ordering::Relaxed))
    }

    pub(super) fn max_inodes(&self) -> u64 {
        self.max_inodes
    }

    pub(super) fn free_inodes(&self) -> u64 {
        self.max_inodes
            .saturating_sub(self.inodes.load(Ordering::Relaxed))
    }

    /// Charges `bytes`, or fails with `ENOSPC` and charges nothing.
    pub(super) fn charge(&self, bytes: u64) -> FsResult<()> {
        add_below(&self.used, bytes, self.capacity)
            .then_some(())
            .ok_or(Errno::ENOSPC)
    }

    /// Gives back what was charged.
    pub(super) fn release(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        self.freed.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Once much was freed that came from `malloc`, it goes back to the system. Call it with no lock held.
    pub(super) fn settle(&self) {
        let freed = self.freed.load(Ordering::Relaxed);
        if freed < TRIM_AFTER {
            return;
        }
        // One thread does it.
        let reset = self
            .freed
            .compare_exchange(freed, 0, Ordering::Relaxed, Ordering::Relaxed);
        if reset.is_ok() {
            heap::trim();
        }
    }

    /// Charges an inode and `bytes` for it, or fails with `ENOSPC` and charges nothing.
    pub(super) fn charge_inode(&self, bytes: u64) -> FsResult<()> {
        if !add_below(&self.inodes, 1, self.max_inodes) {
            return Err(Errno::ENOSPC);
        }
        self.charge(bytes).inspect_err(|_| {
            self.inodes.fetch_sub(1, Ordering::Relaxed);
        })
    }

    pub(super) fn release_inode(&self, bytes: u64) {
        self.inodes.fetch_sub(1, Ordering::Relaxed);
        self.release(bytes);
    }

    /// Counts `count` locked ranges, or fails with `ENOLCK` and counts nothing.
    pub(super) fn charge_locks(&self, count: u64) -> FsResult<()> {
        add_below(&self.locks, count, MAX_LOCKS)
            .then_some(())
            .ok_or(Errno::ENOLCK)
    }

    pub(super) fn release_locks(&self, count: u64) {
        self.locks.fetch_sub(count, Ordering::Relaxed);
    }

    /// Charges as many of `count` pages as there is room for, at least one, and gives them, as zeros.
    pub(super) fn take_pages(&self, count: usize) -> FsResult<Vec<Page>> {
        let mut charged = None;
        let update = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                let room = self.capacity.saturating_sub(used) / PAGE;
                let pages = room.min(count as u64);
                charged = Some(pages);
                (pages > 0).then_some(used + pages * PAGE)
            });
        let Some(pages) = charged.filter(|_| update.is_ok()) else {
            return Err(Errno::ENOSPC);
        };
        self.fetch(pages)
    }

    /// Charges and gives `count` pages, or fails with `ENOSPC` and does neither.
    pub(super) fn take_all_pages(&self, count: usize) -> FsResult<Vec<Page>> {
        self.charge((count as u64).saturating_mul(PAGE))?;
        self.fetch(count as u64)
    }

    fn fetch(&self, charged: u64) -> FsResult<Vec<Page>> {
        let count = usize::try_from(charged).map_err(|_| Errno::ENOSPC)?;
        self.pages.take(count).map_err(|error| {
            self.release(charged * PAGE);
            Errno::from(error)
        })
    }

    /// Frees pages and gives back what was charged for them.
    pub(super) fn give_back(&self, pages: impl IntoIterator<Item = Page>) {
        let mut count = 0;
        self.pages.give_back(pages.into_iter().inspect(|_| count += 1));
        // Pages are no business of malloc's.
        self.used.fetch_sub(count * PAGE, Ordering::Relaxed);
    }
}

/// What `bytes` in an allocation of their own cost.
pub(super) const fn allocation(bytes: usize) -> u64 {
    (bytes as u64).next_multiple_of(16) + ALLOCATION
}

/// Adds `more` unless the sum is above `limit`; whether it did.
fn add_below(counter: &AtomicU64, more: u64, limit: u64) -> bool {
    counter
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
            now.checked_add(more).filter(|sum| *sum <= limit)
        })
        .is_ok()
}
