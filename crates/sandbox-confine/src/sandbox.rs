//! A sandbox that lives on: any number of commands in one root, one set of namespaces, one set of limits.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sandbox_types::{EnforcementReport, Policy, SandboxStatus};

use crate::builder::SandboxBuilder;
use crate::command::Command;
use crate::error::{PrepareError, StartError};
use crate::fork::{CloneHandle, Link, TemplateBuilder};
use crate::prepared::Prepared;
use crate::process::{Left, Owned, Process};
use crate::run::BoundCommand;
use crate::served::Filesystems;
use crate::share::{self, Gate, JoinError, ShareError, Stake};
use crate::start::start_in;
use crate::wire;

/// How long init may take to say what state it is in.
const PATIENCE: Duration = Duration::from_secs(1);

/// A sandbox. Dropping it kills and reaps everything that was started in it.
///
/// One that is shared ([`Sandbox::share`], [`Sandbox::join`]) has several holders of equal rank, and goes on until
/// the last of them has left, or the one has that serves a filesystem in it. Dropping it then ends the commands that were started through this handle, with
/// their process groups; everything, if this was the last holder.
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
    origin: Origin,
    pub(crate) live: Live,
    pub(crate) status: SandboxStatus,
}

/// What there is of it.
#[derive(Debug)]
pub(crate) enum Live {
    /// Nothing: not yet, or no more.
    None,
    /// A sandbox for commands.
    Own(Box<Owned>),
    /// A sandbox around a template, which its clones hold as well.
    Template(Arc<Link>),
    /// A clone.
    Clone(Box<CloneHandle>),
}

impl Live {
    /// What is to be done with a sandbox for commands.
    fn with_mut<T, E: From<StartError>>(
        &mut self,
        then: impl FnOnce(&mut Owned) -> Result<T, E>,
    ) -> Result<T, E> {
        match self {
            Self::Own(owned) => then(owned),
            Self::Template(link) => then(&mut link.owned()),
            Self::Clone(_) => Err(StartError::InClone.into()),
            Self::None => Err(StartError::Ended.into()),
        }
    }

    fn with<T>(&self, then: impl FnOnce(&Owned) -> T) -> Option<T> {
        match self {
            Self::Own(owned) => Some(then(owned)),
            Self::Template(link) => Some(then(&link.owned())),
            Self::Clone(clone) => Some(then(&clone.link().owned())),
            Self::None => None,
        }
    }
}

/// Where it comes from.
#[derive(Debug)]
enum Origin {
    /// From a plan of ours.
    Prepared(Prepared),
    /// From another process, or from a template.
    Joined {
        policy: Arc<Policy>,
        report: Arc<EnforcementReport>,
    },
}

impl Sandbox {
    /// Plans a sandbox for `policy`. Nothing starts before the first command does.
    ///
    /// # Errors
    /// See [`Prepared::new`].
    pub fn new(policy: &Policy) -> Result<Self, PrepareError> {
        Prepared::new(policy).map(Self::of_prepared)
    }

    /// A sandbox for `policy` with filesystems in it that this process serves.
    pub fn builder(policy: &Policy) -> SandboxBuilder {
        SandboxBuilder::new(policy)
    }

    pub(crate) fn of_prepared(prepared: Prepared) -> Self {
        Self {
            origin: Origin::Prepared(prepared),
            live: Live::None,
            status: SandboxStatus::Created,
        }
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

    /// What is to be forked under `policy`; see [`TemplateBuilder`].
    pub fn template(policy: &Policy) -> TemplateBuilder<'_> {
        TemplateBuilder::new(policy, Filesystems::default())
    }

    /// One that has been built already.
    pub(crate) fn of_launched(prepared: Prepared, owned: Owned) -> Self {
        Self {
            origin: Origin::Prepared(prepared),
            live: Live::Own(Box::new(owned)),
            status: SandboxStatus::Running,
        }
    }

    pub(crate) fn of_template(prepared: Prepared, link: Arc<Link>) -> Self {
        Self {
            origin: Origin::Prepared(prepared),
            live: Live::Template(link),
            status: SandboxStatus::Running,
        }
    }

