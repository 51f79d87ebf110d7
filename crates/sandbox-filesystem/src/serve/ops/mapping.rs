//! Files in the memory of a guest (virtiofs DAX).

use super::super::decode::Fields;
use super::super::encode::Out;
use super::Call;
use crate::fs::{DaxMapper, DaxRange, FsResult};

/// `FUSE_SETUPMAPPING_FLAG_WRITE`.
const WRITE: u64 = 1 << 0;

pub(super) fn setup(call: &Call<'_>, mut fields: Fields<'_>, mapper: &mut dyn DaxMapper) -> FsResult<Out> {
    let handle = fields.handle()?;
    let (file_offset, len) = (fields.u64()?, fields.u64()?);
    let flags = fields.u64()?;
    let range = DaxRange {
        file_offset,
        len,
        window_offset: fields.u64()?,
        writable: flags & WRITE != 0,
    };
    call.fs.setupmapping(&call.ctx, call.ino, handle, range, mapper)?;
    Ok(Out::nothing())
}

pub(super) fn remove(call: &Call<'_>, mut fields: Fields<'_>, mapper: &mut dyn DaxMapper) -> FsResult<Out> {
    let count = fields.u32()?;
    let ranges = (0..count)
        .map(|_| Ok((fields.u64()?, fields.u64()?)))
        .collect::<FsResult<Vec<_>>>()?;
    call.fs.removemapping(&call.ctx, call.ino, &ranges, mapper)?;
    Ok(Out::nothing())
}
