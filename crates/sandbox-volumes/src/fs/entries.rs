//! Making, renaming and removing entries.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, RenameFlags};
use rustix::io::Errno;

use super::VolumeFs;
use super::beneath::Links;
use super::error::FsError;
use super::path::Inner;
use crate::remove::remove_at;

impl VolumeFs {
    /// Makes a directory.
    ///
    /// # Errors
    /// Where something is there already, or its parent is not there.
    pub fn mkdir(&self, path: impl AsRef<Path>) -> Result<(), FsError> {
        let path = Inner::new(path.as_ref())?;
        self.mkdir_inner(&path).map_err(FsError::new("mkdir", &path))
    }

    /// Makes a directory and those above it; one that is there already is fine.
    ///
    /// # Errors
    /// Where something else than a directory is on the way.
    pub fn mkdir_all(&self, path: impl AsRef<Path>) -> Result<(), FsError> {
        let path = Inner::new(path.as_ref())?;
        let failed = FsError::new("mkdir", &path);
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
    ///
    /// # Errors
    /// Where there is nothing, or a directory.
    pub fn remove(&self, path: impl AsRef<Path>) -> Result<(), FsError> {
        self.unlink(path.as_ref(), AtFlags::empty())
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// Where there is no directory, or something in it.
    pub fn remove_dir(&self, path: impl AsRef<Path>) -> Result<(), FsError> {
        self.unlink(path.as_ref(), AtFlags::REMOVEDIR)
    }

    fn unlink(&self, path: &Path, flags: AtFlags) -> Result<(), FsError> {
        let path = Inner::new(path)?;
        let unlink = || {
            let (parent, name) = self.root.parent(&path, Links::Follow)?;
            Ok(rustix::fs::unlinkat(&parent, name, flags)?)
        };
        unlink().map_err(FsError::new("remove", &path))
    }

    /// Removes what is at `path` and all that is in it. Links are removed themselves.
    ///
    /// # Errors
    /// Where there is nothing, or something in it cannot be removed.
    pub fn remove_dir_all(&self, path: impl AsRef<Path>) -> Result<(), FsError> {
        let path = Inner::new(path.as_ref())?;
        let remove = || {
            let (parent, name) = self.root.parent(&path, Links::Follow)?;
            remove_at(&parent, name)
        };
        remove().map_err(FsError::new("remove", &path))
    }

    /// Gives what is at `from` another name; what had that name is replaced, as by rename(2).
    ///
    /// # Errors
    /// Where that is refused; nothing has changed then.
    pub fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<(), FsError> {
        let (from, to) = (Inner::new(from.as_ref())?, Inner::new(to.as_ref())?);
        let rename = || {
            let (old, old_name) = self.root.parent(&from, Links::Follow)?;
            let (new, new_name) = self.root.parent(&to, Links::Follow)?;
            Ok(rustix::fs::renameat_with(
                &old,
                old_name,
                &new,
                new_name,
                RenameFlags::empty(),
            )?)
        };
        rename().map_err(FsError::new("rename", &from))
    }

    /// Makes a link at `path` that holds `target`, which is not looked at: it may lead anywhere, and is followed
    /// here only as far as it stays beneath the root.
    ///
    /// # Errors
    /// Where something is there already.
    pub fn symlink(&self, target: impl AsRef<Path>, path: impl AsRef<Path>) -> Result<(), FsError> {
        let path = Inner::new(path.as_ref())?;
        let link = || {
            let (parent, name) = self.root.parent(&path, Links::Follow)?;
            Ok(rustix::fs::symlinkat(target.as_ref(), &parent, name)?)
        };
        link().map_err(FsError::new("symlink", &path))
    }

    /// What the link at `path` holds.
    ///
    /// # Errors
    /// Where there is no link.
    pub fn read_link(&self, path: impl AsRef<Path>) -> Result<PathBuf, FsError> {
        let path = Inner::new(path.as_ref())?;
        let read = || -> io::Result<PathBuf> {
            let (parent, name) = self.root.parent(&path, Links::Follow)?;
            let target = rustix::fs::readlinkat(&parent, name, Vec::new())?;
            Ok(std::ffi::OsStr::from_bytes(target.to_bytes()).into())
        };
        read().map_err(|error| match Errno::from_io_error(&error) {
            Some(Errno::INVAL) => FsError::new("readlink", &path)(io::Error::other("not a link")),
            _ => FsError::new("readlink", &path)(error),
        })
    }
}
