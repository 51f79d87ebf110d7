//! How much an output stream has carried, against its limit.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::error::StartError;

/// The output limit of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OutputLimit {
    pub(crate) bytes: u64,
    pub(crate) truncates: bool,
}

/// How much a stream has carried, and how much it may.
#[derive(Debug)]
pub(crate) struct Meter {
    limit: u64,
    truncates: bool,
    /// Written to when the limit is passed, so that whoever waits for the process is woken.
    alarm: Option<OwnedFd>,
    count: AtomicU64,
    is_over: AtomicBool,
}

impl Meter {
    pub(super) fn new(limit: Option<OutputLimit>) -> Self {
        Self {
            limit: limit.map_or(u64::MAX, |limit| limit.bytes),
            truncates: limit.is_some_and(|limit| limit.truncates),
            alarm: None,
            count: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        }
    }

    /// A meter that somebody else reads, with an alarm where passing the limit ends the run.
    pub(super) fn with_alarm(limit: Option<OutputLimit>) -> Result<Self, StartError> {
        let mut meter = Self::new(limit);
        if limit.is_some_and(|limit| !limit.truncates) {
            let flags = rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK;
            let alarm = rustix::event::eventfd(0, flags).map_err(StartError::supervisor("eventfd"))?;
            meter.alarm = Some(alarm);
        }
        Ok(meter)
    }

    /// Readable once the limit has been passed.
    pub(crate) fn alarm(&self) -> Option<BorrowedFd<'_>> {
        self.alarm.as_ref().map(AsFd::as_fd)
    }

    pub(super) fn sound_alarm(&self) -> io::Result<()> {
        match &self.alarm {
            Some(alarm) => Ok(rustix::io::write(alarm, &1_u64.to_ne_bytes()).map(drop)?),
            None => Ok(()),
        }
    }

    /// Whether more came than the limit lets through.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Whether anything past the limit was thrown away.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_over.load(Ordering::Relaxed) && self.truncates
    }

    /// Counts `count` more bytes and says how many of them are within the limit.
    pub(super) fn count(&self, count: usize) -> usize {
        let more = u64::try_from(count).unwrap_or(u64::MAX);
        let before = self.count.fetch_add(more, Ordering::Relaxed);
        let within = self.limit.saturating_sub(before).min(more);
        if within < more {
            self.is_over.store(true, Ordering::Relaxed);
        }
        usize::try_from(within).unwrap_or(count)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    pub(crate) fn is_violated(&self) -> bool {
        self.is_over.load(Ordering::Relaxed) && !self.truncates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_lets_exactly_the_limit_through() {
        let meter = Meter::new(Some(OutputLimit {
            bytes: 10,
            truncates: false,
        }));
        assert_eq!([meter.count(7), meter.count(7), meter.count(7)], [7, 3, 0]);
        assert!(meter.is_violated());
        assert_eq!(meter.bytes(), 21);
    }

    #[test]
    fn what_is_exactly_at_the_limit_is_within_it() {
        let meter = Meter::new(Some(OutputLimit {
            bytes: 10,
            truncates: false,
        }));
        assert_eq!(meter.count(10), 10);
        assert!(!meter.is_violated());
    }

    #[test]
    fn a_truncated_stream_is_not_a_violation() {
        let meter = Meter::new(Some(OutputLimit {
            bytes: 1,
            truncates: true,
        }));
        assert_eq!(meter.count(5), 1);
        assert!(!meter.is_violated());
    }
}
