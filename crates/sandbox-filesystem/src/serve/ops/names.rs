//! Entries of directories: looked up, made, moved, removed.

use super::super::decode::Fields;
use super::super::encode::{self, Out};
use super::Call;
use crate::fs::{Errno, FsResult, Ino, RenameFlags};

/// The longest target of a symbolic link (`PATH_MAX`, less the zero byte).
const LONGEST_TARGET: usize = 4095;

pub(super) fn lookup(call: &Call<'_>, mut fields: Fields<'_>) -> FsResult<Out> {
    let name = fields.name_or_dots()?;
    let entry = call.fs.lookup(&call.ctx, call.ino, name)?;
    Ok(Out::new().entry(&entry))
}

pub(super) fn readlink(call: &Call<'_>) -> FsResult<Out> {
    call.fs.readlink(&call.ctx, call.ino).map(Out)
}

pub(super) fn symlink(call: &Call<'_>, mut fields: Fields<'_>) -> FsResult<Out> {
    let name = fields.name()?;
    let target = fields.text()?;
    match target.len() {
        0 => return Err(Errno::ENOENT),
        length if length > LONGEST_TARGET => return Err(Errno::ENAMETOOLONG),
        _ => {}
    }
    let entry = call.fs.symlink(&call.ctx, call.ino, name, target)?;
    Ok(Out::new().entry(&entry))
}

pub(super) fn mknod(call: &Call<'_>, mut fields: Fields<'_>) -> FsResult<Out> {
    let (mode, device, umask) = (fields.u32()?, fields.u32()?, fields.u32()?);
    fields.skip(4)?;
    let name = fields.name()?;
    let rdev = encode::rdev(device);
    let entry = call
        .fs
        .mknod(&call.ctx, call.ino, name, mode, rdev, umask & 0o7777)?;
    Ok(Out::new().entry(&entry))
}

pub(super) fn mkdir(call: &Call<'_>, mut fields: Fields<'_>) -> FsResult<Out> {
    let (mode, umask) = (fields.u32()?, fields.u32()?);
    let name = fields.name()?;
    let entry = call
        .fs
        .mkdir(&call.ctx, call.ino, name, mode & 0o7777, umask & 0o7777)?;
    Ok(Out::new().entry(&entry))
}

pub(super) fn unlink(call: &Call<'_>, mut fields: Fields<'_>) -> FsResult<Out> {
    call.fs.unlink(&call.ctx, call.ino, fields.name()?)?;
    Ok(Out::nothing())
}

pub(super) fn rmdir(call: &Call<'_>, mut fields: Fields<'_>) -> FsResult<Out> {
    call.fs.rmdir(&call.ctx, call.ino, fields.name()?)?;
    Ok(Out::nothing())
}

pub(super) fn rename(call: &Call<'_>, mut fields: Fields<'_>) -> FsResult<Out> {
    let new_parent = fields.u64()?;
    moved(call, fields, new_parent, RenameFlags::empty())
}

pub(super) fn rename2(call: &Call<'_>, mut fields: Fields<'_>) -> FsResult<Out> {
    let new_parent = fields.u64()?;
    let flags = RenameFlags::from_bits(fields.u32()?).ok_or(Errno::EINVAL)?;
    if flags.contains(RenameFlags::EXCHANGE) && flags != RenameFlags::EXCHANGE {
        return Err(Errno::EINVAL);
    }
    fields.skip(4)?;
    moved(call, fields, new_parent, flags)
}

fn moved(call: &Call<'_>, mut fields: Fields<'_>, new_parent: Ino, flags: RenameFlags) -> FsResult<Out> {
    let name = fields.name()?;
    let new_name = fields.name()?;
    call.fs
        .rename(&call.ctx, call.ino, name, new_parent, new_name, flags)?;
    Ok(Out::nothing())
}

pub(super) fn link(call: &Call<'_>, mut fields: Fields<'_>) -> FsResult<Out> {
    let ino = fields.u64()?;
    let entry = call.fs.link(&call.ctx, ino, call.ino, fields.name()?)?;
    Ok(Out::new().entry(&entry))
}
