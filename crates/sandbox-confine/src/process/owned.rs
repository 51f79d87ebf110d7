//! The sandbox as its holder has it: init, its cgroup, its private directory, and the commands started here.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use sandbox_types::Serving;

use super::channel::Channel;
use crate::cgroup::Cgroup;
use crate::error::StartError;
use crate::init::Init;
use crate::ready::await_readable;
use crate::scratch::Scratch;
use crate::share::{Position, Stake};
use crate::surroundings::Surroundings;
use crate::sys::Reaped;
use crate::wire;

/// How long leaving waits for the commands started here to be gone.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long nothing is answered until what is served inside counts as stuck.
pub(super) const STUCK: Duration = Duration::from_secs(5);
/// Between two looks at what is left of a command.
const PAUSE: Duration = Duration::from_millis(1);

/// A sandbox that lives as long as its only command, or as long as its handle; where it is shared, as long as
/// the last of its holders.
#[derive(Debug)]
pub(crate) struct Owned {
    /// Filesystems inside that are served here, until init has ended.
    pub(crate) serving: Vec<Box<dyn Serving>>,
    /// What they had answered when it was last looked at whether they are still at work.
    answered: u64,
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
    /// Copies of directories of the host that views of clones are made of, until the keeper has them.
    pub(crate) trees: Vec<OwnedFd>,
    /// Who gets it when its only command has ended.
    pub(crate) heir: Option<Arc<dyn Heir>>,
}

/// Somebody who lets go of sandboxes in which nothing is left, so that who waits for a command need not wait for that.
pub(crate) trait Heir: fmt::Debug + Send + Sync {
    fn inherit(&self, owned: Owned);
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
            serving: Vec::new(),
            answered: 0,
            init,
            cgroup,
            scratch,
            surroundings,
            is_cancelled: Arc::default(),
            stake: None,
            commands: Vec::new(),
            trees: Vec::new(),
            heir: None,
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
            // Nobody else can serve what is mounted inside.
            Some(Position::NotLast) if self.serving.is_empty() => {}
            Some(_) => return reaped(self.end_init(Init::end_in_order)),
            None => return reaped(self.end_init(Init::end)),
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
        let end = match self.stake {
            Some(_) => Init::end_in_order,
            None => Init::end,
        };
        reaped(self.end_init(end))
    }

    /// Ends init, and what is served inside once init is gone or nothing of it is answered any more: a process that
    /// waits for an answer cannot be killed, and one that is being killed may still have something to write.
    fn end_init(&mut self, end: fn(&mut Init) -> io::Result<Reaped>) -> io::Result<Reaped> {
        if !self.serving.is_empty() && !self.init.is_dead() {
            self.init.close();
            self.is_serving();
            while !await_readable(self.init.pidfd(), Some(STUCK))? && !self.stop_serving_if_stuck() {}
        }
        let reaped = end(&mut self.init);
        self.serving.clear();
        reaped
    }

    /// Looks how much has been answered; whether that is more than at the last look.
    pub(super) fn is_serving(&mut self) -> bool {
        let before = self.answered;
        self.answered = self.serving.iter().map(|served| served.answered()).sum();
        self.answered != before
    }

    /// Ends serving where nothing has been answered since the last look; whether it has ended it.
    pub(super) fn stop_serving_if_stuck(&mut self) -> bool {
        let is_stuck = !self.is_serving();
        if is_stuck {
            self.serving.iter().for_each(|served| served.abort());
        }
        is_stuck
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
