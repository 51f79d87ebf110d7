//! Names that go.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::fs::{AtFlags, Statx};

use super::PassthroughFs;
use super::inode::Inode;
use super::owner::Kind;
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
        let (stat, known) = self.peek(fd.as_fd(), name)?.ok_or(Errno::ENOENT)?;
        if let Some(inode) = &known {
            self.pin(inode)?;
        }
        let held = self.weigh(fd.as_fd(), name, &stat, known.as_ref())?;
        rustix::fs::unlinkat(&*fd, name, flags)?;
        self.gone(&dir, name, &stat, known, held);
        Ok(())
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