    pub(crate) fn of_clone(clone: CloneHandle) -> Self {
        let policy = Arc::clone(&clone.link().policy);
        let report = clone.report();
        Self {
            origin: Origin::Joined { policy, report },
            live: Live::Clone(Box::new(clone)),
            status: SandboxStatus::Running,
        }
    }

    /// Joins a live sandbox that another process of the same user shares. Whoever has joined may do whatever
    /// they could do who made it, and does not depend on them: the sandbox goes on until its last holder has left.
    ///
    /// ```no_run
    /// use sandbox_confine::{Command, Sandbox};
    /// let mut sandbox = Sandbox::join("/home/me/.local/state/app/control.sock")?;
    /// // While we are here, others can join, even when whoever let us in is gone.
    /// let _gate = sandbox.gate()?.in_thread()?;
    /// println!("{:?}", sandbox.spawn(Command::new("id"))?.wait()?.outcome);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`JoinError`]: nobody is there, it is another user's, or another build's; or nobody lets us in within a
    /// few seconds.
    pub fn join(socket: impl AsRef<Path>) -> Result<Self, JoinError> {
        let (owned, policy) = share::join(socket.as_ref())?;
        Ok(Self {
            origin: Origin::Joined {
                policy: Arc::new(policy),
                report: Arc::clone(&owned.surroundings.report),
            },
            live: Live::Own(Box::new(owned)),
            status: SandboxStatus::Running,
        })
    }

    /// Lets other processes of this user join, through a unix socket that is made here; builds the sandbox
    /// where no command has done so yet. Serve the gate ([`Gate::in_thread`]), or nobody gets in.
    ///
    /// The socket's directory must be this user's and closed to everybody else (mode 0700). A socket that a
    /// killed process has left is replaced; the last holder takes it away. No path is too long. Keep it out of
    /// what the policy grants: a command inside is turned away, but has no business at the door.
    ///
    /// # Errors
    /// [`ShareError`]; the sandbox is then as it was.
    pub fn share(&mut self, socket: impl AsRef<Path>) -> Result<Gate, ShareError> {
        self.launched()?;
        let policy = match &self.origin {
            Origin::Prepared(prepared) => prepared.policy(),
            Origin::Joined { policy, .. } => policy,
        };
        self.live.with_mut(|owned| {
            if owned.stake.is_some() {
                return Err(ShareError::AlreadyShared);
            }
            let stake = Stake::found(owned, policy, socket.as_ref())?;
            let gate = stake.gate()?;
            owned.stake = Some(stake);
            Ok(gate)
        })
    }

    /// A gate of a sandbox that is shared, as [`Sandbox::share`] gives one: any holder can let in the next.
    /// Several may be served at once.
    ///
    /// # Errors
    /// [`ShareError::NotShared`], or [`ShareError::Io`].
    pub fn gate(&self) -> Result<Gate, ShareError> {
        let gate = self.live.with(|owned| owned.stake.as_ref().map(Stake::gate));
        gate.flatten().ok_or(ShareError::NotShared)?
    }

    /// Leaves the sandbox, as dropping it does, and says what is left of it.
    ///
    /// # Errors
    /// [`StartError::Supervisor`] when init cannot be waited for.
    pub fn leave(mut self) -> Result<Left, StartError> {
        match std::mem::replace(&mut self.live, Live::None) {
            Live::Own(mut owned) => owned.leave(),
            Live::Template(link) => {
                link.end_template();
                Ok(Left::Ended)
            }
            Live::Clone(mut clone) => clone.kill().map(|()| Left::Ended),
            Live::None => Ok(Left::Ended),
        }
    }

    /// Whether no other process holds it just now; whoever is let in later does. For a holder whose leaving would end
    /// it, because it serves a filesystem inside, and who lets the others finish first.
    pub fn is_alone(&self) -> bool {
        let is_alone =
            |owned: &Owned| owned.stake.as_ref().is_none_or(Stake::is_alone) || owned.init.is_dead();
        self.live.with(is_alone).unwrap_or(true)
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
        self.launched()?;
        self.live
            .with_mut(|owned| start_in(owned, command))
            .map_err(|error| match &self.origin {
                Origin::Prepared(prepared) => prepared.explain(error),
                Origin::Joined { .. } => error,
            })
    }

