//! Building a [`MemFs`].

use std::fmt;
use std::time::Duration;

use sandbox_types::{ByteSize, CachePolicy};

use super::filesystem::{Caching, MemFs};
use super::inode::INODE_COST;
use super::space::Space;

/// The smallest capacity: a root directory and a page, with something to spare.
const SMALLEST: u64 = 16 << 10;

/// Configures a [`MemFs`].
#[derive(Debug, Clone)]
#[must_use]
pub struct MemFsBuilder {
    capacity: Option<ByteSize>,
    max_inodes: Option<u64>,
    caching: Caching,
}

/// Something that a [`MemFsBuilder`] cannot do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemFsProblem {
    /// `capacity` was not called.
    #[error("no capacity: say how much memory the filesystem may take, as in capacity(64.mib())")]
    NoCapacity,
    /// There is no room for a root directory and a page.
    #[error("a capacity of {0} is too small: it takes at least {smallest}", smallest = ByteSize::from_bytes(SMALLEST))]
    CapacityTooSmall(ByteSize),
    /// More than there are addresses for.
    #[error("a capacity of {0} is more than 1EiB, which no machine has")]
    CapacityTooLarge(ByteSize),
    /// The root directory is an inode.
    #[error("max_inodes is 0, but the root directory is one")]
    NoInodes,
}

/// All problems of one [`MemFsBuilder`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidMemFs(Vec<MemFsProblem>);

impl MemFsBuilder {
    pub(super) fn new() -> Self {
        Self {
            capacity: None,
            max_inodes: None,
            caching: Caching::of(CachePolicy::Always),
        }
    }

    /// How much memory everything in it may take together. Required; between 16 KiB and 1 EiB.
    pub fn capacity(mut self, capacity: ByteSize) -> Self {
        self.capacity = Some(capacity);
        self
    }

    /// How many inodes there may be, the root among them; at least 1. By default as many as the capacity has room for.
    pub fn max_inodes(mut self, count: u64) -> Self {
        self.max_inodes = Some(count);
        self
    }

    /// What the kernel may remember. By default [`CachePolicy::Always`], since only the kernel that has it mounted can
    /// change anything; choose another where the same filesystem is also reached in another way. Sets both timeouts:
    /// to a day, a second with [`CachePolicy::Auto`], or zero.
    pub fn cache_policy(mut self, policy: CachePolicy) -> Self {
        self.caching = Caching {
            writeback: self.caching.writeback,
            ..Caching::of(policy)
        };
        self
    }

    /// How long the kernel may believe that a name leads where it led, or nowhere. By default as the policy says.
    pub fn entry_timeout(mut self, timeout: Duration) -> Self {
        self.caching.entry = timeout;
        self
    }

    /// How long the kernel may believe attributes. By default as the policy says.
    pub fn attr_timeout(mut self, timeout: Duration) -> Self {
        self.caching.attr = timeout;
        self
    }

    /// Whether the kernel collects writes and sends them later. By default not: then `ENOSPC` is the answer to the write
    /// that has no room, and not to a later close(2) or fsync(2).
    pub fn writeback(mut self, writeback: bool) -> Self {
        self.caching.writeback = writeback;
        self
    }

    /// The filesystem, with an empty root directory of mode 0755 that belongs to user and group 0.
    ///
    /// # Errors
    ///
    /// All problems of the configuration at once.
    pub fn build(self) -> Result<MemFs, InvalidMemFs> {
        let mut problems = Vec::new();
        match self.capacity {
            None => problems.push(MemFsProblem::NoCapacity),
            Some(size) if size.bytes() < SMALLEST => problems.push(MemFsProblem::CapacityTooSmall(size)),
            Some(size) if size.bytes() > 1 << 60 => problems.push(MemFsProblem::CapacityTooLarge(size)),
            Some(_) => {}
        }
        if self.max_inodes == Some(0) {
            problems.push(MemFsProblem::NoInodes);
        }
        let capacity = self.capacity.unwrap_or_default().bytes();
        if !problems.is_empty() {
            return Err(InvalidMemFs(problems));
        }
        let max_inodes = self.max_inodes.unwrap_or(capacity / INODE_COST);
        MemFs::new(Space::new(capacity, max_inodes), self.caching).map_err(|_full| {
            InvalidMemFs(vec![MemFsProblem::CapacityTooSmall(ByteSize::from_bytes(
                capacity,
            ))])
        })
    }
}

impl InvalidMemFs {
    /// Each of them.
    pub fn problems(&self) -> &[MemFsProblem] {
        &self.0
    }
}

impl fmt::Display for InvalidMemFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidMemFs {}
