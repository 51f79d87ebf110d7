//! Who asks, and whether they still want the answer.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Who asks for an operation, as the kernel says it in the header of a request.
///
/// Ids are those of the mount's user namespace. A server checks nothing by them unless `default_permissions` is off;
/// backends use them to give new files an owner.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The file system user id (setfsuid(2)) of the caller.
    pub uid: u32,
    /// The file system group id of the caller.
    pub gid: u32,
    /// The thread id of the caller; 0 where it is not visible to the server or the kernel asks for itself.
    pub pid: u32,
    /// Whether the caller has given up waiting.
    pub interrupt: &'a Interrupt,
}

impl Context<'static> {
    /// A caller with these ids that is never interrupted.
    pub fn new(uid: u32, gid: u32) -> Self {
        static NEVER: Interrupt = Interrupt::new();
        Self {
            uid,
            gid,
            pid: 0,
            interrupt: &NEVER,
        }
    }
}

/// Set when a caller was interrupted by a signal while it waits for the answer (`FUSE_INTERRUPT`).
///
/// An operation that can wait for long (a lock) waits here; every other one may ignore it.
#[derive(Debug, Default)]
pub struct Interrupt {
    raised: Mutex<bool>,
    changed: Condvar,
}

impl Interrupt {
    /// Not raised.
    pub const fn new() -> Self {
        Self {
            raised: Mutex::new(false),
            changed: Condvar::new(),
        }
    }

    /// Says that the caller has given up. Wakes everybody who waits.
    pub fn raise(&self) {
        *self.lock() = true;
        self.changed.notify_all();
    }

    /// Makes it usable for the next request.
    pub fn reset(&self) {
        *self.lock() = false;
    }

    /// Whether the caller has given up.
    pub fn is_raised(&self) -> bool {
        *self.lock()
    }

    /// Waits until it is raised, for `at_most` this long; whether it is.
    pub fn wait(&self, at_most: Duration) -> bool {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), at_most, |raised| !*raised)
            .unwrap_or_else(PoisonError::into_inner);
        *waited.0
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, bool> {
        self.raised.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_woken_when_the_caller_gives_up() {
        let interrupt = Interrupt::new();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| interrupt.wait(Duration::from_mins(1)));
            interrupt.raise();
            assert!(waiter.join().unwrap());
        });
        interrupt.reset();
        assert!(!interrupt.wait(Duration::ZERO));
    }
}
