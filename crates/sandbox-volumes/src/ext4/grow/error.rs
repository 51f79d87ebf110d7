//! What can go wrong while a disk grows.

use std::{io, path::PathBuf};

use super::super::{check::CheckError, journal::RecoverError};

/// Why a disk did not grow.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GrowError {
    /// The image cannot be opened.
    #[error("open {path}", path = .path.display())]
    Open {
        /// The image.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// No ext4, or one with features that this version does not know.
    #[error("the disk is not one that can be grown")]
    Disk(#[from] CheckError),
    /// The journal has something that could not be replayed.
    #[error("the journal has to be replayed first")]
    Recover(#[from] RecoverError),
    /// The superblock has a wrong checksum, or says that errors were found.
    #[error("the disk is damaged or was not unmounted cleanly: run e2fsck first")]
    NotClean,
    /// A group's descriptor or bitmap has a wrong checksum.
    #[error("group {group} is damaged: run e2fsck first")]
    Group {
        /// The last one of the disk.
        group: u32,
    },
    /// The journal's superblock is damaged.
    #[error("the journal is damaged: run e2fsck first")]
    Journal,
    /// A disk never becomes smaller.
    #[error("size of {bytes} bytes is less than the disk has ({now})")]
    Smaller {
        /// What was asked for.
        bytes: u64,
        /// What it has.
        now: u64,
    },
    /// More blocks or inodes than can be counted.
    #[error("size of {bytes} bytes is more than this disk can have")]
    TooLarge {
        /// What was asked for.
        bytes: u64,
    },
    /// A disk without a journal needs 512 blocks behind its new end for the time being.
    #[error("a disk without a journal cannot grow to the very end of a device")]
    NoRoomForLog(#[source] io::Error),
    /// Reading or writing failed. The disk is as it was, or the next call completes it.
    #[error("write the disk")]
    Write(#[source] io::Error),
}
