//! Directories that are listed.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::RawDir;

use super::lend::with_mode;
use super::look::{is_attribute_whiteout, is_whiteout, xattr_in};
use super::{OverlayFs, kept, parts};
use crate::backend::passthrough::attr::type_shown;
use crate::backend::passthrough::dir::{CHUNK, Item, entry_type, list as host_list};
use crate::backend::passthrough::handle::OpenDir;
use crate::backend::passthrough::inode::{Inode, Layer};
use crate::backend::passthrough::{host, owner};
use crate::backend::union::{Listed, Marks, Merge, Snapshot, marks};
use crate::fs::{AddEntry, AddEntryPlus, DirEntry, Entry, Fit, FsResult, Handle, Ino, Opened, ROOT_INO};

/// A directory of one layer that is listed.
struct Listing<'a> {
    dir: &'a Arc<Inode>,
    fd: BorrowedFd<'a>,
    layer: Layer,
    /// Whether there may be whiteouts that are attributes.
    attributes: bool,
    /// Whether there may be copies, whose numbers are kept beside them.
    impure: bool,
    /// Whether others are listed with it.
    merged: bool,
    /// What of it is left out.
    hidden: Option<&'a HashSet<OsString>>,
}

/// What an entry of a layer means.
enum Shown {
    Entry(Item, Alone),
    /// What is beneath the name is hidden.
    Whiteout(Item),
    /// A mark of an OCI layer.
    Mark(Item),
    /// It is left out.
    Nothing,
}

/// Whether a directory is merged with what is beneath.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alone {
    Yes,
    No,
}

impl OverlayFs {
    pub(super) fn do_opendir(&self, ino: Ino) -> FsResult<Opened> {
        self.host.do_opendir(ino)
    }

    pub(super) fn do_readdir(
        &self,
        handle: Option<Handle>,
        offset: u64,
        add: &mut AddEntry<'_>,
    ) -> FsResult<()> {
        let open = self.host.handles.dir(handle)?;
        self.list(&open, offset, &mut |entry| add(entry))
    }

    pub(super) fn do_readdirplus(
        &self,
        handle: Option<Handle>,
        offset: u64,
        add: &mut AddEntryPlus<'_>,
    ) -> FsResult<()> {
        let open = self.host.handles.dir(handle)?;
        self.list(&open, offset, &mut |entry| {
            let name = entry.name;
            add(entry, &mut || Ok(self.entry_listed(&open, name)))
        })
    }

    /// None for "." and "..", and for what is gone by now or cannot be looked at: the kernel asks again by name.
    fn entry_listed(&self, open: &OpenDir, name: &OsStr) -> Option<Entry> {
        if Listed::is_dots(name) {
            return None;
        }
        self.find(&open.inode, name).ok()
    }

