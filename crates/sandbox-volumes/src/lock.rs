//! Who holds what: flock(2), whose locks belong to an open file description and die with it.
//!
//! Every descriptor is close-on-exec, and a lock is taken back explicitly when it is dropped: a child that was
//! forked meanwhile and has a copy of the descriptor does not keep it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

/// How long a lock is asked for again, at most, before whoever waits is told.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether others may hold it, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// Those who want it shared.
    Shared,
    /// Nobody.
    Exclusive,
}

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the descriptor would not do while a process that was forked meanwhile has a copy of it.
        if let Err(error) = rustix::fs::flock(&self.file, FlockOperation::Unlock) {
            tracing::warn!(%error, "unlock");
        }
    }
}

impl Lock {
    /// Takes the lock of the directory at `path`; none where somebody else has it.
    ///
    /// # Errors
    /// That of opening it. `NotFound` also where it was moved away meanwhile.
    pub(crate) fn try_directory(path: &Path, share: Share) -> io::Result<Option<Self>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty())?;
        match Self::try_take(directory.into(), share)? {
            Some(lock) if lock.is_at(path)? => Ok(Some(lock)),
            Some(_) => Err(io::ErrorKind::NotFound.into()),
            None => Ok(None),
        }
    }

    /// Takes the lock file at `path`, which is made where there is none; none where somebody else has it.
    pub(crate) fn try_file(path: &Path, share: Share) -> io::Result<Option<Self>> {
        loop {
            let Some(lock) = Self::try_take(open(path)?, share)? else {
                return Ok(None);
            };
            if lock.is_at(path)? {
                return Ok(Some(lock));
            }
        }
    }

    /// As [`Lock::try_file`] of a file that is there already: none is made.
    ///
    /// # Errors
    /// `NotFound` where there is none, or another by now.
    pub(crate) fn try_found(path: &Path, share: Share) -> io::Result<Option<Self>> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file: OwnedFd = rustix::fs::open(path, flags, Mode::empty())?;
        match Self::try_take(file.into(), share)? {
            Some(lock) if !lock.is_at(path)? => Err(io::ErrorKind::NotFound.into()),
            taken => Ok(taken),
        }
    }

    /// The same of a file that is there already; none also where there is no such file.
    pub(crate) fn try_existing(path: &Path, share: Share) -> io::Result<Held> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Held::Missing),
            result => result?,
        };
        Ok(match Self::try_take(file, share)? {
            Some(lock) => Held::Free(lock),
            None => Held::ByAnother,
        })
    }

    /// Takes the lock file at `path`, after whoever has it; none where they keep it for long.
    pub(crate) fn file(path: &Path, share: Share) -> io::Result<Option<Self>> {
        let begun = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(lock) = Self::try_file(path, share)? {
                return Ok(Some(lock));
            }
            if begun.elapsed() > PATIENCE {
                return Ok(None);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    /// The next one to open `path` gets another file. Only whoever holds the lock exclusively may.
    pub(crate) fn remove(self, path: &Path) -> io::Result<()> {
        // Only while it is still there: another may have been made by whoever found this one gone.
        if self.is_at(path)? {
            std::fs::remove_file(path)
        } else {
            Ok(())
        }
    }

    fn try_take(file: File, share: Share) -> io::Result<Option<Self>> {
        let operation = match share {
            Share::Shared => FlockOperation::NonBlockingLockShared,
            Share::Exclusive => FlockOperation::NonBlockingLockExclusive,
        };
        match rustix::fs::flock(&file, operation) {
            Ok(()) => Ok(Some(Self { file })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Whether what is locked is still what is called `path`.
    fn is_at(&self, path: &Path) -> io::Result<bool> {
        let mine = self.file.metadata()?;
        match std::fs::symlink_metadata(path) {
            Ok(there) => Ok((there.dev(), there.ino()) == (mine.dev(), mine.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The answer to asking for a lock that may not be there.
#[derive(Debug)]
pub(crate) enum Held {
    /// Nobody had it; now it is held.
    Free(#[expect(dead_code, reason = "holds the lock")] Lock),
    /// Somebody has it.
    ByAnother,
    /// There is no such file.
    Missing,
}

fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file: OwnedFd = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_share_a_lock_and_one_has_it_alone() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("lock");
        let first = Lock::try_file(&path, Share::Shared).unwrap().unwrap();
        let second = Lock::try_file(&path, Share::Shared).unwrap().unwrap();
        assert!(Lock::try_file(&path, Share::Exclusive).unwrap().is_none());
        drop((first, second));
        let alone = Lock::try_file(&path, Share::Exclusive).unwrap().unwrap();
        assert!(matches!(
            Lock::try_existing(&path, Share::Shared).unwrap(),
            Held::ByAnother
        ));
        alone.remove(&path).unwrap();
        assert!(matches!(
            Lock::try_existing(&path, Share::Shared).unwrap(),
            Held::Missing
        ));
    }

    #[test]
    fn a_child_that_is_executed_does_not_keep_a_lock() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("lock");
        let lock = Lock::try_file(&path, Share::Exclusive).unwrap().unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        drop(lock);
        let is_free = Lock::try_file(&path, Share::Exclusive).unwrap().is_some();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(is_free);
    }

    #[test]
    fn a_directory_that_was_moved_is_not_locked_by_its_old_name() {
        let place = tempfile::tempdir().unwrap();
        let [old, new] = ["old", "new"].map(|name| place.path().join(name));
        std::fs::create_dir(&old).unwrap();
        std::fs::rename(&old, &new).unwrap();
        let error = Lock::try_directory(&old, Share::Shared).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(Lock::try_directory(&new, Share::Exclusive).unwrap().is_some());
    }
}
