//! The sandbox as its holder has it: init, its cgroup, its private directory, and the commands started here.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::channel::Channel;
use crate::cgroup::Cgroup;
use crate::error::StartError;
use crate::init::Init;
use crate::scratch::Scratch;
use crate::share::{Position, Stake};
use crate::surroundings::Surroundings;
use crate::sys::Reaped;
use crate::wire;

/// How long leaving waits for the commands started here to be gone.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two looks at what is left of a command.
const PAUSE: Duration = Duration::from_millis(1);

/// A sandbox that lives as long as its only command, or as long as its handle; where it is shared, as long as
/// the last of its holders.
#[derive(Debug)]
pub(crate) struct Owned {
    // Ended first: a cgroup can be removed only when it is empty.
    pub(crate) init: Init,
    pub(crate) cgroup: Option<Arc<Cgroup>>,
    pub(crate) scratch: Option<Scratch>,
    pub(crate) surroundings: Surroundings,
    pub(crate) is_cancelled: Arc<AtomicBool>,
    /// Our part in it, where others may hold it as well.
    pub(crate) stake: Option<Stake>,
    /// Commands whose handles may still be there.
    commands: Vec<Weak<Channel>>,
}

/// What a command has to know of a sandbox that outlives it, or that it outlives.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(super) cgroup: Weak<Cgroup>,
    pub(super) is_cancelled: Arc<AtomicBool>,
    /// What the out-of-memory killer had ended before the command started.
    pub(super) oom_kills_before: u64,
}

/// What leaving a sandbox left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Nothing: it has ended, and nothing of it is left.
    Ended,
    /// All but what was started here: others hold it.
    GoesOn,
}

impl Owned {
    pub(crate) fn new(
        init: Init,
        cgroup: Option<Arc<Cgroup>>,
        scratch: Option<Scratch>,
        surroundings: Surroundings,
    ) -> Self {
        Self {
            init,
            cgroup,
            scratch,
            surroundings,
            is_cancelled: Arc::default(),
            stake: None,
            commands: Vec::new(),
        }
    }

    /// What a command in this sandbox has to know of it.
    pub(crate) fn for_command(&self) -> Shared {
        let usage = self.cgroup.as_deref().map(Cgroup::usage).unwrap_or_default();
        Shared {
            cgroup: self.cgroup.as_ref().map_or_else(Weak::new, Arc::downgrade),
            is_cancelled: Arc::clone(&self.is_cancelled),
            oom_kills_before: usage.oom_kills.unwrap_or(0),
        }
    }

    /// Notes a command, which ends when this holder leaves.
    pub(crate) fn remember(&mut self, channel: &Arc<Channel>) {
        self.commands.retain(|command| command.strong_count() > 0);
        self.commands.push(Arc::downgrade(channel));
    }

    /// Ends what was started here; everything, unless others hold the sandbox as well. Does nothing when it has
    /// been done.
    pub(crate) fn leave(&mut self) -> Result<Left, StartError> {
        if self.init.is_left() {
            return Ok(Left::GoesOn);
        }
        // Whoever still waits for a command in it learns that its end was asked for.
        self.is_cancelled.store(true, Ordering::Relaxed);
        match self.stake.take().map(Stake::give_up) {
            Some(Position::NotLast) => {}
            Some(Position::Last) => return reaped(self.init.end_in_order()),
            None => return reaped(self.init.end()),
        }
        self.end_commands();
        if let Some(cgroup) = &self.cgroup {
            cgroup.leave();
        }
        if let Some(scratch) = self.scratch.take() {
            scratch.leave();
        }
        let is_dead = self.init.is_dead();
        self.init.let_go();
        Ok(if is_dead { Left::Ended } else { Left::GoesOn })
    }

    /// Ends everything, whoever else holds it.
    pub(crate) fn end(&mut self) -> Result<Left, StartError> {
        self.is_cancelled.store(true, Ordering::Relaxed);
        reaped(match self.stake {
            Some(_) => self.init.end_in_order(),
            None => self.init.end(),
        })
    }

    fn is_group_left(&self, pid: u32) -> bool {
        let answer = self.init.ask(wire::GROUP, pid.into(), Some(PATIENCE));
        answer.is_ok_and(|is_left| is_left == 1)
    }

    fn end_commands(&mut self) {
        let commands: Vec<_> = self
            .commands
            .drain(..)
            .filter_map(|known| known.upgrade())
            .collect();
        for command in &commands {
            if let Err(error) = command.cut() {
                tracing::error!(%error, "cannot kill a command");
            }
        }
        let until = Instant::now() + PATIENCE;
        for command in commands {
            let left = until.saturating_duration_since(Instant::now());
            command.is_over_within(left);
            // It has been reaped; what it has started may take a moment longer to die.
            while command.is_cut() && self.is_group_left(command.pid()) && Instant::now() < until {
                std::thread::sleep(PAUSE);
            }
        }
    }
}

fn reaped(result: io::Result<Reaped>) -> Result<Left, StartError> {
    match result {
        Ok(_) => Ok(Left::Ended),
        Err(source) => Err(StartError::Supervisor {
            what: "wait4",
            source,
        }),
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if let Err(error) = self.leave() {
            tracing::error!(%error, "cannot let go of a sandbox in order");
        }
    }
}
