//! Looking at volumes.

use std::time::{Duration, SystemTime};

use sandbox_types::{VolumeKind, VolumeName};

use super::{DATA, DISK, LocalBackend, content_of};
use crate::error::{VolumeError, blocking};
use crate::fs::VolumeFs;
use crate::pending::settle;
use crate::record::{Usage, VolumeRecord};
use crate::usage::{allocated, measure};

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

    pub(super) async fn measure(&self, name: &VolumeName, age: Duration) -> Result<Usage, VolumeError> {
        let row = self.row(name).await?;
        let directory = self.place(&row);
        if row.form.kind() == VolumeKind::Disk {
            let path = directory.join(DISK);
            let bytes = blocking(move || allocated(&path).map_err(VolumeError::io(&path))).await?;
            return Ok(Usage {
                bytes,
                inodes: 0,
                measured_at: SystemTime::now(),
            });
        }
        let young = |usage: &Usage| usage.measured_at.elapsed().is_ok_and(|elapsed| elapsed <= age);
        if let Some(usage) = row.usage.filter(young) {
            return Ok(usage);
        }
        let path = content_of(&directory, row.form);
        let usage = blocking(move || measure(&path).map_err(VolumeError::io(&path))).await?;
        let catalog = self.catalog().await?;
        let change = catalog.change().await?;
        change.note_usage(&row.place, usage).await?;
        change.commit().await?;
        Ok(usage)
    }
}
