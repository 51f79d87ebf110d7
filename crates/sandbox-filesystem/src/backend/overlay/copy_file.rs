//! Copying up: the file behind an inode is in the upper from then on.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::{FileType, Mode, OFlags};

use super::attributes::{Source, copy_times, mark};
use super::content::{Content, sync};
use super::crash::crash_point;
use super::lend::with_mode;
use super::staging::Staged;
use super::{Durability, OverlayFs, index, kept, parts};
use crate::backend::passthrough::host;
use crate::backend::passthrough::inode::{Identity, Inode, Place};
use crate::backend::passthrough::owner::{Kind, Override};
use crate::backend::passthrough::resolve::STAND_IN;
use crate::backend::union::plan::Upper;
use crate::backend::union::{Turn, marks};
use crate::fs::{Errno, FsResult};

/// How often names may change under a copy-up before it gives up.
const TRIES: usize = 8;

/// A copy in staging: its name there, and its descriptor.
pub(super) struct Copy<'a> {
    pub(super) staged: Staged<'a>,
    pub(super) file: OwnedFd,
}

impl OverlayFs {
    /// Copies up what is behind an inode, if it is not in the upper, and every directory above it. Nobody who calls this
    /// holds a lock on names. Whoever wants the same waits; nobody else does.
    pub(super) fn raise(&self, inode: &Arc<Inode>, content: Content) -> FsResult<()> {
        self.upper()?;
        // No recursion: a tree can be deeper than a thread's stack.
        let mut above = Vec::new();
        let mut at = Arc::clone(inode);
        while at.layer() != 0
            && let Some(place) = at.place()
        {
            at = place.parent;
            above.push(Arc::clone(&at));
        }
        for dir in above.iter().rev() {
            self.raise_alone(dir, Content::All)?;
        }
        self.raise_alone(inode, content)
    }

    /// As `raise`, for what is in a directory that is in the upper.
    fn raise_alone(&self, inode: &Arc<Inode>, content: Content) -> FsResult<()> {
        for _ in 0..TRIES {
            if inode.layer() == 0 {
                return Ok(());
            }
            let Turn::Own(_turn) = self.copying.turn(inode.number) else {
                continue;
            };
            if inode.layer() == 0 {
                return Ok(());
            }
            let done = if inode.type_bits() == libc::S_IFDIR {
                self.copy_directory(inode)
            } else {
                self.copy_file(inode, content)
            };
            match done {
                // Its name has changed meanwhile.
                Err(Errno::ESTALE) => {}
                other => return other,
            }
        }
        Err(Errno::ESTALE)
    }

    fn copy_file(&self, inode: &Arc<Inode>, content: Content) -> FsResult<()> {
        let upper = self.upper()?;
        let place = inode.place();
        let file = self.host.descriptor(inode)?;
        let (stat, attr) = self.host.look(file.as_fd())?;
        let source = Source {
            file: file.as_fd(),
            stat: &stat,
            attr: &attr,
        };
        let copy = self.stage_copy(inode, &source, content)?;
        if content != Content::All {
            self.check_opens(copy.file.as_fd())?;
        }
        if upper.durability == Durability::Each && is_regular(attr.mode) {
            self.sync_copy(copy.file.as_fd())?;
        }
        crash_point("copy: staged");
        self.publish(inode, place.as_ref(), copy, stat.stx_nlink)
    }

