//! Quotas: how many bytes and inodes a tree may hold, counted by whoever serves it.
//!
//! [`Quota`] is what is asked for, [`QuotaKeeper`] keeps it. The figure lives in memory; a state file outside of the tree holds a
//! *bound* that the figure has never passed without the file being written first. A clean end writes the exact figure,
//! so the next start needs no walk. After anything else the bound is what is charged, while one thread counts; what can
//! be written meanwhile is what the bound leaves.
//!
//! # It is not
//! - a limit on what the host itself writes into the tree: that is seen at the next count;
//! - exact on filesystems that say late how much they have allocated (ZFS, NFS).

mod account;
mod count;
mod error;
mod gate;
mod keeper;
mod state;
mod weight;

use std::path::PathBuf;

use sandbox_types::ByteSize;

pub use account::{Limits, Usage};
pub use error::QuotaError;
pub(crate) use gate::Entered;
pub use keeper::QuotaKeeper;
pub(crate) use weight::{INODE, data_of, held_by, name_weight, xattr_weight, xattrs_of};

/// How much a tree may hold.
#[derive(Debug, Clone)]
#[must_use]
pub struct Quota {
    limits: Limits,
    state: Option<PathBuf>,
}

impl Quota {
    /// So many bytes: what the host has allocated for data, the targets of links, the names and values of extended
    /// attributes, 1 KiB an inode, and for each name its length and 32 bytes. Zero is an error at build.
    pub fn bytes(bytes: ByteSize) -> Self {
        let limits = Limits {
            bytes: bytes.bytes(),
            inodes: None,
        };
        Self { limits, state: None }
    }

    /// As many bytes as the host has room for, and so many files, directories and links, the root not counted. Zero is an
    /// error at build.
    pub fn inodes_only(inodes: u64) -> Self {
        Self::bytes(ByteSize::from_bytes(u64::MAX)).inodes(inodes)
    }

    /// And so many files, directories and links, the root not counted. By default as many as the bytes allow; zero is an
    /// error at build.
    pub fn inodes(mut self, inodes: u64) -> Self {
        self.limits.inodes = Some(inodes);
        self
    }

    /// The directory in which the state file is kept, outside of the tree. By default `quota` in the state directory
    /// (`$SANDBOX_HOME`, `$XDG_STATE_HOME/sandbox`, `~/.local/state/sandbox`). It is made where it is missing.
    pub fn state_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.state = Some(path.into());
        self
    }

    /// What is wrong with it whatever the tree.
    pub(crate) fn problem(&self) -> Option<QuotaError> {
        let zero = self.limits.bytes == 0 || self.limits.inodes == Some(0);
        zero.then_some(QuotaError::Zero)
    }
}
