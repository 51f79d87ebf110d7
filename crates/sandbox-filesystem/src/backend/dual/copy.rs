//! Copies in staging: content with its holes, owner, attributes, mode, times.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use super::side::{Held, OpenFile, There, if_known, ourselves};
use super::staging::{Staged, Staging, is_whiteout, staged};
use super::xattr;
use crate::backend::acl;
use crate::backend::overlay::Durability;
use crate::fs::{
    Attr, Buffer, Context, DataReader as _, Errno, FsResult, OpenFlags, ReadRequest, SeekFrom, SetAttr,
    SetTime, SyncScope, WriteRequest, XattrFlags,
};

/// How much of the content is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    All,
    /// So many bytes from the beginning.
    Bytes(u64),
}

const CHUNK: u32 = 1 << 20;
/// Zeros of this length, in bytes, are left out where a backend does not say where holes are.
const HOLE: usize = 4096;

/// What is copied.
pub(super) struct Original<'a> {
    pub(super) held: &'a Arc<Held>,
    pub(super) attr: Attr,
}

/// Copies everything but a directory's entries; it is in staging, and belongs to nobody yet.
pub(super) fn copy(
    staging: &Arc<Staging>,
    original: &Original<'_>,
    keep: Keep,
    durability: Durability,
) -> FsResult<(Staged, There)> {
    let name = staging.name();
    let stage = &*staging.stage;
    let attr = &original.attr;
    // Made by its owner, so that an unprivileged server has nothing to give away where that is who it is.
    let ctx = Context::new(attr.uid, attr.gid);
    let (fs, dir) = (&stage.fs, stage.ino);
    let there = match attr.mode & libc::S_IFMT {
        libc::S_IFDIR => staged(fs.mkdir(&ctx, dir, &name.name, 0o700, 0), stage)?,
        libc::S_IFLNK => {
            let target = original.held.fs.readlink(&ourselves(), original.held.ino)?;
            staged(
                fs.symlink(&ctx, dir, &name.name, OsStr::from_bytes(&target)),
                stage,
            )?
        }
        // It would be a whiteout.
        libc::S_IFCHR if is_whiteout(attr) => return Err(Errno::EPERM),
        kind => staged(fs.mknod(&ctx, dir, &name.name, kind | 0o600, attr.rdev, 0), stage)?,
    };
    if there.kind() == libc::S_IFREG {
        copy_content(original, &there, keep, durability)?;
    }
    copy_attributes(original, &there)?;
    Ok((name, there))
}

fn copy_content(original: &Original<'_>, copy: &There, keep: Keep, durability: Durability) -> FsResult<()> {
    let len = match keep {
        Keep::All => original.attr.size,
        Keep::Bytes(len) => len.min(original.attr.size),
    };
    let ctx = ourselves();
    let (to, _) = OpenFile::open(&ctx, &copy.held, OpenFlags::RDWR)?;
    if len > 0 {
        let (from, _) = OpenFile::open(&ctx, original.held, OpenFlags::empty())?;
        let mut at = 0;
        while let Some((start, end)) = next_data(&from, at, len)? {
            copy_range(&from, &to, start, end)?;
            at = end;
        }
        let size = SetAttr {
            size: Some(len),
            handle: to.handle,
            ..SetAttr::default()
        };
        copy.held.set(&ctx, &size)?;
    }
    if durability == Durability::Each {
        if_known(
            copy.held
                .fs
                .fsync(&ctx, copy.held.ino, to.handle, SyncScope::Everything),
        )?;
    }
    let flushed = copy
        .held
        .fs
        .flush(&ctx, copy.held.ino, to.handle, crate::fs::LockOwner(0));
    if_known(flushed)
}

/// The next range with data before `len`; everything where the backend does not know.
fn next_data(from: &OpenFile, at: u64, len: u64) -> FsResult<Option<(u64, u64)>> {
    if at >= len {
        return Ok(None);
    }
    let ctx = ourselves();
    let Held { fs, ino, .. } = &*from.held;
    let start = match fs.lseek(&ctx, *ino, from.handle, SeekFrom::Data(at)) {
        Ok(start) if start >= len => return Ok(None),
        Ok(start) => start.max(at),
        Err(Errno::ENXIO) => return Ok(None),
        Err(Errno::ENOSYS | Errno::EINVAL | Errno::ENOTSUP) => return Ok(Some((at, len))),
        Err(error) => return Err(error),
    };
    let end = match fs.lseek(&ctx, *ino, from.handle, SeekFrom::Hole(start)) {
        Ok(end) if end > start => end.min(len),
        Ok(_) | Err(Errno::ENOSYS | Errno::EINVAL | Errno::ENOTSUP | Errno::ENXIO) => len,
        Err(error) => return Err(error),
    };
    Ok(Some((start, end)))
}

fn copy_range(from: &OpenFile, to: &OpenFile, start: u64, end: u64) -> FsResult<()> {
    let mut at = start;
    while at < end {
        let room = u32::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
        let bytes = read(&ourselves(), from, at, room)?;
        if bytes.is_empty() {
            // It has become shorter.
            return Ok(());
        }
        write_data(to, at, &bytes)?;
        at += bytes.len() as u64;
    }
    Ok(())
}

