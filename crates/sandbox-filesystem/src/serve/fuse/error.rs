//! What keeps a filesystem from being mounted and unmounted.

use std::io;
use std::path::PathBuf;

use crate::fs::Errno;

/// Nothing was mounted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// There is nothing at the mount point.
    #[error("{path}: the mount point does not exist")]
    NoMountPoint {
        /// Where it should be.
        path: PathBuf,
    },
    /// The mount point cannot be one.
    #[error("{path}: a mount point is a directory or a regular file")]
    NoDirectory {
        /// What is not.
        path: PathBuf,
    },
    /// The mount point is a file, and what is served is a directory.
    #[error("{path}: the mount point is a file, and what is served is a directory")]
    OnlyAFile {
        /// The file.
        path: PathBuf,
    },
    /// The mount point is a directory, and what is served is none.
    #[error("{path}: the mount point is a directory, and what is served is a file")]
    OnlyADirectory {
        /// The directory.
        path: PathBuf,
    },
    /// What is in the directory would be hidden.
    #[error("{path}: the mount point is not empty")]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// Something is mounted there.
    #[error("{path}: something is mounted there already")]
    AlreadyMounted {
        /// Where.
        path: PathBuf,
    },
    /// A mount is there whose server has died.
    #[error("{path}: a filesystem is mounted there that nobody serves any more")]
    Stale {
        /// Where.
        path: PathBuf,
    },
    /// The mount point is somebody else's.
    #[error("{path}: the mount point is not yours to mount on")]
    NotYours {
        /// Whose owner is somebody else.
        path: PathBuf,
    },
    /// The mount point cannot be looked at.
    #[error("{path}")]
    MountPoint {
        /// The mount point.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// There is no /dev/fuse.
    #[error("/dev/fuse does not exist: this kernel has no FUSE, or its device was not made")]
    NoDevice,
    /// /dev/fuse may not be opened.
    #[error("/dev/fuse may not be opened")]
    DevicePermission {
        /// What open(2) said.
        #[source]
        source: io::Error,
    },
    /// The caller may not mount, and there is no helper that may.
    #[error("only root may mount, and there is no fusermount3 that does it for others")]
    NoHelper,
    /// The helper does not mount.
    #[error("{program} refuses: {said}")]
    Helper {
        /// The helper.
        program: PathBuf,
        /// What it has printed.
        said: String,
    },
    /// There is no user namespace to be had.
    #[error("a user namespace of its own")]
    Namespaces {
        /// What clone(2) said.
        #[source]
        source: io::Error,
    },
    /// The kernel does not mount it.
    #[error("mounting")]
    Kernel {
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// The filesystem or the kernel ended it at once.
    #[error("the filesystem does not start")]
    Refused {
        /// What the filesystem said.
        #[source]
        source: Errno,
    },
    /// Threads, descriptors, sockets.
    #[error("getting ready to serve")]
    Resources {
        /// What is short.
        #[source]
        source: io::Error,
    },
}

impl MountError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::NoMountPoint { .. } => "make the directory first: mkdir -p MOUNTPOINT",
            Self::NoDirectory { .. } | Self::OnlyAFile { .. } => "give a directory",
            Self::OnlyADirectory { .. } => "give a file: touch MOUNTPOINT",
            Self::NotEmpty { .. } => "give an empty directory: what is in it would be hidden",
            Self::AlreadyMounted { .. } => "unmount it first, or mount elsewhere",
            Self::Stale { .. } => {
                "unmount it first: fusermount3 -u MOUNTPOINT, or as root: umount MOUNTPOINT"
            }
            Self::NotYours { .. } => "give a directory that is yours and that you may write",
            Self::NoDevice => {
                "load the module (modprobe fuse); in a container, start it with --device /dev/fuse"
            }
            Self::DevicePermission { .. } => {
                "its mode is 0666 where udev runs; otherwise: chmod 0666 /dev/fuse as root, or be root"
            }
            Self::NoHelper => "install the package fuse3 (it has fusermount3), or be root",
            Self::Helper { said, .. } if said.contains("user_allow_other") => {
                "add the line user_allow_other to /etc/fuse.conf, or do without allow_other"
            }
            Self::Helper { said, .. } if said.contains("/dev/fuse") => {
                "its mode is 0666 where udev runs; otherwise: chmod 0666 /dev/fuse as root, or be root"
            }
            Self::Namespaces { .. } => "see `sandbox doctor` for what keeps user namespaces from working",
            _ => return None,
        })
    }
}

/// It is still mounted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnmountError {
    /// Files are open in it, or somebody's working directory is.
    #[error("the mount is in use")]
    Busy,
    /// Something else.
    #[error("unmounting")]
    Failed {
        /// What.
        #[source]
        source: io::Error,
    },
}
