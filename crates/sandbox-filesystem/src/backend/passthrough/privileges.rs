//! setuid, setgid and file capabilities, which go when a file is written or given away.
//!
//! With `HANDLE_KILLPRIV_V2` the kernel leaves that to the filesystem. The host does it itself for capabilities, and for
//! the rest as far as the server is no root; what is kept beside the host's data is this server's business.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::PassthroughFs;
use super::attr::{chmod, without_privileges};
use super::inode::Inode;
use super::owner::{Kind, Override};
use crate::fs::{Errno, FsResult};

const CAPABILITY: &str = "security.capability";

impl PassthroughFs {
    /// Before a file is written: capabilities go always, setuid and setgid where the writer may not keep them.
    pub(in crate::backend) fn drop_privileges(&self, inode: &Arc<Inode>, kill: bool) -> FsResult<()> {
        if inode.has_no_privileges() || (!kill && !self.config.is_virtual()) {
            return Ok(());
        }
        let fd = self.descriptor(inode)?;
        let (stat, attr) = self.look(fd.as_fd())?;
        let mode = without_privileges(attr.mode);
        let holds = mode != attr.mode;
        if holds && kill {
            if self.config.is_virtual() {
                let kept = Override {
                    uid: attr.uid,
                    gid: attr.gid,
                    mode: mode & 0o7777,
                    kind: Kind::of_mode(attr.mode),
                    rdev: attr.rdev,
                };
                self.keep(fd.as_fd(), &kept)?;
            } else {
                chmod(fd.as_fd(), without_privileges(u32::from(stat.stx_mode)))?;
            }
        }
        if self.config.is_virtual() {
            self.remove_capability(fd.as_fd())?;
            if !holds || kill {
                inode.found_no_privileges();
            }
        }
        Ok(())
    }

    pub(in crate::backend) fn remove_capability(&self, file: BorrowedFd<'_>) -> FsResult<()> {
        match self.remove_xattr(file, CAPABILITY.as_ref()) {
            Err(Errno::ENODATA | Errno::ENOTSUP) => Ok(()),
            other => other,
        }
    }
}
