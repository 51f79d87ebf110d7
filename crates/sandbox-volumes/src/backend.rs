//! What volumes are kept by: one trait, so that a catalog elsewhere is another implementation and not another API.

use std::fmt;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sandbox_types::{ByteSize, Label, Quota, VolumeName, VolumeSpec};
use tokio::sync::OnceCell;

use crate::archive::{ArchiveError, ImportOptions};
use crate::copy::Progress;
use crate::error::VolumeError;
use crate::fs::VolumeFs;
use crate::home::{HomeError, default_home};
use crate::lease::{Attach, Holder, Lease};
use crate::local::LocalBackend;
use crate::record::{HolderRecord, SnapshotRecord, Usage, VolumeFilter, VolumeRecord};

/// Which kind of backend it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackendKind {
    /// Directories and files of this machine.
    Local,
}

/// What a clone is made of.
#[derive(Debug, Clone, Copy)]
pub struct CloneSource<'a> {
    /// The volume.
    pub volume: &'a VolumeName,
    /// One of its snapshots, instead of what is in it now.
    pub snapshot: Option<&'a VolumeName>,
}

/// How large a volume is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resize {
    /// A directory: the most that it may hold.
    Quota(Quota),
    /// A disk: its size. Disks only grow.
    Size(ByteSize),
}

/// What becomes of the snapshots of a volume that is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snapshots {
    /// A volume that has any is not removed.
    Refuse,
    /// They are removed as well.
    Remove,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The catalog cannot be used.
    Unreadable {
        /// Why.
        why: String,
    },
    /// The catalog is damaged, as SQLite sees it.
    Damaged {
        /// What SQLite says.
        what: String,
    },
    /// A volume or snapshot whose directory is gone.
    Missing {
        /// The volume.
        volume: VolumeName,
        /// Where it was.
        path: PathBuf,
    },
    /// A directory that no volume and no snapshot is of.
    Orphan {
        /// Where it is.
        path: PathBuf,
    },
    /// A directory that does not say what the catalog says of it.
    Manifest {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with what it says.
        why: String,
    },
    /// Something is written down as used by a process that is gone.
    DeadHolder {
        /// Its lock.
        path: PathBuf,
    },
    /// What a crash or a removal has left half done, and cannot be ended: a directory of another user in it, a mount,
    /// a full disk.
    Leftover {
        /// Where it is.
        path: PathBuf,
        /// What is in the way.
        why: String,
    },
    /// A disk that has another size than the catalog says: whoever made it larger was killed before that was written
    /// down.
    Size {
        /// The volume.
        volume: VolumeName,
        /// What it has.
        actual: ByteSize,
        /// What the catalog says.
        said: ByteSize,
    },
    /// A volume that could not be looked into.
    Closed {
        /// The volume.
        volume: VolumeName,
        /// Where.
        path: PathBuf,
        /// What was in the way.
        why: String,
    },
    /// A volume whose directory is there, and what it holds is gone.
    Empty {
        /// The volume.
        volume: VolumeName,
        /// What is gone.
        path: PathBuf,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { why } => f.write_str(why),
            Self::Damaged { what } => write!(f, "catalog: {what}"),
            Self::Missing { volume, path } => write!(f, "volume {volume}: {} is gone", path.display()),
            Self::Orphan { path } => write!(f, "{}: no volume is there", path.display()),
            Self::Manifest { path, why } => write!(f, "{}: {why}", path.display()),
            Self::DeadHolder { path } => write!(f, "{}: whoever used volumes is gone", path.display()),
            Self::Leftover { path, why } => write!(f, "{} is left half done: {why}", path.display()),
            Self::Size { volume, actual, said } => {
                write!(f, "volume {volume} has {actual}, and the catalog says {said}")
            }
            Self::Closed { volume, path, why } => {
                write!(
                    f,
                    "volume {volume}: {} cannot be looked at: {why}",
                    path.display()
                )
            }
            Self::Empty { volume, path } => {
                write!(f, "volume {volume}: what it held is gone: {}", path.display())
            }
        }
    }
}

/// The state of a backend.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// What is wrong; nothing when all is well.
    pub problems: Vec<Problem>,
    /// How many volumes there are.
    pub volumes: usize,
    /// How many snapshots there are.
    pub snapshots: usize,
}

/// What was done to mend it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repair {
    /// Where the damaged catalog is now, when it was made anew.
    pub set_aside: Option<PathBuf>,
    /// Volumes that are in the catalog again, by their names.
    pub found: Vec<VolumeName>,
    /// Snapshots that are in the catalog again: how many.
    pub found_snapshots: usize,
    /// Volumes that were struck out because their directories are gone.
    pub lost: Vec<VolumeName>,
    /// Snapshots that were struck out because their directories are gone: how many.
    pub lost_snapshots: usize,
    /// Manifests that were written anew: how many.
    pub manifests: usize,
    /// Disks whose size is said as it is again.
    pub resized: Vec<VolumeName>,
    /// Processes that were gone and are written down as holders no more: how many.
    pub dead_holders: usize,
    /// What nothing could be done about.
    pub left: Vec<Problem>,
}

