//! Why a branch cannot be exported or imported.

use std::io;

use sandbox_types::RelPath;

use super::VERSION;
use crate::tarball::TarError;

/// Why a branch could not be exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The branch cannot be read.
    #[error("{path}: cannot be read: {source}")]
    Read {
        /// Where.
        path: RelPath,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file has been written to meanwhile, so that the archive is of no use.
    #[error("{path} has changed while it was read")]
    Changed {
        /// Which.
        path: RelPath,
    },
    /// The archive cannot be written.
    #[error("the archive cannot be written: {0}")]
    Write(#[source] io::Error),
    /// The manifest cannot be written.
    #[error("the archive's manifest cannot be written: {0}")]
    Manifest(#[source] serde_json::Error),
}

impl ExportError {
    /// What a user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Changed { .. } => Some("wait for the command on the branch to end, or stop it"),
            _ => None,
        }
    }

    pub(super) fn read(path: &RelPath) -> impl FnOnce(io::Error) -> Self {
        let path = path.clone();
        move |source| Self::Read { path, source }
    }
}

/// Why an archive could not be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// It cannot be read, or is not in the format.
    #[error("the archive cannot be read: {0}")]
    Read(#[source] io::Error),
    /// It is some other archive.
    #[error("this is not the archive of a branch: it does not begin with manifest.json")]
    NoManifest,
    /// The manifest is damaged.
    #[error("the archive's manifest is damaged: {0}")]
    Manifest(#[source] serde_json::Error),
    /// A later version has written it.
    #[error("the archive is of version {version}, and this program knows {VERSION} at most")]
    Newer {
        /// Its version.
        version: u32,
    },
    /// It was cut off.
    #[error("the archive is incomplete")]
    Truncated,
    /// A name that is not that of an entry of a branch.
    #[error("the archive has an entry with the name {}, which is in no part of a branch", .name.escape_ascii())]
    Name {
        /// As it is in the archive.
        name: Vec<u8>,
    },
    /// Two entries have one name.
    #[error("{path} is in the archive twice")]
    Duplicate {
        /// Which.
        path: RelPath,
    },
    /// A link to something that is not a file before it in the archive.
    #[error("{path} is a link to {}, which is not a file before it in the archive", .target.escape_ascii())]
    Link {
        /// Which.
        path: RelPath,
        /// As it is in the archive.
        target: Vec<u8>,
    },
    /// A kind of entry that a branch does not have in an archive: a device, for instance.
    #[error("{path} is of a kind that is not imported ({})", char::from(*kind))]
    Kind {
        /// Which.
        path: RelPath,
        /// As it is in the archive.
        kind: u8,
    },
    /// It asks for more than is allowed.
    #[error("the archive has more than {limit} {what}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How many are allowed.
        limit: u64,
    },
    /// An entry cannot be written.
    #[error("{path}: cannot be written: {source}")]
    Write {
        /// Which.
        path: RelPath,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ImportError {
    /// What a user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoManifest => {
                Some("such an archive is made by sandbox branch export; unpack others in a branch")
            }
            Self::Read(_) => Some("a compressed archive has to be decompressed first: zstd -dc FILE | …"),
            Self::Newer { .. } => Some("use the version that has written it, or a later one"),
            _ => None,
        }
    }

    pub(super) fn write(path: &RelPath) -> impl FnOnce(io::Error) -> Self {
        let path = path.clone();
        move |source| Self::Write { path, source }
    }

    /// An error where `number` is more than `limit`.
    pub(super) fn unless_within(number: u64, limit: u64, what: &'static str) -> Result<(), Self> {
        if number > limit {
            Err(Self::Limit { what, limit })
        } else {
            Ok(())
        }
    }
}

impl From<TarError> for ImportError {
    fn from(error: TarError) -> Self {
        match error {
            TarError::Read(error) => Self::Read(error),
            TarError::Truncated => Self::Truncated,
            TarError::Limit { what, limit } => Self::Limit { what, limit },
            error @ TarError::Malformed { .. } => {
                Self::Read(io::Error::new(io::ErrorKind::InvalidData, error))
            }
        }
    }
}
