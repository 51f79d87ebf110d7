//! Why an archive could not be written or read.

use std::io;
use std::path::PathBuf;

use sandbox_types::ByteSize;

use crate::error::VolumeError;

/// Why an archive could not be written or read. No volume was made then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The volume, not the archive, is the reason.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// It cannot be written.
    #[error("writing the archive: {0}")]
    Write(#[source] io::Error),
    /// It cannot be read.
    #[error("reading the archive: {0}")]
    Read(#[source] io::Error),
    /// It is something else.
    #[error("not an archive of a volume: {0}")]
    Foreign(&'static str),
    /// Something in it is not what a volume has.
    #[error("the archive is refused: {path}: {why}", path = path.display())]
    Refused {
        /// The entry.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// It ends before its end.
    #[error("the archive is cut off")]
    CutOff,
    /// It is not what was written.
    #[error("the archive is damaged: its content is not what its checksum says")]
    Damaged,
    /// More is in it than is allowed.
    #[error("the archive holds more than {limit}")]
    TooLarge {
        /// What is allowed.
        limit: ByteSize,
    },
    /// More is in it than is allowed.
    #[error("the archive holds more than {limit} files")]
    TooMany {
        /// What is allowed.
        limit: u64,
    },
    /// A file changed while it was written to the archive.
    #[error("{path} changed meanwhile", path = path.display())]
    Changed {
        /// Of the volume.
        path: PathBuf,
    },
}

impl ArchiveError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Volume(error) => error.hint(),
            Self::Foreign(_) => Some("make one with: sandbox volume export NAME".into()),
            Self::CutOff | Self::Damaged => Some("export it again".into()),
            _ => None,
        }
    }

    /// What an error of the decompressor or of tar means.
    pub(super) fn reading(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::CutOff,
            _ => Self::Read(error),
        }
    }
}
