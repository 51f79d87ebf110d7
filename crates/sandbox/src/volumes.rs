//! Running with volumes: what a policy calls by name, taken and shown.

use std::path::PathBuf;

use sandbox_types::{Mount, MountSource, Policy, VolumeForm, VolumeName};
use sandbox_volumes::{Attach, Backend, Holder, Lease, VolumeError};

/// Why the volumes of a policy could not be attached. None is then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachVolumesError {
    /// One of them cannot be had.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// Nothing would hold its quota.
    #[error("volume {name} has a quota, which a sandbox cannot be held to yet")]
    Quota {
        /// Which.
        name: VolumeName,
    },
    /// Nothing would mount it.
    #[error("volume {name} is a disk, which a sandbox cannot mount yet")]
    Disk {
        /// Which.
        name: VolumeName,
    },
}

impl AttachVolumesError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Volume(error) => error.hint(),
            Self::Quota { name } => Some(format!("take it away: sandbox volume resize {name} --quota none")),
            Self::Disk { .. } => Some("use a directory".into()),
        }
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

/// Takes the volumes that `policy` names, and puts their directories in the places of their names. They are taken
/// as long as the lease lives: keep it until what runs under the policy has ended.
///
/// # Errors
/// Where one is not there, is in use, has a quota or is a disk. None is taken then.
pub async fn attach_volumes(
    policy: &Policy,
    backend: &dyn Backend,
    holder: &Holder,
) -> Result<(Policy, Lease), AttachVolumesError> {
    let mut wanted = Vec::new();
    for mount in &policy.filesystem.mounts {
        let Some(name) = volume(mount) else { continue };
        refuse_unheld(name, backend.get(name).await?.form)?;
        wanted.push(Attach {
            volume: name.clone(),
            access: mount.access,
            at: mount.at.clone(),
        });
    }
    let lease = backend.attach(&wanted, holder).await?;
    // What it is may have changed until it was taken, and cannot any more.
    for attach in &wanted {
        refuse_unheld(&attach.volume, backend.get(&attach.volume).await?.form)?;
    }
    let mut attached = policy.clone();
    let mut paths = lease.volumes().iter().map(|attached| attached.path.clone());
    for mount in &mut attached.filesystem.mounts {
        if volume(mount).is_some() {
            mount.source = MountSource::Bind(paths.next().unwrap_or_else(PathBuf::new));
        }
    }
    Ok((attached, lease))
}

/// A limit that nothing holds is none, and would be believed.
fn refuse_unheld(name: &VolumeName, form: VolumeForm) -> Result<(), AttachVolumesError> {
    match form {
        VolumeForm::Directory { quota } if quota.is_none() => Ok(()),
        VolumeForm::Directory { .. } => Err(AttachVolumesError::Quota { name: name.clone() }),
        VolumeForm::Disk { .. } => Err(AttachVolumesError::Disk { name: name.clone() }),
    }
}
