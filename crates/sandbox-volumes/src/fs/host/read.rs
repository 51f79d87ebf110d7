//! Reading files.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::HostFs;
use crate::fs::beneath::Links;
use crate::fs::error::FsError;
use crate::fs::path::Inner;

const READ: &str = "read";

impl HostFs {
    /// The file at `path`, to be read piece by piece.
    pub(in crate::fs) fn read_stream(&self, path: &Inner) -> Result<File, FsError> {
        self.open_file(path)
    }

    /// At most `length` bytes of the file at `path`, from `offset` on; fewer where it ends before.
    pub(in crate::fs) fn read_range(
        &self,
        path: &Inner,
        offset: u64,
        length: usize,
    ) -> Result<Vec<u8>, FsError> {
        const PIECE: usize = 64 * 1024;
        let failed = FsError::new(READ, path);
        let file = self.open_file(path)?;
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
