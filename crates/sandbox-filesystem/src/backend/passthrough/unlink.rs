//! Names that go.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, Statx};

use super::inode::{Identity, Inode};
use super::owner::Kind;
use super::resolve::STAND_IN;
use super::{PassthroughFs, host};
use crate::fs::{Errno, FsResult, Ino};

impl PassthroughFs {
    pub(in crate::backend) fn do_unlink(&self, parent: Ino, name: &OsStr) -> FsResult<()> {
        self.remove(parent, name, AtFlags::empty())
    }

    pub(in crate::backend) fn do_rmdir(&self, parent: Ino, name: &OsStr) -> FsResult<()> {
        self.remove(parent, name, AtFlags::REMOVEDIR)
    }

    fn remove(&self, parent: Ino, name: &OsStr, flags: AtFlags) -> FsResult<()> {
        let (dir, fd) = self.directory(parent)?;
        self.check_change(&dir, name)?;
        let (stat, known) = self.peek_pinned(fd.as_fd(), name)?;
        let held = self.weigh(fd.as_fd(), name, &stat, known.as_ref())?;
        rustix::fs::unlinkat(&*fd, name, flags)?;
        self.gone(&dir, name, &stat, known, held);
        Ok(())
    }

    /// What is about to lose a name, with a way to it for as long as somebody knows it.
    fn peek_pinned(&self, fd: BorrowedFd<'_>, name: &OsStr) -> FsResult<(Statx, Option<Arc<Inode>>)> {
        if self.config.is_virtual() {
            let (stat, known) = self.peek(fd, name)?.ok_or(Errno::ENOENT)?;
            known.as_ref().map_or(Ok(()), |inode| self.pin(inode))?;
            return Ok((stat, known));
        }
        // Most have no descriptor, since their attributes are asked for by name.
        let found = self.with_descriptors(|| rustix::fs::openat(fd, name, STAND_IN, Mode::empty()))?;
        let stat = host::stat(found.as_fd())?;
        let identity = Identity::of(&stat);
        let known = self.table.known(&identity);
        if let Some(inode) = known.as_ref().filter(|inode| inode.descriptor().is_none()) {
            self.cache.keep(inode, identity, Arc::new(found));
        }
        Ok((stat, known))
    }

    /// A name has gone, with what it led to if that was its last one.
    pub(in crate::backend) fn gone(
        &self,
        dir: &Arc<Inode>,
        name: &OsStr,
        stat: &Statx,
        known: Option<Arc<Inode>>,
        held: u64,
    ) {
        self.give_back_name(name);
        let is_dir = Kind::of_mode(u32::from(stat.stx_mode)) == Some(Kind::Dir);
        let last = is_dir || stat.stx_nlink <= 1;
        match known {
            Some(inode) => {
                // First: what has no references left is settled by who drops them.
                if last {
                    self.becomes_nameless(&inode, held);
                }
                let gone = self.table.lost(&inode, dir, name);
                self.forgotten(gone);
            }
            None if last => self.give_back_inode(held),
            None => {}
        }
    }
}
