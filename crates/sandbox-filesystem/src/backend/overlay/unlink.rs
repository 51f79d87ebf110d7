//! Names that go.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::AtFlags;
use rustix::io::Errno as HostErrno;

use super::content::Content;
use super::crash::crash_point;
use super::lend::with_mode;
use super::look::{Seen, xattr};
use super::{OverlayFs, kept, parts};
use crate::backend::passthrough::host;
use crate::backend::passthrough::inode::{Inode, Life};
use crate::backend::union::plan::{self, Removal, Upper};
use crate::backend::union::{Found, Listed, marks};
use crate::fs::{Errno, FsResult, Ino};

impl OverlayFs {
    pub(super) fn do_unlink(&self, parent: Ino, name: &OsStr) -> FsResult<()> {
        let dir = self.directory(parent)?;
        self.host.check_change(&dir, name)?;
        self.expect(&dir, name, |found| match found {
            Found::Nothing => Err(Errno::ENOENT),
            Found::Directory(_) => Err(Errno::EISDIR),
            Found::Other(_) => Ok(()),
        })?;
        self.raise(&dir, Content::All)?;
        let _changing = parts(&dir).changing();
        let seen = self.look(&dir, name)?;
        match seen.found {
            Found::Nothing => return Err(Errno::ENOENT),
            Found::Directory(_) => return Err(Errno::EISDIR),
            Found::Other(_) => {}
        }
        let (inode, _) = self.known(&dir, name, &seen)?;
        let done = self.unlink_known(&dir, name, &seen, &inode);
        self.host.do_forget(inode.number, 1);
        done
    }

    fn unlink_known(&self, dir: &Arc<Inode>, name: &OsStr, seen: &Seen, inode: &Arc<Inode>) -> FsResult<()> {
        self.host.pin(inode)?;
        self.remove_name(dir, name, seen, inode)?;
        self.lost_name(dir, name, inode, seen.upper)
    }

    /// An inode has one name less, which was in the upper or was not.
    pub(super) fn lost_name(
        &self,
        dir: &Arc<Inode>,
        name: &OsStr,
        inode: &Arc<Inode>,
        upper: Upper,
    ) -> FsResult<()> {
        let gone = self.host.table.lost(inode, dir, name);
        self.host.forgotten(gone);
        if upper == Upper::Nothing {
            let links = inode.links.fetch_sub(1, Ordering::Relaxed) - 1;
            let file = self.host.descriptor(inode)?;
            if inode.layer() == 0 {
                kept::settle_links(inode, file.as_fd())?;
            } else {
                self.keep_names_gone(inode, file.as_fd(), links)?;
            }
        }
        self.leave_index(inode)
    }

    /// Remembers how many names have gone of a file that is not copied up.
    fn keep_names_gone(&self, inode: &Inode, file: BorrowedFd<'_>, links: i32) -> FsResult<()> {
        let upper = self.upper()?;
        let all = host::stat(file)?.stx_nlink;
        if all <= 1 {
            return Ok(());
        }
        let left = i64::from(all) + i64::from(links);
        let gone = if left > 0 { -links } else { 0 };
        upper
            .index
            .keep_names_gone(inode.identity(), gone, upper.staging.name())
    }

    /// Takes a file out of the index that has no name left.
    fn leave_index(&self, inode: &Arc<Inode>) -> FsResult<()> {
        let upper = self.upper()?;
        let links = inode.links.load(Ordering::Relaxed);
        if !upper.index.is_used() || links >= 0 || inode.layer() != 0 {
            return Ok(());
        }
        let file = self.host.descriptor(inode)?;
        let counted = i64::from(host::stat(file.as_fd())?.stx_nlink);
        if counted + i64::from(links) > 0 {
            return Ok(());
        }
        if let Some(value) = xattr(file.as_fd(), 0, marks::NUMBER)?
            && let Some(key) = kept::key(&value)
        {
            upper.index.remove(key)?;
            inode.links.store(0, Ordering::Relaxed);
        }
        Ok(())
    }

