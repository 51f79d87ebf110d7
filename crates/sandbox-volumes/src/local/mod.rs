//! Volumes on this machine: a catalog, and a directory for each volume.
//!
//! Every change follows one order: the name's lock, the new place made in `.pending` and synced, the row, the place
//! moved to where it belongs (see `pending`). Locks are only tried while the catalog's write lock is held, never
//! waited for.

mod attach;
mod builder;
mod change;
mod check;
mod copies;
mod create;
mod disk;
mod look;
mod opened;
mod rebuild;
mod remove;
mod reserve;
#[cfg(test)]
mod tests;
mod usage;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sandbox_types::{Label, VolumeForm, VolumeKind, VolumeName, VolumeSpec};

pub use builder::LocalBackendBuilder;
pub(crate) use copies::sync_file_system;
pub(crate) use create::make_data;
use opened::Opened;

use crate::archive::{ArchiveError, ImportOptions};
use crate::backend::{Backend, BackendKind, CloneSource, Health, Repair, Resize, Snapshots};
use crate::catalog::{VolumeRow, from_micros};
use crate::copy::Progress;
use crate::error::{VolumeError, blocking};
use crate::fs::VolumeFs;
use crate::home::Home;
use crate::lease::{Attach, Holder, Lease};
use crate::lock::{Lock, Share};
use crate::manifest::Manifest;
use crate::mounted::device_of;
use crate::pending::settle;
use crate::record::{HolderRecord, SnapshotRecord, Usage, VolumeFilter, VolumeRecord};

/// Volumes in a directory of this machine.
#[derive(Debug, Clone)]
pub struct LocalBackend {
    home: Home,
    opened: Arc<Opened>,
}

/// What holds the files of a volume, in its directory.
const DATA: &str = "data";
/// What holds a disk, in its volume's directory.
const DISK: &str = "disk.raw";
/// What holds the figure of a quota, in its volume's directory.
const QUOTA: &str = "quota";

impl LocalBackend {
    /// A backend whose home is still to be said.
    pub fn builder() -> LocalBackendBuilder {
        LocalBackendBuilder::default()
    }

    /// The directory that holds everything.
    pub fn home(&self) -> &Path {
        self.home.root()
    }

    /// Nobody else changes what `name` means while it is held.
    async fn hold(&self, name: &VolumeName) -> Result<Lock, VolumeError> {
        // Before the name, never after it: whoever mends the catalog waits for names.
        self.catalog().await?;
        let (home, name) = (self.home.clone(), name.clone());
        blocking(move || hold_now(&home, &name)).await
    }

    async fn row(&self, name: &VolumeName) -> Result<VolumeRow, VolumeError> {
        let found = self.catalog().await?.volume(name).await?;
        found.ok_or_else(|| VolumeError::NotFound { name: name.clone() })
    }

    /// The directory of a volume.
    fn place(&self, row: &VolumeRow) -> PathBuf {
        self.home.volumes().join(&row.place)
    }

