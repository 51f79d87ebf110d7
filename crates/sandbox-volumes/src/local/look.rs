//! Looking at volumes.

use sandbox_types::{Quota, VolumeForm, VolumeName};

use super::{DATA, DISK, LocalBackend, QUOTA};
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
        let place = self.home.volumes().join(&volume.place);
        let path = place.join(DATA);
        let opened = match volume.form {
            VolumeForm::Disk { .. } => {
                let image = place.join(DISK);
                return Ok(VolumeFs::on_disk(place, image, volume.name.clone()));
            }
            VolumeForm::Directory { quota: Quota::NONE } => VolumeFs::open(&path),
            VolumeForm::Directory { quota } => {
                VolumeFs::with_quota(&path, place.join(QUOTA), quota, volume.name.clone())
            }
        };
        opened.map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => VolumeError::Missing {
                name: volume.name.clone(),
                path: path.clone(),
            },
            _ => VolumeError::io(&path)(source),
        })
    }
}