/// Keeps volumes. Every operation is all or nothing.
#[async_trait]
pub trait Backend: fmt::Debug + Send + Sync {
    /// Which kind it is.
    fn kind(&self) -> BackendKind;

    /// Makes a volume.
    async fn create(&self, spec: &VolumeSpec) -> Result<VolumeRecord, VolumeError>;

    /// The volume of that name.
    async fn get(&self, name: &VolumeName) -> Result<VolumeRecord, VolumeError>;

    /// Those that are meant, newest first.
    async fn list(&self, filter: &VolumeFilter) -> Result<Vec<VolumeRecord>, VolumeError>;

    /// Removes a volume that nobody uses.
    async fn remove(&self, name: &VolumeName, snapshots: Snapshots) -> Result<(), VolumeError>;

    /// Gives a volume another name, also while it is used.
    async fn rename(&self, name: &VolumeName, to: &VolumeName) -> Result<VolumeRecord, VolumeError>;

    /// Changes how much a volume holds.
    async fn resize(&self, name: &VolumeName, to: Resize) -> Result<VolumeRecord, VolumeError>;

    /// Makes a volume of what is in another, or was.
    async fn clone_volume(
        &self,
        source: CloneSource<'_>,
        name: &VolumeName,
        labels: &[Label],
        progress: &Progress,
    ) -> Result<VolumeRecord, VolumeError>;

    /// Keeps what is in a volume now, under a name of its own.
    async fn snapshot(
        &self,
        name: &VolumeName,
        snapshot: &VolumeName,
        progress: &Progress,
    ) -> Result<SnapshotRecord, VolumeError>;

    /// The snapshots of a volume, newest first.
    async fn snapshots(&self, name: &VolumeName) -> Result<Vec<SnapshotRecord>, VolumeError>;

    /// Removes a snapshot.
    async fn remove_snapshot(&self, name: &VolumeName, snapshot: &VolumeName) -> Result<(), VolumeError>;

    /// Makes a volume hold what a snapshot holds; what was in it is gone.
    async fn restore(
        &self,
        name: &VolumeName,
        snapshot: &VolumeName,
        progress: &Progress,
    ) -> Result<(), VolumeError>;

    /// Takes volumes for as long as the lease lives: all of them or none.
    async fn attach(&self, volumes: &[Attach], holder: &Holder) -> Result<Lease, VolumeError>;

    /// Those who have a volume attached.
    async fn holders(&self, name: &VolumeName) -> Result<Vec<HolderRecord>, VolumeError>;

    /// What is in a volume, counted at most `age` ago.
    async fn usage(&self, name: &VolumeName, age: Duration) -> Result<Usage, VolumeError>;

    /// The files of a volume.
    fn fs(&self, volume: &VolumeRecord) -> Result<VolumeFs, VolumeError>;

    /// Writes a volume as an archive.
    async fn export(
        &self,
        name: &VolumeName,
        to: Box<dyn Write + Send>,
        progress: &Progress,
    ) -> Result<(), ArchiveError>;

    /// Makes a volume of an archive.
    async fn import(
        &self,
        from: Box<dyn Read + Send>,
        options: &ImportOptions,
        progress: &Progress,
    ) -> Result<VolumeRecord, ArchiveError>;

    /// Looks at everything and changes nothing but what a crash has left half done.
    async fn check(&self) -> Result<Health, VolumeError>;

    /// Mends what can be mended. A volume that is there is never removed.
    async fn repair(&self) -> Result<Repair, VolumeError>;

    /// Ends its connections and their threads; the next operation makes new ones. What was done is on the disk
    /// without it.
    async fn close(&self);
}

/// The backend of this process: in `$SANDBOX_HOME`, `$XDG_STATE_HOME/sandbox` or `~/.local/state/sandbox`. It is
/// found once; its catalog is opened when it is first needed.
///
/// # Errors
/// Where none of the three says where, or the directory will not do.
pub async fn default_backend() -> Result<Arc<dyn Backend>, VolumeError> {
    static DEFAULT: OnceCell<Arc<dyn Backend>> = OnceCell::const_new();
    let made = DEFAULT.get_or_try_init(|| async {
        let home = default_home().ok_or(HomeError::Nowhere)?;
        let backend: Arc<dyn Backend> = Arc::new(LocalBackend::builder().home(home).build().await?);
        Ok::<_, VolumeError>(backend)
    });
    made.await.cloned()
}
