//! Stopping everything in a group at once.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use super::{Cgroup, Controller, Version, files};

/// A process in the middle of an uninterruptible call freezes when that call returns.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why the group is not frozen or not thawed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FreezeError {
    /// No freezer is available to this group.
    #[error("the group has no freezer")]
    NoFreezer,
    /// The kernel refused.
    #[error("{}: write", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Some process does not stop, for instance because it waits for a disk; the request stands.
    #[error("{}: not every process stopped within {PATIENCE:?}", path.display())]
    Unfinished {
        /// The group.
        path: PathBuf,
    },
}

impl Cgroup {
    /// Stops every process in the group; returns when all of them are stopped.
    pub fn freeze(&self) -> Result<(), FreezeError> {
        let slot = self.slot(Controller::Freezer).ok_or(FreezeError::NoFreezer)?;
        freeze(&slot.dir, slot.version)
    }

    /// Lets every process in the group go on.
    pub fn thaw(&self) -> Result<(), FreezeError> {
        let slot = self.slot(Controller::Freezer).ok_or(FreezeError::NoFreezer)?;
        thaw(&slot.dir, slot.version)
    }
}

pub(super) fn freeze(dir: &Path, version: Version) -> Result<(), FreezeError> {
    let unfinished = || FreezeError::Unfinished { path: dir.to_owned() };
    match version {
        Version::V2 => {
            write(dir.join("cgroup.freeze"), "1")?;
            let events = dir.join("cgroup.events");
            // An empty group never counts as frozen.
            let done = || {
                files::field(&events, "frozen") == Some(1) || files::field(&events, "populated") == Some(0)
            };
            files::retry(PATIENCE, || done().then_some(())).ok_or_else(unfinished)
        }
        Version::V1 => {
            let state = dir.join("freezer.state");
            write(state.clone(), "FROZEN")?;
            let done = || fs::read_to_string(&state).is_ok_and(|state| state.trim() == "FROZEN");
            files::retry(PATIENCE, || done().then_some(())).ok_or_else(unfinished)
        }
    }
}

pub(super) fn thaw(dir: &Path, version: Version) -> Result<(), FreezeError> {
    match version {
        Version::V2 => write(dir.join("cgroup.freeze"), "0"),
        Version::V1 => write(dir.join("freezer.state"), "THAWED"),
    }
}

fn write(path: PathBuf, value: &str) -> Result<(), FreezeError> {
    files::write(&path, value).map_err(|source| FreezeError::Write { path, source })
}
