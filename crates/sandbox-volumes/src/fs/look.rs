//! Reading files and looking at them.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::error::FsError;
use super::path::Inner;
use super::{DirEntry, FileStat, Files, VolumeFs};
use crate::ext4::CheckReport;

impl VolumeFs {
    /// All of the file at `path`.
    ///
    /// # Errors
    /// Where it is no regular file, or cannot be reached beneath the root.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Vec<u8>, FsError> {
        let path = path.as_ref();
        let mut bytes = Vec::new();
        self.read_stream(path)?
            .read_to_end(&mut bytes)
            .map_err(FsError::at("read", Inner::new(path)?.shown()))?;
        Ok(bytes)
    }

    /// All of the file at `path`, as text.
    ///
    /// # Errors
    /// As [`VolumeFs::read`], and where it is not UTF-8.
    pub fn read_to_string(&self, path: impl AsRef<Path>) -> Result<String, FsError> {
        let path = path.as_ref();
        let bytes = self.read(path)?;
        String::from_utf8(bytes).map_err(|_| FsError::NotUtf8 {
            path: path.to_owned(),
        })
    }

    /// The file at `path`, to be read piece by piece.
    ///
    /// # Errors
    /// As [`VolumeFs::read`].
    pub fn read_stream(&self, path: impl AsRef<Path>) -> Result<Box<dyn Read + Send>, FsError> {
        let path = Inner::new(path.as_ref())?;
        match &self.files {
            Files::Host { fs, .. } => Ok(Box::new(fs.read_stream(&path)?)),
            Files::Disk(fs) => Ok(Box::new(fs.read_stream(&path)?)),
        }
    }

    /// At most `length` bytes of the file at `path`, from `offset` on; fewer where it ends before.
    ///
    /// # Errors
    /// As [`VolumeFs::read`].
    pub fn read_range(&self, path: impl AsRef<Path>, offset: u64, length: usize) -> Result<Vec<u8>, FsError> {
        let path = Inner::new(path.as_ref())?;
        match &self.files {
            Files::Host { fs, .. } => fs.read_range(&path, offset, length),
            Files::Disk(fs) => fs.read_range(&path, offset, length),
        }
    }

    /// What is in the directory at `path`, by name.
    ///
    /// # Errors
    /// Where it is no directory, or cannot be reached beneath the root.
    pub fn list(&self, path: impl AsRef<Path>) -> Result<Vec<DirEntry>, FsError> {
        let path = Inner::new(path.as_ref())?;
        match &self.files {
            Files::Host { fs, .. } => fs.list(&path),
            Files::Disk(fs) => fs.list(&path),
        }
    }

    /// What is at `path`; links are followed as far as they stay beneath the root.
    ///
    /// # Errors
    /// Where there is nothing, or it cannot be reached beneath the root.
    pub fn stat(&self, path: impl AsRef<Path>) -> Result<FileStat, FsError> {
        let path = Inner::new(path.as_ref())?;
        match &self.files {
            Files::Host { fs, .. } => fs.stat(&path),
            Files::Disk(fs) => fs.stat(&path),
        }
    }

    /// What is at `path`; a link is itself.
    ///
    /// # Errors
    /// As [`VolumeFs::stat`].
    pub fn symlink_stat(&self, path: impl AsRef<Path>) -> Result<FileStat, FsError> {
        let path = Inner::new(path.as_ref())?;
        match &self.files {
            Files::Host { fs, .. } => fs.symlink_stat(&path),
            Files::Disk(fs) => fs.symlink_stat(&path),
        }
    }

    /// Whether there is something at `path`; a link that leads nowhere is something.
    ///
    /// # Errors
    /// Where that cannot be known.
    pub fn exists(&self, path: impl AsRef<Path>) -> Result<bool, FsError> {
        match self.symlink_stat(path) {
            Ok(_) => Ok(true),
            Err(FsError::Io { source, .. }) if is_nothing(&source) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What the link at `path` holds.
    ///
    /// # Errors
    /// Where there is no link.
    pub fn read_link(&self, path: impl AsRef<Path>) -> Result<PathBuf, FsError> {
        let path = Inner::new(path.as_ref())?;
        match &self.files {
            Files::Host { fs, .. } => fs.read_link(&path),
            Files::Disk(fs) => fs.read_link(&path),
        }
    }
}

impl VolumeFs {
    /// Looks at all that the file system of a disk says of itself: none for a directory, whose file system is the host's.
    ///
    /// # Errors
    /// Where it is in use, or no ext4 that this version knows.
    pub fn check(&self) -> Result<Option<CheckReport>, FsError> {
        match &self.files {
            Files::Host { .. } => Ok(None),
            Files::Disk(fs) => fs.check().map(Some),
        }
    }
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::NOTDIR))
}
