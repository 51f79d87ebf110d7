//! Attributes.

use std::time::Duration;

use super::DualFs;
use super::copy::Keep;
use super::side::Side;
use crate::fs::{Attr, Context, FsResult, Handle, Ino, SetAttr, StatFs};

impl DualFs {
    pub(super) fn do_getattr(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
    ) -> FsResult<(Attr, Duration)> {
        let node = self.table.get(ino)?;
        let top = node.top()?;
        let handle = self.handle_in(handle, top.side);
        let (attr, timeout) = top.fs.getattr(ctx, top.ino, handle)?;
        Ok((node.shown(attr), timeout))
    }

    pub(super) fn do_statx(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        sync: u32,
        mask: u32,
    ) -> FsResult<(Attr, Duration)> {
        let node = self.table.get(ino)?;
        let top = node.top()?;
        let handle = self.handle_in(handle, top.side);
        let (attr, timeout) = top.fs.statx(ctx, top.ino, handle, sync, mask)?;
        Ok((node.shown(attr), timeout))
    }

    pub(super) fn do_setattr(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        change: &SetAttr,
    ) -> FsResult<(Attr, Duration)> {
        let node = self.table.get(ino)?;
        let keep = change.size.map_or(Keep::All, Keep::Bytes);
        let is_copied = node.a().is_none();
        let mut found = None;
        let a = self.raise_and(&node, keep, &mut |a| {
            let change = SetAttr {
                handle: self.handle_in(change.handle, Side::A),
                ..*change
            };
            found = Some(a.fs.setattr(ctx, a.ino, &change)?);
            Ok(())
        })?;
        let (attr, timeout) = match found {
            Some(found) if !is_copied => found,
            // It had another name then, in staging.
            _ => a.fs.getattr(ctx, a.ino, None)?,
        };
        Ok((node.shown(attr), timeout))
    }

    /// As large and as full as A, where everything goes.
    pub(super) fn do_statfs(&self, ctx: &Context<'_>, ino: Ino) -> FsResult<StatFs> {
        let part = self.table.get(ino)?.a();
        let ino = part.map_or(crate::fs::ROOT_INO, |part| part.ino);
        self.a.statfs(ctx, ino)
    }

    pub(super) fn do_access(&self, ctx: &Context<'_>, ino: Ino, mask: u32) -> FsResult<()> {
        let top = self.table.get(ino)?.top()?;
        top.fs.access(ctx, top.ino, mask)
    }
}
