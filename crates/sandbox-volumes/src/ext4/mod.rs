//! ext4 disks in pure Rust: made, filled, grown and checked, without mkfs, mount or root.
//!
//! [`format_ext4`] makes an empty disk, [`write_ext4`] fills one from a [`TreeSource`](sandbox_types::TreeSource)
//! (a host directory is a [`DirectoryTree`]); [`write()`] does the same on anything that reads, writes and seeks.
//! `docs/on-disk-format.md` says what is written; `docs/architecture.md` how this is built.
//!
//! # It is not
//! - a file system: files of a disk that exists are not changed here;
//! - a repair tool: [`check`] reads and reports, e2fsck mends.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod check;
mod device;
mod disk;
#[cfg(any(feature = "catalog", fuzzing))]
pub(crate) mod edit;
mod error;
mod execute;
mod file;
mod geometry;
mod grow;
mod inventory;
mod journal;
mod layout;
mod look;
mod options;
mod plan;
mod tree;
mod write;

pub use check::{
    CheckError, CheckProblem, CheckReport, DirectoryFault, GroupFault, InodeFault, SuperblockFault, check,
};
pub use device::{BlockDevice, Seekable};
#[cfg(fuzzing)]
#[doc(hidden)]
pub use edit::edit_disk;
pub use error::{FormatError, XattrRefused};
pub use file::{format_ext4, sync_name, write_ext4};
pub use grow::{GrowError, GrowReport, grow, grow_device};
pub use journal::{RecoverError, Recovered, recover, recover_device};
pub use look::{DiskUsage, look};
pub use options::{
    Ext4FormatOptions, Ext4FormatOptionsBuilder, Ext4OptionsError, Ext4OptionsProblem, InodeCount,
    JournalSize, MAX_SIZE, MIN_SIZE, Size,
};
pub use tree::{DirectoryTree, Overrides};
pub use write::{FormatReport, Source, write};
