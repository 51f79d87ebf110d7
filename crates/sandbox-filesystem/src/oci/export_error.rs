//! Why a layer is not exported.

use std::io;
use std::path::PathBuf;

use sandbox_types::RelPath;

use crate::backend::overlay::{OverlayError, OverlayProblem};

/// Why a layer is not exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// It cannot be read.
    #[error("{path}: cannot be read: {source}")]
    Read {
        /// Where.
        path: RelPath,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is no directory that can be opened.
    #[error("{path}: cannot be opened: {source}", path = path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Somebody writes to it, or it cannot be found out.
    #[error(transparent)]
    Upper(#[from] OverlayError),
    /// It has changed meanwhile, so that the layer is of no use.
    #[error("{path} has changed while it was read")]
    Changed {
        /// Which.
        path: RelPath,
    },
    /// A name that means something else in a layer.
    #[error("{path}: in a layer, a name that begins with .wh. means that something is not there")]
    Reserved {
        /// Which.
        path: RelPath,
    },
    /// A deletion that no layer can hold.
    #[error("{path}: that it is not there cannot be said in a layer: its name has more than 251 bytes")]
    TooLong {
        /// Which.
        path: RelPath,
    },
    /// Something whose content is elsewhere.
    #[error("{path}: has its content in a layer beneath (redirect_dir or metacopy)")]
    Redirect {
        /// Which.
        path: RelPath,
    },
    /// An attribute that cannot be understood.
    #[error("{path}: user.containers.override_stat has a value that is none")]
    Override {
        /// Which.
        path: RelPath,
    },
    /// A lower layer.
    #[error("{path}: {source}", path = path.display())]
    Lower {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The layer cannot be written.
    #[error("the layer cannot be written: {0}")]
    Write(#[source] io::Error),
}

impl ExportError {
    /// What a user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Upper(error) if error.problems().iter().any(is_in_use) => Some("unmount the overlay first"),
            Self::Changed { .. } => Some("unmount the overlay first"),
            Self::Redirect { .. } => {
                Some("mount the overlay with userxattr, or redirect_dir=off,metacopy=off")
            }
            Self::Override { .. } => Some("take owners as they are: --owners real"),
            _ => None,
        }
    }

    pub(super) fn read(path: &RelPath) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.clone();
        move |source| Self::Read { path, source }
    }
}

fn is_in_use(problem: &OverlayProblem) -> bool {
    matches!(
        problem,
        OverlayProblem::InUse { .. } | OverlayProblem::Mounted { .. }
    )
}
