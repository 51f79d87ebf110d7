//! One clone as its holder has it.

use std::io::PipeWriter;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::RecvFlags;
use sandbox_types::{BranchName, EnforcementReport, Outcome, RunResult, SandboxStatus};

use super::link::Link;
use crate::error::{RunError, StartError};
use crate::messages;
use crate::process::{Channel, Parts, Process};
use crate::ready::await_readable;
use crate::streams::{Drain, OutputReader};
use crate::wire;

/// A clone. Dropping it ends all that is in its pid namespace.
#[derive(Debug)]
pub(crate) struct CloneHandle {
    link: Arc<Link>,
    id: u32,
    channel: Arc<Channel>,
    report: Arc<EnforcementReport>,
    /// Whether it was paused by itself, and in which era of the sandbox.
    paused: (u64, bool),
    /// Where it waits to be told to go on.
    gate: Option<OwnedFd>,
    /// Its own branch.
    branch: Option<BranchName>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nobody waits for it yet, so that it takes no more descriptors than it must.
    Fresh(Box<Parts>),
    Watched(Box<Process>),
    /// It has ended; the result, until it is taken.
    Over(Option<Box<RunResult>>),
}

/// How long a keeper may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

impl CloneHandle {
    pub(super) fn new(link: Arc<Link>, id: u32, parts: Parts, gate: Option<OwnedFd>) -> Self {
        Self {
            paused: (link.era(), false),
            link,
            id,
            channel: Arc::clone(&parts.channel),
            report: Arc::clone(&parts.report),
            gate,
            branch: None,
            state: State::Fresh(Box::new(parts)),
        }
    }

    pub(super) fn on(mut self, branch: Option<BranchName>) -> Self {
        self.branch = branch;
        self
    }

    pub(crate) fn branch(&self) -> Option<&BranchName> {
        self.branch.as_ref()
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    pub(crate) fn report(&self) -> Arc<EnforcementReport> {
        Arc::clone(&self.report)
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// The process to wait for; `None` when its result has been taken.
    pub(crate) fn process(&mut self) -> Result<Option<&mut Process>, StartError> {
        if matches!(self.state, State::Fresh(_)) {
            let State::Fresh(parts) = std::mem::replace(&mut self.state, State::Over(None)) else {
                return Ok(None);
            };
            self.state = State::Watched(Box::new(Process::new(*parts)?));
        }
        match &mut self.state {
            State::Watched(process) => Ok(Some(process)),
            State::Fresh(_) | State::Over(_) => Ok(None),
        }
    }

    /// Waits for the end. The result is given once.
    pub(crate) fn wait(&mut self) -> Result<RunResult, RunError> {
        while !self.look()? {
            if let State::Watched(process) = &self.state {
                process.block()?;
            }
        }
        self.take_result()
    }

    /// Does what is to be done without waiting: whether it is over.
    pub(crate) fn look(&mut self) -> Result<bool, RunError> {
        let Some(process) = self.process()? else {
            return Ok(true);
        };
        if let Some(result) = process.poll()? {
            self.state = State::Over(Some(Box::new(result)));
            return Ok(true);
        }
        Ok(false)
    }

    pub(crate) fn take_result(&mut self) -> Result<RunResult, RunError> {
        match &mut self.state {
            State::Over(result) => match result.take() {
                Some(result) => Ok(*result),
                None => Err(StartError::Ended.into()),
            },
            State::Fresh(_) | State::Watched(_) => Err(StartError::Ended.into()),
        }
    }

    /// Its standard output where that is to be captured and nobody has begun to: it is left out of the result then.
    pub(crate) fn take_output(&mut self) -> Option<Drain> {
        match &mut self.state {
            State::Fresh(parts) => parts.ours.take_stdout_drain(),
            State::Watched(_) | State::Over(_) => None,
        }
    }

    /// What was captured of its standard output, once it is over.
    pub(crate) fn kept(&mut self) -> Option<Vec<u8>> {
        match &mut self.state {
            State::Over(Some(result)) => Some(std::mem::take(&mut result.stdout)),
            _ => None,
        }
    }

    /// How it ended, once it has.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        match &self.state {
            State::Over(Some(result)) => Some(result.outcome),
            _ => None,
        }
    }

    /// It has ended, and this is how, whatever it has said itself: it was found out later.
    pub(crate) fn overrule(&mut self, outcome: Outcome) {
        if let State::Over(Some(result)) = &mut self.state
            && matches!(result.outcome, Outcome::Exited { .. } | Outcome::Signaled { .. })
        {
            result.outcome = outcome;
        }
    }

    /// Whether its result has been given away.
    pub(crate) fn is_taken(&self) -> bool {
        matches!(self.state, State::Over(None))
    }

