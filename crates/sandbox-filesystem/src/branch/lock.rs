//! Who holds what: flock(2) on files that nothing else is done with.
//!
//! A branch's lock is held by the init of the sandbox it is mounted in, until everything in there is dead, or
//! by whoever commits, discards or renames it, or makes a branch of it. The kernel lets go of it with its
//! holder; there is nothing to clean up.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

pub(crate) use crate::holder::Holder;
use crate::holder::holder;

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    file: File,
}

impl Held {
    /// Whether its file is what has this path: a branch may have been discarded, and another made in its place, between
    /// the file's being opened and locked.
    pub(crate) fn is_at(&self, path: &Path) -> io::Result<bool> {
        let is = |found: &rustix::fs::Stat| (found.st_dev, found.st_ino);
        match rustix::fs::stat(path) {
            Ok(there) => Ok(is(&there) == is(&rustix::fs::fstat(&self.file)?)),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Closing the descriptor would not do while a process that was forked meanwhile has a copy of it.
        if let Err(error) = rustix::fs::flock(&self.file, FlockOperation::Unlock) {
            tracing::warn!(%error, "unlock");
        }
    }
}

impl AsFd for Held {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The answer to asking for a lock.
#[derive(Debug)]
pub(crate) enum Asked {
    /// It is held now.
    Held(Held),
    /// Somebody else holds it: this process, as far as it can be told.
    By(Option<Holder>),
}

/// Takes the lock at `path`, or says who has it.
pub(crate) fn try_hold(path: &Path) -> io::Result<Asked> {
    try_hold_file(open(path)?)
}

/// The same of a directory, which locks nothing but itself.
pub(crate) fn try_hold_directory(path: &Path) -> io::Result<Asked> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    try_hold_file(rustix::fs::open(path, flags, Mode::empty())?.into())
}

/// Shares the lock on a directory with others who do, after whoever has it alone.
pub(crate) fn share_directory(path: &Path) -> io::Result<Held> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let file: File = rustix::fs::open(path, flags, Mode::empty())?.into();
    loop {
        match rustix::fs::flock(&file, FlockOperation::LockShared) {
            Ok(()) => return Ok(Held { file }),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn try_hold_file(file: File) -> io::Result<Asked> {
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Asked::Held(Held { file })),
        Err(Errno::WOULDBLOCK) => Ok(Asked::By(holder(&file))),
        Err(errno) => Err(errno.into()),
    }
}

/// Takes the lock at `path`, after whoever has it.
pub(crate) fn hold(path: &Path) -> io::Result<Held> {
    let file = open(path)?;
    loop {
        match rustix::fs::flock(&file, FlockOperation::LockExclusive) {
            Ok(()) => return Ok(Held { file }),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Who holds the lock at `path`, without asking for it; none where nobody does, or that cannot be told.
pub(crate) fn holder_of(path: &Path) -> Option<Holder> {
    holder(&File::open(path).ok()?)
}

fn open(path: &Path) -> io::Result<File> {
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_once_and_its_holder_is_named() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("lock");
        let Asked::Held(held) = try_hold(&path).unwrap() else {
            panic!("nobody had it");
        };
        match try_hold(&path).unwrap() {
            Asked::By(Some(holder)) => {
                assert_eq!((holder.pid, holder.sandbox), (std::process::id(), None));
                assert_eq!(holder_of(&path), Some(holder));
            }
            other => panic!("{other:?}"),
        }
        drop(held);
        assert_eq!(holder_of(&path), None);
        assert!(matches!(try_hold(&path).unwrap(), Asked::Held(_)));
    }
}