    fn list(
        &self,
        open: &OpenDir,
        offset: u64,
        give: &mut dyn FnMut(DirEntry<'_>) -> FsResult<Fit>,
    ) -> FsResult<()> {
        let snapshot = {
            let mut merged = lock(&open.merged);
            if offset == 0 {
                *merged = self.snapshot(open)?.map(Arc::new);
            }
            merged.clone()
        };
        if let Some(snapshot) = snapshot {
            return snapshot.give(offset, give);
        }
        let listing = self.listing(&open.inode, open.dir.as_fd(), open.from, false)?;
        let shows = |item| self.plain(&listing, item);
        host_list(open, offset, &shows, &mut |item| give(item.entry()))
    }

    /// What a directory shows when a listing of it begins, unless it is just the one that was opened.
    fn snapshot(&self, open: &OpenDir) -> FsResult<Option<Snapshot>> {
        let _looking = parts(&open.inode).looking();
        if !parts(&open.inode).is_merged() && open.inode.layer() == open.from {
            return Ok(None);
        }
        Ok(Some(Snapshot::new(self.merged(&open.inode)?)))
    }

    /// All that a directory shows, "." and ".." among it. Its names are locked.
    pub(super) fn merged(&self, dir: &Arc<Inode>) -> FsResult<Vec<Listed>> {
        let below = parts(dir).below();
        let layers = std::iter::once(dir.layer()).chain(below.iter().map(|part| part.layer()));
        let mut merge = Merge::default();
        for (place, layer) in layers.enumerate() {
            let fd = self.host.part_descriptor(dir, layer)?;
            let open = self.open_listing(fd.as_fd(), layer)?;
            let lends_numbers = place == 1 && dir.layer() == 0;
            if self.merge_layer(dir, &open, layer, &mut merge, lends_numbers)? {
                break;
            }
            merge.next_layer();
        }
        Ok(merge.finish())
    }

    /// Opens a directory of a layer for listing.
    pub(super) fn open_listing(&self, dir: BorrowedFd<'_>, layer: Layer) -> FsResult<OwnedFd> {
        let open = || self.host.with_descriptors(|| host::reopen_dir(dir));
        if layer == 0 {
            with_mode(dir, 0o500, open)
        } else {
            open()
        }
    }

    /// Whether the layer hides everything beneath it.
    fn merge_layer(
        &self,
        dir: &Arc<Inode>,
        open: &OwnedFd,
        layer: Layer,
        merge: &mut Merge,
        lends_numbers: bool,
    ) -> FsResult<bool> {
        let listing = self.listing(dir, open.as_fd(), layer, true)?;
        let mut marks = Marks::default();
        let mut buffer = Vec::<u8>::with_capacity(CHUNK);
        let mut raw = RawDir::new(open, buffer.spare_capacity_mut());
        while let Some(entry) = raw.next() {
            let entry = entry?;
            let item = Item::new(
                entry.ino(),
                entry.next_entry_cookie(),
                entry.file_type(),
                entry.file_name(),
            );
            match self.shown(&listing, item)? {
                Shown::Entry(item, alone) => {
                    let mut listed = Listed::new(item.name.as_bytes(), item.ino, item.kind);
                    listed.alone = alone == Alone::Yes;
                    merge.add(listed, lends_numbers);
                }
                Shown::Whiteout(item) => merge.hide(item.name.as_bytes()),
                Shown::Mark(item) => {
                    marks.note(item.name.as_bytes());
                }
                Shown::Nothing => {}
            }
        }
        for name in &marks.names {
            merge.hide(name);
        }
        Ok(marks.everything)
    }

    fn listing<'a>(
        &'a self,
        dir: &'a Arc<Inode>,
        fd: BorrowedFd<'a>,
        layer: Layer,
        merged: bool,
    ) -> FsResult<Listing<'a>> {
        let attributes = if layer == 0 {
            self.writes_attributes()
        } else {
            self.read_marks(layer, true, fd)?.attributes
        };
        Ok(Listing {
            dir,
            fd,
            layer,
            attributes,
            impure: layer == 0 && dir.layer() == 0 && self.is_impure(dir)?,
            merged,
            hidden: self.hidden_in(dir, layer),
        })
    }

    fn hidden_in(&self, dir: &Arc<Inode>, layer: Layer) -> Option<&HashSet<OsString>> {
        if layer == 0 || !self.hidden.has_any() {
            return None;
        }
        let own = dir.identity();
        let part = if own.layer() == layer {
            own
        } else {
            parts(dir).in_layer(layer)?.identity
        };
        self.hidden.of(part)
    }

    /// An entry of the only directory there is, if it is shown.
    fn plain(&self, listing: &Listing<'_>, item: Item) -> Option<Item> {
        match self.shown(listing, item) {
            Ok(Shown::Entry(item, _)) => Some(item),
            Ok(Shown::Whiteout(_) | Shown::Mark(_) | Shown::Nothing) => None,
            Err(error) => {
                tracing::debug!(%error, "an entry cannot be looked at and is not listed");
                None
            }
        }
    }

    fn shown(&self, listing: &Listing<'_>, mut item: Item) -> FsResult<Shown> {
        let name = item.name.as_bytes();
        if Listed::is_dots(&item.name) {
            item.ino = number_of_dots(listing.dir, name, item.ino);
            return Ok(Shown::Entry(item, Alone::No));
        }
        if listing.layer != 0 && self.keeps_name(listing.layer, name) {
            return Ok(Shown::Mark(item));
        }
        if listing.hidden.is_some_and(|hidden| hidden.contains(&*item.name)) {
            return Ok(Shown::Nothing);
        }
        let may_hide = match item.kind {
            libc::DT_CHR | libc::DT_UNKNOWN => true,
            libc::DT_REG => listing.attributes,
            _ => false,
        };
        if may_hide {
            let Some(kind) = kind_if_shown(listing, &item.name)? else {
                return Ok(Shown::Whiteout(item));
            };
            item.kind = kind;
        }
        let alone = self.number_entry(listing, &mut item)?;
        if self.host.config.is_virtual() && item.kind == libc::DT_REG {
            item.kind = match owner::read_in(listing.fd, &item.name, self.host.config.owners) {
                Ok(kept) => entry_type(type_shown(libc::S_IFREG, kept.and_then(|kept| kept.kind))),
                Err(_) => libc::DT_UNKNOWN,
            };
        }
        Ok(Shown::Entry(item, alone))
    }

    /// The number that programs see.
    fn number_entry(&self, listing: &Listing<'_>, item: &mut Item) -> FsResult<Alone> {
        if listing.layer != 0 {
            item.ino = self.numbers.shown(listing.layer, item.ino);
            return Ok(Alone::No);
        }
        let kept = listing.impure && matches!(item.kind, libc::DT_REG | libc::DT_DIR);
        if kept
            && let Some(value) = xattr_in(listing.fd, 0, &item.name, marks::NUMBER)?
            && let Some(number) = kept::number(&value)
        {
            item.ino = number;
        }
        let is_directory = listing.merged && item.kind == libc::DT_DIR;
        if is_directory && xattr_in(listing.fd, 0, &item.name, marks::OPAQUE)?.as_deref() == Some(b"y") {
            return Ok(Alone::Yes);
        }
        Ok(Alone::No)
    }
}

/// The type of something that may be a whiteout; none if it is one.
fn kind_if_shown(listing: &Listing<'_>, name: &OsStr) -> FsResult<Option<u8>> {
    let stat = match host::stat_in(listing.fd, name) {
        Ok(stat) => stat,
        // Gone meanwhile.
        Err(rustix::io::Errno::NOENT) => return Ok(Some(libc::DT_UNKNOWN)),
        Err(error) => return Err(error.into()),
    };
    let hidden = is_whiteout(&stat) || listing.attributes && is_attribute_whiteout(listing.fd, name, &stat)?;
    Ok((!hidden).then(|| entry_type(u32::from(stat.stx_mode) & libc::S_IFMT)))
}

/// The root's own number stands for what is above it.
fn number_of_dots(dir: &Arc<Inode>, name: &[u8], host: u64) -> u64 {
    let above = dir.place().filter(|_| name == b"..").map(|place| place.parent);
    match above {
        Some(above) => above.shown().unwrap_or(host),
        None if name == b"." || dir.number == ROOT_INO => dir.shown().unwrap_or(host),
        None => host,
    }
}

fn lock(merged: &Mutex<Option<Arc<Snapshot>>>) -> MutexGuard<'_, Option<Arc<Snapshot>>> {
    merged.lock().unwrap_or_else(PoisonError::into_inner)
}
