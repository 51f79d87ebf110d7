//! Files that are open.

use super::super::decode::{Fields, fill};
use super::super::encode::Out;
use super::super::transport::{Exact, Limited};
use super::Call;
use crate::fs::{
    Created, DataReader, DataWriter, Errno, FallocateMode, FsResult, Ino, LockOwner, OpenFlags, Opened,
    ReadRequest, SeekFrom, SyncScope, WriteRequest,
};

const RELEASE_FLOCK_UNLOCK: u32 = 1 << 1;
const FSYNC_FDATASYNC: u32 = 1 << 0;
const WRITE_CACHE: u32 = 1 << 0;
const WRITE_KILL_SUIDGID: u32 = 1 << 2;

/// The length of `struct fuse_read_in` and `struct fuse_write_in`.
const IO: usize = 40;

pub(super) fn open(call: &Call<'_>, mut fields: Fields<'_>) -> FsResult<Out> {
    let flags = fields.open_flags()?;
    let opened = call.fs.open(&call.ctx, call.ino, flags)?;
    open_out(Out::new(), call, call.ino, &opened)
}

pub(super) fn create(call: &Call<'_>, mut fields: Fields<'_>) -> FsResult<Out> {
    let (flags, mode, umask) = made(&mut fields)?;
    let name = fields.name()?;
    let created = call.fs.create(&call.ctx, call.ino, name, mode, flags, umask)?;
    created_out(call, &created)
}

pub(super) fn tmpfile(call: &Call<'_>, mut fields: Fields<'_>) -> FsResult<Out> {
    let (flags, mode, umask) = made(&mut fields)?;
    let created = call.fs.tmpfile(&call.ctx, call.ino, mode, flags, umask)?;
    created_out(call, &created)
}

/// `struct fuse_create_in`.
fn made(fields: &mut Fields<'_>) -> FsResult<(OpenFlags, u32, u32)> {
    let flags = fields.open_flags()?;
    let (mode, umask) = (fields.u32()?, fields.u32()?);
    fields.skip(4)?;
    Ok((flags, mode & 0o7777, umask & 0o7777))
}

fn created_out(call: &Call<'_>, created: &Created) -> FsResult<Out> {
    let out = Out::new().entry(&created.entry);
    open_out(out, call, created.entry.ino, &created.opened)
}

fn open_out(out: Out, call: &Call<'_>, ino: Ino, opened: &Opened) -> FsResult<Out> {
    match call.agreed.backing(call.fs, ino, opened.handle) {
        Some(id) => out.opened_by_kernel(opened, id),
        None => out.opened(opened),
    }
}

pub(super) fn read(
    call: &Call<'_>,
    request: &mut dyn DataReader,
    body: &mut dyn DataWriter,
) -> FsResult<usize> {
    let mut bytes = [0; IO];
    fill(request, &mut bytes)?;
    let mut fields = Fields(&bytes);
    let handle = fields.handle()?;
    let (offset, size) = (fields.u64()?, fields.u32()?);
    fields.skip(12)?;
    let flags = fields.open_flags()?;
    let wanted = usize::try_from(size).map_err(|_| Errno::EINVAL)?;
    if wanted > body.remaining() {
        return Err(Errno::EINVAL);
    }
    let request = ReadRequest { offset, size, flags };
    let mut data = Limited::new(body, wanted);
    let read = call.fs.read(&call.ctx, call.ino, handle, &request, &mut data)?;
    // No more than what was put there, whatever the backend says.
    Ok(read.min(wanted - data.remaining()))
}

pub(super) fn write(call: &Call<'_>, request: &mut dyn DataReader, length: usize) -> FsResult<Out> {
    let mut bytes = [0; IO];
    fill(request, &mut bytes)?;
    let mut fields = Fields(&bytes);
    let handle = fields.handle()?;
    let (offset, size, how) = (fields.u64()?, fields.u32()?, fields.u32()?);
    fields.skip(8)?;
    let flags = fields.open_flags()?;
    let count = usize::try_from(size).map_err(|_| Errno::EINVAL)?;
    if length.checked_sub(IO) != Some(count) || offset.checked_add(u64::from(size)).is_none() {
        return Err(Errno::EINVAL);
    }
    let write = WriteRequest {
        offset,
        size,
        flags,
        delayed: how & WRITE_CACHE != 0,
        kill_privileges: how & WRITE_KILL_SUIDGID != 0,
    };
    let mut data = Exact::new(request, count);
    let written = call.fs.write(&call.ctx, call.ino, handle, &write, &mut data)?;
    let written = u32::try_from(written.min(count)).map_err(|_| Errno::EIO)?;
    Ok(Out::new().u32(written).u32(0))
}

