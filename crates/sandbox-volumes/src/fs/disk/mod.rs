//! The files of a disk, by this crate's own ext4.
//!
//! Each operation takes the volume's lock, opens the disk (a few reads), does what it does as one transaction, and
//! lets go of it: so nothing is held between, and everybody else is told that the volume is in use only while it is.

mod access;
mod copy;
mod entries;
mod read;
mod write;

use std::path::PathBuf;

use sandbox_types::VolumeName;

pub(super) use write::DiskWriter;

/// A disk.
#[derive(Debug, Clone)]
pub(super) struct DiskFs {
    /// The directory whose lock is the disk's.
    place: PathBuf,
    image: PathBuf,
    name: VolumeName,
}

impl DiskFs {
    pub(super) fn new(place: PathBuf, image: PathBuf, name: VolumeName) -> Self {
        Self { place, image, name }
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        self.image == other.image
    }
}
