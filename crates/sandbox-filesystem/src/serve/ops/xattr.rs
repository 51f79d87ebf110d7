//! Extended attributes.

use std::ffi::OsStr;

use super::super::decode::Fields;
use super::super::encode::Out;
use super::Call;
use crate::fs::{Errno, FsResult, XattrFlags, XattrReply};

const LONGEST_NAME: usize = 255;
/// `FUSE_SETXATTR_ACL_KILL_SGID`.
const KILL_SGID: u32 = 1 << 0;

pub(super) fn setxattr(call: &Call<'_>, mut fields: Fields<'_>) -> FsResult<Out> {
    let size = usize::try_from(fields.u32()?).map_err(|_| Errno::EINVAL)?;
    let known = XattrFlags::CREATE | XattrFlags::REPLACE;
    let mut flags = XattrFlags::from_bits(fields.u32()?)
        .filter(|flags| known.contains(*flags))
        .ok_or(Errno::EINVAL)?;
    if call.agreed.long_setxattr() {
        if fields.u32()? & KILL_SGID != 0 {
            flags |= XattrFlags::KILL_SGID;
        }
        fields.skip(4)?;
    }
    let name = name(&mut fields)?;
    if fields.0.len() != size {
        return Err(Errno::EINVAL);
    }
    call.fs.setxattr(&call.ctx, call.ino, name, fields.0, flags)?;
    Ok(Out::nothing())
}

pub(super) fn getxattr(call: &Call<'_>, mut fields: Fields<'_>) -> FsResult<Out> {
    let size = fields.u32()?;
    fields.skip(4)?;
    let name = name(&mut fields)?;
    reply(call.fs.getxattr(&call.ctx, call.ino, name, size)?, size)
}

pub(super) fn listxattr(call: &Call<'_>, mut fields: Fields<'_>) -> FsResult<Out> {
    let size = fields.u32()?;
    reply(call.fs.listxattr(&call.ctx, call.ino, size)?, size)
}

pub(super) fn removexattr(call: &Call<'_>, mut fields: Fields<'_>) -> FsResult<Out> {
    call.fs.removexattr(&call.ctx, call.ino, name(&mut fields)?)?;
    Ok(Out::nothing())
}

fn name<'a>(fields: &mut Fields<'a>) -> FsResult<&'a OsStr> {
    let name = fields.text()?;
    match name.len() {
        0 => Err(Errno::EINVAL),
        length if length > LONGEST_NAME => Err(Errno::ERANGE),
        _ => Ok(name),
    }
}

/// What was asked for decides how the answer looks, so a backend cannot answer the other question.
fn reply(reply: XattrReply, size: u32) -> FsResult<Out> {
    let count = |length: usize| u32::try_from(length).map_err(|_| Errno::E2BIG);
    match (reply, size) {
        (XattrReply::Size(length), 0) => Ok(Out::new().u32(length).u32(0)),
        (XattrReply::Data(data), 0) => Ok(Out::new().u32(count(data.len())?).u32(0)),
        (XattrReply::Data(data), size) if count(data.len())? <= size => Ok(Out(data)),
        (XattrReply::Data(_) | XattrReply::Size(_), _) => Err(Errno::ERANGE),
    }
}
