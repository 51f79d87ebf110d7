//! Why a layer is not imported.

use std::io;
use std::path::PathBuf;

use sandbox_types::RelPath;

use super::digest::Digest;
use super::distrust::Distrust;
use super::name::NameProblem;
use super::stream::{Bomb, Foreign};
use crate::tarball::TarError;

/// Why a layer is not imported. Nothing of it is left then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayerError {
    /// It cannot be read, or not be decompressed.
    #[error("the layer cannot be read: {0}")]
    Read(#[source] io::Error),
    /// It ends before its end.
    #[error("the layer is cut off")]
    Truncated,
    /// It is no tar archive, or none that a program would write.
    #[error("the layer is refused: {0}")]
    Malformed(#[source] io::Error),
    /// It asks for more than is allowed.
    #[error("the layer is refused: more than {limit} {what}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How many are allowed.
        limit: u64,
    },
    /// It becomes much more than it is.
    #[error("the layer is refused: decompressed it is more than {ratio} times its size")]
    Ratio {
        /// What is allowed.
        ratio: u64,
    },
    /// It is compressed by something that layers are not.
    #[error("the layer is compressed by {program}, and layers are by gzip, zstd or nothing")]
    Compression {
        /// What can decompress it.
        program: &'static str,
    },
    /// It is an archive of whole images.
    #[error("the archive has images in it ({sign}) and is no layer itself")]
    Images {
        /// What is in it.
        sign: &'static str,
    },
    /// An entry's name.
    #[error("the layer is refused: an entry with the name {}, which {problem}", .name.escape_ascii())]
    Name {
        /// As it is in the layer.
        name: Vec<u8>,
        /// What is wrong with it.
        problem: NameProblem,
    },
    /// Two entries have one name.
    #[error("the layer is refused: {path} is in it twice")]
    Duplicate {
        /// Which.
        path: RelPath,
    },
    /// Something is in what is no directory of the layer: a link perhaps.
    #[error("the layer is refused: {path} is beneath {parent}, which is no directory")]
    NotInDirectory {
        /// Which.
        path: RelPath,
        /// What it would be in.
        parent: RelPath,
    },
    /// A hard link to something that is not before it in the layer.
    #[error("the layer is refused: {path} is a link to {}, which is not a file before it in the layer", .target.escape_ascii())]
    Link {
        /// Which.
        path: RelPath,
        /// As it is in the layer.
        target: Vec<u8>,
    },
    /// A whiteout that is no empty file.
    #[error("the layer is refused: the whiteout {path} is no empty file")]
    Whiteout {
        /// Which.
        path: RelPath,
    },
    /// A device.
    #[error("the layer is refused: {path} is a device ({kind} {major}:{minor})")]
    Device {
        /// Which.
        path: RelPath,
        /// `c` or `b`.
        kind: char,
        /// Its number.
        major: u32,
        /// Its number.
        minor: u32,
    },
    /// A kind of entry that layers do not have.
    #[error("the layer is refused: {path} is of the unknown kind {:?}", char::from(*kind))]
    Kind {
        /// Which.
        path: RelPath,
        /// As it is in the layer.
        kind: u8,
    },
    /// The layer is not the one that was asked for.
    #[error("the layer is not what it should be: its {what} is {found}, not {expected}")]
    Digest {
        /// `digest` of what was read, or `diff_id` of the archive in it.
        what: &'static str,
        /// What it should be.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// An owner that only root may give a file.
    #[error("{path}: its owner cannot be set")]
    Owner {
        /// Which.
        path: RelPath,
    },
    /// An attribute without which the layer would mean something else.
    #[error("{path}: the file system does not keep the attribute {}", .name.escape_ascii())]
    Attribute {
        /// Which.
        path: RelPath,
        /// Of the attribute.
        name: Vec<u8>,
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
    /// The directory that layers are kept in.
    #[error("{path}: {what}: {source}", path = path.display())]
    Store {
        /// Where.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Layers are not kept where others can put something.
    #[error("{path}: not trusted with layers: {reason}", path = path.display())]
    Distrusted {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        reason: Distrust,
    },
    /// What is kept there already.
    #[error("{path}: not a layer that was imported", path = path.display())]
    Foreign {
        /// Where.
        path: PathBuf,
    },
}

impl LayerError {
    /// What a user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Compression { .. } => {
                Some("decompress it, and import standard input: sandbox layer import -")
            }
            Self::Images { .. } => Some(
                "make a layout of it: skopeo copy oci-archive:FILE oci:DIR, or docker-archive:FILE; then import DIR",
            ),
            Self::Device { .. } => Some("leave devices out: --devices skip; keep them: --devices keep"),
            Self::Owner { .. } => Some("keep owners in an attribute: --owners virtual"),
            Self::Attribute { .. } => {
                Some("layers need a file system with user extended attributes: ext4, xfs, btrfs, tmpfs")
            }
            Self::Ratio { .. } => Some("if you trust it, allow more: --max-ratio"),
            Self::Limit { what: "entries", .. } => Some("if you trust it, allow more: --max-entries"),
            Self::Limit { what: "bytes", .. } => Some("if you trust it, allow more: --max-size"),
            Self::Distrusted { .. } => {
                Some("import to a directory that is yours, and that nobody else may write to")
            }
            Self::Foreign { .. } => Some("import to an empty directory, or remove it"),
            _ => None,
        }
    }

    pub(super) fn write(path: &RelPath) -> impl FnOnce(io::Error) -> Self {
        let path = path.clone();
        move |source| Self::Write { path, source }
    }

    /// An error where `number` is more than `limit`.
    pub(super) fn unless_within(number: u64, limit: u64, what: &'static str) -> Result<(), Self> {
        let is_within = number <= limit;
        is_within.then_some(()).ok_or(Self::Limit { what, limit })
    }

    /// What an error of the stream means.
    pub(super) fn reading(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::Truncated;
        }
        let error = match error.downcast::<Bomb>() {
            Ok(bomb) => return Self::Ratio { ratio: bomb.ratio },
            Err(error) => error,
        };
        match error.downcast::<Foreign>() {
            Ok(Foreign { program }) => Self::Compression { program },
            Err(error) => Self::Read(error),
        }
    }
}

impl From<TarError> for LayerError {
    fn from(error: TarError) -> Self {
        match error {
            TarError::Read(error) => Self::reading(error),
            TarError::Truncated => Self::Truncated,
            TarError::Limit { what, limit } => Self::Limit { what, limit },
            error @ TarError::Malformed { .. } => {
                Self::Malformed(io::Error::new(io::ErrorKind::InvalidData, error))
            }
        }
    }
}
