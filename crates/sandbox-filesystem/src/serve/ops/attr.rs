//! Attributes of files and of the filesystem.

use super::super::decode::Fields;
use super::super::encode::Out;
use super::Call;
use crate::fs::{Errno, FsResult, SetAttr, SetTime, Timestamp};

const GETATTR_FH: u32 = 1 << 0;

/// `FATTR_*`.
mod valid {
    pub(super) const MODE: u32 = 1 << 0;
    pub(super) const UID: u32 = 1 << 1;
    pub(super) const GID: u32 = 1 << 2;
    pub(super) const SIZE: u32 = 1 << 3;
    pub(super) const ATIME: u32 = 1 << 4;
    pub(super) const MTIME: u32 = 1 << 5;
    pub(super) const FH: u32 = 1 << 6;
    pub(super) const ATIME_NOW: u32 = 1 << 7;
    pub(super) const MTIME_NOW: u32 = 1 << 8;
    pub(super) const CTIME: u32 = 1 << 10;
    pub(super) const KILL_SUIDGID: u32 = 1 << 11;
}

pub(super) fn getattr(call: &Call<'_>, mut fields: Fields<'_>) -> FsResult<Out> {
    let flags = fields.u32()?;
    fields.skip(4)?;
    let handle = fields.handle()?.filter(|_| flags & GETATTR_FH != 0);
    let (attr, timeout) = call.fs.getattr(&call.ctx, call.ino, handle)?;
    Ok(Out::new().attr_out(&attr, timeout))
}

pub(super) fn statx(call: &Call<'_>, mut fields: Fields<'_>) -> FsResult<Out> {
    let flags = fields.u32()?;
    fields.skip(4)?;
    let handle = fields.handle()?.filter(|_| flags & GETATTR_FH != 0);
    let sync = fields.u32()?;
    let mask = fields.u32()?;
    let (attr, timeout) = call.fs.statx(&call.ctx, call.ino, handle, sync, mask)?;
    Ok(Out::new().statx(&attr, timeout))
}

pub(super) fn setattr(call: &Call<'_>, fields: Fields<'_>) -> FsResult<Out> {
    let change = change(fields)?;
    let (attr, timeout) = call.fs.setattr(&call.ctx, call.ino, &change)?;
    Ok(Out::new().attr_out(&attr, timeout))
}

/// `struct fuse_setattr_in`.
fn change(mut fields: Fields<'_>) -> FsResult<SetAttr> {
    let valid = fields.u32()?;
    let given = |bit| valid & bit != 0;
    fields.skip(4)?;
    let handle = fields.handle()?.filter(|_| given(valid::FH));
    let size = fields.u64()?;
    fields.skip(8)?;
    let seconds = [fields.u64()?, fields.u64()?, fields.u64()?];
    let nanoseconds = [fields.u32()?, fields.u32()?, fields.u32()?];
    let mode = fields.u32()?;
    fields.skip(4)?;
    let (uid, gid) = (fields.u32()?, fields.u32()?);
    let [atime, mtime, ctime] = seconds;
    let [atime_part, mtime_part, ctime_part] = nanoseconds;
    let chosen = |bit, now, seconds: u64, part| match (given(bit), given(now)) {
        (false, _) => Ok(None),
        (true, true) => Ok(Some(SetTime::Now)),
        (true, false) => timestamp(seconds, part).map(SetTime::At).map(Some),
    };
    Ok(SetAttr {
        mode: given(valid::MODE).then_some(mode & 0o7777),
        uid: given(valid::UID).then_some(uid),
        gid: given(valid::GID).then_some(gid),
        size: given(valid::SIZE).then_some(size),
        atime: chosen(valid::ATIME, valid::ATIME_NOW, atime, atime_part)?,
        mtime: chosen(valid::MTIME, valid::MTIME_NOW, mtime, mtime_part)?,
        ctime: given(valid::CTIME)
            .then(|| timestamp(ctime, ctime_part))
            .transpose()?,
        handle,
        kill_privileges: given(valid::KILL_SUIDGID),
    })
}

fn timestamp(seconds: u64, nanoseconds: u32) -> FsResult<Timestamp> {
    if nanoseconds >= 1_000_000_000 {
        return Err(Errno::EINVAL);
    }
    Ok(Timestamp {
        seconds: seconds.cast_signed(),
        nanoseconds,
    })
}

pub(super) fn access(call: &Call<'_>, mut fields: Fields<'_>) -> FsResult<Out> {
    let mask = fields.u32()?;
    call.fs.access(&call.ctx, call.ino, mask)?;
    Ok(Out::nothing())
}

pub(super) fn statfs(call: &Call<'_>) -> FsResult<Out> {
    let stat = call.fs.statfs(&call.ctx, call.ino)?;
    Ok(Out::new().statfs(&stat))
}