pub(super) fn release(call: &Call<'_>, mut fields: Fields<'_>) -> FsResult<Out> {
    let handle = fields.handle()?;
    let flags = fields.open_flags()?;
    let how = fields.u32()?;
    let owner = LockOwner(fields.u64()?);
    let flock_owner = (how & RELEASE_FLOCK_UNLOCK != 0).then_some(owner);
    let released = call.fs.release(&call.ctx, call.ino, handle, flags, flock_owner);
    call.agreed.closed(call.ino, handle);
    released.map(|()| Out::nothing())
}

pub(super) fn flush(call: &Call<'_>, mut fields: Fields<'_>) -> FsResult<Out> {
    let handle = fields.handle()?;
    fields.skip(8)?;
    let owner = LockOwner(fields.u64()?);
    call.fs.flush(&call.ctx, call.ino, handle, owner)?;
    Ok(Out::nothing())
}

pub(super) fn fsync(call: &Call<'_>, mut fields: Fields<'_>) -> FsResult<Out> {
    let handle = fields.handle()?;
    call.fs.fsync(&call.ctx, call.ino, handle, scope(fields.u32()?))?;
    Ok(Out::nothing())
}

/// `FUSE_FSYNC_FDATASYNC`.
pub(super) fn scope(flags: u32) -> SyncScope {
    if flags & FSYNC_FDATASYNC == 0 {
        SyncScope::Everything
    } else {
        SyncScope::Data
    }
}

pub(super) fn fallocate(call: &Call<'_>, mut fields: Fields<'_>) -> FsResult<Out> {
    let handle = fields.handle()?;
    let (offset, length) = (fields.u64()?, fields.u64()?);
    let mode = FallocateMode::from_bits(fields.u32()?).ok_or(Errno::ENOTSUP)?;
    if offset.checked_add(length).is_none_or(|end| end > i64::MAX as u64) {
        return Err(Errno::EFBIG);
    }
    call.fs
        .fallocate(&call.ctx, call.ino, handle, mode, offset, length)?;
    Ok(Out::nothing())
}

pub(super) fn lseek(call: &Call<'_>, mut fields: Fields<'_>) -> FsResult<Out> {
    let handle = fields.handle()?;
    let offset = fields.u64()?;
    let from = match fields.u32()?.cast_signed() {
        libc::SEEK_DATA => SeekFrom::Data(offset),
        libc::SEEK_HOLE => SeekFrom::Hole(offset),
        _ => return Err(Errno::EINVAL),
    };
    if call.agreed.writes_back() {
        // The kernel asks without writing back first: whoever copies a file that has just been written would be told that
        // there is nothing in it. With this answer it says itself where the file ends, and takes all of it for data.
        return Err(Errno::ENOSYS);
    }
    let found = call.fs.lseek(&call.ctx, call.ino, handle, from)?;
    Ok(Out::new().u64(found))
}

pub(super) fn copy_file_range(call: &Call<'_>, fields: Fields<'_>) -> FsResult<Out> {
    // The answer has 32 bits for it.
    let copied = copy(call, fields, u64::from(u32::MAX))?;
    let copied = u32::try_from(copied).map_err(|_| Errno::EIO)?;
    Ok(Out::new().u32(copied).u32(0))
}

pub(super) fn copy_file_range_64(call: &Call<'_>, fields: Fields<'_>) -> FsResult<Out> {
    copy(call, fields, u64::MAX).map(|copied| Out::new().u64(copied))
}

fn copy(call: &Call<'_>, mut fields: Fields<'_>, at_most: u64) -> FsResult<u64> {
    let from = (call.ino, fields.handle()?, fields.u64()?);
    let to = (fields.u64()?, fields.handle()?, fields.u64()?);
    let length = fields.u64()?.min(at_most);
    if fields.u64()? != 0 {
        return Err(Errno::EINVAL);
    }
    let copied = call.fs.copy_file_range(&call.ctx, from, to, length)?;
    Ok(copied.min(length))
}
