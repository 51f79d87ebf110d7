//! Directories that are locked: flock(2), which ends with whoever holds it.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::FlockOperation;
use rustix::io::Errno as HostErrno;

use super::error::OverlayProblem;
use crate::holder::holder;

/// A directory that nobody else uses as an upper or a staging directory.
#[derive(Debug)]
pub(super) struct Held(File);

impl Held {
    /// Takes the lock, or says who has it.
    pub(super) fn take(directory: OwnedFd, path: &Path) -> Result<Self, OverlayProblem> {
        let file = File::from(directory);
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self(file)),
            Err(HostErrno::WOULDBLOCK) => Err(OverlayProblem::InUse {
                path: path.to_path_buf(),
                holder: holder(&file),
            }),
            Err(error) => Err(OverlayProblem::Open {
                path: path.to_path_buf(),
                source: error.into(),
            }),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Closing would not do while a process that was forked meanwhile has a copy of the descriptor.
        if let Err(error) = rustix::fs::flock(&self.0, FlockOperation::Unlock) {
            tracing::warn!(%error, "unlock");
        }
    }
}
