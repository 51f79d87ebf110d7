//! Why there is no pool.

use std::io;
use std::path::PathBuf;

use crate::error::{PrepareError, StartError};
use crate::fork::ForkError;

/// Why a pool was not made. Nothing is left behind then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// None was to be kept ready.
    #[error("a pool of 0 was asked for; 1 is the least")]
    Empty,
    /// More than a pool keeps ready.
    #[error("a pool of {asked} was asked for, and {most} is the most")]
    TooMany {
        /// How many.
        asked: usize,
        /// The most.
        most: usize,
    },
    /// What is written to a branch is in one place, which one sandbox at a time has.
    #[error("the policy mounts a branch at {at}, which one sandbox at a time can have; a pool is of sandboxes that are apart",
        at = at.display())]
    SharedBranch {
        /// Where.
        at: PathBuf,
    },
    /// The first sandbox did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The first clones were not made.
    #[error(transparent)]
    Fork(#[from] ForkError),
    /// The thread that refills it did not start.
    #[error("cannot start the thread that refills a pool: {source}")]
    Thread {
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl PoolError {
    /// What a user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Start(error) => error.hint(),
            Self::Fork(error) => error.hint(),
            Self::SharedBranch { .. } => Some("fork a template with a branch for each clone instead".into()),
            _ => None,
        }
    }
}

impl From<PrepareError> for PoolError {
    fn from(error: PrepareError) -> Self {
        Self::Start(error.into())
    }
}
