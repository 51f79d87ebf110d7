//! Extended attributes. Those that overlayfs means something by are kept in A under escaped names.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::DualFs;
use super::copy::Keep;
use super::side::{Held, Side};
use crate::backend::union::marks;
use crate::fs::{Context, Errno, FsResult, Ino, XattrFlags, XattrReply};

/// XATTR_SIZE_MAX and XATTR_LIST_MAX.
const LARGEST: u32 = 64 * 1024;
/// XATTR_NAME_MAX.
const NAME_MAX: usize = 255;

/// The name under which A keeps it.
pub(super) fn kept_name(name: &OsStr) -> Cow<'_, OsStr> {
    match marks::escape(name.as_bytes()) {
        Some(kept) => Cow::Owned(OsString::from_vec(kept)),
        None => Cow::Borrowed(name),
    }
}

/// The value of an attribute of a backend's inode; none where there is none.
pub(super) fn value(ctx: &Context<'_>, held: &Held, name: &OsStr) -> FsResult<Option<Vec<u8>>> {
    match held.fs.getxattr(ctx, held.ino, name, LARGEST) {
        Ok(XattrReply::Data(value)) => Ok(Some(value)),
        Ok(XattrReply::Size(_)) => Err(Errno::EIO),
        Err(Errno::ENODATA | Errno::ENOTSUP | Errno::ENOSYS) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The names of all attributes of a backend's inode that clients may see.
pub(super) fn names(ctx: &Context<'_>, held: &Held) -> FsResult<Vec<Vec<u8>>> {
    let list = match held.fs.listxattr(ctx, held.ino, LARGEST) {
        Ok(XattrReply::Data(list)) => list,
        Ok(XattrReply::Size(_)) => return Err(Errno::EIO),
        Err(Errno::ENOTSUP | Errno::ENOSYS) => Vec::new(),
        Err(error) => return Err(error),
    };
    let names = list.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Ok(match held.side {
        Side::A => names.filter_map(marks::unescape).map(Cow::into_owned).collect(),
        Side::B => names.map(<[u8]>::to_vec).collect(),
    })
}

/// The name of a client's attribute in a backend.
pub(super) fn name_in(side: Side, name: &OsStr) -> FsResult<Cow<'_, OsStr>> {
    match side {
        Side::B => Ok(Cow::Borrowed(name)),
        Side::A => match kept_name(name) {
            Cow::Owned(kept) if kept.len() > NAME_MAX => Err(Errno::ERANGE),
            kept => Ok(kept),
        },
    }
}

impl DualFs {
    pub(super) fn do_getxattr(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        name: &OsStr,
        size: u32,
    ) -> FsResult<XattrReply> {
        let top = self.table.get(ino)?.top()?;
        let name = name_in(top.side, name)?;
        top.fs.getxattr(ctx, top.ino, &name, size)
    }

    pub(super) fn do_listxattr(&self, ctx: &Context<'_>, ino: Ino, size: u32) -> FsResult<XattrReply> {
        let top = self.table.get(ino)?.top()?;
        if top.side == Side::B {
            return top.fs.listxattr(ctx, top.ino, size);
        }
        let mut list = names(ctx, &top)?.join(&0);
        if !list.is_empty() {
            list.push(0);
        }
        let len = u32::try_from(list.len()).map_err(|_| Errno::E2BIG)?;
        match size {
            0 => Ok(XattrReply::Size(len)),
            room if room < len => Err(Errno::ERANGE),
            _ => Ok(XattrReply::Data(list)),
        }
    }

    pub(super) fn do_setxattr(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        name: &OsStr,
        value: &[u8],
        flags: XattrFlags,
    ) -> FsResult<()> {
        let node = self.table.get(ino)?;
        let a = self.raise(&node, Keep::All)?;
        let name = name_in(Side::A, name)?;
        a.fs.setxattr(ctx, a.ino, &name, value, flags)
    }

    pub(super) fn do_removexattr(&self, ctx: &Context<'_>, ino: Ino, name: &OsStr) -> FsResult<()> {
        let node = self.table.get(ino)?;
        if node.a().is_none() {
            // What is not there needs no copy to be missing in.
            let b = node.top()?;
            b.fs.getxattr(ctx, b.ino, name, 0)?;
        }
        let a = self.raise(&node, Keep::All)?;
        let name = name_in(Side::A, name)?;
        a.fs.removexattr(ctx, a.ino, &name)
    }
}
