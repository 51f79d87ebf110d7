//! Disks in files: an ext4 image, mounted for as long as somebody needs it.
//!
//! Root has the kernel mount it from a loop device; everybody else needs fuse2fs (Debian: the package fuse2fs) and
//! fusermount3. What is mounted is gone when the [`DiskMount`] is dropped, and also when its process is killed: a guard
//! unmounts then, and whoever serves the image holds the caller's lock until it is written back.
//!
//! # It is not
//! - a judge of the image: the kernel and fuse2fs are given what is in it;
//! - a lock: that nobody else has the image is for the caller to know. What the kernel still has mounted from it is
//!   found and refused.

mod error;
mod fuse2fs;
mod kernel;

use std::fmt;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use sandbox_types::Access;

pub use error::DiskMountError;

/// An image, and how it is to be mounted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Disk<'a> {
    pub(crate) image: &'a Path,
    pub(crate) at: &'a Path,
    pub(crate) access: Access,
    pub(crate) lock: Option<BorrowedFd<'a>>,
}

/// How an image came to be mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MountedBy {
    /// The kernel, from a loop device.
    Kernel,
    /// The program fuse2fs.
    Fuse2fs,
}

/// A mounted image. Dropped, it is unmounted, and on the disk.
#[derive(Debug)]
#[must_use = "the image is unmounted when this is dropped"]
pub struct DiskMount {
    at: PathBuf,
    by: MountedBy,
    #[expect(dead_code, reason = "unmounts when it is dropped")]
    mount: Box<dyn fmt::Debug + Send + Sync>,
}

impl DiskMount {
    /// Mounts the ext4 file system in the file `image` at the directory `at`. A flock(2) that `lock` has stays
    /// taken until the image is unmounted, also when this process is killed before.
    ///
    /// # Errors
    /// [`DiskMountError::NoWay`] where the caller is not root and has no fuse2fs;
    /// [`DiskMountError::InUse`] where the kernel has the image mounted already, and one of the two would write.
    pub fn new(
        image: &Path,
        at: &Path,
        access: Access,
        lock: Option<BorrowedFd<'_>>,
    ) -> Result<Self, DiskMountError> {
        let disk = Disk {
            image,
            at,
            access,
            lock,
        };
        kernel::refuse_used(&disk)?;
        match kernel::KernelMount::new(&disk) {
            Ok(mount) => Ok(Self::by(MountedBy::Kernel, at, mount)),
            Err(DiskMountError::Loop { source, .. }) if is_forbidden(&source) => {
                let mount = fuse2fs::Fuse2fsMount::new(&disk)?;
                Ok(Self::by(MountedBy::Fuse2fs, at, mount))
            }
            Err(error) => Err(error),
        }
    }

    fn by(by: MountedBy, at: &Path, mount: impl fmt::Debug + Send + Sync + 'static) -> Self {
        Self {
            at: at.to_owned(),
            by,
            mount: Box::new(mount),
        }
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.at
    }

    /// Who has mounted it.
    pub fn mounted_by(&self) -> MountedBy {
        self.by
    }
}

/// Not for this caller, or not in this container.
fn is_forbidden(error: &std::io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::PERM | Errno::ACCESS | Errno::NOENT | Errno::NODEV | Errno::NXIO)
    )
}
