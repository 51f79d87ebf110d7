//! Whoever listens alone may get stuck with what it heard, and whoever stands back with its answer: a thread of its own
//! looks for that.
//!
//! It looks every half millisecond while there are requests, and sleeps when there are none.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, PoisonError};
use std::time::Duration;

use super::pool::Pool;

/// How long a request may be worked on with nobody listening.
pub(super) const TICK: Duration = Duration::from_micros(500);
/// After so many without a request it sleeps.
const QUIET: u32 = 20;

#[derive(Debug, Default)]
pub(super) struct Watch {
    started: AtomicBool,
    threads: AtomicUsize,
    asleep: AtomicBool,
    woken: Condvar,
}

impl Watch {
    /// Somebody is about to work with nobody listening. False where nobody can watch.
    pub(super) fn attend(pool: &Arc<Pool>) -> bool {
        let watch = &pool.watch;
        if !watch.started.swap(true, SeqCst) {
            watch.threads.fetch_add(1, SeqCst);
            if let Err(error) = pool.spawn(Self::look) {
                tracing::warn!(%error, "nobody can watch: every listener calls another one");
                watch.threads.fetch_sub(1, SeqCst);
            }
        }
        if watch.threads() == 0 {
            return false;
        }
        if watch.asleep.load(SeqCst) {
            watch.asleep.store(false, SeqCst);
            // With the lock: it is on its way to sleep, or sleeps.
            drop(pool.lock());
            watch.wake();
        }
        true
    }

    /// How many of the pool's threads only watch.
    pub(super) fn threads(&self) -> usize {
        self.threads.load(SeqCst)
    }

    pub(super) fn wake(&self) {
        self.woken.notify_all();
    }

    fn look(pool: &Arc<Pool>) {
        let watch = &pool.watch;
        let (mut seen, mut quiet) = (pool.pace.received(), 0);
        let mut behind = 0;
        let mut state = pool.lock();
        while !state.over {
            let waited = watch.woken.wait_timeout(state, TICK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            let stands = pool.standing.now();
            if std::mem::replace(&mut behind, stands) == stands {
                pool.standing.call_forward(stands);
            }
            let received = pool.pace.received();
            if received != seen {
                (seen, quiet) = (received, 0);
            } else if pool.is_unattended() {
                drop(state);
                pool.pace.is_stuck();
                pool.reinforce(false);
                quiet = 0;
                state = pool.lock();
            } else if quiet < QUIET || stands != 0 {
                quiet = quiet.saturating_add(1);
            } else {
                watch.asleep.store(true, SeqCst);
                // What came before it was said that nobody looks would not wake anybody.
                let sleeps = |state: &mut super::pool::State| {
                    watch.asleep.load(SeqCst) && pool.pace.received() == seen && !state.over
                };
                state = watch
                    .woken
                    .wait_while(state, sleeps)
                    .unwrap_or_else(PoisonError::into_inner);
                watch.asleep.store(false, SeqCst);
                quiet = 0;
            }
        }
    }
}
