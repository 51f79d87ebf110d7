//! Looking at volumes.

use sandbox_types::{VolumeKind, VolumeName};

use super::{DATA, LocalBackend};
use crate::error::VolumeError;
use crate::fs::VolumeFs;
use crate::pending::settle;
use crate::record::VolumeRecord;

impl LocalBackend {
    /// The volume of that name. One that is just being moved to its place is waited for.
    pub(super) async fn find(&self, name: &VolumeName) -> Result<VolumeRecord, VolumeError> {
        let row = self.row(name).await?;
        if self.place(&row).exists() {
            return Ok(self.record(row));
        }
        let _held = self.hold(name).await?;
        settle(&self.home, &*self.catalog().await?).await?;
        Ok(self.record(self.row(name).await?))
    }

    pub(super) fn open_fs(&self, volume: &VolumeRecord) -> Result<VolumeFs, VolumeError> {
        if volume.form.kind() == VolumeKind::Disk {
            return Err(VolumeError::Unsupported {
                feature: "looking into a disk from outside",
                available_when: "mount it, or use a directory",
            });
        }
        let path = self.home.volumes().join(&volume.place).join(DATA);
        VolumeFs::open(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => VolumeError::Missing {
                name: volume.name.clone(),
                path: path.clone(),
            },
            _ => VolumeError::io(&path)(source),
        })
    }
}
