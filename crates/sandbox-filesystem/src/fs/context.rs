//! Who asks, and whether they still want the answer.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
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
#[derive(Debug)]
pub struct Interrupt {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    raised: bool,
    waker: Option<Waker>,
}

/// Ends what [`Interrupt::wake_on_raise`] began when it is dropped.
#[derive(Debug)]
#[must_use = "dropped, it wakes nobody"]
pub struct WakeOnRaise<'a>(&'a Interrupt);

impl Default for Interrupt {
    fn default() -> Self {
        Self::new()
    }
}

impl Interrupt {
    /// Not raised.
    pub const fn new() -> Self {
        Self {
            state: Mutex::new(State {
                raised: false,
                waker: None,
            }),
            changed: Condvar::new(),
        }
    }

    /// Says that the caller has given up. Wakes everybody who waits.
    pub fn raise(&self) {
        let waker = {
            let mut state = self.lock();
            state.raised = true;
            state.waker.clone()
        };
        self.changed.notify_all();
        // With no lock held: the waker may take one of its own.
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Makes it usable for the next request.
    pub fn reset(&self) {
        self.lock().raised = false;
    }

    /// Whether the caller has given up.
    pub fn is_raised(&self) -> bool {
        self.lock().raised
    }

    /// For an operation that waits for something else at the same time: `waker` is woken when it is raised, until the
    /// answer is dropped. Look at [`is_raised`](Self::is_raised) after this, since it may have been raised before. One
    /// operation at a time can ask for that; the next one replaces it.
    pub fn wake_on_raise(&self, waker: &Waker) -> WakeOnRaise<'_> {
        self.lock().waker = Some(waker.clone());
        WakeOnRaise(self)
    }

    /// Waits until it is raised, for `at_most` this long; whether it is.
    pub fn wait(&self, at_most: Duration) -> bool {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), at_most, |state| !state.raised)
            .unwrap_or_else(PoisonError::into_inner);
        waited.0.raised
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WakeOnRaise<'_> {
    fn drop(&mut self) {
        self.0.lock().waker = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

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

    #[test]
    fn a_waker_is_woken_until_it_is_taken_back() {
        struct Count(AtomicU32);
        impl Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let count = Arc::new(Count(AtomicU32::new(0)));
        let interrupt = Interrupt::new();
        let woken = interrupt.wake_on_raise(&Waker::from(Arc::clone(&count)));
        interrupt.raise();
        drop(woken);
        interrupt.raise();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }
}
