//! Why volumes are not attached.

use sandbox_filesystem::backend::passthrough::PassthroughError;
use sandbox_filesystem::disk::DiskMountError;
use sandbox_filesystem::serve::fuse::MountError;
use sandbox_types::VolumeName;
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
    /// Its quota is kept by serving it, and that is not possible here.
    #[error("volume {name} has a quota, and cannot be served")]
    Serve {
        /// Which.
        name: VolumeName,
        /// Why not.
        #[source]
        source: MountError,
    },
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
            Self::Serve { name, source } => {
                let hint = source.hint().map(|hint| format!("{hint}; or "));
                let hint = hint.unwrap_or_default();
                Some(format!(
                    "{hint}take the quota away: sandbox volume resize {name} --quota none --inodes none"
                ))
            }
            Self::Disk { source, .. } => source.hint().map(str::to_owned),
        }
    }
}
