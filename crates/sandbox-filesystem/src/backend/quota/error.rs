//! Why a quota cannot be kept.

use std::io;
use std::path::PathBuf;

/// Why a quota cannot be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuotaError {
    /// Nothing could ever be written.
    #[error("a quota of zero")]
    Zero,
    /// Another server counts the same tree.
    #[error("another server holds the root")]
    Busy,
    /// The root cannot be locked or looked at.
    #[error("lock the root")]
    Root(#[source] io::Error),
    /// There is no state directory.
    #[error("no directory for the quota's state")]
    NoStateDirectory,
    /// The state directory is in the tree whose size it is about.
    #[error("{path}: the quota's state would be inside the tree", path = .path.display())]
    StateInside {
        /// The state directory.
        path: PathBuf,
    },
    /// The state cannot be read or written.
    #[error("{path}: cannot be read or written", path = .path.display())]
    State {
        /// The state file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The state is of a later version.
    #[error("{path}: version {version} of a quota's state is not known", path = .path.display())]
    Version {
        /// The state file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
}

impl QuotaError {
    /// What can be done about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Zero => Some("leave the quota out for none, or make it larger"),
            Self::Busy => {
                Some("one server counts a tree: stop the other one, or serve a directory beside it")
            }
            Self::NoStateDirectory => Some("set HOME or XDG_STATE_HOME, or call Quota::state_dir()"),
            Self::StateInside { .. } => Some("call Quota::state_dir() with a directory outside of the tree"),
            Self::Version { .. } => {
                Some("it was written by a newer version: use that, or remove the file to count anew")
            }
            Self::Root(_) | Self::State { .. } => None,
        }
    }
}
