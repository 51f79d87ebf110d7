//! Reading files.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::VolumeFs;
use super::beneath::Links;
use super::error::FsError;
use super::path::Inner;

const READ: &str = "read";

impl VolumeFs {
    /// All of the file at `path`.
    ///
    /// # Errors
    /// Where it is no regular file, or cannot be reached beneath the root.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Vec<u8>, FsError> {
        let path = Inner::new(path.as_ref())?;
        let mut bytes = Vec::new();
        self.open_file(&path)?
            .read_to_end(&mut bytes)
            .map_err(FsError::new(READ, &path))?;
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
    pub fn read_stream(&self, path: impl AsRef<Path>) -> Result<impl Read + Send + 'static, FsError> {
        self.open_file(&Inner::new(path.as_ref())?)
    }

    /// At most `length` bytes of the file at `path`, from `offset` on; fewer where it ends before.
    ///
    /// # Errors
    /// As [`VolumeFs::read`].
    pub fn read_range(&self, path: impl AsRef<Path>, offset: u64, length: usize) -> Result<Vec<u8>, FsError> {
        const PIECE: usize = 64 * 1024;
        let path = Inner::new(path.as_ref())?;
        let failed = FsError::new(READ, &path);
        let file = self.open_file(&path)?;
        let mut bytes = Vec::new();
        while bytes.len() < length {
            // What is not there takes no memory, however much is asked for.
            let filled = bytes.len();
            bytes.resize(filled + PIECE.min(length - filled), 0);
            let piece = bytes.get_mut(filled..).unwrap_or_default();
            let read = file
                .read_at(piece, offset.saturating_add(filled as u64))
                .map_err(&failed)?;
            bytes.truncate(filled + read);
            if read == 0 {
                break;
            }
        }
        Ok(bytes)
    }

    fn open_file(&self, path: &Inner) -> Result<File, FsError> {
        let found = self
            .root
            .file(path, Links::Follow)
            .map_err(FsError::new(READ, path))?;
        found.ok_or_else(|| FsError::NotAFile {
            what: READ,
            path: path.shown(),
        })
    }
}