    /// Stops every process inside: of a template its clones as well, of a clone those in its pid namespace. It is not
    /// counted: where several holders pause, one that resumes is enough.
    ///
    /// # Errors
    /// [`StartError::Ended`] when nothing runs.
    pub fn pause(&mut self) -> Result<(), StartError> {
        match &mut self.live {
            Live::Clone(clone) => clone.pause()?,
            Live::Template(link) => link.pause()?,
            live => ask_all(live, wire::PAUSE)?,
        }
        self.status = SandboxStatus::Paused;
        Ok(())
    }

    /// Continues every process inside.
    ///
    /// # Errors
    /// [`StartError::Ended`] when nothing runs.
    pub fn resume(&mut self) -> Result<(), StartError> {
        match &mut self.live {
            Live::Clone(clone) => clone.resume()?,
            Live::Template(link) => link.resume()?,
            live => ask_all(live, wire::RESUME)?,
        }
        self.status = SandboxStatus::Running;
        Ok(())
    }

    /// Kills and reaps everything inside, whoever has started it: of a template its clones as well. Harmless when it
    /// has ended already. What a clone has written can still be had by waiting for it.
    ///
    /// # Errors
    /// [`StartError::Supervisor`] when init cannot be waited for.
    pub fn kill(&mut self) -> Result<(), StartError> {
        if let Live::Clone(clone) = &mut self.live {
            return clone.kill();
        }
        match std::mem::replace(&mut self.live, Live::None) {
            Live::Own(mut owned) => owned.end().map(drop)?,
            Live::Template(link) => link.owned().end().map(drop)?,
            Live::None | Live::Clone(_) => return Ok(()),
        }
        self.status = SandboxStatus::Stopped;
        Ok(())
    }

    /// The pid of its init outside; none before the first command and after the end. Of a clone, its own.
    pub fn pid(&self) -> Option<u32> {
        match &self.live {
            Live::Clone(clone) => clone.pid(),
            live => live.with(|owned| owned.init.pid().unsigned_abs()),
        }
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        match &self.origin {
            Origin::Prepared(prepared) => prepared.policy(),
            Origin::Joined { policy, .. } => policy,
        }
    }

    /// What is enforced: as planned, or as it is once a command has started.
    pub fn report(&self) -> EnforcementReport {
        let live = self
            .live
            .with(|owned| EnforcementReport::clone(&owned.surroundings.report));
        live.unwrap_or_else(|| match &self.origin {
            Origin::Prepared(prepared) => prepared.plan().report,
            Origin::Joined { report, .. } => EnforcementReport::clone(report),
        })
    }

    /// Where it is in its life. Crashed is also what another holder has killed.
    pub fn status(&self) -> SandboxStatus {
        if let Live::Clone(clone) = &self.live {
            return clone.status();
        }
        self.live
            .with(|owned| status_of(owned, self.status))
            .unwrap_or(self.status)
    }

    /// Builds it, unless that has been done.
    fn launched(&mut self) -> Result<(), StartError> {
        if let (Origin::Prepared(prepared), SandboxStatus::Created) = (&self.origin, self.status) {
            self.live = Live::Own(Box::new(prepared.launch()?));
            self.status = SandboxStatus::Running;
        }
        Ok(())
    }
}

fn ask_all(live: &mut Live, request: u64) -> Result<(), StartError> {
    live.with_mut(|owned| owned.init.ask(request, 0, None).map(drop))
}

fn status_of(owned: &Owned, known: SandboxStatus) -> SandboxStatus {
    if owned.init.is_dead() {
        return SandboxStatus::Crashed;
    }
    if owned.stake.is_none() {
        return known;
    }
    // Others may have stopped or continued it.
    match owned.init.ask(wire::STATE, 0, Some(PATIENCE)) {
        Ok(0) => SandboxStatus::Running,
        Ok(_) => SandboxStatus::Paused,
        Err(_) if owned.init.is_dead() => SandboxStatus::Crashed,
        Err(_) => known,
    }
}
