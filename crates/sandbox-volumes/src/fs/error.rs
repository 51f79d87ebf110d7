//! Why something could not be done to a file of a volume.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use sandbox_types::VolumeName;

use super::path::Inner;

/// Why something could not be done to a file of a volume.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FsError {
    /// No path in a volume.
    #[error("{path:?} is no path in a volume: without .. and NUL")]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// A link on the way leads out of the volume.
    #[error("{what} {path}: a link leads out of the volume", path = path.display())]
    Outside {
        /// What was to be done.
        what: &'static str,
        /// Of the volume.
        path: PathBuf,
    },
    /// It is something else than a file.
    #[error("{what} {path}: not a regular file", path = path.display())]
    NotAFile {
        /// What was to be done.
        what: &'static str,
        /// Of the volume.
        path: PathBuf,
    },
    /// It is not UTF-8.
    #[error("{path}: not a text in UTF-8", path = path.display())]
    NotUtf8 {
        /// Of the volume.
        path: PathBuf,
    },
    /// A directory would be copied into itself.
    #[error("{from} cannot be copied to {to}, which is in it", from = from.display(), to = to.display())]
    IntoItself {
        /// The directory.
        from: PathBuf,
        /// Where to.
        to: PathBuf,
    },
    /// Somebody uses it.
    #[error("volume {name} is in use, and cannot be reached from outside meanwhile")]
    InUse {
        /// The volume.
        name: VolumeName,
    },
    /// The system refused it.
    #[error("{what} {path}: {source}", path = path.display())]
    Io {
        /// What was to be done.
        what: &'static str,
        /// Of the volume; of the host where something is taken from there or brought there.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl FsError {
    pub(super) fn new(what: &'static str, path: &Inner) -> impl Fn(io::Error) -> Self + use<> {
        Self::at(what, path.shown())
    }

    pub(super) fn at(what: &'static str, path: impl AsRef<Path>) -> impl Fn(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| match Errno::from_io_error(&source) {
            Some(Errno::XDEV) => Self::Outside {
                what,
                path: path.clone(),
            },
            _ => Self::Io {
                what,
                path: path.clone(),
                source,
            },
        }
    }

    /// What kind of failure it is, as the system sees it.
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Io { source, .. } => source.kind(),
            Self::InUse { .. } => io::ErrorKind::ResourceBusy,
            _ => io::ErrorKind::InvalidInput,
        }
    }
}
