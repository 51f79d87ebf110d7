//! Attributes that are asked for and changed.

use std::time::Duration;

use super::OverlayFs;
use super::content::Content;
use crate::fs::{Attr, Context, FsResult, Handle, Ino, SetAttr};

impl OverlayFs {
    pub(super) fn do_getattr(&self, ino: Ino, handle: Option<Handle>) -> FsResult<(Attr, Duration)> {
        self.follow_copy(handle)?;
        self.host.do_getattr(ino, handle)
    }

    pub(super) fn do_setattr(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        change: &SetAttr,
    ) -> FsResult<(Attr, Duration)> {
        let inode = self.host.table.get(ino)?;
        let regular = inode.type_bits() == libc::S_IFREG;
        match change.size.filter(|_| regular) {
            // What is cut off is not copied.
            Some(size) => self.raise(&inode, Content::First(size))?,
            None => self.raise(&inode, Content::All)?,
        }
        self.follow_copy(change.handle)?;
        // Whoever copies something up into a directory gives it back the times that it had.
        let sets_times = change.atime.is_some() || change.mtime.is_some();
        let _names = inode
            .parts
            .get()
            .filter(|_| sets_times)
            .map(|parts| parts.looking());
        self.host.do_setattr(ctx, ino, change)
    }
}
