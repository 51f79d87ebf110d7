//! Volumes that are more than a directory of the host: served with their quota, or mounted from their image.

use std::path::Path;
use std::sync::Arc;

use sandbox_filesystem::backend::PassthroughFs;
use sandbox_filesystem::backend::quota::Quota;
use sandbox_filesystem::disk::DiskMount;
use sandbox_filesystem::serve::fuse::Session;
use sandbox_types::{Access, StatVirtualization, VolumeForm};
use sandbox_volumes::{Attached, Lease};

use super::error::AttachVolumesError;

/// Dropped, it is unmounted.
#[derive(Debug)]
#[expect(dead_code, reason = "held until it is dropped")]
pub(super) enum MountedVolume {
    Served(Session),
    Disk(DiskMount),
}

/// Mounts each volume of the lease that has to be mounted, once.
pub(super) fn mount(lease: &Lease) -> Result<Vec<MountedVolume>, AttachVolumesError> {
    let mut mounted = Vec::new();
    let mut done = Vec::new();
    for attached in lease.volumes() {
        let Some(at) = &attached.mount_point else { continue };
        if done.contains(&at) {
            continue;
        }
        done.push(at);
        // What any of its places may write, the mount must be able to; the others are shown read-only.
        let writes = lease
            .volumes()
            .iter()
            .any(|other| other.volume == attached.volume && other.access == Access::Write);
        mounted.push(match attached.form {
            VolumeForm::Directory { quota } => served(attached, quota, at)?,
            VolumeForm::Disk { .. } => {
                let access = if writes { Access::Write } else { Access::Read };
                disk(lease, attached, at, access)?
            }
        });
    }
    Ok(mounted)
}

/// Files are what they are on the host, as those of a volume without a quota are.
fn served(
    attached: &Attached,
    quota: sandbox_types::Quota,
    at: &Path,
) -> Result<MountedVolume, AttachVolumesError> {
    let limits = match (quota.bytes, quota.inodes) {
        (Some(bytes), Some(inodes)) => Quota::bytes(bytes).inodes(inodes),
        (Some(bytes), None) => Quota::bytes(bytes),
        (None, inodes) => Quota::inodes_only(inodes.unwrap_or(u64::MAX)),
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
    let session = Session::builder(Arc::new(fs))
        .fs_name(format!("volume:{}", attached.volume))
        .mount(at)
        .map_err(|source| AttachVolumesError::Serve {
            name: attached.volume.clone(),
            source,
        })?;
    Ok(MountedVolume::Served(session))
}

fn disk(
    lease: &Lease,
    attached: &Attached,
    at: &Path,
    access: Access,
) -> Result<MountedVolume, AttachVolumesError> {
    let mount = DiskMount::new(&attached.path, at, access, lease.lock_of(attached));
    mount
        .map(MountedVolume::Disk)
        .map_err(|source| AttachVolumesError::Disk {
            name: attached.volume.clone(),
            source,
        })
}
