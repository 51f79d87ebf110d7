//! A sandbox that other commands may join: `sandbox exec`, and `sandbox run` on a branch that is in use.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sandbox::branch::{Branch, Use};
use sandbox::{Command, Gate, GateState, GateThread, JoinError, Left, Process, Sandbox};

use crate::error::CliError;
use crate::output::note;

/// How long a sandbox that is just being made may take to open its gate, or to end.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked whether others are still there.
const MOMENT: Duration = Duration::from_millis(50);

/// A sandbox that is held by this process, and perhaps by others.
#[derive(Debug)]
pub(crate) struct Live {
    sandbox: Sandbox,
    door: Door,
}

/// Lets others in, as long as somebody who waits for something else serves it: a thread would cost each run more than all
/// else that makes it joinable.
#[derive(Debug)]
pub(crate) enum Door {
    /// Nobody can come in.
    Shut,
    Open(Gate),
    /// It could not be served once, and is tried again from time to time.
    Served {
        _thread: GateThread,
    },
}

impl Door {
    fn of(gate: Option<Gate>) -> Self {
        gate.map_or(Self::Shut, Self::Open)
    }

    /// Readable when there is something to serve.
    pub(crate) fn readiness(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Open(gate) => Some(gate.readiness()),
            _ => None,
        }
    }

    /// Lets in who has come; waits for nobody.
    pub(crate) fn serve(&mut self) {
        let Self::Open(gate) = self else { return };
        match gate.serve() {
            Ok(GateState::Open) => {}
            Ok(GateState::Closed) => *self = Self::Shut,
            Err(_) => {
                if let Self::Open(gate) = std::mem::replace(self, Self::Shut)
                    && let Ok(thread) = gate.in_thread()
                {
                    *self = Self::Served { _thread: thread };
                }
            }
        }
    }
}

impl Live {
    /// Starts the first command of a sandbox that can be joined at `socket`.
    pub(crate) fn start(
        mut sandbox: Sandbox,
        socket: &Path,
        command: Command,
    ) -> Result<(Self, Process), CliError> {
        let process = sandbox.spawn(command)?;
        let gate = match sandbox.share(socket) {
            Ok(gate) => Some(gate),
            Err(error) => {
                note(format_args!("nobody can join: {error}"));
                None
            }
        };
        let door = Door::of(gate);
        Ok((Self { sandbox, door }, process))
    }

    /// Starts a command in the sandbox that has `branch` mounted.
    pub(crate) fn join(branch: &Branch, command: Command) -> Result<(Self, Process), CliError> {
        let mut sandbox = joined(branch)?;
        let gate = sandbox.gate().ok();
        let process = sandbox.spawn(command)?;
        let door = Door::of(gate);
        Ok((Self { sandbox, door }, process))
    }

    /// Where others come in.
    pub(crate) fn door(&mut self) -> &mut Door {
        &mut self.door
    }

    /// Waits until nobody else holds it; others may still come in meanwhile.
    pub(crate) fn wait_for_others(&mut self) {
        if self.sandbox.is_alone() {
            return;
        }
        note("others go on in this sandbox, with what this command serves: waiting for them to end");
        while !self.sandbox.is_alone() {
            self.door.serve();
            std::thread::sleep(MOMENT);
        }
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