/// Writes it, leaving out zeros.
fn write_data(to: &OpenFile, at: u64, bytes: &[u8]) -> FsResult<()> {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        let zeros = chunks(rest, true);
        let data = chunks(rest.get(zeros..).unwrap_or_default(), false);
        let piece = rest.get(zeros..zeros + data).unwrap_or_default();
        if !piece.is_empty() {
            write_all(&ourselves(), to, at + (done + zeros) as u64, piece)?;
        }
        done += zeros + data;
    }
    Ok(())
}

/// How many bytes at the beginning are zeros, or are not, in whole chunks.
fn chunks(bytes: &[u8], zeros: bool) -> usize {
    bytes
        .chunks(HOLE)
        .take_while(|chunk| chunk.iter().all(|byte| *byte == 0) == zeros)
        .map(<[u8]>::len)
        .sum()
}

/// As many bytes as there are.
pub(super) fn read(ctx: &Context<'_>, from: &OpenFile, offset: u64, size: u32) -> FsResult<Vec<u8>> {
    let request = ReadRequest {
        offset,
        size,
        flags: OpenFlags::empty(),
    };
    let mut buffer = Buffer::with_room(size as usize);
    let Held { fs, ino, .. } = &*from.held;
    fs.read(ctx, *ino, from.handle, &request, &mut buffer)?;
    Ok(buffer.into_bytes())
}

/// All of it.
pub(super) fn write_all(ctx: &Context<'_>, to: &OpenFile, offset: u64, bytes: &[u8]) -> FsResult<()> {
    let mut left = bytes;
    let mut at = offset;
    let Held { fs, ino, .. } = &*to.held;
    while left.remaining() > 0 {
        let request = WriteRequest {
            offset: at,
            size: u32::try_from(left.len()).map_err(|_| Errno::EINVAL)?,
            flags: OpenFlags::RDWR,
            delayed: false,
            kill_privileges: false,
        };
        let mut data = left;
        let written = fs.write(ctx, *ino, to.handle, &request, &mut data)?;
        if written == 0 {
            return Err(Errno::EIO);
        }
        left = left.get(written..).unwrap_or_default();
        at += written as u64;
    }
    Ok(())
}

/// Owner, extended attributes, mode and times, in this order: each of them can undo those after it.
fn copy_attributes(original: &Original<'_>, copy: &There) -> FsResult<()> {
    let ctx = ourselves();
    let attr = &original.attr;
    if (copy.attr.uid, copy.attr.gid) != (attr.uid, attr.gid) {
        let owner = SetAttr {
            uid: Some(attr.uid),
            gid: Some(attr.gid),
            ..SetAttr::default()
        };
        copy.held.set(&ctx, &owner)?;
    }
    copy_xattrs(original.held, &copy.held)?;
    if copy.kind() != libc::S_IFLNK {
        let mode = SetAttr {
            mode: Some(attr.mode & 0o7777),
            ..SetAttr::default()
        };
        copy.held.set(&ctx, &mode)?;
    }
    copy.held.set(&ctx, &times_of(attr)).map(drop)
}

/// Sets the times of access and change.
pub(super) fn times_of(attr: &Attr) -> SetAttr {
    SetAttr {
        atime: Some(SetTime::At(attr.atime)),
        mtime: Some(SetTime::At(attr.mtime)),
        ..SetAttr::default()
    }
}

fn copy_xattrs(from: &Held, to: &Held) -> FsResult<()> {
    let ctx = ourselves();
    for name in xattr::names(&ctx, from)? {
        let name = OsStr::from_bytes(&name);
        let read = xattr::name_in(from.side, name)?;
        let Some(value) = xattr::value(&ctx, from, &read)? else {
            continue;
        };
        let kept = xattr::kept_name(name);
        match to.fs.setxattr(&ctx, to.ino, &kept, &value, XattrFlags::empty()) {
            // Labels of security modules are the host's own, which it gives to the copy too.
            Err(Errno::ENOTSUP | Errno::EPERM | Errno::ENOSYS | Errno::EACCES) if is_label(name) => {}
            other => other?,
        }
    }
    Ok(())
}

fn is_label(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.starts_with(b"security.") && name != b"security.capability"
}

/// Gives a directory in staging what new entries of another one inherit: group, setgid bit, default list.
pub(super) fn inherit_from(staging: &Arc<Staging>, dir: &Held) -> FsResult<(Staged, There)> {
    let ctx = ourselves();
    let name = staging.name();
    let stage = &*staging.stage;
    let there = staged(stage.fs.mkdir(&ctx, stage.ino, &name.name, 0o700, 0), stage)?;
    let attr = dir.attr(&ctx)?;
    if attr.mode & libc::S_ISGID != 0 {
        let change = SetAttr {
            gid: Some(attr.gid),
            ..SetAttr::default()
        };
        there.held.set(&ctx, &change)?;
        let change = SetAttr {
            mode: Some(0o700 | libc::S_ISGID),
            ..SetAttr::default()
        };
        there.held.set(&ctx, &change)?;
    }
    let list = OsStr::new(acl::DEFAULT);
    if let Some(value) = xattr::value(&ctx, dir, list)? {
        there
            .held
            .fs
            .setxattr(&ctx, there.held.ino, list, &value, XattrFlags::empty())?;
    }
    Ok((name, there))
}
