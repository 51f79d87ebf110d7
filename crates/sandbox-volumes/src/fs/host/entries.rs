//! Making, renaming and removing entries.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, RenameFlags};
use rustix::io::Errno;

use super::HostFs;
use crate::fs::beneath::Links;
use crate::fs::error::FsError;
use crate::fs::path::Inner;
use crate::remove::remove_at;

impl HostFs {
    /// Makes a directory.
    pub(in crate::fs) fn mkdir(&self, path: &Inner) -> Result<(), FsError> {
        self.mkdir_inner(path).map_err(FsError::new("mkdir", path))
    }

    /// Makes a directory and those above it; one that is there already is fine.
    pub(in crate::fs) fn mkdir_all(&self, path: &Inner) -> Result<(), FsError> {
        let failed = FsError::new("mkdir", path);
        for step in path.steps() {
            match self.mkdir_inner(&step) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    // It has to be a directory, or lead to one.
                    self.root.directory(&step, Links::Follow).map_err(&failed)?;
                }
                result => result.map_err(&failed)?,
            }
        }
        Ok(())
    }

    fn mkdir_inner(&self, path: &Inner) -> io::Result<()> {
        let (parent, name) = self.root.parent(path, Links::Follow)?;
        Ok(rustix::fs::mkdirat(
            &parent,
            name,
            Mode::RWXU | Mode::RWXG | Mode::RWXO,
        )?)
    }

    /// Removes a file, or a link itself.
    pub(in crate::fs) fn remove(&self, path: &Inner) -> Result<(), FsError> {
        self.unlink(path, AtFlags::empty())
    }

    /// Removes an empty directory.
    pub(in crate::fs) fn remove_dir(&self, path: &Inner) -> Result<(), FsError> {
        self.unlink(path, AtFlags::REMOVEDIR)
    }

    fn unlink(&self, path: &Inner, flags: AtFlags) -> Result<(), FsError> {
        let unlink = || {
            let (parent, name) = self.root.parent(path, Links::Follow)?;
            Ok(rustix::fs::unlinkat(&parent, name, flags)?)
        };
        unlink().map_err(FsError::new("remove", path))
    }

    /// Removes what is at `path` and all that is in it. Links are removed themselves.
    pub(in crate::fs) fn remove_dir_all(&self, path: &Inner) -> Result<(), FsError> {
        let remove = || {
            let (parent, name) = self.root.parent(path, Links::Follow)?;
            remove_at(&parent, name)
        };
        remove().map_err(FsError::new("remove", path))
    }

    /// Gives what is at `from` another name; what had that name is replaced, as by rename(2).
    pub(in crate::fs) fn rename(&self, from: &Inner, to: &Inner) -> Result<(), FsError> {
        let rename = || {
            let (old, old_name) = self.root.parent(from, Links::Follow)?;
            let (new, new_name) = self.root.parent(to, Links::Follow)?;
            Ok(rustix::fs::renameat_with(
                &old,
                old_name,
                &new,
                new_name,
                RenameFlags::empty(),
            )?)
        };
        rename().map_err(FsError::new("rename", from))
    }

    /// Makes a link at `path` that holds `target`, which is not looked at: it may lead anywhere, and is followed
    /// here only as far as it stays beneath the root.
    pub(in crate::fs) fn symlink(&self, target: &Path, path: &Inner) -> Result<(), FsError> {
        let link = || {
            let (parent, name) = self.root.parent(path, Links::Follow)?;
            Ok(rustix::fs::symlinkat(target, &parent, name)?)
        };
        link().map_err(FsError::new("symlink", path))
    }

    /// What the link at `path` holds.
    pub(in crate::fs) fn read_link(&self, path: &Inner) -> Result<PathBuf, FsError> {
        let read = || -> io::Result<PathBuf> {
            let (parent, name) = self.root.parent(path, Links::Follow)?;
            let target = rustix::fs::readlinkat(&parent, name, Vec::new())?;
            Ok(std::ffi::OsStr::from_bytes(target.to_bytes()).into())
        };
        read().map_err(|error| match Errno::from_io_error(&error) {
            Some(Errno::INVAL) => FsError::new("readlink", path)(io::Error::other("not a link")),
            _ => FsError::new("readlink", path)(error),
        })
    }
}
