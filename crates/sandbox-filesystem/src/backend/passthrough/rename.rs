//! Names that move.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::sync::Arc;

use super::PassthroughFs;
use super::charge::Leaves;
use super::inode::{Identity, Inode};
use crate::fs::{Errno, FsResult, Ino, RenameFlags};

impl PassthroughFs {
    pub(in crate::backend) fn do_rename(
        &self,
        parent: Ino,
        name: &OsStr,
        new_parent: Ino,
        new_name: &OsStr,
        flags: RenameFlags,
    ) -> FsResult<()> {
        let others = RenameFlags::NOREPLACE | RenameFlags::WHITEOUT;
        if flags.contains(RenameFlags::EXCHANGE) && flags.intersects(others) {
            return Err(Errno::EINVAL);
        }
        let (dir, fd) = self.directory(parent)?;
        let (new_dir, new_fd) = self.directory(new_parent)?;
        self.check_change(&dir, name)?;
        self.check_change(&new_dir, new_name)?;
        let (stat, moved) = self.peek(fd.as_fd(), name)?.ok_or(Errno::ENOENT)?;
        let target = self.peek(new_fd.as_fd(), new_name)?;
        let exchange = flags.contains(RenameFlags::EXCHANGE);
        let same = target
            .as_ref()
            .is_some_and(|(other, _)| Identity::of(other) == Identity::of(&stat));
        let replaced = target.as_ref().filter(|_| !exchange && !same);
        let mut held = 0;
        if let Some((other, known)) = replaced {
            known.as_ref().map_or(Ok(()), |inode| self.pin(inode))?;
            held = self.weigh(new_fd.as_fd(), new_name, other, known.as_ref())?;
        }
        let charge = if same || exchange {
            None
        } else {
            Some(self.charge_rename((name, new_name), replaced.is_some(), leaves(flags))?)
        };
        let host_flags = rustix::fs::RenameFlags::from_bits_retain(flags.bits());
        rustix::fs::renameat_with(&*fd, name, &*new_fd, new_name, host_flags)?;
        if let Some(charge) = charge {
            charge.keep();
        }
        if same {
            return Ok(());
        }
        match target {
            Some((_, Some(other))) if exchange => self.moved(&other, (&new_dir, new_name), (&dir, name)),
            Some((stat, known)) if !exchange => self.gone(&new_dir, new_name, &stat, known, held),
            _ => {}
        }
        if let Some(inode) = moved {
            self.moved(&inode, (&dir, name), (&new_dir, new_name));
        }
        Ok(())
    }

    /// An inode is known by its new place, unless it was known by another name than the one that moved.
    fn moved(&self, inode: &Arc<Inode>, _from: (&Arc<Inode>, &OsStr), to: (&Arc<Inode>, &OsStr)) {
        let gone = self.table.put(inode, to.0, to.1);
        self.forgotten(gone);
    }
}

fn leaves(flags: RenameFlags) -> Leaves {
    if flags.contains(RenameFlags::WHITEOUT) {
        Leaves::Whiteout
    } else {
        Leaves::Nothing
    }
}
