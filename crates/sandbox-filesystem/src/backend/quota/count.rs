//! Counting a tree: once, after a crash.
//!
//! However deep it is, two descriptors are enough: a directory is read to its end before the first one beneath it is opened,
//! and left by "..", which must lead back to where it came from.

use std::collections::HashSet;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Statx, StatxFlags};
use rustix::io::Errno;

use super::account::Usage;
use super::weight::{held_by, name_weight};

/// What everything beneath a directory weighs. Links are not followed; what vanishes meanwhile is not there. `EINTR`
/// when `stop` is set, `EAGAIN` where a directory was moved meanwhile.
pub(super) fn count(root: &OwnedFd, stop: &AtomicBool) -> Result<Usage, Errno> {
    let mut counting = Counting {
        stop,
        total: Usage::default(),
        linked: HashSet::new(),
    };
    let mut at = reopened(root.as_fd())?;
    let mut above: Vec<Level> = Vec::new();
    let mut level = Level::of(&mut counting, &at)?;
    loop {
        if let Some(name) = level.below.pop() {
            if let Some(below) = descend(at.as_fd(), &name)? {
                at = below;
                let next = Level::of(&mut counting, &at)?;
                above.push(std::mem::replace(&mut level, next));
            }
        } else if let Some(parent) = above.pop() {
            at = ascend(at.as_fd(), parent.identity)?;
            level = parent;
        } else {
            return Ok(counting.total);
        }
    }
}

/// Device and inode.
type Identity = (u32, u32, u64);

/// A directory on the way down, and what in it is still to be counted.
struct Level {
    identity: Identity,
    below: Vec<CString>,
}

struct Counting<'a> {
    stop: &'a AtomicBool,
    total: Usage,
    /// Files of several names that were met already.
    linked: HashSet<Identity>,
}

impl Level {
    /// Counts what is in a directory.
    fn of(counting: &mut Counting<'_>, dir: &OwnedFd) -> Result<Self, Errno> {
        let identity = identity(&stat(dir.as_fd(), OsStr::new(""), AtFlags::EMPTY_PATH)?);
        let mut below = Vec::new();
        for entry in Dir::read_from(dir)? {
            let entry = match entry {
                // It was removed while it was read.
                Err(Errno::NOENT) => break,
                entry => entry?,
            };
            counting.entry(dir.as_fd(), entry.file_name(), &mut below)?;
        }
        Ok(Self { identity, below })
    }
}

impl Counting<'_> {
    fn entry(&mut self, dir: BorrowedFd<'_>, file: &CStr, below: &mut Vec<CString>) -> Result<(), Errno> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Errno::INTR);
        }
        let name = OsStr::from_bytes(file.to_bytes());
        if matches!(name.as_bytes(), b"." | b"..") {
            return Ok(());
        }
        let Some((stat, weight)) = weigh(dir, name)? else {
            return Ok(());
        };
        self.total.bytes = self.total.bytes.saturating_add(name_weight(name));
        let is_dir = FileType::from_raw_mode(u32::from(stat.stx_mode)) == FileType::Directory;
        if is_dir || stat.stx_nlink < 2 || self.linked.insert(identity(&stat)) {
            self.total.bytes = self.total.bytes.saturating_add(weight);
            self.total.inodes += 1;
        }
        if is_dir {
            below.push(file.to_owned());
        }
        Ok(())
    }
}

fn weigh(dir: BorrowedFd<'_>, name: &OsStr) -> Result<Option<(Statx, u64)>, Errno> {
    let weighed = stat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
        .and_then(|stat| held_by(dir, name, &stat).map(|weight| (stat, weight)));
    match weighed {
        // It has gone, at whichever of the calls.
        Err(Errno::NOENT) => Ok(None),
        weighed => weighed.map(Some),
    }
}

fn stat(dir: BorrowedFd<'_>, name: &OsStr, flags: AtFlags) -> Result<Statx, Errno> {
    rustix::fs::statx(dir, name, flags, StatxFlags::BASIC_STATS)
}

fn identity(stat: &Statx) -> Identity {
    (stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino)
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

fn descend(dir: BorrowedFd<'_>, name: &CStr) -> Result<Option<OwnedFd>, Errno> {
    match rustix::fs::openat(dir, name, DIRECTORY, Mode::empty()) {
        Ok(below) => Ok(Some(below)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Back to the directory that this one was found in.
fn ascend(dir: BorrowedFd<'_>, to: Identity) -> Result<OwnedFd, Errno> {
    let above = match rustix::fs::openat(dir, c"..", DIRECTORY, Mode::empty()) {
        Err(Errno::NOENT) => return Err(Errno::AGAIN),
        above => above?,
    };
    if identity(&stat(above.as_fd(), OsStr::new(""), AtFlags::EMPTY_PATH)?) == to {
        Ok(above)
    } else {
        Err(Errno::AGAIN)
    }
}

fn reopened(root: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(root, c".", DIRECTORY, Mode::empty())
}
