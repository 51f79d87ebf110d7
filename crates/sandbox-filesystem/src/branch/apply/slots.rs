//! Slots: where the version of a path is that is not in the base at the moment.
//!
//! A slot holds the new version before it is put in place, and the old one afterwards. Slots have to be on the
//! base's file system and in its mount, because entries go in and out by rename(2) only. They are in the commit's
//! own directory where that is the case, else in a directory in the base's root, which is removed at the end.
//!
//! The new version of step N is in slot `N`. So is the old one once the two have been exchanged; where the file
//! system cannot exchange, and where the old one is a directory, the old one is in slot `N.old`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::super::beneath::{Root, names};
use super::super::node::Meta;
use super::super::xattr::{self, Xattrs};
use super::crash::crash_point;

/// How names of directories for slots in a base's root begin. They belong in no view and in no comparison.
pub(crate) const STAGING_PREFIX: &str = ".sandbox-commit-";

/// Where the slots are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Staging {
    /// In the directory of the commit.
    Commit,
    /// In the base's root, under this name.
    Base(String),
}

/// How entries are put in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Renames {
    /// Old and new change places in one step.
    Exchange,
    /// The old one leaves, then the new one comes: for file systems without RENAME_EXCHANGE.
    Plain,
}

/// The directory of slots, open.
#[derive(Debug)]
pub(super) struct Slots {
    fd: OwnedFd,
    parent: OwnedFd,
    name: String,
}

const IN_COMMIT: &str = "slots";

impl Staging {
    /// The best place: tried by a rename that fails in any case, but in another way between mounts.
    pub(super) fn choose(base: &Root, commit: &Path) -> io::Result<Self> {
        let slots = Self::Commit.make(base, commit)?;
        let is_same_device = Meta::of(base)?.dev == Meta::of(&slots.fd)?.dev;
        slots.touch("probe")?;
        let tried = rustix::fs::renameat(&slots.fd, "probe", base, ".");
        rustix::fs::unlinkat(&slots.fd, "probe", AtFlags::empty())?;
        // rename(2) looks at the mounts before it looks at the names; `.` is EBUSY.
        if is_same_device && tried == Err(Errno::BUSY) {
            return Ok(Self::Commit);
        }
        slots.remove()?;
        // The inode number: two users may each have a commit of that name for one base.
        let id = commit.file_name().unwrap_or_default().to_string_lossy();
        let ino = Meta::of_path(commit)?.ino;
        Ok(Self::Base(format!("{STAGING_PREFIX}{id}-{ino:x}")))
    }

    /// Makes the directory, or takes it as it is.
    pub(super) fn make(&self, base: &Root, commit: &Path) -> io::Result<Slots> {
        let (parent, name) = self.place(base, commit)?;
        match rustix::fs::mkdirat(&parent, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let slots = self.open(base, commit)?;
        // What is made in it must not inherit an access control list.
        xattr::replace(slots.fd.as_fd(), &Xattrs::default())?;
        crash_point("slots made");
        Ok(slots)
    }

    /// Opens the directory. A link in its place is not followed.
    pub(super) fn open(&self, base: &Root, commit: &Path) -> io::Result<Slots> {
        let (parent, name) = self.place(base, commit)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&parent, name, flags, Mode::empty())?;
        // In a base that others may write, somebody else could have made it.
        if Meta::of(&fd)?.uid != rustix::process::geteuid().as_raw() {
            return Err(Errno::PERM.into());
        }
        let name = name.to_owned();
        Ok(Slots { fd, parent, name })
    }

    /// Where it is, for messages.
    pub(super) fn path(&self, base: &Path, commit: &Path) -> PathBuf {
        match self {
            Self::Commit => commit.join(IN_COMMIT),
            Self::Base(name) => base.join(name),
        }
    }

    /// The directory it is in, and its name there.
    fn place(&self, base: &Root, commit: &Path) -> io::Result<(OwnedFd, &str)> {
        Ok(match self {
            Self::Commit => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let parent = rustix::fs::open(commit, flags, Mode::empty())?;
                (parent, IN_COMMIT)
            }
            Self::Base(name) => (base.as_fd().try_clone_to_owned()?, name),
        })
    }

    /// Whether what was saved has to be copied away, because the slots do not stay.
    pub(super) fn is_in_base(&self) -> bool {
        matches!(self, Self::Base(_))
    }
}

/// The slot of the new version of step `index`.
pub(super) fn new_slot(index: usize) -> String {
    index.to_string()
}

/// The slot of its old version.
pub(super) fn old_slot(index: usize, is_dir: bool, renames: Renames) -> String {
    if is_dir || renames == Renames::Plain {
        format!("{index}.old")
    } else {
        index.to_string()
    }
}

impl Slots {
    /// What the file system of the base can do, tried.
    pub(super) fn renames(&self) -> io::Result<Renames> {
        #[cfg(test)]
        if FORCED_PLAIN.get() {
            return Ok(Renames::Plain);
        }
        let probes = ["probe", "probe.old"];
        for name in probes {
            self.touch(name)?;
        }
        let flags = RenameFlags::EXCHANGE;
        let result = rustix::fs::renameat_with(&self.fd, "probe", &self.fd, "probe.old", flags);
        for name in probes {
            rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())?;
        }
        match result {
            Ok(()) => Ok(Renames::Exchange),
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(Renames::Plain),
            Err(errno) => Err(errno.into()),
        }
    }

    fn touch(&self, name: &str) -> io::Result<()> {
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
        rustix::fs::openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(())
    }

    /// Removes every slot, but not the directory. Slots hold no full directory.
    pub(super) fn clear(&self) -> io::Result<()> {
        for name in names(self.fd.as_fd())? {
            match rustix::fs::unlinkat(&self.fd, &name, AtFlags::empty()) {
                Err(Errno::ISDIR | Errno::PERM) => {
                    rustix::fs::unlinkat(&self.fd, &name, AtFlags::REMOVEDIR)?;
                }
                result => result?,
            }
        }
        Ok(())
    }

    /// Removes the directory with all that is in it.
    pub(super) fn remove(self) -> io::Result<()> {
        self.clear()?;
        rustix::fs::unlinkat(&self.parent, &self.name, AtFlags::REMOVEDIR)?;
        crash_point("slots removed");
        Ok(())
    }
}

impl AsFd for Slots {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
thread_local! {
    static FORCED_PLAIN: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Lets this thread believe that no file system can exchange.
#[cfg(test)]
pub(super) fn force_plain_renames(is_forced: bool) {
    FORCED_PLAIN.set(is_forced);
}
