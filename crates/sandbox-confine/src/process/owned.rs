//! The sandbox as its holder has it: init, its cgroup, its private directory, and the commands started here.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use crate::cgroup::Cgroup;
use crate::init::Init;
use crate::scratch::Scratch;
use crate::surroundings::Surroundings;

/// A sandbox that lives as long as its only command, or as long as its handle.
#[derive(Debug)]
pub(crate) struct Owned {
    // Ended first: a cgroup can be removed only when it is empty.
    pub(crate) init: Init,
    pub(crate) cgroup: Option<Arc<Cgroup>>,
    pub(crate) scratch: Option<Scratch>,
    pub(crate) surroundings: Surroundings,
    pub(crate) is_cancelled: Arc<AtomicBool>,
    /// Channels of commands whose handles may still be there.
    commands: Vec<Weak<OwnedFd>>,
}

/// What a command has to know of a sandbox that outlives it, or that it outlives.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) cgroup: Weak<Cgroup>,
    pub(super) is_cancelled: Arc<AtomicBool>,
    /// What the out-of-memory killer had ended before the command started.
    pub(super) oom_kills_before: u64,
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
    pub(crate) fn remember(&mut self, channel: &Arc<OwnedFd>) {
        self.commands.retain(|command| command.strong_count() > 0);
        self.commands.push(Arc::downgrade(channel));
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // Whoever still waits for a command in it learns that its end was asked for.
        self.is_cancelled.store(true, Ordering::Relaxed);
    }
}
