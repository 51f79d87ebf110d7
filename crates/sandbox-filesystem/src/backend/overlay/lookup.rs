//! Entries: which inode a name leads to.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::{Mode, Statx};
use sandbox_types::CachePolicy;

use super::look::{Seen, Spot, xattr, xattr_in};
use super::{OverlayFs, index, kept, parts};
use crate::backend::passthrough::inode::{Identity, Inode, Part, Parts};
use crate::backend::passthrough::resolve::STAND_IN;
use crate::backend::union::{Found, marks};
use crate::fs::{Attr, Entry, Errno, FsResult, Ino};

impl OverlayFs {
    pub(super) fn do_lookup(&self, parent: Ino, name: &OsStr) -> FsResult<Entry> {
        let dir = self.directory(parent)?;
        match name.as_bytes() {
            b"." => return self.host.known_entry(&dir),
            b".." => {
                let above = dir.place().map_or(dir, |place| place.parent);
                return self.host.known_entry(&above);
            }
            _ => self.host.check_name(&dir, name)?,
        }
        match self.find(&dir, name) {
            Err(Errno::ENOENT) if self.host.config.cache == CachePolicy::Always => {
                Ok(self.host.nothing_in(&dir))
            }
            other => other,
        }
    }

    /// The entry that has this name now, with one reference more.
    pub(super) fn find(&self, dir: &Arc<Inode>, name: &OsStr) -> FsResult<Entry> {
        let _looking = parts(dir).looking();
        // What is beneath a directory that is known already was found out when it was found first.
        let is_known = |spot: &Spot| {
            let inode = self.host.table.known(&spot.identity());
            inode.is_some_and(|inode| inode.parts.get().is_some())
        };
        let mut seen = self.look_until(dir, name, is_known)?;
        if seen.found.is_directory_of(is_known)
            && let Found::Directory(spots) = &seen.found
            && let Some(top) = spots.first()
        {
            let (inode, attr) = self.refer(dir, name, top)?;
            if inode.parts.get().is_some() {
                return Ok(self.host.entry_for(&inode, attr));
            }
            // Forgotten meanwhile, and another one now.
            self.host.do_forget(inode.number, 1);
            seen = self.look(dir, name)?;
        }
        let (inode, attr) = self.known(dir, name, &seen)?;
        Ok(self.host.entry_for(&inode, attr))
    }

    /// The inode that a name leads to, with one reference more. The directory's names are locked.
    pub(super) fn known(&self, dir: &Arc<Inode>, name: &OsStr, seen: &Seen) -> FsResult<(Arc<Inode>, Attr)> {
        match &seen.found {
            Found::Nothing => Err(Errno::ENOENT),
            Found::Other(spot) => self.known_other(dir, name, spot),
            Found::Directory(spots) => {
                let (top, below) = spots.split_first().ok_or(Errno::EIO)?;
                self.known_directory(dir, name, top, below)
            }
        }
    }

    fn known_other(&self, dir: &Arc<Inode>, name: &OsStr, spot: &Spot) -> FsResult<(Arc<Inode>, Attr)> {
        if spot.layer != 0
            && let Some(copy) = self.indexed(spot)?
        {
            return Ok(copy);
        }
        let (inode, attr) = self.refer(dir, name, spot)?;
        if inode.layer() != spot.layer {
            // Copied up under another name.
            let file = self.host.descriptor(&inode)?;
            let attr = self.host.look(file.as_fd())?.1;
            return Ok((inode, attr));
        }
        if spot.layer != 0 {
            inode.show_as(self.numbers.shown(spot.layer, spot.stat.stx_ino));
            if let Some(upper) = self.upper.as_ref().filter(|_| spot.stat.stx_nlink > 1) {
                let gone = upper.index.names_gone(spot.identity())?;
                inode.links.store(-gone, Ordering::Relaxed);
            }
        } else if self.is_impure(dir)? {
            self.recall(dir, name, spot, &inode)?;
        }
        Ok((inode, attr))
    }

