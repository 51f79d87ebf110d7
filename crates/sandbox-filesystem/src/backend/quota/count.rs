//! Counting a tree: once, after a crash.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Statx, StatxFlags};
use rustix::io::Errno;

use super::account::Usage;
use super::weight::{held_by, name_weight};

/// What everything beneath a directory weighs. Links are not followed; what vanishes meanwhile is not there. `EINTR`
/// when `stop` is set.
pub(super) fn count(root: &OwnedFd, stop: &AtomicBool) -> Result<Usage, Errno> {
    let mut total = Usage::default();
    let mut linked = HashSet::new();
    let mut stack = vec![listing(root)?];
    while let Some(mut dir) = stack.pop() {
        while let Some(entry) = dir.read() {
            if stop.load(Ordering::Relaxed) {
                return Err(Errno::INTR);
            }
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if matches!(name.as_bytes(), b"." | b"..") {
                continue;
            }
            let Some((stat, weight)) = weigh(&dir, name)? else {
                continue;
            };
            total.bytes = total.bytes.saturating_add(name_weight(name));
            let is_dir = FileType::from_raw_mode(u32::from(stat.stx_mode)) == FileType::Directory;
            let identity = (stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino);
            if is_dir || stat.stx_nlink < 2 || linked.insert(identity) {
                total.bytes = total.bytes.saturating_add(weight);
                total.inodes += 1;
            }
            if is_dir && let Some(below) = descend(&dir, name)? {
                // The directory above waits with its place in it.
                stack.push(std::mem::replace(&mut dir, below));
            }
        }
    }
    Ok(total)
}

fn weigh(dir: &Dir, name: &OsStr) -> Result<Option<(Statx, u64)>, Errno> {
    let fd = dir.fd()?;
    match rustix::fs::statx(fd, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS) {
        Ok(stat) => Ok(Some((stat, held_by(fd.as_fd(), name, &stat)?))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

fn descend(dir: &Dir, name: &OsStr) -> Result<Option<Dir>, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(dir.fd()?, name, flags, Mode::empty()) {
        Ok(below) => Dir::new(below).map(Some),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(error) => Err(error),
    }
}

fn listing(root: &OwnedFd) -> Result<Dir, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Dir::new(rustix::fs::openat(root, c".", flags, Mode::empty())?)
}
