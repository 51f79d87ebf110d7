//! Why something could not be done to a volume.

use std::io;
use std::path::{Path, PathBuf};

use sandbox_types::{ByteSize, InvalidName, InvalidVolume, VolumeName, VolumeProblem};

use crate::catalog::CatalogError;
use crate::ext4::{CheckError, Ext4OptionsError, FormatError, GrowError, RecoverError};
use crate::home::HomeError;
use crate::manifest::ManifestError;
use crate::record::HolderRecord;

/// Why something could not be done to a volume. Nothing has changed then, unless the variant says so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VolumeError {
    /// What was asked for cannot be.
    #[error(transparent)]
    Invalid(#[from] InvalidVolume),
    /// No name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A quota or label that cannot be.
    #[error(transparent)]
    Problem(#[from] VolumeProblem),
    /// There is none of that name.
    #[error("there is no volume {name}")]
    NotFound {
        /// The name.
        name: VolumeName,
    },
    /// There is one of that name.
    #[error("volume {name} exists already")]
    AlreadyExists {
        /// The name.
        name: VolumeName,
    },
    /// There is one of that name, and it is another than was asked for.
    #[error("volume {name} exists already, with another {what}")]
    Differs {
        /// The name.
        name: VolumeName,
        /// What is not as asked for.
        what: &'static str,
    },
    /// There is no snapshot of that name.
    #[error("volume {name} has no snapshot {snapshot}")]
    NoSnapshot {
        /// The volume.
        name: VolumeName,
        /// The snapshot.
        snapshot: VolumeName,
    },
    /// There is a snapshot of that name.
    #[error("volume {name} has a snapshot {snapshot} already")]
    SnapshotExists {
        /// The volume.
        name: VolumeName,
        /// The snapshot.
        snapshot: VolumeName,
    },
    /// It is not removed, because its snapshots would go with it.
    #[error("volume {name} has {count} snapshots")]
    HasSnapshots {
        /// The volume.
        name: VolumeName,
        /// How many.
        count: usize,
    },
    /// Somebody uses it.
    #[error("volume {name} is in use{}", by(holders))]
    InUse {
        /// The volume.
        name: VolumeName,
        /// Who, as far as it is known.
        holders: Vec<HolderRecord>,
    },
    /// Somebody has been doing something to it for long.
    #[error("something is being done to volume {name}, and takes long")]
    Busy {
        /// The volume.
        name: VolumeName,
    },
    /// It holds more than would be allowed.
    #[error("volume {name} holds {used}, more than {asked}")]
    QuotaBelowUse {
        /// The volume.
        name: VolumeName,
        /// What is in it.
        used: ByteSize,
        /// What was asked for.
        asked: ByteSize,
    },
    /// It holds more than would be allowed.
    #[error("volume {name} holds {used} inodes, more than {asked}")]
    InodesBelowUse {
        /// The volume.
        name: VolumeName,
        /// What is in it.
        used: u64,
        /// What was asked for.
        asked: u64,
    },
    /// It cannot be done here, or not yet.
    #[error("{feature} is not supported; {available_when}")]
    Unsupported {
        /// What was asked for.
        feature: &'static str,
        /// When it will do.
        available_when: &'static str,
    },
    /// Its directory is gone.
    #[error("volume {name}: {path} is gone", path = path.display())]
    Missing {
        /// The volume.
        name: VolumeName,
        /// Where it was.
        path: PathBuf,
    },
    /// It is removed, and what it held cannot be.
    #[error("volume {name} is removed, but not what it held, in {path}: {source}", path = path.display())]
    LeftBehind {
        /// The volume.
        name: VolumeName,
        /// Where that is now.
        path: PathBuf,
        /// What is in the way.
        #[source]
        source: io::Error,
    },
    /// There is no space for it.
    #[error("{path}: no space left; nothing was kept of it", path = path.display())]
    NoSpace {
        /// What was being written.
        path: PathBuf,
        /// As the system says it.
        #[source]
        source: io::Error,
    },
    /// The system refused something.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Of what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The directory for volumes will not do.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The catalog refused something.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A manifest cannot be used.
    #[error(transparent)]
    Manifest(ManifestError),
    /// A disk cannot be made.
    #[error("a disk cannot be made: {0}")]
    Format(#[from] FormatError),
    /// A disk cannot be made so.
    #[error("a disk cannot be made: {0}")]
    FormatOptions(#[from] Ext4OptionsError),
    /// A disk cannot be made larger.
    #[error("a disk cannot be made larger: {0}")]
    Grow(#[from] GrowError),
    /// A disk cannot be looked at.
    #[error("a disk cannot be looked at: {0}")]
    Look(#[from] CheckError),
    /// A disk that was not unmounted cannot be made whole.
    #[error("a disk that was not unmounted cannot be made whole: {0}")]
    Recover(#[from] RecoverError),
    /// The runtime ended before it was done.
    #[error("cancelled: the runtime has ended")]
    Cancelled,
}

fn by(holders: &[HolderRecord]) -> String {
    if holders.is_empty() {
        return String::new();
    }
    let holders: Vec<_> = holders.iter().map(ToString::to_string).collect();
    format!(" by {}", holders.join(", "))
}

impl VolumeError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::at(path, source)
    }

    fn at(path: PathBuf, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { path, source },
            _ => Self::Io { path, source },
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound { .. } => Some("see: sandbox volume list".into()),
            Self::AlreadyExists { name } => Some(format!("use it as it is: sandbox volume ensure {name}")),
            Self::HasSnapshots { name, .. } => Some(format!(
                "to remove them, too: sandbox volume rm --snapshots {name}"
            )),
            Self::InUse { .. } => Some("end what uses it first".into()),
            Self::Missing { .. } => Some("see: sandbox volume fsck".into()),
            Self::LeftBehind { path, .. } => Some(format!(
                "every command tries again; until then: sudo rm -r {}",
                path.display()
            )),
            Self::NoSpace { .. } => Some("free some, or set SANDBOX_HOME to a larger disk".into()),
            Self::NoSnapshot { name, .. } => Some(format!("see: sandbox volume show {name}")),
            Self::Home(error) => error.hint().map(str::to_owned),
            Self::Catalog(error) => error.hint().map(str::to_owned),
            _ => None,
        }
    }
}

impl From<ManifestError> for VolumeError {
    fn from(error: ManifestError) -> Self {
        match error {
            ManifestError::Io { path, source } => Self::at(path, source),
            other => Self::Manifest(other),
        }
    }
}

/// Runs what blocks on a thread that may.
pub(crate) async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<VolumeError> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(VolumeError::Cancelled.into()),
        },
    }
}
