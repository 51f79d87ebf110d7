//! Locks, with whom they belong to.

use super::super::decode::Fields;
use super::super::encode::Out;
use super::Call;
use crate::fs::{Errno, FlockOperation, FsResult, Handle, Lock, LockKind, LockOwner};

/// `FUSE_LK_FLOCK`.
const FLOCK: u32 = 1 << 0;

const F_RDLCK: u32 = libc::F_RDLCK as u32;
const F_WRLCK: u32 = libc::F_WRLCK as u32;
const F_UNLCK: u32 = libc::F_UNLCK as u32;

/// `struct fuse_lk_in`.
struct Asked {
    handle: Option<Handle>,
    owner: LockOwner,
    lock: Lock,
    flags: u32,
}

fn asked(mut fields: Fields<'_>) -> FsResult<Asked> {
    let handle = fields.handle()?;
    let owner = LockOwner(fields.u64()?);
    let (start, end) = (fields.u64()?, fields.u64()?);
    let kind = match fields.u32()? {
        F_RDLCK => LockKind::Shared,
        F_WRLCK => LockKind::Exclusive,
        F_UNLCK => LockKind::Unlocked,
        _ => return Err(Errno::EINVAL),
    };
    let pid = fields.u32()?;
    if start > end {
        return Err(Errno::EINVAL);
    }
    Ok(Asked {
        handle,
        owner,
        lock: Lock {
            start,
            end,
            kind,
            pid,
        },
        flags: fields.u32()?,
    })
}

pub(super) fn getlk(call: &Call<'_>, fields: Fields<'_>) -> FsResult<Out> {
    let asked = asked(fields)?;
    let lock = call
        .fs
        .getlk(&call.ctx, call.ino, asked.handle, asked.owner, asked.lock)?;
    let kind = match lock.kind {
        LockKind::Shared => F_RDLCK,
        LockKind::Exclusive => F_WRLCK,
        LockKind::Unlocked => F_UNLCK,
    };
    Ok(Out::new().u64(lock.start).u64(lock.end).u32(kind).u32(lock.pid))
}

pub(super) fn setlk(call: &Call<'_>, fields: Fields<'_>) -> FsResult<Out> {
    let asked = asked(fields)?;
    if asked.flags & FLOCK != 0 {
        return flock(call, &asked, Patience::None);
    }
    call.fs
        .setlk(&call.ctx, call.ino, asked.handle, asked.owner, asked.lock)?;
    Ok(Out::nothing())
}

pub(super) fn setlkw(call: &Call<'_>, fields: Fields<'_>) -> FsResult<Out> {
    let asked = asked(fields)?;
    if asked.flags & FLOCK != 0 {
        return flock(call, &asked, Patience::Waits);
    }
    call.fs
        .setlkw(&call.ctx, call.ino, asked.handle, asked.owner, asked.lock)?;
    Ok(Out::nothing())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    None,
    Waits,
}

fn flock(call: &Call<'_>, asked: &Asked, patience: Patience) -> FsResult<Out> {
    let operation = FlockOperation {
        kind: asked.lock.kind,
        wait: patience == Patience::Waits,
    };
    call.fs
        .flock(&call.ctx, call.ino, asked.handle, asked.owner, operation)?;
    Ok(Out::nothing())
}
