//! The figures: pure, no I/O.

use sandbox_types::quota::QuotaRecord;

/// How much there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes; `u64::MAX`: as many as the host has room for.
    pub bytes: u64,
    /// Inodes; none: as many as the bytes allow.
    pub inodes: Option<u64>,
}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Bytes.
    pub bytes: u64,
    /// Inodes.
    pub inodes: u64,
}

/// What a figure is that is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Figure {
    /// Nothing changes until it is read again.
    Exact,
    /// No more than that is there.
    Bound,
}

impl Usage {
    pub(super) fn recorded(self, figure: Figure) -> QuotaRecord {
        QuotaRecord {
            exact: figure == Figure::Exact,
            bytes: self.bytes,
            inodes: self.inodes,
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            inodes: self.inodes.saturating_add(other.inodes),
        }
    }

    pub(super) fn less(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(other.bytes),
            inodes: self.inodes.saturating_sub(other.inodes),
        }
    }

    pub(super) fn within(self, other: Self) -> bool {
        self.bytes <= other.bytes && self.inodes <= other.inodes
    }
}

/// What an attempt to take more comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is charged.
    Yes,
    /// The limit is in the way.
    Full,
    /// It would pass the bound that is on the disk: this one must be there first.
    NeedsBound(Usage),
}

/// What is charged, and what may be.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) limits: Limits,
    pub(super) used: Usage,
    /// What has no name any more, and is still open: no walk finds it.
    pub(super) nameless: Usage,
    /// On the disk: `used` is never more.
    pub(super) bound: Usage,
    /// Grows with each change.
    pub(super) changes: u64,
}

impl Account {
    pub(super) fn take(&mut self, more: Usage) -> Taken {
        let after = self.used.plus(more);
        let full = more.bytes > 0 && after.bytes > self.limits.bytes
            || more.inodes > 0 && self.limits.inodes.is_some_and(|most| after.inodes > most);
        if full {
            return Taken::Full;
        }
        if !after.within(self.bound) {
            return Taken::NeedsBound(self.next_bound(after));
        }
        self.used = after;
        self.changes += 1;
        Taken::Yes
    }

    pub(super) fn give_back(&mut self, less: Usage) {
        self.used = self.used.less(less);
        self.changes += 1;
    }

    /// Steps of a sixteenth of the limit, so that a crash costs no more than that until it is counted again, and no less than 1 MiB,
    /// so that the disk is not busy with it.
    fn next_bound(&self, needed: Usage) -> Usage {
        let step = (self.limits.bytes / 16).clamp(1 << 20, 1 << 30);
        let inodes = self.limits.inodes.map_or(65_536, |most| (most / 16).max(64));
        Usage {
            bytes: needed.bytes.saturating_add(step),
            inodes: needed.inodes.saturating_add(inodes),
        }
    }

    /// What is left to take, in bytes.
    pub(super) fn free(&self) -> u64 {
        self.limits.bytes.saturating_sub(self.used.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(bytes: u64, inodes: Option<u64>) -> Account {
        Account {
            limits: Limits { bytes, inodes },
            used: Usage::default(),
            nameless: Usage::default(),
            bound: Usage {
                bytes: u64::MAX,
                inodes: u64::MAX,
            },
            changes: 0,
        }
    }

    fn usage(bytes: u64, inodes: u64) -> Usage {
        Usage { bytes, inodes }
    }

    #[test]
    fn the_last_byte_can_be_taken_and_no_more() {
        let mut account = account(100, Some(2));
        assert_eq!(account.take(usage(100, 1)), Taken::Yes);
        assert_eq!(account.take(usage(1, 0)), Taken::Full);
        assert_eq!(account.take(usage(0, 1)), Taken::Yes);
        assert_eq!(account.take(usage(0, 1)), Taken::Full);
        account.give_back(usage(1, 0));
        assert_eq!(account.take(usage(1, 0)), Taken::Yes);
    }

    #[test]
    fn above_a_limit_that_shrank_nothing_is_taken_and_all_can_be_given_back() {
        let mut account = account(100, None);
        assert_eq!(account.take(usage(80, 1)), Taken::Yes);
        account.limits.bytes = 10;
        assert_eq!(account.take(usage(1, 0)), Taken::Full);
        assert_eq!(account.take(usage(0, 0)), Taken::Yes);
        account.give_back(usage(79, 0));
        assert_eq!(account.take(usage(9, 0)), Taken::Yes);
    }

    #[test]
    fn nothing_passes_the_bound_on_the_disk() {
        let mut account = account(1 << 40, None);
        account.bound = usage(100, 10);
        let Taken::NeedsBound(bound) = account.take(usage(101, 1)) else {
            panic!("taken past the bound")
        };
        assert_eq!(account.used, Usage::default());
        assert!(usage(101, 1).within(bound));
        account.bound = bound;
        assert_eq!(account.take(usage(101, 1)), Taken::Yes);
    }
}
