//! Hard links.

use std::ffi::OsStr;
use std::os::fd::AsFd;

use super::content::Content;
use super::{OverlayFs, index};
use crate::fs::{Entry, Errno, FsResult, Ino};

impl OverlayFs {
    pub(super) fn do_link(&self, ino: Ino, new_parent: Ino, new_name: &OsStr) -> FsResult<Entry> {
        let inode = self.host.table.get(ino)?;
        let dir = self.directory(new_parent)?;
        self.host.check_change(&dir, new_name)?;
        if inode.type_bits() == libc::S_IFDIR {
            return Err(Errno::EPERM);
        }
        self.raise(&inode, Content::All)?;
        let vacancy = self.vacancy(&dir, new_name)?;
        if inode.shown().is_some() {
            // What is shown of it is found again in directories that say so.
            self.mark_impure(&dir, vacancy.fd.as_fd())?;
        }
        if !vacancy.whiteout {
            return self.host.do_link(ino, new_parent, new_name);
        }
        let staging = &self.upper()?.staging;
        let staged = staging.name();
        let file = self.host.descriptor(&inode)?;
        index::link(file.as_fd(), staging.fd(), &staged.name)?;
        staged.replace(vacancy.fd.as_fd(), new_name)?;
        let (stat, attr) = self.host.look(file.as_fd())?;
        Ok(self.host.entry(&dir, new_name, &stat, attr))
    }
}
