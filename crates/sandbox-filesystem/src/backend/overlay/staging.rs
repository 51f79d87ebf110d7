//! Where things are that are not finished: a directory beside the upper, from which they are renamed to their place.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, RenameFlags};
use rustix::io::Errno as HostErrno;

use super::attributes::mark;
use super::lend::with_mode;
use crate::backend::passthrough::dir::CHUNK;
use crate::backend::passthrough::host;
use crate::backend::passthrough::resolve::STAND_IN;
use crate::backend::union::marks;
use crate::fs::{Errno, FsResult};

/// A whiteout that others are links of, as the kernel has it: one inode for thousands of names.
const SHARED: &str = "whiteout";

/// What whiteouts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Whiteouts {
    /// Devices 0/0.
    #[default]
    Devices,
    /// Empty files with an attribute, in directories that say so.
    Attributes,
}

/// What is done with whiteouts, as far as the filesystem can.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Means {
    pub(super) whiteouts: Whiteouts,
    /// Whether a rename can leave one.
    pub(super) renames_leave: bool,
}

/// A directory of our own. Names in it are never used twice.
#[derive(Debug)]
pub(super) struct Staging {
    dir: OwnedFd,
    next: AtomicU64,
    means: Means,
}

/// Something in staging, removed when it is dropped before it was taken.
#[derive(Debug)]
pub(super) struct Staged<'a> {
    staging: &'a Staging,
    pub(super) name: OsString,
    taken: bool,
}

impl Staging {
    /// Takes an empty directory.
    pub(super) fn new(dir: OwnedFd) -> Self {
        Self {
            dir,
            next: AtomicU64::new(0),
            means: Means::default(),
        }
    }

    /// What it was found to have.
    pub(super) fn with_means(self, means: Means) -> Self {
        Self { means, ..self }
    }

    pub(super) fn means(&self) -> Means {
        self.means
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// A name for something that the caller makes now.
    pub(super) fn name(&self) -> Staged<'_> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Staged {
            staging: self,
            name: OsString::from(format!("{number:x}")),
            taken: false,
        }
    }

    /// Puts a whiteout where there is nothing.
    pub(super) fn whiteout(&self, dir: BorrowedFd<'_>, name: &OsStr) -> FsResult<()> {
        let link = || rustix::fs::linkat(&self.dir, SHARED, dir, name, AtFlags::empty());
        match link() {
            Err(HostErrno::NOENT) => {}
            // As many links as there can be: another one is shared from now on.
            Err(HostErrno::MLINK) => match rustix::fs::unlinkat(&self.dir, SHARED, AtFlags::empty()) {
                Ok(()) | Err(HostErrno::NOENT) => {}
                Err(error) => return Err(error.into()),
            },
            other => return Ok(other?),
        }
        // Others must not find one that is not finished.
        let made = self.name();
        make_whiteout(self.fd(), &made.name, self.means.whiteouts)?;
        match made.try_put(self.fd(), OsStr::new(SHARED)) {
            Ok(()) => made.was_put(),
            Err(Errno::EEXIST) => {}
            Err(error) => return Err(error),
        }
        Ok(link()?)
    }

    /// A whiteout that is to take something's place.
    pub(super) fn staged_whiteout(&self) -> FsResult<Staged<'_>> {
        let staged = self.name();
        self.whiteout(self.fd(), &staged.name)?;
        Ok(staged)
    }
}

