//! A sandbox that other commands may join: `sandbox exec`, and `sandbox run` on a branch that is in use.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sandbox::branch::{Branch, Use};
use sandbox::{Command, GateThread, JoinError, Left, Policy, Process, Sandbox};

use crate::error::CliError;
use crate::output::note;

/// How long a sandbox that is just being made may take to open its gate, or to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// A sandbox that is held by this process, and perhaps by others.
#[derive(Debug)]
pub(crate) struct Live {
    sandbox: Sandbox,
    /// Lets others in.
    _gate: Option<GateThread>,
}

impl Live {
    /// Starts the first command of a sandbox that can be joined at `socket`.
    pub(crate) fn start(
        policy: &Policy,
        socket: &Path,
        command: Command,
    ) -> Result<(Self, Process), CliError> {
        let mut sandbox = Sandbox::new(policy)?;
        let process = sandbox.spawn(command)?;
        let gate = match sandbox.share(socket) {
            Ok(gate) => gate.in_thread().ok(),
            Err(error) => {
                note(format_args!("nobody can join: {error}"));
                None
            }
        };
        Ok((Self { sandbox, _gate: gate }, process))
    }

    /// Starts a command in the sandbox that has `branch` mounted.
    pub(crate) fn join(branch: &Branch, command: Command) -> Result<(Self, Process), CliError> {
        let mut sandbox = joined(branch)?;
        let gate = sandbox.gate().ok().and_then(|gate| gate.in_thread().ok());
        let process = sandbox.spawn(command)?;
        Ok((Self { sandbox, _gate: gate }, process))
    }

    /// Lets go of it. Whether others go on in it.
    pub(crate) fn leave(self) -> Result<Left, CliError> {
        Ok(self.sandbox.leave()?)
    }
}

/// Joins; a sandbox that is just being made is waited for, and one that has just ended is none.
fn joined(branch: &Branch) -> Result<Sandbox, CliError> {
    let (since, socket) = (Instant::now(), branch.control_socket());
    loop {
        match Sandbox::join(&socket) {
            Err(JoinError::Nobody { .. }) if branch.in_use()? == Use::Free => {
                return Err(CliError::NotRunning {
                    name: branch.name().clone(),
                });
            }
            Err(JoinError::Nobody { .. }) if since.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(5));
            }
            result => return Ok(result?),
        }
    }
}

/// Where a command that joins starts: where the caller is, if that is on the branch.
pub(crate) fn directory(branch: &Branch, named: Option<&Path>) -> Option<PathBuf> {
    let base = branch.workspace().base();
    if let Some(path) = named {
        return Some(base.join(path));
    }
    let here = std::env::current_dir().ok()?.canonicalize().ok()?;
    Some(if here.starts_with(base) {
        here
    } else {
        base.to_owned()
    })
}
