//! A sandbox that lives on: any number of commands in one root, one set of namespaces, one set of limits.

use std::ffi::OsStr;
use std::sync::atomic::Ordering;

use sandbox_types::{EnforcementReport, Policy, SandboxStatus};

use crate::command::Command;
use crate::error::{PrepareError, StartError};
use crate::prepared::Prepared;
use crate::process::{Owned, Process};
use crate::run::BoundCommand;
use crate::start::start_in;
use crate::wire;

/// A sandbox. Dropping it kills and reaps everything that was started in it.
///
/// ```no_run
/// use sandbox_confine::{Command, Policy, Sandbox};
/// let mut sandbox = Sandbox::new(&Policy::default())?;
/// let server = sandbox.spawn(Command::new("redis-server"))?;
/// let client = sandbox.spawn(Command::new("redis-cli").arg("ping"))?;
/// println!("{:?}", client.wait()?.outcome);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Sandbox {
    prepared: Prepared,
    live: Option<Owned>,
    status: SandboxStatus,
}

impl Sandbox {
    /// Plans a sandbox for `policy`. Nothing starts before the first command does.
    ///
    /// # Errors
    /// See [`Prepared::new`].
    pub fn new(policy: &Policy) -> Result<Self, PrepareError> {
        Ok(Self {
            prepared: Prepared::new(policy)?,
            live: None,
            status: SandboxStatus::Created,
        })
    }

    /// Plans `policy` once, for many commands, each in a sandbox of its own.
    ///
    /// # Errors
    /// See [`Prepared::new`].
    pub fn prepare(policy: &Policy) -> Result<Prepared, PrepareError> {
        Prepared::new(policy)
    }

    /// One command in a sandbox of its own, as `std::process::Command` would run it.
    ///
    /// ```no_run
    /// use sandbox_confine::{Policy, Sandbox};
    /// let result = Sandbox::command(&Policy::default(), "python3").args(["-c", "print(6 * 7)"]).output()?;
    /// assert_eq!(result.stdout, b"42\n");
    /// # Ok::<(), sandbox_confine::RunError>(())
    /// ```
    pub fn command(policy: &Policy, program: impl AsRef<OsStr>) -> BoundCommand<'_> {
        BoundCommand::of_policy(policy, Command::new(program))
    }

    /// Starts a command in this sandbox; the first one builds it.
    ///
    /// Limits of memory, processes and CPU time hold for the sandbox as a whole; wall time and output for
    /// each command. A command that is ended for its wall time or output is ended with its process group,
    /// what it has moved out of that group ends with the sandbox.
    ///
    /// # Errors
    /// [`StartError`]; [`StartError::Ended`] when the sandbox has been killed.
    pub fn spawn(&mut self, command: Command) -> Result<Process, StartError> {
        let owned = match &mut self.live {
            Some(live) => live,
            None if self.status == SandboxStatus::Created => self.live.insert(self.prepared.launch()?),
            None => return Err(StartError::Ended),
        };
        self.status = match self.status {
            SandboxStatus::Created => SandboxStatus::Running,
            status => status,
        };
        start_in(owned, command).map_err(|error| self.prepared.explain(error))
    }

    /// Stops every process inside.
    ///
    /// # Errors
    /// [`StartError::Ended`] when nothing runs.
    pub fn pause(&mut self) -> Result<(), StartError> {
        self.signal_all(wire::PAUSE)?;
        self.status = SandboxStatus::Paused;
        Ok(())
    }

    /// Continues every process inside.
    ///
    /// # Errors
    /// [`StartError::Ended`] when nothing runs.
    pub fn resume(&mut self) -> Result<(), StartError> {
        self.signal_all(wire::RESUME)?;
        self.status = SandboxStatus::Running;
        Ok(())
    }

    /// Kills and reaps everything inside. Harmless when it has ended already.
    ///
    /// # Errors
    /// [`StartError::Supervisor`] when init cannot be waited for.
    pub fn kill(&mut self) -> Result<(), StartError> {
        if let Some(mut owned) = self.live.take() {
            self.status = SandboxStatus::Stopped;
            owned.is_cancelled.store(true, Ordering::Relaxed);
            owned.init.end().map_err(|source| StartError::Supervisor {
                what: "wait4",
                source,
            })?;
        }
        Ok(())
    }

    /// The pid of its init outside; none before the first command and after the end.
    pub fn pid(&self) -> Option<u32> {
        self.live.as_ref().map(|owned| owned.init.pid().unsigned_abs())
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        self.prepared.policy()
    }

    /// What is enforced: as planned, or as it is once a command has started.
    pub fn report(&self) -> EnforcementReport {
        match &self.live {
            Some(owned) => EnforcementReport::clone(&owned.surroundings.report),
            None => self.prepared.plan().report,
        }
    }

    /// Where it is in its life.
    pub fn status(&self) -> SandboxStatus {
        match &self.live {
            Some(owned) if owned.init.is_dead() => SandboxStatus::Crashed,
            _ => self.status,
        }
    }

    fn signal_all(&self, request: u64) -> Result<(), StartError> {
        let owned = self.live.as_ref().ok_or(StartError::Ended)?;
        owned.init.signal_all(request)
    }
}
