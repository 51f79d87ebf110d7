//! Files of lower layers that have several names, and were copied up under one of them.
//!
//! Each has a link in the index, under a name made of what it was. Whoever looks up another of its names in the lower layer
//! finds the copy there. How many of those names are left is kept in the copy's `user.overlay.nlink`.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, CWD, Dir, Mode, Statx};
use rustix::io::Errno as HostErrno;

use super::attributes::{mark, unmark};
use super::crash::crash_point;
use super::look::xattr;
use super::staging::Staged;
use crate::backend::passthrough::host;
use crate::backend::passthrough::inode::Identity;
use crate::backend::passthrough::resolve::STAND_IN;
use crate::backend::union::marks;
use crate::fs::{Errno, FsResult};

/// How names end that say how many names have gone.
const GONE: &str = ".gone";

/// The directory with the links.
#[derive(Debug)]
pub(super) struct Index {
    dir: OwnedFd,
    /// Nothing is looked up while nothing is there.
    used: AtomicBool,
}

/// A copy that is in the index.
#[derive(Debug)]
pub(super) struct Copied<'a> {
    index: &'a Index,
    name: OsString,
    file: OwnedFd,
}

impl Copied<'_> {
    pub(super) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Takes it out of the index: all its names are in the upper.
    pub(super) fn forget(self) -> FsResult<()> {
        unmark(self.file.as_fd(), marks::NLINK)?;
        crash_point("names: unmarked");
        Ok(rustix::fs::unlinkat(
            &self.index.dir,
            &self.name,
            AtFlags::empty(),
        )?)
    }
}

impl Index {
    pub(super) fn new(dir: OwnedFd, used: bool) -> Self {
        Self {
            dir,
            used: AtomicBool::new(used),
        }
    }

    pub(super) fn is_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    /// The copy of a file of a lower layer. `EIO` where something else is in its place.
    pub(super) fn find(&self, identity: Identity) -> FsResult<Option<(OwnedFd, Statx)>> {
        if !self.is_used() {
            return Ok(None);
        }
        let file = match rustix::fs::openat(&self.dir, identity.key(), STAND_IN, Mode::empty()) {
            Ok(file) => file,
            Err(HostErrno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let stat = host::stat(file.as_fd())?;
        if u32::from(stat.stx_mode) & libc::S_IFMT == libc::S_IFDIR {
            return Err(Errno::EIO);
        }
        Ok(Some((file, stat)))
    }

    /// Another name, in the index, of a file that was just made.
    pub(super) fn add(&self, identity: Identity, dir: BorrowedFd<'_>, name: &OsStr) -> FsResult<()> {
        let key = identity.key();
        self.used.store(true, Ordering::Relaxed);
        match rustix::fs::linkat(dir, name, &self.dir, key.as_str(), AtFlags::empty()) {
            // Nobody knows it, or it would have been found: it stayed when its last name went.
            Err(HostErrno::EXIST) => {
                rustix::fs::unlinkat(&self.dir, key.as_str(), AtFlags::empty())?;
                Ok(rustix::fs::linkat(
                    dir,
                    name,
                    &self.dir,
                    key.as_str(),
                    AtFlags::empty(),
                )?)
            }
            other => Ok(other?),
        }
    }

    /// How many names of a file have gone before it was copied up.
    pub(super) fn names_gone(&self, identity: Identity) -> FsResult<i32> {
        if !self.is_used() {
            return Ok(0);
        }
        match rustix::fs::readlinkat(&self.dir, gone(identity), Vec::new()) {
            Ok(number) => {
                let number = number.to_str().ok().and_then(|text| text.parse().ok());
                number.filter(|number| *number > 0).ok_or(Errno::EIO)
            }
            Err(HostErrno::NOENT) => Ok(0),
            Err(HostErrno::INVAL) => Err(Errno::EIO),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps that number, as the target of a link, which is there or is not; nothing where all have gone, or none.
    pub(super) fn keep_names_gone(
        &self,
        identity: Identity,
        number: i32,
        staged: Staged<'_>,
    ) -> FsResult<()> {
        if number <= 0 {
            return self.remove(&gone(identity));
        }
        self.used.store(true, Ordering::Relaxed);
        staged.link_to(number)?;
        staged.replace(self.dir.as_fd(), gone(identity).as_ref())
    }

    /// The copies that are in it.
    pub(super) fn copies(&self) -> FsResult<impl Iterator<Item = FsResult<Copied<'_>>>> {
        let names = self.names()?.into_iter();
        let copies = names.filter(|name| !name.as_bytes().ends_with(GONE.as_bytes()));
        Ok(copies.map(|name| {
            let file = rustix::fs::openat(&self.dir, &name, STAND_IN, Mode::empty())?;
            Ok(Copied {
                index: self,
                name,
                file,
            })
        }))
    }

    /// Removes all that is left in it.
    pub(super) fn clear(&self) -> FsResult<()> {
        for name in self.names()? {
            rustix::fs::unlinkat(&self.dir, &name, AtFlags::empty())?;
        }
        self.used.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn names(&self) -> FsResult<Vec<OsString>> {
        let mut found = Vec::new();
        for entry in Dir::read_from(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                found.push(OsStr::from_bytes(name).to_owned());
            }
        }
        Ok(found)
    }

    /// The last name has gone.
    pub(super) fn remove(&self, key: &str) -> FsResult<()> {
        match rustix::fs::unlinkat(&self.dir, key, AtFlags::empty()) {
            Ok(()) | Err(HostErrno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn gone(identity: Identity) -> String {
    format!("{}{GONE}", identity.key())
}

/// How many names of a copy are not in the upper, less the one in the index; `EIO` where that makes no sense.
pub(super) fn links(file: BorrowedFd<'_>) -> FsResult<i32> {
    match xattr(file, 0, marks::NLINK)? {
        None => Ok(0),
        Some(value) => marks::parse_nlink(&value).ok_or(Errno::EIO),
    }
}

/// Keeps that number.
pub(super) fn set_links(file: BorrowedFd<'_>, links: i32) -> FsResult<()> {
    mark(file, marks::NLINK, marks::format_nlink(links).as_bytes())
}

/// Another name of a file that is only known by its descriptor.
pub(super) fn link(file: BorrowedFd<'_>, dir: BorrowedFd<'_>, name: &OsStr) -> FsResult<()> {
    let path = host::proc_path(file);
    Ok(rustix::fs::linkat(
        CWD,
        path.as_c_str(),
        dir,
        name,
        AtFlags::SYMLINK_FOLLOW,
    )?)
}
