//! Directories of a store in which somebody else can put things.
//!
//! Bits of the group count unless it is the caller's own, since many users' files are their own group's by default.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, fstat, openat};
use rustix::io::Errno;

/// Why what is in a directory is not believed to be the caller's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Distrust {
    /// A link would lead elsewhere.
    #[error("it is a link, or no directory")]
    NotADirectory,
    /// It is somebody else's.
    #[error("it belongs to user {uid}")]
    Owner {
        /// Whose it is.
        uid: u32,
    },
    /// Somebody else can put something there.
    #[error("others than its owner may write to it: its mode is {mode:04o}")]
    Mode {
        /// Its permission bits.
        mode: u32,
    },
    /// It cannot be opened.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The directory at `path`, in which nobody but the caller and root can put anything. Links on the way are the caller's.
pub(super) fn open(path: &Path) -> Result<OwnedFd, Distrust> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = openat(CWD, path, flags, Mode::empty());
    checked(opened.map_err(io::Error::from)?)
}

/// The same of a directory in one that is trusted; it is no link.
pub(super) fn open_in(at: impl AsFd, name: &str) -> Result<OwnedFd, Distrust> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(at, name, flags, Mode::empty()) {
        Err(Errno::NOTDIR | Errno::LOOP) => Err(Distrust::NotADirectory),
        opened => checked(opened.map_err(io::Error::from)?),
    }
}

fn checked(directory: OwnedFd) -> Result<OwnedFd, Distrust> {
    let stat = fstat(&directory).map_err(io::Error::from)?;
    let (uid, mode) = (stat.st_uid, stat.st_mode & 0o7777);
    let is_own_group = stat.st_gid == rustix::process::getegid().as_raw();
    if uid != rustix::process::geteuid().as_raw() && uid != 0 {
        Err(Distrust::Owner { uid })
    } else if mode & 0o002 != 0 || mode & 0o020 != 0 && !is_own_group {
        Err(Distrust::Mode { mode })
    } else {
        Ok(directory)
    }
}