    fn known_directory(
        &self,
        dir: &Arc<Inode>,
        name: &OsStr,
        top: &Spot,
        below: &[Spot],
    ) -> FsResult<(Arc<Inode>, Attr)> {
        let (inode, attr) = self.refer(dir, name, top)?;
        let first = if top.layer == 0 { below.first() } else { Some(top) };
        match first {
            Some(spot) => inode.show_as(self.numbers.shown(spot.layer, spot.stat.stx_ino)),
            None if self.is_impure(dir)? => self.recall(dir, name, top, &inode)?,
            None => {}
        }
        // Last: whoever finds parts takes all else for known, too.
        inode.parts.get_or_init(|| {
            let part = |spot: &Spot| Arc::new(Part::new(spot.identity(), spot.at.clone()));
            Box::new(Parts::new(below.iter().map(part).collect()))
        });
        Ok((inode, attr))
    }

    /// The inode of what is in one layer, known under this name from now on.
    fn refer(&self, dir: &Arc<Inode>, name: &OsStr, spot: &Spot) -> FsResult<(Arc<Inode>, Attr)> {
        if !self.host.config.is_virtual() {
            let attr = self.host.attr(&spot.stat, None);
            let (inode, gone) = self.host.table.found(spot.identity(), attr.mode, dir, name);
            self.host.forgotten(gone);
            return Ok((inode, attr));
        }
        let fd = self.host.part_descriptor(dir, spot.layer)?;
        let open = || rustix::fs::openat(&*fd, name, STAND_IN, Mode::empty());
        let file = self.host.with_descriptors(open)?;
        let (stat, attr) = self.host.look(file.as_fd())?;
        let identity = Identity::of(&stat).in_layer(spot.layer);
        let (inode, gone) = self.host.table.found(identity, attr.mode, dir, name);
        self.host.forgotten(gone);
        self.host.cache.keep(&inode, identity, Arc::new(file));
        Ok((inode, attr))
    }

    /// The copy of a file with several names that was copied up under another one.
    fn indexed(&self, spot: &Spot) -> FsResult<Option<(Arc<Inode>, Attr)>> {
        let Some(upper) = self.upper.as_ref().filter(|_| spot.stat.stx_nlink > 1) else {
            return Ok(None);
        };
        let Some((file, stat)) = upper.index.find(spot.identity())? else {
            return Ok(None);
        };
        let (inode, attr) = self.nameless(file, &stat)?;
        inode.show_as(self.numbers.shown(spot.layer, spot.stat.stx_ino));
        Ok(Some((inode, attr)))
    }

    /// A file of the upper that has none of the names it is known by there: its descriptor is the only way to it.
    fn nameless(&self, file: OwnedFd, stat: &Statx) -> FsResult<(Arc<Inode>, Attr)> {
        let kept = self.host.kept(file.as_fd(), stat)?;
        let attr = self.host.attr(stat, kept);
        let identity = Identity::of(stat);
        let inode = self.host.table.nameless(identity, attr.mode);
        inode.links.store(index::links(file.as_fd())?, Ordering::Relaxed);
        if inode.place().is_none() {
            let mut state = inode.state();
            if state.path.is_none() && state.identity == identity {
                state.path = Some(Arc::new(file));
            }
        }
        Ok((inode, attr))
    }

    /// What is kept beside a file that was copied up.
    fn recall(&self, dir: &Arc<Inode>, name: &OsStr, spot: &Spot, inode: &Inode) -> FsResult<()> {
        let fd = self.host.part_descriptor(dir, 0)?;
        if let Some(value) = xattr_in(fd.as_fd(), 0, name, marks::NUMBER)? {
            inode.show_as(kept::number(&value).ok_or(Errno::EIO)?);
        }
        let several =
            spot.stat.stx_nlink > 1 && u32::from(spot.stat.stx_mode) & libc::S_IFMT != libc::S_IFDIR;
        if several && let Some(value) = xattr_in(fd.as_fd(), 0, name, marks::NLINK)? {
            let links = marks::parse_nlink(&value).ok_or(Errno::EIO)?;
            inode.links.store(links, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Whether a directory's part in the upper may hold what was copied up. There, more is asked of each entry.
    pub(super) fn is_impure(&self, dir: &Arc<Inode>) -> FsResult<bool> {
        let known = parts(dir);
        if let Some(impure) = known.impure() {
            return Ok(impure);
        }
        if dir.layer() != 0 {
            return Ok(false);
        }
        let fd = self.host.part_descriptor(dir, 0)?;
        let impure = xattr(fd.as_fd(), 0, marks::IMPURE)?.is_some();
        known.set_impure(impure);
        Ok(impure)
    }
}
