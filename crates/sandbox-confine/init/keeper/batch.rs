//! Clones that are asked for at once.

use crate::sys::Errno;

/// How far a batch of clones is.
#[derive(Default)]
pub struct Batch {
    /// Not asked for yet by the supervisor.
    pub missing: u64,
    /// Asked for of the template.
    pub under_way: usize,
    pub running: u64,
    pub failed: u64,
    pub errno: u64,
    pub is_open: bool,
    /// When the template has last got on with it.
    pub since_us: u64,
}

impl Batch {
    /// One more does not run.
    pub fn fail(&mut self, Errno(errno): Errno) {
        self.failed += 1;
        if self.errno == 0 {
            self.errno = u64::from(errno.unsigned_abs());
        }
    }
}