impl Staged<'_> {
    /// Gives it a name where there is none yet. `EEXIST`. Said to [`was_put`](Self::was_put) when it is done.
    pub(super) fn try_put(&self, dir: BorrowedFd<'_>, name: &OsStr) -> FsResult<()> {
        let flags = RenameFlags::NOREPLACE;
        Ok(rustix::fs::renameat_with(
            self.staging.fd(),
            &self.name,
            dir,
            name,
            flags,
        )?)
    }

    /// It is in staging no more.
    pub(super) fn was_put(mut self) {
        self.taken = true;
    }

    /// Gives it a name, whatever had it.
    pub(super) fn replace(self, dir: BorrowedFd<'_>, name: &OsStr) -> FsResult<()> {
        rustix::fs::renameat(self.staging.fd(), &self.name, dir, name)?;
        self.was_put();
        Ok(())
    }

    /// Makes it a link whose target is a number.
    pub(super) fn link_to(&self, number: i32) -> FsResult<()> {
        let fd = self.staging.fd();
        Ok(rustix::fs::symlinkat(number.to_string(), fd, &self.name)?)
    }

    /// Takes what has a name into staging.
    pub(super) fn take(&self, dir: BorrowedFd<'_>, name: &OsStr) -> FsResult<()> {
        Ok(rustix::fs::renameat(dir, name, self.staging.fd(), &self.name)?)
    }

    /// Swaps it with what has a name; that is in staging from then on.
    pub(super) fn exchange(&self, dir: BorrowedFd<'_>, name: &OsStr) -> FsResult<()> {
        let flags = RenameFlags::EXCHANGE;
        Ok(rustix::fs::renameat_with(
            self.staging.fd(),
            &self.name,
            dir,
            name,
            flags,
        )?)
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        // What stays is removed when the next overlay is built.
        if let Err(error) = remove(self.staging.fd(), &self.name) {
            tracing::warn!(%error, name = %self.name.display(), "something stays in staging");
        }
    }
}

/// The device 0/0, which needs no privilege, or a file.
pub(super) fn make_whiteout(dir: BorrowedFd<'_>, name: &OsStr, whiteouts: Whiteouts) -> FsResult<()> {
    match whiteouts {
        Whiteouts::Devices => Ok(rustix::fs::mknodat(
            dir,
            name,
            FileType::CharacterDevice,
            Mode::empty(),
            0,
        )?),
        Whiteouts::Attributes => {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let file = rustix::fs::openat(dir, name, flags, Mode::RUSR | Mode::WUSR)?;
            mark(file.as_fd(), marks::WHITEOUT, b"y")
        }
    }
}

/// Removes a file, or a directory in which there is nothing but whiteouts; nothing there is fine.
pub(super) fn remove(dir: BorrowedFd<'_>, name: &OsStr) -> FsResult<()> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(HostErrno::NOENT) => Ok(()),
        Err(HostErrno::ISDIR | HostErrno::PERM) => {
            // Its mode is somebody else's idea, and stays as it is for whoever has it open.
            let inner = rustix::fs::openat(dir, name, STAND_IN, Mode::empty())?;
            with_mode(inner.as_fd(), 0o700, || {
                let listed = host::reopen_dir(inner.as_fd())?;
                clear_whiteouts(listed.as_fd(), Whiteouts::Attributes)
            })?;
            Ok(rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)?)
        }
        Err(error) => Err(error.into()),
    }
}

/// Unlinks all whiteouts in a directory that is open for listing: devices, and where it is said, those that are attributes.
pub(super) fn clear_whiteouts(dir: BorrowedFd<'_>, whiteouts: Whiteouts) -> FsResult<()> {
    let mut found = Vec::new();
    let mut buffer = Vec::<u8>::with_capacity(CHUNK);
    let mut raw = RawDir::new(dir, buffer.spare_capacity_mut());
    while let Some(entry) = raw.next() {
        let entry = entry?;
        let may_be = match entry.file_type() {
            FileType::CharacterDevice | FileType::Unknown => true,
            FileType::RegularFile => whiteouts == Whiteouts::Attributes,
            _ => false,
        };
        if may_be {
            found.push(OsStr::from_bytes(entry.file_name().to_bytes()).to_owned());
        }
    }
    for name in found {
        if super::look::is_whiteout_at(dir, &name, whiteouts)? {
            rustix::fs::unlinkat(dir, &name, AtFlags::empty())?;
        }
    }
    Ok(())
}
