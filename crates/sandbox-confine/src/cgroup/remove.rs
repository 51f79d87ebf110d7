//! Taking a group away.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use thiserror::Error;

use super::{Cgroup, files};

/// The kernel lets go of a group a moment after its last process has ended, and tells nobody.
const PATIENCE: Duration = Duration::from_millis(500);

/// Why a directory is still there; the other directories of the group are gone.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RemoveError {
    /// Something is still in it.
    #[error("{}: still in use by {processes} processes after {PATIENCE:?}", path.display())]
    Busy {
        /// The directory.
        path: PathBuf,
        /// How many processes; 0: a group beneath it, or the kernel itself.
        processes: usize,
    },
    /// The kernel refused.
    #[error("{}: remove", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

impl Cgroup {
    /// Removes the group, waiting a short bounded time for its last processes to be gone.
    pub fn remove(mut self) -> Result<(), RemoveError> {
        let removed = directories(&self.directories());
        // Drop has nothing left to try.
        self.slots.clear();
        removed
    }
}

/// Removes each directory; the first error, after all were tried.
pub(super) fn directories<P: AsRef<Path>>(dirs: &[P]) -> Result<(), RemoveError> {
    dirs.iter()
        .map(|dir| directory(dir.as_ref()))
        .fold(Ok(()), Result::and)
}

fn directory(dir: &Path) -> Result<(), RemoveError> {
    let removed = files::retry(PATIENCE, || match fs::remove_dir(dir) {
        Err(error) if error.raw_os_error() == Some(Errno::EBUSY as i32) => None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Ok(())),
        other => Some(other),
    });
    match removed {
        Some(Ok(())) => Ok(()),
        Some(Err(source)) => Err(RemoveError::Directory {
            path: dir.to_owned(),
            source,
        }),
        None => {
            let processes = files::processes(dir).map_or(0, |pids| pids.len());
            Err(RemoveError::Busy {
                path: dir.to_owned(),
                processes,
            })
        }
    }
}
