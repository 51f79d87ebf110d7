//! Why an image is not mounted.

use std::io;
use std::path::PathBuf;

/// Why an image is not mounted. Nothing is then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiskMountError {
    /// Neither the kernel nor a program mounts it for this caller.
    #[error("{image}: only root may mount a disk, and there is no {missing} that does it for others", image = image.display())]
    NoWay {
        /// The image.
        image: PathBuf,
        /// The program that is missing.
        missing: &'static str,
    },
    /// The kernel has it already.
    #[error("{image}: the kernel has it as {device} already", image = image.display(), device = device.display())]
    InUse {
        /// The image.
        image: PathBuf,
        /// As which device.
        device: PathBuf,
    },
    /// The image cannot be opened.
    #[error("{image}", image = image.display())]
    Image {
        /// The image.
        image: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// There is no loop device to be had.
    #[error("{image}: a loop device", image = image.display())]
    Loop {
        /// The image.
        image: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The kernel does not mount it.
    #[error("{image}: the kernel does not mount it: {said}", image = image.display())]
    Kernel {
        /// The image.
        image: PathBuf,
        /// What it said of that.
        said: String,
        /// The call's own word.
        #[source]
        source: io::Error,
    },
    /// fuse2fs does not mount it.
    #[error("{image}: {program} does not mount it: {said}", image = image.display(), program = program.display())]
    Fuse2fs {
        /// The image.
        image: PathBuf,
        /// The program.
        program: PathBuf,
        /// What it said.
        said: String,
    },
    /// A process or descriptor.
    #[error("{image}: getting ready to mount it", image = image.display())]
    Resources {
        /// The image.
        image: PathBuf,
        /// What is short.
        #[source]
        source: io::Error,
    },
}

impl DiskMountError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoWay { .. } => Some(
                "be root, or install fuse2fs and fuse3 (Debian: apt install fuse2fs fuse3), or use a directory volume",
            ),
            Self::InUse { .. } => Some("unmount that first: losetup --list says what it is"),
            Self::Kernel { .. } | Self::Fuse2fs { .. } => Some("e2fsck -f says what is wrong with it"),
            Self::Image { .. } | Self::Loop { .. } | Self::Resources { .. } => None,
        }
    }
}
