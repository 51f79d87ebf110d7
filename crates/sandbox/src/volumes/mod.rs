//! Running with volumes: what a policy calls by name, taken, mounted where that is needed, and shown.

mod error;
mod mounted;

use std::fmt;
use std::path::PathBuf;

use sandbox_types::{Mount, MountSource, Policy, VolumeName};
use sandbox_volumes::{Attach, Backend, Holder, Lease, VolumeError};

pub use error::AttachVolumesError;

use mounted::{MountedVolume, mount};

/// Volumes that are taken and mounted for as long as this lives. Keep it until what runs with them has ended.
#[must_use = "the volumes are unmounted and free again when this is dropped"]
pub struct AttachedVolumes {
    // Unmounted before the lease, which is declared last, lets anybody else have them.
    mounted: Vec<MountedVolume>,
    lease: Lease,
}

impl fmt::Debug for AttachedVolumes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttachedVolumes")
            .field("mounted", &self.mounted)
            .field("lease", &self.lease)
            .finish()
    }
}

impl AttachedVolumes {
    /// Who holds what.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Unmounts and frees the volumes, and strikes out who held them. Nothing that uses them may run any more.
    /// Dropping does the same but for the last, which whoever looks next does.
    ///
    /// # Errors
    /// Where it cannot be struck out. The volumes are free all the same.
    pub async fn detach(self) -> Result<(), VolumeError> {
        let Self { mounted, lease } = self;
        blocking(move || drop(mounted)).await?;
        lease.detach().await
    }
}

/// Whether a policy calls any volume by name.
pub fn names_volumes(policy: &Policy) -> bool {
    policy
        .filesystem
        .mounts
        .iter()
        .any(|mount| volume(mount).is_some())
}

fn volume(mount: &Mount) -> Option<&VolumeName> {
    match &mount.source {
        MountSource::Volume(name) => Some(name),
        _ => None,
    }
}

/// Takes the volumes that `policy` names, mounts those that have to be mounted (directories with a quota that are
/// written, and disks), and puts where they are in the places of their names. They are taken as long as what this
/// returns lives: keep it until what runs under the policy has ended.
///
/// # Errors
/// Where one is not there, is in use, or cannot be mounted by this caller. None is taken then.
pub async fn attach_volumes(
    policy: &Policy,
    backend: &dyn Backend,
    holder: &Holder,
) -> Result<(Policy, AttachedVolumes), AttachVolumesError> {
    let wanted: Vec<_> = policy
        .filesystem
        .mounts
        .iter()
        .filter_map(|mount| {
            volume(mount).map(|name| Attach {
                volume: name.clone(),
                access: mount.access,
                at: mount.at.clone(),
            })
        })
        .collect();
    let lease = backend.attach(&wanted, holder).await?;
    let (mounted, lease) = blocking(move || (mount(&lease), lease)).await?;
    let mounted = match mounted {
        Ok(mounted) => mounted,
        Err(error) => {
            // What keeps it from being struck out is not what went wrong.
            if let Err(error) = lease.detach().await {
                tracing::warn!(%error, "a lease is left to be struck out");
            }
            return Err(error);
        }
    };
    let mut attached = policy.clone();
    let mut shown = lease.volumes().iter();
    for mount in &mut attached.filesystem.mounts {
        if volume(mount).is_some() {
            let path = shown.next().map_or_else(PathBuf::new, |attached| {
                attached.mount_point.as_ref().unwrap_or(&attached.path).clone()
            });
            mount.source = MountSource::Bind(path);
        }
    }
    Ok((attached, AttachedVolumes { mounted, lease }))
}

/// Runs what waits for a disk on a thread that may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, VolumeError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(VolumeError::Cancelled),
        },
    }
}
