//! Directories that are locked: flock(2), which ends with whoever holds it.

use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::FlockOperation;
use rustix::io::Errno as HostErrno;

use super::check;
use super::error::{OverlayError, OverlayProblem};
use crate::backend::passthrough::host;
use crate::holder::holder;

/// A writable directory that is no overlay's: it has the same lock, for as long as this is kept.
///
/// For filesystems of other kinds that write to a directory in the format of overlays, as a
/// [`DualFs`](crate::backend::DualFs) does.
#[derive(Debug)]
pub struct HeldUpper(#[expect(dead_code, reason = "the lock is held until it is dropped")] Held);

impl HeldUpper {
    /// Locks a directory that is neither one of the others, nor in one, nor has one in it.
    ///
    /// # Errors
    /// [`OverlayProblem::InUse`], which names who has it where that can be told; [`OverlayProblem::Twice`] and
    /// [`OverlayProblem::Inside`]; what is in the way of opening them.
    pub fn take(upper: &Path, others: &[&Path]) -> Result<Self, OverlayError> {
        let mut all = vec![check::open(upper)?];
        for other in others {
            all.push(check::open(other)?);
        }
        let problems = check::apart(&all, &[]);
        if !problems.is_empty() {
            return Err(OverlayError::new(problems));
        }
        let opened = all.swap_remove(0);
        Ok(Self(Held::of(&opened)?))
    }
}

/// A directory that nobody else uses as an upper or a staging directory.
#[derive(Debug)]
pub(super) struct Held(File);

impl Held {
    /// As `take`; the kernel may not have it either.
    pub(super) fn of(directory: &check::Opened) -> Result<Self, OverlayProblem> {
        if let Some(at) = check::mounted(directory) {
            let path = directory.path.clone();
            return Err(OverlayProblem::Mounted { path, at });
        }
        let opened = host::reopen_dir(directory.fd.as_fd()).map_err(|error| OverlayProblem::Open {
            path: directory.path.clone(),
            source: error.into(),
        })?;
        Self::take(opened, &directory.path)
    }

    /// Takes the lock, or says who has it.
    fn take(directory: OwnedFd, path: &Path) -> Result<Self, OverlayProblem> {
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
