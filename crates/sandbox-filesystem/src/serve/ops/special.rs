//! What few filesystems have: ioctl, poll, blocks.

use super::super::decode::Fields;
use super::super::encode::Out;
use super::Call;
use crate::fs::{Errno, FsResult, IoctlRequest};

/// The length of `struct fuse_ioctl_out`.
const IOCTL_OUT: usize = 16;

pub(super) fn ioctl(call: &Call<'_>, mut fields: Fields<'_>, room: usize) -> FsResult<Out> {
    let handle = fields.handle()?;
    let (flags, command) = (fields.u32()?, fields.u32()?);
    let argument = fields.u64()?;
    let (input_size, output_size) = (fields.u32()?, fields.u32()?);
    let size = |number: u32| usize::try_from(number).map_err(|_| Errno::EINVAL);
    if fields.0.len() != size(input_size)? || size(output_size)? > room.saturating_sub(IOCTL_OUT) {
        return Err(Errno::EINVAL);
    }
    let request = IoctlRequest {
        flags,
        command,
        argument,
        data: fields.0,
        output_size,
    };
    let reply = call.fs.ioctl(&call.ctx, call.ino, handle, &request)?;
    if reply.data.len() > size(output_size)? {
        return Err(Errno::EIO);
    }
    Ok(Out::new()
        .u32(reply.result.cast_unsigned())
        .zeros(12)
        .bytes(&reply.data))
}

pub(super) fn poll(call: &Call<'_>, mut fields: Fields<'_>) -> FsResult<Out> {
    let handle = fields.handle()?;
    fields.skip(12)?;
    let ready = call.fs.poll(&call.ctx, call.ino, handle, fields.u32()?)?;
    Ok(Out::new().u32(ready).u32(0))
}

pub(super) fn bmap(call: &Call<'_>, mut fields: Fields<'_>) -> FsResult<Out> {
    let block = fields.u64()?;
    let found = call.fs.bmap(&call.ctx, call.ino, block, fields.u32()?)?;
    Ok(Out::new().u64(found))
}
