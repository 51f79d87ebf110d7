//! Changing what is said of a volume: its name, how much it holds.

use std::io;
use std::time::Duration;

use sandbox_types::{Quota, VolumeForm, VolumeName, check_quota};

use super::{DISK, LocalBackend, disk};
use crate::backend::Resize;
use crate::catalog::VolumeRow;
use crate::crash::crash_point;
use crate::error::{VolumeError, blocking};
use crate::lock::Share;
use crate::manifest::Manifest;
use crate::pending::{Restating, settle};
use crate::record::VolumeRecord;

impl LocalBackend {
    pub(super) async fn rename_volume(
        &self,
        name: &VolumeName,
        to: &VolumeName,
    ) -> Result<VolumeRecord, VolumeError> {
        if name == to {
            return Err(VolumeError::AlreadyExists { name: to.clone() });
        }
        // In one order, whoever renames what, so that nobody waits for another who waits for them.
        let (first, second) = if name < to { (name, to) } else { (to, name) };
        let _first = self.hold(first).await?;
        let _second = self.hold(second).await?;
        let row = self.row(name).await?;
        let restating = self.begin_restating(&row).await?;
        let catalog = self.catalog().await?;
        let change = catalog.change().await?;
        if !change.rename_volume(row.id, to).await? {
            return Err(VolumeError::AlreadyExists { name: to.clone() });
        }
        change.commit().await?;
        crash_point("renamed");
        self.restate(to, restating).await
    }

    pub(super) async fn resize_volume(
        &self,
        name: &VolumeName,
        to: Resize,
    ) -> Result<VolumeRecord, VolumeError> {
        let _held = self.hold(name).await?;
        // A quota holds from the next time that the volume is attached, so nobody may have it now.
        let (row, _alone) = self.locked_row(name, Share::Exclusive).await?;
        let form = match (row.form, to) {
            (VolumeForm::Directory { .. }, Resize::Quota(quota)) => self.checked_quota(&row, quota).await?,
            (VolumeForm::Disk { size }, Resize::Size(new)) if new < size => {
                return Err(VolumeError::Unsupported {
                    feature: "making a disk smaller",
                    available_when: "copy its files into a smaller one",
                });
            }
            (VolumeForm::Disk { .. }, Resize::Size(size)) => {
                let path = self.place(&row).join(DISK);
                blocking(move || disk::grow(&path, size)).await?;
                VolumeForm::Disk { size }
            }
            (VolumeForm::Directory { .. }, Resize::Size(_)) => {
                return Err(VolumeError::Unsupported {
                    feature: "a size for a directory",
                    available_when: "limit what it holds by --quota",
                });
            }
            (VolumeForm::Disk { .. }, Resize::Quota(_)) => {
                return Err(VolumeError::Unsupported {
                    feature: "a quota for a disk",
                    available_when: "its size is its limit: --size",
                });
            }
        };
        let restating = self.begin_restating(&row).await?;
        let catalog = self.catalog().await?;
        let change = catalog.change().await?;
        change.reshape_volume(row.id, form).await?;
        change.commit().await?;
        crash_point("renamed");
        self.restate(name, restating).await
    }

    /// Where the place is still on its way, whoever made it was killed: it is put where it belongs first.
    async fn begin_restating(&self, row: &VolumeRow) -> Result<Restating, VolumeError> {
        const ATTEMPTS: u32 = 200;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let (home, place) = (self.home.clone(), row.place.clone());
            match blocking(move || Restating::begin(&home, &place)).await {
                Err(VolumeError::Io { source, .. })
                    if source.kind() == io::ErrorKind::IsADirectory && attempt < ATTEMPTS =>
                {
                    settle(&self.home, &*self.catalog().await?).await?;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                begun => {
                    return begun?.ok_or_else(|| VolumeError::Busy {
                        name: row.name.clone(),
                    });
                }
            }
        }
    }

    async fn restate(&self, name: &VolumeName, restating: Restating) -> Result<VolumeRecord, VolumeError> {
        let record = self.say_anew(name).await?;
        blocking(move || restating.end()).await?;
        Ok(record)
    }

    async fn checked_quota(&self, row: &VolumeRow, quota: Quota) -> Result<VolumeForm, VolumeError> {
        if let Some(problem) = check_quota(quota) {
            return Err(problem.into());
        }
        if !quota.is_none() {
            let used = self.measure(&row.name, Duration::ZERO).await?;
            if let Some(asked) = quota.bytes.filter(|asked| *asked < used.bytes) {
                return Err(VolumeError::QuotaBelowUse {
                    name: row.name.clone(),
                    used: used.bytes,
                    asked,
                });
            }
            if let Some(asked) = quota.inodes.filter(|asked| *asked < used.inodes) {
                return Err(VolumeError::InodesBelowUse {
                    name: row.name.clone(),
                    used: used.inodes,
                    asked,
                });
            }
        }
        Ok(VolumeForm::Directory { quota })
    }

    /// Writes into a volume's directory what the catalog says of it.
    pub(super) async fn say_anew(&self, name: &VolumeName) -> Result<VolumeRecord, VolumeError> {
        let row = self.row(name).await?;
        let (manifest, directory) = (Manifest::of(&row), self.place(&row));
        blocking(move || manifest.replace_in(&directory).map_err(VolumeError::from)).await?;
        Ok(self.record(row))
    }
}
