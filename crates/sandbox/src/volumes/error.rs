//! Why volumes are not attached.

use sandbox_filesystem::backend::passthrough::PassthroughError;
use sandbox_filesystem::disk::DiskMountError;
use sandbox_types::{InvalidName, VolumeName};
use sandbox_volumes::VolumeError;

/// Why the volumes of a policy could not be attached. None is then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachVolumesError {
    /// One of them cannot be had.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// Nothing would hold its quota.
    #[error("volume {name}: its quota cannot be kept")]
    Quota {
        /// Which.
        name: VolumeName,
        /// Why not.
        #[source]
        source: PassthroughError,
    },
    /// Its quota is kept by serving it, which is done at one place.
    #[error(
        "volume {name} has a quota: it can be written at one place of a sandbox only, and read nowhere else in it"
    )]
    ServedTwice {
        /// Which.
        name: VolumeName,
    },
    /// No name can be given to what is served.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// Nothing mounts it.
    #[error("volume {name} is a disk, and cannot be mounted")]
    Disk {
        /// Which.
        name: VolumeName,
        /// Why not.
        #[source]
        source: DiskMountError,
    },
}

impl AttachVolumesError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Volume(error) => error.hint(),
            Self::Quota { source, .. } => source.hints().next().map(str::to_owned),
            Self::ServedTwice { .. } => Some("show it once, and link to it".into()),
            Self::Name(_) => None,
            Self::Disk { source, .. } => source.hint().map(str::to_owned),
        }
    }
}
