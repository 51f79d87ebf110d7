//! Killing everything in a group.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use thiserror::Error;

use super::{Cgroup, Controller, Version, files, freeze};

/// How long to race against a group that forks and cannot be frozen.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why something may be alive.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KillError {
    /// `cgroup.procs` could not be read or `cgroup.kill` not written.
    #[error("{}: kill", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A process could not be signaled.
    #[error("{}: kill process {pid}", path.display())]
    Signal {
        /// The group.
        path: PathBuf,
        /// The process.
        pid: u32,
        /// What the kernel said.
        #[source]
        source: Errno,
    },
    /// Processes kept appearing.
    #[error("{}: {left} processes left", path.display())]
    Survivors {
        /// The group.
        path: PathBuf,
        /// How many.
        left: usize,
    },
}

impl Cgroup {
    /// Sends SIGKILL to everything in the group, so that nothing that forks gets away.
    ///
    /// They are dying when it returns; [`remove`](Self::remove) waits until they are gone.
    pub fn kill_all(&self) -> Result<(), KillError> {
        // The freezer first: one write, or a group that cannot fork while it is gone through.
        let best = self.slot(Controller::Freezer).or(self.slots.first());
        best.map_or(Ok(()), |slot| kill_dir(&slot.dir))
    }
}

/// Kills what is in the group at `dir`.
pub(super) fn kill_dir(dir: &Path) -> Result<(), KillError> {
    let file = dir.join("cgroup.kill");
    match files::write(&file, "1") {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => kill_each(dir),
        Err(source) => Err(KillError::File { path: file, source }),
    }
}

/// Without `cgroup.kill`: goes through the group until nothing is left that could fork.
fn kill_each(dir: &Path) -> Result<(), KillError> {
    let mut left = 0;
    let end = files::retry(PATIENCE, || match kill_round(dir) {
        Ok(0) => Some(Ok(())),
        Ok(running) => {
            left = running;
            None
        }
        Err(error) => Some(Err(error)),
    });
    end.unwrap_or_else(|| {
        Err(KillError::Survivors {
            path: dir.to_owned(),
            left,
        })
    })
}

/// Stops the group if it can be stopped, and kills each process; how many of them may have forked since.
fn kill_round(dir: &Path) -> Result<usize, KillError> {
    let version = if dir.join("freezer.state").exists() {
        Version::V1
    } else {
        Version::V2
    };
    let frozen = freeze::freeze(dir, version);
    let signaled = signal_each(dir);
    // A frozen process dies when it is thawed.
    if let Err(error) = freeze::thaw(dir, version) {
        tracing::debug!(%error, "killing a group that cannot be frozen");
    }
    signaled.map(|running| if frozen.is_ok() { 0 } else { running })
}

/// Signals every live process once; how many there were.
fn signal_each(dir: &Path) -> Result<usize, KillError> {
    let pids = files::processes(dir).map_err(|source| KillError::File {
        path: dir.join("cgroup.procs"),
        source,
    })?;
    let mut signaled = 0;
    for pid in pids.into_iter().filter(|pid| !is_zombie(*pid)) {
        let Ok(id) = i32::try_from(pid) else { continue };
        match kill(Pid::from_raw(id), Signal::SIGKILL) {
            Ok(()) => signaled += 1,
            Err(Errno::ESRCH) => {}
            Err(source) => {
                return Err(KillError::Signal {
                    path: dir.to_owned(),
                    pid,
                    source,
                });
            }
        }
    }
    Ok(signaled)
}

/// v1 lists a dead process until its parent reaps it.
fn is_zombie(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('Z'))
    })
}
