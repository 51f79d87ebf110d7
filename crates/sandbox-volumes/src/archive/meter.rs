//! How much an archive has brought: counted as quotas count ([`sandbox_types::quota`]), while it comes.

use sandbox_types::quota::{INODE_WEIGHT, name_weight, xattr_weight};
use sandbox_types::{ByteSize, Quota};

use super::error::ArchiveError;

/// Data is allocated in blocks; those of host file systems are no larger as a rule.
pub(super) const BLOCK: usize = 4096;

/// What was unpacked so far, and how much it may be.
#[derive(Debug)]
pub(super) struct Meter {
    /// That of the volume: what is in it has fitted into that before, holes and all.
    quota: Quota,
    /// The caller's: for what files say they have, since a hole takes no room, and time.
    limit: Option<ByteSize>,
    weight: u64,
    said: u64,
    inodes: u64,
}

impl Meter {
    pub(super) fn new(quota: Quota, limit: Option<ByteSize>) -> Self {
        Self {
            quota,
            limit,
            weight: 0,
            said: 0,
            inodes: 0,
        }
    }

    /// A name of so many bytes. That of the root is none.
    pub(super) fn name(&mut self, length: usize) -> Result<(), ArchiveError> {
        self.add(name_weight(length))
    }

    /// Something that is no second name of what was there before.
    pub(super) fn inode(&mut self) -> Result<(), ArchiveError> {
        self.inodes += 1;
        if let Some(limit) = self.quota.inodes.filter(|limit| self.inodes > *limit) {
            return Err(ArchiveError::TooMany { limit });
        }
        self.add(INODE_WEIGHT)
    }

    pub(super) fn attribute(&mut self, name: &[u8], value: usize) -> Result<(), ArchiveError> {
        self.add(xattr_weight(name, value))
    }

    /// The target of a link.
    pub(super) fn target(&mut self, length: usize) -> Result<(), ArchiveError> {
        self.add(length as u64)
    }

    /// A file says that it has so many bytes.
    pub(super) fn said(&mut self, bytes: u64) -> Result<(), ArchiveError> {
        self.said = self.said.saturating_add(bytes);
        self.check()
    }

    /// So many bytes are written, in whole blocks.
    pub(super) fn written(&mut self, bytes: usize) -> Result<(), ArchiveError> {
        self.weight = self.weight.saturating_add(bytes.next_multiple_of(BLOCK) as u64);
        self.check()
    }

    fn add(&mut self, bytes: u64) -> Result<(), ArchiveError> {
        self.weight = self.weight.saturating_add(bytes);
        self.said = self.said.saturating_add(bytes);
        self.check()
    }

    fn check(&self) -> Result<(), ArchiveError> {
        let passed = |limit: Option<ByteSize>, now: u64| limit.filter(|limit| now > limit.bytes());
        let limit = passed(self.quota.bytes, self.weight).or_else(|| passed(self.limit, self.said));
        limit.map_or(Ok(()), |limit| Err(ArchiveError::TooLarge { limit }))
    }
}
