//! What is in a volume, reached without a sandbox and without ever leaving its root.
//!
//! It guarantees: every path is resolved beneath the root, also while somebody in a sandbox swaps directories for
//! links; relative links are followed as far as they stay beneath, absolute ones lead nowhere. A file that is written
//! is there whole or not at all. Functions block.
//!
//! A *directory* is reached through the kernel (openat2(2), Linux 5.6), and no lease is taken: what a sandbox writes
//! meanwhile may be seen. What has a quota is written within it, and not while a sandbox writes it.
//!
//! A *disk* is read and changed by this crate itself, without a mount: each change is a transaction of its journal.
//! It is reached as long as nobody has it attached to write, and changed as long as nobody has it attached at all.

pub(crate) mod beneath;
mod carry;
mod disk;
mod error;
mod gauge;
mod host;
mod look;
pub(crate) mod path;
#[cfg(test)]
mod tests;
mod types;
mod write;

use std::io;
use std::path::{Path, PathBuf};

use sandbox_types::{Quota, VolumeName};

pub use error::FsError;
pub use types::{DirEntry, EntryKind, FileStat};
pub use write::FileWriter;

use disk::DiskFs;
use gauge::Gauge;
use host::HostFs;

/// The files of one volume. Paths are those of the volume: `/` is its root, and a leading `/` can be left out.
///
/// Paths with `..` in them are refused: where they lead depends on links.
#[derive(Debug)]
pub struct VolumeFs {
    files: Files,
}

#[derive(Debug)]
enum Files {
    Host { fs: HostFs, gauge: Option<Gauge> },
    Disk(DiskFs),
}

impl VolumeFs {
    /// What is beneath the directory at `root`.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let files = Files::Host {
            fs: HostFs::open(root)?,
            gauge: None,
        };
        Ok(Self { files })
    }

    /// The same, within a quota whose figure is kept in the directory `state`.
    pub(crate) fn with_quota(
        root: &Path,
        state: PathBuf,
        quota: Quota,
        name: VolumeName,
    ) -> io::Result<Self> {
        let files = Files::Host {
            fs: HostFs::open(root)?,
            gauge: Some(Gauge::new(root.to_owned(), state, quota, name)),
        };
        Ok(Self { files })
    }

    /// What is in the disk `image`, whose lock is that of the directory `place`.
    pub(crate) fn on_disk(place: PathBuf, image: PathBuf, name: VolumeName) -> Self {
        Self {
            files: Files::Disk(DiskFs::new(place, image, name)),
        }
    }
}
