//! Volumes that are more than a directory of the host: served with their quota, or mounted from their image.

use std::path::Path;
use std::sync::Arc;

use sandbox_filesystem::backend::PassthroughFs;
use sandbox_filesystem::backend::quota::Quota as ServedQuota;
use sandbox_filesystem::disk::DiskMount;
use sandbox_filesystem::serve::fuse::{Session, SessionBuilder};
use sandbox_types::{Access, Quota, ServedName, StatVirtualization, VolumeForm, VolumeName};
use sandbox_volumes::{Attached, Lease};

use super::error::AttachVolumesError;

/// What was made of the volumes of a lease that are not shown as they are.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// Dropped, they are unmounted.
    pub(super) disks: Vec<DiskMount>,
    pub(super) served: Vec<ServedVolume>,
}

/// A volume with a quota, to be served to the sandbox.
#[derive(Debug)]
pub(super) struct ServedVolume {
    pub(super) volume: VolumeName,
    pub(super) name: ServedName,
    pub(super) session: SessionBuilder,
}

/// Mounts each disk of the lease, and makes each directory that is written within a quota ready to be served; once.
pub(super) fn make(lease: &Lease) -> Result<Made, AttachVolumesError> {
    let mut made = Made::default();
    let mut done = Vec::new();
    for attached in lease.volumes() {
        if done.contains(&&attached.volume) {
            continue;
        }
        done.push(&attached.volume);
        let access = access(lease, &attached.volume);
        match (attached.form, &attached.mount_point) {
            (VolumeForm::Directory { quota }, _) if !quota.is_none() && access == Access::Write => {
                made.served
                    .push(served(lease, attached, quota, made.served.len())?);
            }
            (VolumeForm::Disk { .. }, Some(at)) => made.disks.push(disk(lease, attached, at, access)?),
            _ => {}
        }
    }
    Ok(made)
}

/// What a volume is wanted for, all in all: what is only read at one place is shown read-only there.
fn access(lease: &Lease, volume: &VolumeName) -> Access {
    let mut places = lease.volumes().iter();
    let writes = places.any(|attached| attached.volume == *volume && attached.access == Access::Write);
    if writes { Access::Write } else { Access::Read }
}

/// Files are what they are on the host, as those of a volume without a quota are.
fn served(
    lease: &Lease,
    attached: &Attached,
    quota: Quota,
    number: usize,
) -> Result<ServedVolume, AttachVolumesError> {
    let places = lease.volumes().iter();
    if places.filter(|other| other.volume == attached.volume).count() > 1 {
        return Err(AttachVolumesError::ServedTwice {
            name: attached.volume.clone(),
        });
    }
    let limits = match (quota.bytes, quota.inodes) {
        (Some(bytes), Some(inodes)) => ServedQuota::bytes(bytes).inodes(inodes),
        (Some(bytes), None) => ServedQuota::bytes(bytes),
        (None, inodes) => ServedQuota::inodes_only(inodes.unwrap_or(u64::MAX)),
    };
    let fs = PassthroughFs::builder()
        .root_dir(&attached.path)
        .stat_virtualization(StatVirtualization::Off)
        .quota(limits.state_dir(&attached.quota_state))
        .build()
        .map_err(|source| AttachVolumesError::Quota {
            name: attached.volume.clone(),
            source,
        })?;
    Ok(ServedVolume {
        volume: attached.volume.clone(),
        name: served_name(&attached.volume, number)?,
        session: Session::builder(Arc::new(fs)).fs_name(format!("volume:{}", attached.volume)),
    })
}

/// What `mount` and `df` show inside; a volume's own name may be too long to have anything before it.
fn served_name(volume: &VolumeName, number: usize) -> Result<ServedName, AttachVolumesError> {
    let named = format!("volume.{volume}").parse();
    Ok(named.or_else(|_| format!("volume.{number}.of.the.sandbox").parse())?)
}

fn disk(
    lease: &Lease,
    attached: &Attached,
    at: &Path,
    access: Access,
) -> Result<DiskMount, AttachVolumesError> {
    DiskMount::new(&attached.path, at, access, lease.lock_of(attached)).map_err(|source| {
        AttachVolumesError::Disk {
            name: attached.volume.clone(),
            source,
        }
    })
}