    /// Gives a finished copy its name, which must still be the inode's: `ESTALE` otherwise. One without a name stays
    /// without one.
    fn publish(
        &self,
        inode: &Arc<Inode>,
        place: Option<&Place>,
        copy: Copy<'_>,
        links_before: u32,
    ) -> FsResult<()> {
        let upper = self.upper()?;
        let several = links_before > 1;
        let Copy { staged, file } = copy;
        let _changing = place.map(|place| parts(&place.parent).changing());
        if !is_at(inode, place) {
            return Err(Errno::ESTALE);
        }
        // As many as there were.
        let were = i32::try_from(links_before).unwrap_or(i32::MAX);
        if several {
            // Never too few, whenever this ends: with the last name that is counted the copy would be forgotten.
            let links = inode.links.load(Ordering::Relaxed).saturating_add(were - 1);
            kept::note_links(file.as_fd(), links)?;
            upper
                .index
                .add(inode.identity(), upper.staging.fd(), &staged.name)?;
            crash_point("copy: indexed");
        }
        match place {
            Some(place) => self.put_in_place(place, staged, file.as_fd())?,
            None => drop(staged),
        }
        if several {
            // Less those that the host counts now: in the index, and here.
            let counted = 1 + i32::from(place.is_some());
            inode.links.fetch_add(were - counted, Ordering::Relaxed);
            kept::settle_links(inode, file.as_fd())?;
            // From here on the number is in the copy.
            upper
                .index
                .keep_names_gone(inode.identity(), 0, upper.staging.name())?;
        }
        let identity = Identity::of(&host::stat(file.as_fd())?);
        self.host.table.became(inode, identity, Arc::new(file));
        self.host.cache.queue(inode);
        Ok(())
    }

    /// Renames something from staging to a place that has nothing in the upper. The times of the directory stay: for
    /// everybody else nothing has changed.
    pub(super) fn put_in_place(
        &self,
        place: &Place,
        staged: Staged<'_>,
        file: BorrowedFd<'_>,
    ) -> FsResult<()> {
        let dir = self.host.part_descriptor(&place.parent, 0)?;
        self.mark_impure(&place.parent, dir.as_fd())?;
        let before = host::stat(dir.as_fd())?;
        // A directory that moves must be writable itself: what is above it changes.
        with_mode(file, 0o200, || {
            with_mode(dir.as_fd(), 0o300, || staged.try_put(dir.as_fd(), &place.name))
        })?;
        staged.was_put();
        crash_point("copy: renamed");
        copy_times(&before, dir.as_fd())
    }

    /// Says that there may be copies in a directory. Its names are locked.
    pub(super) fn mark_impure(&self, dir: &Arc<Inode>, fd: BorrowedFd<'_>) -> FsResult<()> {
        if !self.is_impure(dir)? {
            mark(fd, marks::IMPURE, b"y")?;
            parts(dir).set_impure(true);
            crash_point("copy: impure");
        }
        Ok(())
    }

    /// What is short is about to be written to. Where that is refused, nothing may have been cut off.
    fn check_opens(&self, copy: BorrowedFd<'_>) -> FsResult<()> {
        let open = || host::reopen(copy, OFlags::WRONLY | OFlags::NONBLOCK);
        self.host.with_descriptors(open).map(drop)
    }

    fn sync_copy(&self, file: BorrowedFd<'_>) -> FsResult<()> {
        let open = || host::reopen(file, OFlags::RDONLY | OFlags::NONBLOCK);
        sync(self.host.with_descriptors(open)?)
    }

    /// Makes a copy in staging, with everything that the original has.
    fn stage_copy(&self, inode: &Inode, source: &Source<'_>, content: Content) -> FsResult<Copy<'_>> {
        let staging = &self.upper()?.staging;
        let staged = staging.name();
        let kind = Kind::of_mode(u32::from(source.stat.stx_mode)).ok_or(Errno::EIO)?;
        match kind {
            Kind::File => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let mode = Mode::RUSR | Mode::WUSR;
                let open = || rustix::fs::openat(staging.fd(), &staged.name, flags, mode);
                let file = self.host.with_descriptors(open)?;
                self.copy_content(source.file, source.stat, file.as_fd(), content)?;
            }
            Kind::Symlink => self.stage_link(source, &staged)?,
            Kind::Dir => return Err(Errno::EISDIR),
            _ => self.stage_special(source, kind, &staged)?,
        }
        let open = || rustix::fs::openat(staging.fd(), &staged.name, STAND_IN, Mode::empty());
        let file = self.host.with_descriptors(open)?;
        kept::note_origin(inode, file.as_fd(), source.stat.stx_nlink > 1)?;
        self.copy_attributes(source, file.as_fd())?;
        Ok(Copy { staged, file })
    }

