//! Why a process could not be confined.

use std::io;
use std::path::PathBuf;

use crate::seccomp::SeccompError;

/// Why [`OwnWalls::enter`](super::OwnWalls::enter) has failed. Some of the walls may stand.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OwnWallsError {
    /// The other threads would stay outside.
    #[error("a process with {threads} threads cannot confine itself")]
    Threads {
        /// How many there are.
        threads: usize,
    },
    /// A path that should be reached cannot be.
    #[error("{path}: {source}", path = path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nothing keeps other files from being read and written.
    #[error("nothing here keeps a server from other files: it may not mount, and Landlock is {}", version(*.landlock_abi))]
    NoWall {
        /// Landlock's ABI version; 0 where the kernel has none.
        landlock_abi: u32,
    },
    /// A capability that is none.
    #[error("{name:?} is not a capability that can be kept")]
    Capability {
        /// Its name.
        name: &'static str,
    },
    /// The filter cannot be built.
    #[error(transparent)]
    Filter(#[from] SeccompError),
    /// Landlock refuses.
    #[error("Landlock: {source}")]
    Landlock {
        /// Why.
        #[source]
        source: landlock::RulesetError,
    },
    /// A system call has failed.
    #[error("{what}: {source}")]
    Kernel {
        /// What was done.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl OwnWallsError {
    pub(super) fn kernel<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::Kernel {
            what,
            source: error.into(),
        }
    }

    /// What a user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoWall { .. } => Some("use Linux 6.2 or later with Landlock; see: sandbox doctor"),
            _ => None,
        }
    }
}

fn version(abi: u32) -> String {
    match abi {
        0 => "missing".to_owned(),
        abi => format!("too old (ABI {abi}, and 3 is needed)"),
    }
}