    pub(super) fn do_rmdir(&self, parent: Ino, name: &OsStr) -> FsResult<()> {
        let dir = self.directory(parent)?;
        self.host.check_change(&dir, name)?;
        let is_directory = |found: &Found<_>| match found {
            Found::Nothing => Err(Errno::ENOENT),
            Found::Other(_) => Err(Errno::ENOTDIR),
            Found::Directory(_) => Ok(()),
        };
        self.expect(&dir, name, is_directory)?;
        self.raise(&dir, Content::All)?;
        let _changing = parts(&dir).changing();
        let seen = self.look(&dir, name)?;
        is_directory(&seen.found)?;
        let (inode, _) = self.known(&dir, name, &seen)?;
        let done = self.rmdir_known(&dir, name, &seen, &inode);
        self.host.do_forget(inode.number, 1);
        done
    }

    fn rmdir_known(&self, dir: &Arc<Inode>, name: &OsStr, seen: &Seen, inode: &Arc<Inode>) -> FsResult<()> {
        let mut life = parts(inode).changing();
        self.check_empty(inode)?;
        self.host.pin(inode)?;
        self.remove_name(dir, name, seen, inode)?;
        *life = Life::Removed;
        parts(inode).was_removed();
        let gone = self.host.table.lost(inode, dir, name);
        self.host.forgotten(gone);
        Ok(())
    }

    /// `ENOTEMPTY` where something is seen in a directory. Its names are locked.
    pub(super) fn check_empty(&self, dir: &Arc<Inode>) -> FsResult<()> {
        let entries = self.merged(dir)?;
        if entries.iter().all(|entry| Listed::is_dots(&entry.name)) {
            Ok(())
        } else {
            Err(Errno::ENOTEMPTY)
        }
    }

    /// Makes a name lead nowhere, in one step. The directory is in the upper and its names are locked; one that goes is
    /// empty but for whiteouts.
    fn remove_name(&self, dir: &Arc<Inode>, name: &OsStr, seen: &Seen, inode: &Arc<Inode>) -> FsResult<()> {
        let staging = &self.upper()?.staging;
        let fd = self.host.part_descriptor(dir, 0)?;
        let beneath = seen.upper == Upper::Nothing || self.is_beneath(dir, name)?;
        let removal = plan::removal(seen.upper, beneath);
        if removal != Removal::Remove {
            self.mark_whiteouts(fd.as_fd())?;
        }
        match removal {
            Removal::AddWhiteout => staging.whiteout(fd.as_fd(), name)?,
            Removal::ReplaceByWhiteout => {
                let whiteout = staging.staged_whiteout()?;
                crash_point("remove: whiteout staged");
                whiteout.replace(fd.as_fd(), name)?;
            }
            Removal::ExchangeWithWhiteout => {
                let whiteout = staging.staged_whiteout()?;
                crash_point("remove: whiteout staged");
                // The directory is in staging then, and removed with what is dropped here.
                let moved = self.host.descriptor(inode)?;
                with_mode(moved.as_fd(), 0o200, || whiteout.exchange(fd.as_fd(), name))?;
                crash_point("remove: moved");
            }
            Removal::Remove if seen.upper == Upper::Directory => {
                self.remove_directory(fd.as_fd(), name, inode)?;
            }
            Removal::Remove => rustix::fs::unlinkat(&*fd, name, AtFlags::empty())?,
        }
        crash_point("remove: done");
        Ok(())
    }

    /// A directory of the upper with nothing beneath it, in which there may be whiteouts.
    fn remove_directory(&self, dir: BorrowedFd<'_>, name: &OsStr, inode: &Arc<Inode>) -> FsResult<()> {
        match rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR) {
            Err(HostErrno::NOTEMPTY | HostErrno::EXIST) => {}
            other => return Ok(other?),
        }
        let staged = self.upper()?.staging.name();
        let moved = self.host.descriptor(inode)?;
        with_mode(moved.as_fd(), 0o200, || staged.take(dir, name))?;
        crash_point("remove: moved");
        Ok(())
    }

    /// What a name leads to must be so, before anything is changed for it.
    pub(super) fn expect(
        &self,
        dir: &Arc<Inode>,
        name: &OsStr,
        check: impl FnOnce(&Found<super::look::Spot>) -> FsResult<()>,
    ) -> FsResult<()> {
        let _looking = parts(dir).looking();
        check(&self.look(dir, name)?.found)
    }
}
