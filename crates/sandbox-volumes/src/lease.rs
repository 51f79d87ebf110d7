//! Having volumes attached.

use std::fs::DirBuilder;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use sandbox_types::{Access, SandboxName, VolumeForm, VolumeName};

use crate::error::{VolumeError, blocking};
use crate::local::LocalBackend;
use crate::lock::Lock;

/// A volume to be attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attach {
    /// Which.
    pub volume: VolumeName,
    /// Several read, or one writes.
    pub access: Access,
    /// Where it will be inside; only written down.
    pub at: PathBuf,
}

/// Who attaches, as others are told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holder {
    /// The sandbox, when it has a name.
    pub sandbox: Option<SandboxName>,
    /// What is run in it.
    pub command: String,
}

/// A volume that is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attached {
    /// Which.
    pub volume: VolumeName,
    /// The directory that holds its files; of a disk, the image.
    pub path: PathBuf,
    /// Whether it may be written.
    pub access: Access,
    /// Its kind, with quota or size: what it is for as long as the lease lives.
    pub form: VolumeForm,
    /// An empty directory for whoever mounts it; for disks only.
    pub mount_point: Option<PathBuf>,
    /// Where whoever keeps its quota writes the figure down.
    pub quota_state: PathBuf,
    /// Which of the lease's locks is its own.
    pub(crate) lock: usize,
}

/// Volumes that nobody removes, and nobody else writes, while this lives. They are free when it is dropped or its
/// process ends in whatever way: it consists of locks of this process' own, which no program that is executed
/// inherits.
#[derive(Debug)]
#[must_use = "the volumes are free again when this is dropped"]
pub struct Lease {
    pub(crate) volumes: Vec<Attached>,
    /// One for each volume.
    pub(crate) locks: Vec<Lock>,
    pub(crate) written: Written,
}

/// Where it is written down who holds a lease.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) id: String,
    pub(crate) path: PathBuf,
    /// What has the directories for what has to be mounted.
    pub(crate) mounts: PathBuf,
    pub(crate) lock: Lock,
    /// Its catalog is opened again where it was closed meanwhile.
    pub(crate) backend: LocalBackend,
}

impl Lease {
    /// What is attached, in the order it was asked for.
    pub fn volumes(&self) -> &[Attached] {
        &self.volumes
    }

    /// The lock of one of its volumes, for a process that has to keep it until it is done with the volume, whatever
    /// becomes of this one.
    pub fn lock_of(&self, attached: &Attached) -> Option<BorrowedFd<'_>> {
        self.locks.get(attached.lock).map(AsFd::as_fd)
    }

    /// Frees the volumes, and strikes out who held them. A lease that is only dropped frees them as well; what is
    /// written down is struck out by whoever looks next.
    ///
    /// # Errors
    /// Where it cannot be struck out. The volumes are free all the same.
    pub async fn detach(self) -> Result<(), VolumeError> {
        let Self { locks, written, .. } = self;
        drop(locks);
        let Written {
            id,
            path,
            mounts,
            lock,
            backend,
        } = written;
        let catalog = backend.catalog().await?;
        let change = catalog.change().await?;
        change.remove_sandbox(&id).await?;
        change.commit().await?;
        blocking(move || {
            remove_mount_points(&mounts).map_err(VolumeError::io(&mounts))?;
            lock.remove(&path).map_err(VolumeError::io(&path))
        })
        .await
    }
}

/// Makes the directory that a volume's file system is mounted on.
pub(crate) fn make_mount_point(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Removes the directories that a lease has made for mounts, and nothing that is in them: what is still mounted, or
/// was written there by mistake, stays.
pub(crate) fn remove_mount_points(mounts: &Path) -> io::Result<()> {
    let entries = match std::fs::read_dir(mounts) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result?,
    };
    for entry in entries {
        std::fs::remove_dir(entry?.path())?;
    }
    std::fs::remove_dir(mounts)
}

/// Where somebody's lock is.
pub(crate) fn lock_path(run: &Path, id: &str) -> PathBuf {
    run.join(id)
}