    fn stage_link(&self, source: &Source<'_>, staged: &Staged<'_>) -> FsResult<()> {
        let staging = &self.upper()?.staging;
        let target = rustix::fs::readlinkat(source.file, c"", Vec::new())?;
        let kept = Override {
            uid: source.attr.uid,
            gid: source.attr.gid,
            mode: 0o777,
            kind: Some(Kind::Symlink),
            rdev: 0,
        };
        if self.host.config.is_virtual() && !self.host.is_default_owner(&kept) {
            let target = OsStr::from_bytes(target.to_bytes());
            return self.host.write_link(staging.fd(), &staged.name, target);
        }
        Ok(rustix::fs::symlinkat(
            target.as_c_str(),
            staging.fd(),
            &staged.name,
        )?)
    }

    fn stage_special(&self, source: &Source<'_>, kind: Kind, staged: &Staged<'_>) -> FsResult<()> {
        let staging = &self.upper()?.staging;
        let kind = if self.host.config.is_virtual() {
            Kind::File
        } else {
            kind
        };
        let kind = FileType::from_raw_mode(kind.type_bits());
        let device = rustix::fs::makedev(source.stat.stx_rdev_major, source.stat.stx_rdev_minor);
        let mode = Mode::RUSR | Mode::WUSR;
        Ok(rustix::fs::mknodat(
            staging.fd(),
            &staged.name,
            kind,
            mode,
            device,
        )?)
    }

    /// A name that leads to something in a lower layer leads to its copy in the upper from then on. Only for what is no
    /// directory. Nobody who calls this holds a lock on names.
    pub(super) fn raise_name(&self, dir: &Arc<Inode>, name: &OsStr) -> FsResult<()> {
        self.raise(dir, Content::All)?;
        let (inode, in_upper) = {
            let _looking = parts(dir).looking();
            let seen = self.look(dir, name)?;
            let (inode, _) = self.known(dir, name, &seen)?;
            (inode, seen.upper != Upper::Nothing)
        };
        let done = if in_upper {
            Ok(())
        } else {
            self.raise(&inode, Content::All)
                .and_then(|()| self.link_name(dir, name, &inode))
        };
        self.host.do_forget(inode.number, 1);
        done
    }

    /// Another name, known only to a lower layer, of a file that is in the upper.
    fn link_name(&self, dir: &Arc<Inode>, name: &OsStr, inode: &Arc<Inode>) -> FsResult<()> {
        let _changing = parts(dir).changing();
        let fd = self.host.part_descriptor(dir, 0)?;
        if host::stat_in(fd.as_fd(), name).is_ok() {
            return Ok(());
        }
        self.mark_impure(dir, fd.as_fd())?;
        let before = host::stat(fd.as_fd())?;
        let file = self.host.descriptor(inode)?;
        with_mode(fd.as_fd(), 0o300, || index::link(file.as_fd(), fd.as_fd(), name))?;
        crash_point("name: linked");
        copy_times(&before, fd.as_fd())?;
        inode.links.fetch_sub(1, Ordering::Relaxed);
        kept::settle_links(inode, file.as_fd())
    }
}

/// Whether that is where the inode is, or it is nowhere as it was before.
pub(super) fn is_at(inode: &Inode, place: Option<&Place>) -> bool {
    match (inode.place(), place) {
        (None, None) => true,
        (Some(now), Some(before)) => Arc::ptr_eq(&now.parent, &before.parent) && now.name == before.name,
        _ => false,
    }
}

fn is_regular(mode: u32) -> bool {
    mode & libc::S_IFMT == libc::S_IFREG
}
