//! How fast requests come and are answered, as far as it decides who listens and how.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::time::Duration;

/// After an answer that takes longer nobody listens alone: it is what whoever watches waits for, too.
pub(super) const BRISK: Duration = super::watch::TICK;
/// So many in a row make it brisk.
const RUN: u32 = 32;
/// So many requests in a row that were there already need one more who listens.
const CROWD: u32 = 16;
/// How long one may look for the next request at most: about what falling asleep and being woken costs.
const LONGEST: Duration = Duration::from_micros(20);

/// Who slept no longer might have had it by looking: being woken is most of so short a sleep.
const SOON: Duration = Duration::from_micros(100);

/// Of a whole pool. What is counted here is counted roughly: nothing depends on a number but speed.
#[derive(Debug)]
pub(super) struct Pace {
    brisk: AtomicU32,
    crowd: AtomicU32,
    listeners: AtomicUsize,
    most_listeners: usize,
    received: AtomicU64,
}

impl Pace {
    pub(super) fn new(most_listeners: usize) -> Self {
        Self {
            brisk: AtomicU32::new(0),
            crowd: AtomicU32::new(0),
            listeners: AtomicUsize::new(1),
            most_listeners: most_listeners.max(1),
            received: AtomicU64::new(0),
        }
    }

    /// A request was read; `at_once` where nobody had to wait for it.
    pub(super) fn came(&self, at_once: bool) {
        // Whoever watches compares it with what nobody listens to.
        self.received.fetch_add(1, SeqCst);
        if !at_once {
            if self.crowd.swap(0, Relaxed) == 0 {
                self.listeners.store(1, Relaxed);
            }
        } else if self.crowd.fetch_add(1, Relaxed) + 1 >= CROWD {
            self.crowd.store(0, Relaxed);
            let more = |listeners: usize| (listeners < self.most_listeners).then(|| listeners + 1);
            // At the bound already: nothing to do.
            let _ = self.listeners.fetch_update(Relaxed, Relaxed, more);
        }
    }

    /// How many were read.
    pub(super) fn received(&self) -> u64 {
        self.received.load(SeqCst)
    }

    /// A request was answered.
    pub(super) fn took(&self, time: Duration) {
        if time > BRISK {
            self.brisk.store(0, Relaxed);
        } else if self.brisk.load(Relaxed) < RUN {
            self.brisk.fetch_add(1, Relaxed);
        }
    }

    /// One has not been answered for long.
    pub(super) fn is_stuck(&self) {
        self.brisk.store(0, Relaxed);
    }

    pub(super) fn is_brisk(&self) -> bool {
        self.brisk.load(Relaxed) >= RUN
    }

    /// How many shall listen while it is brisk.
    pub(super) fn listeners(&self) -> Option<usize> {
        self.is_brisk().then(|| self.listeners.load(Relaxed))
    }
}

/// How long one worker looks for the next request before it sleeps: not at all where the last ones did not come soon.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    longest: Duration,
    near: bool,
    waits: u32,
}

impl Patience {
    /// With one processor whoever asks can only go on when nobody looks.
    pub(super) fn new(processors: usize) -> Self {
        let longest = if processors > 1 { LONGEST } else { Duration::ZERO };
        Self {
            limit: Duration::ZERO,
            longest,
            near: false,
            waits: 0,
        }
    }

    /// On the caller's processor nothing comes as long as one looks.
    pub(super) fn is_near(&mut self, near: bool) {
        self.near = near;
    }

    pub(super) fn near(&self) -> bool {
        self.near
    }

    /// There was no request.
    pub(super) fn waits(&mut self) {
        self.waits += 1;
    }

    /// How often there was none since this was asked last.
    pub(super) fn waited_times(&mut self) -> u32 {
        std::mem::take(&mut self.waits)
    }

    pub(super) fn limit(&self) -> Option<Duration> {
        (!self.limit.is_zero() && !self.near).then_some(self.limit)
    }

    /// It came meanwhile.
    pub(super) fn rewarded(&mut self) {
        self.limit = self.longest;
    }

    pub(super) fn disappointed(&mut self) {
        let half = self.limit / 2;
        self.limit = if half < Duration::from_micros(2) {
            Duration::ZERO
        } else {
            half
        };
    }

    /// It was slept for so long until there was one.
    pub(super) fn waited(&mut self, time: Duration) {
        if self.limit.is_zero() && time < SOON {
            self.limit = self.longest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_listens_alone_only_after_many_short_answers_and_until_a_long_one() {
        let pace = Pace::new(4);
        assert_eq!(pace.listeners(), None);
        (0..RUN).for_each(|_| pace.took(Duration::from_micros(5)));
        assert_eq!(pace.listeners(), Some(1));
        pace.took(Duration::from_millis(1));
        assert_eq!(pace.listeners(), None);
    }

    #[test]
    fn more_listen_where_requests_pile_up_and_one_where_they_do_not() {
        let pace = Pace::new(2);
        (0..RUN).for_each(|_| pace.took(Duration::ZERO));
        (0..10 * CROWD).for_each(|_| pace.came(true));
        assert_eq!(pace.listeners(), Some(2));
        pace.came(false);
        pace.came(false);
        assert_eq!(pace.listeners(), Some(1));
    }

    #[test]
    fn patience_ends_with_disappointment_and_comes_back_with_short_waits() {
        let mut patience = Patience::new(2);
        assert_eq!(patience.limit(), None);
        patience.waited(Duration::from_micros(3));
        assert_eq!(patience.limit(), Some(LONGEST));
        (0..8).for_each(|_| patience.disappointed());
        assert_eq!(patience.limit(), None);
        patience.waited(Duration::from_millis(3));
        assert_eq!(patience.limit(), None);
        let mut alone = Patience::new(1);
        alone.waited(Duration::from_micros(3));
        assert_eq!(alone.limit(), None);
    }
}
