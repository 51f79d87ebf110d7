//! Who stands back for the moment, so that somebody can call it forward.
//!
//! A worker that answers near its caller only runs when nobody else wants to (see [`near`](super::near)). Where somebody
//! does after all, the answer would wait for as long as that takes: up to a second, beside one thread that computes. So at most
//! one worker of a pool stands back at a time, it says which, and [`watch`](super::watch) makes it ordinary again when it finds
//! the same twice.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crate::sys::scheduler;

/// Whoever calls it forward is about to.
const CLAIMED: u64 = 1 << 63;

/// 0, or the thread in the lower half and above it how often it has stood back, so that two times can be told apart.
#[derive(Debug, Default)]
pub(super) struct Standing(AtomicU64);

impl Standing {
    /// The calling thread takes the place, the `time`th time. `None` where somebody else has it.
    pub(super) fn take(&self, time: u32) -> Option<Taken<'_>> {
        let mark = u64::from(scheduler::this_thread()) | u64::from(time & 0x7fff_ffff) << 32;
        let free = self.0.compare_exchange(0, mark, SeqCst, SeqCst);
        free.is_ok().then(|| Taken { place: self, mark })
    }

    /// Who stands there, for comparison; 0 for nobody.
    pub(super) fn now(&self) -> u64 {
        self.0.load(SeqCst)
    }

    /// Makes whoever was `seen` ordinary, if it still stands there.
    pub(super) fn call_forward(&self, seen: u64) {
        if seen == 0 || seen & CLAIMED != 0 {
            return;
        }
        // Claimed, so that the thread does not end meanwhile, and its number is nobody else's.
        if self
            .0
            .compare_exchange(seen, seen | CLAIMED, SeqCst, SeqCst)
            .is_err()
        {
            return;
        }
        let [a, b, c, d, ..] = seen.to_le_bytes();
        if let Err(error) = scheduler::bring_forward(u32::from_le_bytes([a, b, c, d])) {
            tracing::debug!(%error, "a worker that stays behind");
        }
        self.0.store(seen, SeqCst);
    }
}

/// The place, until it is dropped.
#[derive(Debug)]
pub(super) struct Taken<'a> {
    place: &'a Standing,
    mark: u64,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        // Whoever has claimed it is done after one system call.
        while self
            .place
            .0
            .compare_exchange(self.mark, 0, SeqCst, SeqCst)
            .is_err()
        {
            std::thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stands_there_at_a_time_and_each_time_is_another() {
        let standing = Standing::default();
        let first = standing.take(1).expect("free");
        let mark = standing.now();
        assert!(standing.take(2).is_none());
        drop(first);
        assert_eq!(standing.now(), 0);
        let second = standing.take(2).expect("free again");
        assert_ne!(standing.now(), mark);
        drop(second);
    }

    #[test]
    fn who_stands_back_is_made_ordinary_by_another_thread() {
        if !scheduler::can_stand_back() {
            return;
        }
        let standing = std::sync::Arc::new(Standing::default());
        let taken = standing.take(1).expect("free");
        scheduler::stand_back().expect("possible here");
        let (seen, other) = (standing.now(), std::sync::Arc::clone(&standing));
        std::thread::spawn(move || {
            other.call_forward(seen + (1 << 32));
            assert_eq!(other.now(), seen, "another time");
            other.call_forward(seen);
        })
        .join()
        .expect("called");
        assert_eq!(scheduler::stands_back(), Some(false));
        assert_eq!(standing.now(), seen);
        drop(taken);
        assert_eq!(standing.now(), 0);
        standing.call_forward(seen);
        assert_eq!(standing.now(), 0);
    }
}
