//! Directories that are listed.

use std::collections::VecDeque;
use std::ffi::{CStr, OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{FileType, RawDir, SeekFrom as Seek};
use sandbox_types::CachePolicy;

use super::attr::type_shown;
use super::handle::OpenDir;
use super::{PassthroughFs, host, owner};
use crate::fs::{
    AddEntry, AddEntryPlus, DirEntry, Entry, Fit, FsResult, Handle, Ino, OpenReplyFlags, Opened, ROOT_INO,
    SyncScope,
};

/// What is read of a directory at once.
pub(in crate::backend) const CHUNK: usize = 32 * 1024;

/// Where a listing is. The host's own offsets are handed out, so an entry that stays is given once whatever comes and
/// goes meanwhile, as far as the host's filesystem keeps that.
#[derive(Debug, Default)]
pub(in crate::backend) struct Listing {
    /// Read already, not given yet.
    ahead: VecDeque<Item>,
    /// The offset of the entry that is given next.
    position: u64,
    /// There is nothing after what is ahead.
    ended: bool,
}

#[derive(Debug)]
pub(in crate::backend) struct Item {
    pub(in crate::backend) ino: u64,
    next: u64,
    pub(in crate::backend) kind: u8,
    pub(in crate::backend) name: OsString,
}

impl PassthroughFs {
    pub(in crate::backend) fn do_opendir(&self, ino: Ino) -> FsResult<Opened> {
        let (inode, fd) = self.directory(ino)?;
        self.watch_entries(&inode, fd.as_fd());
        let from = inode.layer();
        let dir = self.with_descriptors(|| host::reopen_dir(fd.as_fd()))?;
        self.cache.file_opened();
        let handle = self.handles.add_dir(OpenDir {
            dir,
            inode,
            from,
            merged: Mutex::default(),
            listing: Mutex::default(),
        });
        let flags = match self.config.cache {
            CachePolicy::Always => OpenReplyFlags::CACHE_DIR | OpenReplyFlags::KEEP_CACHE,
            CachePolicy::Auto | CachePolicy::Never => OpenReplyFlags::empty(),
        };
        Ok(Opened {
            handle: Some(handle),
            flags,
        })
    }

    pub(in crate::backend) fn do_releasedir(&self, handle: Option<Handle>) -> FsResult<()> {
        self.handles.remove_dir(handle)?;
        self.cache.file_closed();
        Ok(())
    }

    pub(in crate::backend) fn do_fsyncdir(&self, handle: Option<Handle>, scope: SyncScope) -> FsResult<()> {
        let open = self.handles.dir(handle)?;
        match scope {
            SyncScope::Data => rustix::fs::fdatasync(&open.dir)?,
            SyncScope::Everything => rustix::fs::fsync(&open.dir)?,
        }
        Ok(())
    }

    pub(in crate::backend) fn do_readdir(
        &self,
        handle: Option<Handle>,
        offset: u64,
        add: &mut AddEntry<'_>,
    ) -> FsResult<()> {
        let open = self.handles.dir(handle)?;
        let shows = |item| self.shows(&open, self.numbered(&open, item));
        list(&open, offset, &shows, &mut |item| add(item.entry()))
    }

    pub(in crate::backend) fn do_readdirplus(
        &self,
        handle: Option<Handle>,
        offset: u64,
        add: &mut AddEntryPlus<'_>,
    ) -> FsResult<()> {
        let open = self.handles.dir(handle)?;
        let shows = |item| self.shows(&open, self.numbered(&open, item));
        list(&open, offset, &shows, &mut |item| {
            add(item.entry(), &mut || Ok(self.entry_listed(&open, &item.name)))
        })
    }

    /// None for "." and "..", and for what is gone by now or cannot be looked at: the kernel asks again by name.
    fn entry_listed(&self, open: &Arc<OpenDir>, name: &OsStr) -> Option<Entry> {
        if matches!(name.as_bytes(), b"." | b"..") {
            return None;
        }
        self.find(&open.inode, open.dir.as_fd(), name).ok()
    }

    /// What is listed has the numbers that stat(2) says.
    fn numbered(&self, open: &OpenDir, item: Item) -> Item {
        let ino = self.served_number_on(open.inode.identity().device(), item.ino);
        Item { ino, ..item }
    }

    /// The root's own number stands for what is above it; the root of a single file has no other entry.
    pub(in crate::backend) fn shows(&self, open: &OpenDir, mut item: Item) -> Option<Item> {
        let is_root = open.inode.number == ROOT_INO;
        let dots = matches!(item.name.as_bytes(), b"." | b"..");
        if is_root && item.name == ".." {
            item.ino = ROOT_INO;
        }
        if is_root && !dots && self.config.only.as_ref().is_some_and(|only| *only != item.name) {
            return None;
        }
        // A regular file of the host can be recorded as something else.
        if self.config.is_virtual() && item.kind == libc::DT_REG {
            item.kind = match owner::read_in(open.dir.as_fd(), &item.name, self.config.owners) {
                Ok(kept) => entry_type(type_shown(libc::S_IFREG, kept.and_then(|kept| kept.kind))),
                Err(_) => libc::DT_UNKNOWN,
            };
        }
        Some(item)
    }
}

/// Hands over what the host lists, as far as `shows` lets it.
pub(in crate::backend) fn list(
    open: &OpenDir,
    offset: u64,
    shows: &dyn Fn(Item) -> Option<Item>,
    give: &mut dyn FnMut(&Item) -> FsResult<Fit>,
) -> FsResult<()> {
    // Only the requests of one open directory wait for each other, which the kernel sends one by one.
    let mut listing = lock(&open.listing);
    listing.go_to(open, offset)?;
    loop {
        let Some(item) = listing.ahead.front() else {
            if listing.ended {
                return Ok(());
            }
            listing.read_ahead(open, shows)?;
            continue;
        };
        if give(item)? == Fit::Full {
            return Ok(());
        }
        listing.position = item.next;
        listing.ahead.pop_front();
    }
}

impl Listing {
    /// Offset 0 is the beginning, read anew (rewinddir(3)).
    fn go_to(&mut self, open: &OpenDir, offset: u64) -> FsResult<()> {
        if offset != 0 && offset == self.position {
            return Ok(());
        }
        self.ahead.clear();
        self.ended = false;
        self.position = offset;
        rustix::fs::seek(&open.dir, Seek::Start(offset))?;
        Ok(())
    }

    fn read_ahead(&mut self, open: &OpenDir, shows: impl Fn(Item) -> Option<Item>) -> FsResult<()> {
        let mut buffer = Vec::<u8>::with_capacity(CHUNK);
        let mut raw = RawDir::new(&open.dir, buffer.spare_capacity_mut());
        loop {
            match raw.next() {
                None => {
                    self.ended = true;
                    return Ok(());
                }
                Some(entry) => {
                    let entry = entry?;
                    let item = Item::new(
                        entry.ino(),
                        entry.next_entry_cookie(),
                        entry.file_type(),
                        entry.file_name(),
                    );
                    self.ahead.extend(shows(item));
                }
            }
            if raw.is_buffer_empty() {
                return Ok(());
            }
        }
    }
}

impl Item {
    pub(in crate::backend) fn new(ino: u64, next: u64, kind: FileType, name: &CStr) -> Self {
        let kind = match kind {
            FileType::RegularFile => libc::DT_REG,
            FileType::Directory => libc::DT_DIR,
            FileType::Symlink => libc::DT_LNK,
            FileType::Fifo => libc::DT_FIFO,
            FileType::Socket => libc::DT_SOCK,
            FileType::CharacterDevice => libc::DT_CHR,
            FileType::BlockDevice => libc::DT_BLK,
            FileType::Unknown => libc::DT_UNKNOWN,
        };
        Self {
            ino,
            next,
            kind,
            name: OsString::from_vec(name.to_bytes().to_vec()),
        }
    }

    pub(in crate::backend) fn entry(&self) -> DirEntry<'_> {
        DirEntry {
            ino: self.ino,
            next_offset: self.next,
            kind: self.kind,
            name: &self.name,
        }
    }
}

/// `DTTOIF` the other way round.
pub(in crate::backend) fn entry_type(type_bits: u32) -> u8 {
    u8::try_from(type_bits >> 12).unwrap_or(libc::DT_UNKNOWN)
}

fn lock(listing: &Mutex<Listing>) -> MutexGuard<'_, Listing> {
    listing.lock().unwrap_or_else(PoisonError::into_inner)
}
