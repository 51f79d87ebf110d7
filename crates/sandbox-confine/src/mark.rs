//! A mark on a directory that several processes need: a shared flock(2), whose descriptor is handed from one to
//! the next, and which is gone with the last of them.
//!
//! A cgroup and a private directory are named after the process that made them, so `gc` takes them for left
//! behind when that process has ended. The mark says that somebody else is still there.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;

/// Marks `directory` until the last copy of the descriptor is closed. EWOULDBLOCK: somebody has locked it who
/// should not.
pub(crate) fn hold(directory: &Path) -> io::Result<OwnedFd> {
    let directory = open_directory(directory)?;
    flock(&directory, FlockOperation::NonBlockingLockShared)?;
    Ok(directory)
}

/// Whether anybody holds a mark on `directory`. What cannot be looked at is not ours to judge.
pub(crate) fn is_held(directory: &Path) -> bool {
    match open_directory(directory) {
        Ok(directory) => flock(&directory, FlockOperation::NonBlockingLockExclusive).is_err(),
        Err(errno) => errno != Errno::NOENT,
    }
}

fn open_directory(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    open(path, flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_held_until_its_last_descriptor_is_closed() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        assert!(!is_held(directory.path()));
        let first = hold(directory.path()).expect("nobody else has it");
        let second = first.try_clone().expect("a descriptor");
        drop(first);
        assert!(is_held(directory.path()));
        drop(second);
        assert!(!is_held(directory.path()));
        assert!(!is_held(&directory.path().join("missing")));
    }
}
