//! Clones that are asked for at once.

use crate::sys::Errno;
use crate::wire::Shape;

/// How far a batch of clones is.
#[derive(Default)]
pub struct Batch {
    /// What each of them has of its own.
    pub shape: Shape,
    /// Not asked for yet by the supervisor.
    pub missing: u64,
    /// Asked for of the template.
    pub under_way: usize,
    pub running: u64,
    pub failed: u64,
    pub errno: u64,
    /// Why the template could not be told of it: there are none then.
    pub untold: Option<Errno>,
    pub is_open: bool,
    /// Whether whoever forks for the template has been told to end. Until it has, it is the parent of the clones: one that is
    /// stopped with everybody else would not reap them.
    pub is_ending: bool,
    /// When the template has last got on with it.
    pub since_us: u64,
    /// How long it may take for one clone.
    pub patience_us: u64,
    /// Whether it has taken longer, for which it is ended.
    pub is_stalled: bool,
}

impl Batch {
    /// Whether the template owes an answer.
    pub fn is_owed(&self) -> bool {
        self.under_way > 0 || self.is_ending
    }

    /// Whether it does, and has for too long.
    pub fn takes_too_long(&self, now_us: u64) -> bool {
        self.is_owed() && now_us.saturating_sub(self.since_us) > self.patience_us
    }

    /// One more does not run.
    pub fn fail(&mut self, Errno(errno): Errno) {
        self.failed += 1;
        if self.errno == 0 {
            self.errno = u64::from(errno.unsigned_abs());
        }
    }
}
