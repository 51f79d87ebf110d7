//! Running with volumes: what a policy calls by name, taken, mounted or served where that is needed, and shown.
//!
//! ```no_run
//! use sandbox::volume::{Holder, default_backend};
//! use sandbox::{Access, Command, Mount, MountSource, Policy, attach_volumes};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let data = Mount { at: "/data".into(), source: MountSource::Volume("data".parse()?), access: Access::Write };
//! let policy = Policy::builder().mount(data).build()?;
//! let backend = default_backend().await?;
//! let (policy, volumes) = attach_volumes(&policy, &*backend, &Holder::default()).await?;
//! let prepared = volumes.builder(&policy).prepare()?;
//! prepared.command("ls").arg("/data").output()?;
//! volumes.detach().await?;
//! # Ok(())
//! # }
//! ```

mod error;
mod mounted;

use std::fmt;

use sandbox_confine::{Sandbox, SandboxBuilder};
use sandbox_types::{Mount, MountSource, Policy, VolumeName};
use sandbox_volumes::{Attach, Attached, Backend, Holder, Lease, VolumeError};

pub use error::AttachVolumesError;

use mounted::{Made, make};

/// Volumes that are taken and mounted for as long as this lives. Keep it until what runs with them has ended.
#[must_use = "the volumes are unmounted and free again when this is dropped"]
pub struct AttachedVolumes {
    // Unmounted before the lease, which is declared last, lets anybody else have them.
    made: Made,
    lease: Lease,
}

impl fmt::Debug for AttachedVolumes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttachedVolumes")
            .field("made", &self.made)
            .field("lease", &self.lease)
            .finish()
    }
}

impl AttachedVolumes {
    /// Who holds what.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// A sandbox for `policy`, which [`attach_volumes`] has given together with this: with those volumes that are
    /// served. As many as are wanted, one after the other where there are any such.
    pub fn builder(&self, policy: &Policy) -> SandboxBuilder {
        let served = self.made.served.iter();
        served.fold(Sandbox::builder(policy), |builder, volume| {
            builder.serve(volume.name.to_string(), volume.session.clone())
        })
    }

    /// Whether there is any that is served, so that the policy alone does not do: see [`AttachedVolumes::builder`].
    pub fn are_served(&self) -> bool {
        !self.made.served.is_empty()
    }

    /// Unmounts and frees the volumes, and strikes out who held them. Nothing that uses them may run any more.
    /// Dropping does the same but for the last, which whoever looks next does.
    ///
    /// # Errors
    /// Where it cannot be struck out. The volumes are free all the same.
    pub async fn detach(self) -> Result<(), VolumeError> {
        let Self { made, lease } = self;
        blocking(move || drop(made)).await?;
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

/// Takes the volumes that `policy` names, mounts disks, makes directories that are written within a quota ready to be
/// served, and puts all of them in the places of their names. They are taken as long as what this returns lives: keep
/// it until what runs under the policy has ended, and make the sandbox with its [`builder`](AttachedVolumes::builder).
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
    let (made, lease) = blocking(move || (make(&lease), lease)).await?;
    let made = match made {
        Ok(made) => made,
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
        if volume(mount).is_some()
            && let Some(volume) = shown.next()
        {
            mount.source = source(volume, &made);
        }
    }
    Ok((attached, AttachedVolumes { made, lease }))
}

fn source(attached: &Attached, made: &Made) -> MountSource {
    let served = made.served.iter().find(|served| served.volume == attached.volume);
    match served {
        Some(served) => MountSource::Served(served.name.clone()),
        None => MountSource::Bind(attached.mount_point.as_ref().unwrap_or(&attached.path).clone()),
    }
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