    /// Whether it lives. One that has not been told to go on has not ended by itself.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.channel.is_over_within(Duration::ZERO)
    }

    /// Has it run the caller's function now, if it has waited with that; from now on its time counts.
    pub(crate) fn go(&mut self) -> Result<(), StartError> {
        let Some(gate) = self.gate.take() else {
            return Ok(());
        };
        if let State::Fresh(parts) = &mut self.state {
            parts.started_us = crate::process::monotonic_us();
        }
        rustix::io::write(&gate, &1_u64.to_ne_bytes())
            .map_err(StartError::supervisor("write to an eventfd"))?;
        Ok(())
    }

    pub(crate) fn take_stdin(&mut self) -> Option<PipeWriter> {
        match &mut self.state {
            State::Fresh(parts) => parts.ours.stdin.take(),
            State::Watched(process) => process.stdin.take(),
            State::Over(_) => None,
        }
    }

    pub(crate) fn take_stdout(&mut self) -> Option<OutputReader> {
        match &mut self.state {
            State::Fresh(parts) => parts.ours.stdout.take(),
            State::Watched(process) => process.stdout.take(),
            State::Over(_) => None,
        }
    }

    pub(crate) fn take_stderr(&mut self) -> Option<OutputReader> {
        match &mut self.state {
            State::Fresh(parts) => parts.ours.stderr.take(),
            State::Watched(process) => process.stderr.take(),
            State::Over(_) => None,
        }
    }

    pub(crate) fn pause(&mut self) -> Result<(), StartError> {
        self.ask(wire::CLONE_PAUSE)?;
        self.paused = (self.link.era(), true);
        Ok(())
    }

    pub(crate) fn resume(&mut self) -> Result<(), StartError> {
        self.ask(wire::CLONE_RESUME)?;
        self.paused = (self.link.era(), false);
        Ok(())
    }

    /// Ends all that is in its pid namespace, and waits until it has.
    pub(crate) fn kill(&mut self) -> Result<(), StartError> {
        if let State::Watched(process) = &mut self.state {
            process.kill();
        }
        self.channel.cut()?;
        if !self.channel.is_over_within(self.link.patience()) {
            self.link.lose_patience();
            return Err(StartError::supervisor("wait for a clone's end")(
                rustix::io::Errno::TIMEDOUT,
            ));
        }
        Ok(())
    }

    /// Its pid outside; none after its end.
    pub(crate) fn pid(&self) -> Option<u32> {
        let pidfd = self.ask(wire::CLONE_PID).ok()??;
        let about = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
        let pid = about.lines().find_map(|line| line.strip_prefix("Pid:"))?;
        pid.trim().parse().ok().filter(|pid| *pid > 0)
    }

    pub(crate) fn status(&self) -> SandboxStatus {
        if matches!(self.state, State::Over(_)) || self.channel.is_over_within(Duration::ZERO) {
            SandboxStatus::Stopped
        } else if self.is_paused() {
            SandboxStatus::Paused
        } else {
            SandboxStatus::Running
        }
    }

    /// By itself, or with everybody: what was done last counts.
    fn is_paused(&self) -> bool {
        let era = self.link.era();
        match self.paused {
            (since, is_paused) if since == era => is_paused,
            _ => era % 2 == 1,
        }
    }

    /// Sends a request to its keeper and waits for the answer.
    fn ask(&self, request: u64) -> Result<Option<OwnedFd>, StartError> {
        if self.channel.is_over_within(Duration::ZERO) {
            return Err(StartError::Ended);
        }
        let (ours, theirs) = messages::socket_pair()?;
        messages::send(
            self.channel.as_fd(),
            &[request, 0, 0, 0, 0, 0, 0, 0],
            &[theirs.as_fd()],
        )?;
        drop(theirs);
        let is_answered =
            await_readable(ours.as_fd(), Some(PATIENCE)).map_err(StartError::supervisor("poll"))?;
        if !is_answered {
            return Err(StartError::supervisor("wait for a clone's keeper")(
                rustix::io::Errno::TIMEDOUT,
            ));
        }
        match messages::receive(ours.as_fd(), RecvFlags::empty())? {
            Some(([wire::DONE, ..], file)) => Ok(file),
            Some(_) | None => Err(StartError::Ended),
        }
    }
}

/// Ends all of them, and waits until nothing of them is left.
pub(super) fn end_all(mut clones: Vec<CloneHandle>) {
    for clone in &mut clones {
        if let Err(error) = clone.channel.cut() {
            tracing::error!(%error, "cannot end a clone");
        }
        // Whoever has asked for them sees to their branches.
        clone.branch = None;
    }
    drop(clones);
}

impl Drop for CloneHandle {
    fn drop(&mut self) {
        if let Err(error) = self.channel.cut() {
            tracing::error!(%error, "cannot end a clone");
        }
        // Its keeper closes the channel when nothing of it is left. A template can keep that from happening, by not
        // being what it should; once it has, nobody waits any more, and all of it ends with the sandbox.
        if !self.channel.is_over_within(self.link.patience()) {
            self.link.lose_patience();
            tracing::error!(id = self.id, "a clone did not end in time");
        }
        // One that was never told to go on has nothing on its branch.
        if let (Some(_), Some(branch)) = (&self.gate, self.branch.take()) {
            self.link.discard(branch);
        }
    }
}