    /// The volume of that name, and the lock of its directory. One that is just being moved is waited for.
    async fn locked_row(&self, name: &VolumeName, share: Share) -> Result<(VolumeRow, Lock), VolumeError> {
        const ATTEMPTS: u32 = 200;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let row = self.row(name).await?;
            match self.lock_place(&row, share).await {
                Ok(lock) => return Ok((row, lock)),
                Err(VolumeError::Missing { .. }) if attempt < ATTEMPTS && self.is_pending(&row) => {
                    settle(&self.home, &*self.catalog().await?).await?;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                // It may have been put elsewhere, or be where it belongs by now.
                Err(VolumeError::Missing { .. }) if attempt < 3 => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn is_pending(&self, row: &VolumeRow) -> bool {
        self.home.pending().join(&row.place).is_dir()
    }

    /// Takes the lock of a volume's directory. Whoever has mounted a disk may have been killed a moment ago: until it is
    /// unmounted the lock is held by nobody who is written down, and that is waited for.
    async fn lock_place(&self, row: &VolumeRow, share: Share) -> Result<Lock, VolumeError> {
        const ATTEMPTS: u32 = 150;
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.try_lock_place(row, share).await {
                Err(VolumeError::InUse { holders, .. })
                    if holders.is_empty() && row.form.kind() == VolumeKind::Disk && attempt < ATTEMPTS =>
                {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                result => return result,
            }
        }
    }

    async fn try_lock_place(&self, row: &VolumeRow, share: Share) -> Result<Lock, VolumeError> {
        let path = self.place(row);
        let locked = {
            let path = path.clone();
            blocking(move || match Lock::try_directory(&path, share) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                result => result.map(Some).map_err(VolumeError::io(&path)),
            })
            .await?
        };
        match locked {
            Some(Some(lock)) if !self.is_still_mounted(row, share).await? => Ok(lock),
            Some(_) => Err(VolumeError::InUse {
                name: row.name.clone(),
                holders: self.living_holders(row.id).await?,
            }),
            None => Err(VolumeError::Missing {
                name: row.name.clone(),
                path,
            }),
        }
    }

    /// Whether the kernel still has a disk: whoever had it may have been killed a moment ago.
    async fn is_still_mounted(&self, row: &VolumeRow, share: Share) -> Result<bool, VolumeError> {
        if row.form.kind() == VolumeKind::Directory {
            return Ok(false);
        }
        let image = content_of(&self.place(row), row.form);
        blocking(move || Ok(device_of(&image, share).is_some())).await
    }

    /// What is said of a volume, where its content is, and its lock.
    pub(crate) async fn to_be_read(
        &self,
        name: &VolumeName,
        share: Share,
    ) -> Result<(Manifest, PathBuf, Lock), VolumeError> {
        let (row, lock) = self.locked_row(name, share).await?;
        let place = self.place(&row);
        let manifest = Manifest {
            form: self.form_in(&place, row.form).await?,
            ..Manifest::of(&row)
        };
        Ok((manifest, content_of(&place, row.form), lock))
    }

    fn record(&self, row: VolumeRow) -> VolumeRecord {
        VolumeRecord {
            directory: Some(self.place(&row)),
            name: row.name,
            form: row.form,
            labels: row.labels,
            created_at: from_micros(row.created),
            usage: row.usage,
            place: row.place,
        }
    }
}

/// As [`LocalBackend::hold`], for a thread that may wait.
fn hold_now(home: &Home, name: &VolumeName) -> Result<Lock, VolumeError> {
    let path = home.name_lock(name);
    let held = Lock::file(&path, Share::Exclusive).map_err(VolumeError::io(&path))?;
    held.ok_or_else(|| VolumeError::Busy { name: name.clone() })
}

/// What of a volume's directory a sandbox gets to see.
pub(crate) fn content_of(directory: &Path, form: VolumeForm) -> PathBuf {
    match form.kind() {
        VolumeKind::Directory => directory.join(DATA),
        VolumeKind::Disk => directory.join(DISK),
    }
}

#[async_trait]
impl Backend for LocalBackend {
    fn kind(&self) -> BackendKind {
        BackendKind::Local
    }

    async fn create(&self, spec: &VolumeSpec) -> Result<VolumeRecord, VolumeError> {
        self.create_volume(spec).await
    }

    async fn get(&self, name: &VolumeName) -> Result<VolumeRecord, VolumeError> {
        self.find(name).await
    }

    async fn list(&self, filter: &VolumeFilter) -> Result<Vec<VolumeRecord>, VolumeError> {
        let rows = self.catalog().await?.volumes(filter).await?;
        Ok(rows.into_iter().map(|row| self.record(row)).collect())
    }

    async fn remove(&self, name: &VolumeName, snapshots: Snapshots) -> Result<(), VolumeError> {
        self.remove_volume(name, snapshots).await
    }

    async fn rename(&self, name: &VolumeName, to: &VolumeName) -> Result<VolumeRecord, VolumeError> {
        self.rename_volume(name, to).await
    }

    async fn resize(&self, name: &VolumeName, to: Resize) -> Result<VolumeRecord, VolumeError> {
        self.resize_volume(name, to).await
    }

    async fn clone_volume(
        &self,
        source: CloneSource<'_>,
        name: &VolumeName,
        labels: &[Label],
        progress: &Progress,
    ) -> Result<VolumeRecord, VolumeError> {
        self.clone_to(source, name, labels, progress).await
    }

    async fn snapshot(
        &self,
        name: &VolumeName,
        snapshot: &VolumeName,
        progress: &Progress,
    ) -> Result<SnapshotRecord, VolumeError> {
        self.take_snapshot(name, snapshot, progress).await
    }

    async fn snapshots(&self, name: &VolumeName) -> Result<Vec<SnapshotRecord>, VolumeError> {
        let row = self.row(name).await?;
        Ok(self.catalog().await?.snapshots(row.id).await?)
    }

    async fn remove_snapshot(&self, name: &VolumeName, snapshot: &VolumeName) -> Result<(), VolumeError> {
        self.drop_snapshot(name, snapshot).await
    }

    async fn restore(
        &self,
        name: &VolumeName,
        snapshot: &VolumeName,
        progress: &Progress,
    ) -> Result<(), VolumeError> {
        self.restore_snapshot(name, snapshot, progress).await
    }

    async fn attach(&self, volumes: &[Attach], holder: &Holder) -> Result<Lease, VolumeError> {
        self.attach_volumes(volumes, holder).await
    }

    async fn holders(&self, name: &VolumeName) -> Result<Vec<HolderRecord>, VolumeError> {
        let row = self.row(name).await?;
        self.living_holders(row.id).await
    }

    async fn usage(&self, name: &VolumeName, age: Duration) -> Result<Usage, VolumeError> {
        self.measure(name, age).await
    }

    fn fs(&self, volume: &VolumeRecord) -> Result<VolumeFs, VolumeError> {
        self.open_fs(volume)
    }

    async fn export(
        &self,
        name: &VolumeName,
        to: Box<dyn Write + Send>,
        progress: &Progress,
    ) -> Result<(), ArchiveError> {
        self.export_volume(name, to, progress).await
    }

    async fn import(
        &self,
        from: Box<dyn Read + Send>,
        options: &ImportOptions,
        progress: &Progress,
    ) -> Result<VolumeRecord, ArchiveError> {
        self.import_volume(from, options, progress).await
    }

    async fn check(&self) -> Result<Health, VolumeError> {
        self.check_all().await
    }

    async fn repair(&self) -> Result<Repair, VolumeError> {
        self.repair_all().await
    }

    async fn close(&self) {
        self.opened.close().await;
    }
}
