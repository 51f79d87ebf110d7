//! From what cases say to what the trait takes.

use super::END;
use crate::conformance::op::{Allocation, Locking, NodeKind, Opening, Renaming, Time, XattrMode};
use crate::conformance::subject::Shown;
use crate::fs::{
    Attr, Errno, FallocateMode, FsResult, Lock, LockKind, OpenFlags, RenameFlags, SetTime, Timestamp,
    XattrFlags,
};

pub(super) fn shown(attr: &Attr) -> Shown {
    Shown {
        mode: attr.mode,
        nlink: attr.nlink,
        uid: attr.uid,
        gid: attr.gid,
        size: attr.size,
        blocks: attr.blocks,
        rdev: attr.rdev,
    }
}

pub(super) fn set_time(time: Time) -> Option<SetTime> {
    match time {
        Time::Omit => None,
        Time::Now => Some(SetTime::Now),
        Time::At(seconds, nanoseconds) => Some(SetTime::At(Timestamp { seconds, nanoseconds })),
    }
}

pub(super) fn open_flags(flags: Opening) -> OpenFlags {
    let mut raw = match (flags.read, flags.write) {
        (_, false) => OpenFlags::empty(),
        (false, true) => OpenFlags::WRONLY,
        (true, true) => OpenFlags::RDWR,
    };
    raw.set(OpenFlags::EXCL, flags.exclusive && flags.create);
    raw.set(OpenFlags::TRUNC, flags.truncate);
    raw.set(OpenFlags::APPEND, flags.append);
    raw.set(OpenFlags::NOATIME, flags.noatime);
    raw
}

pub(super) fn rename_flags(flags: Renaming) -> RenameFlags {
    let mut raw = RenameFlags::empty();
    raw.set(RenameFlags::NOREPLACE, flags.noreplace);
    raw.set(RenameFlags::EXCHANGE, flags.exchange);
    raw.set(RenameFlags::WHITEOUT, flags.whiteout);
    raw
}

pub(super) fn xattr_flags(mode: XattrMode) -> XattrFlags {
    match mode {
        XattrMode::Set => XattrFlags::empty(),
        XattrMode::Create => XattrFlags::CREATE,
        XattrMode::Replace => XattrFlags::REPLACE,
    }
}

pub(super) fn node_type(kind: NodeKind) -> u32 {
    match kind {
        NodeKind::File => libc::S_IFREG,
        NodeKind::Fifo => libc::S_IFIFO,
        NodeKind::Socket => libc::S_IFSOCK,
        NodeKind::Whiteout => libc::S_IFCHR,
    }
}

pub(super) fn allocation(mode: Allocation) -> FallocateMode {
    match mode {
        Allocation::Plain => FallocateMode::empty(),
        Allocation::Keep => FallocateMode::KEEP_SIZE,
        Allocation::Punch => FallocateMode::PUNCH_HOLE | FallocateMode::KEEP_SIZE,
        Allocation::PunchAlone => FallocateMode::PUNCH_HOLE,
        Allocation::Zero => FallocateMode::ZERO_RANGE,
        Allocation::ZeroKeep => FallocateMode::ZERO_RANGE | FallocateMode::KEEP_SIZE,
        Allocation::Collapse => FallocateMode::COLLAPSE_RANGE,
        Allocation::Insert => FallocateMode::INSERT_RANGE,
    }
}

pub(super) fn lock_kind(kind: Locking) -> LockKind {
    match kind {
        Locking::Shared => LockKind::Shared,
        Locking::Exclusive => LockKind::Exclusive,
        Locking::Unlocked => LockKind::Unlocked,
    }
}

pub(super) fn range(kind: Locking, start: u64, len: u64) -> FsResult<Lock> {
    let end = match len {
        0 => END,
        _ => start
            .checked_add(len - 1)
            .filter(|end| *end <= END)
            .ok_or(Errno::EOVERFLOW)?,
    };
    Ok(Lock {
        start,
        end,
        kind: lock_kind(kind),
        pid: 0,
    })
}
