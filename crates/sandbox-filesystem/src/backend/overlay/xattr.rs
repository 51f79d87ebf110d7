//! Extended attributes that are changed.

use std::ffi::OsStr;

use super::OverlayFs;
use super::content::Content;
use crate::fs::{Context, Errno, FsResult, Ino, XattrFlags};

impl OverlayFs {
    pub(super) fn do_setxattr(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        name: &OsStr,
        value: &[u8],
        flags: XattrFlags,
    ) -> FsResult<()> {
        self.upper()?;
        let inode = self.host.table.get(ino)?;
        // What is going to fail copies nothing.
        let is_there = || match self.host.do_getxattr(ino, name, 0) {
            Ok(_) => Ok(true),
            Err(Errno::ENODATA) => Ok(false),
            Err(error) => Err(error),
        };
        if inode.layer() != 0 {
            if flags.contains(XattrFlags::CREATE) && is_there()? {
                return Err(Errno::EEXIST);
            }
            if flags.contains(XattrFlags::REPLACE) && !is_there()? {
                return Err(Errno::ENODATA);
            }
        }
        self.raise(&inode, Content::All)?;
        self.host.do_setxattr(ctx, ino, name, value, flags)
    }

    pub(super) fn do_removexattr(&self, ino: Ino, name: &OsStr) -> FsResult<()> {
        self.upper()?;
        let inode = self.host.table.get(ino)?;
        if inode.layer() != 0 {
            self.host.do_getxattr(ino, name, 0)?;
        }
        self.raise(&inode, Content::All)?;
        self.host.do_removexattr(ino, name)
    }
}
