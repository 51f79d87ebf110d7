//! What is in a volume, reached without a sandbox and without ever leaving its root.
//!
//! It guarantees: every path is resolved beneath the root by the kernel (openat2(2)), also while somebody in a
//! sandbox swaps directories for links; relative links are followed as far as they stay beneath, absolute ones lead
//! nowhere. A file that is written is there whole or not at all. It does *not* take a lease: what a sandbox writes
//! meanwhile may be seen. Functions block; needs Linux 5.6.

mod attributes;
pub(crate) mod beneath;
mod carry;
mod entries;
mod error;
mod list;
pub(crate) mod path;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::io;
use std::path::Path;

pub use error::FsError;
pub use list::{DirEntry, EntryKind, FileStat};
pub use write::FileWriter;

use beneath::Root;

/// The files of one volume. Paths are those of the volume: `/` is its root, and a leading `/` can be left out.
///
/// Paths with `..` in them are refused: where they lead depends on links.
#[derive(Debug)]
pub struct VolumeFs {
    root: Root,
}

impl VolumeFs {
    /// What is beneath the directory at `root`.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        Ok(Self {
            root: Root::open(root)?,
        })
    }
}
