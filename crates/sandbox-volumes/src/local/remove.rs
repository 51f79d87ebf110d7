//! Removing volumes and snapshots.

use sandbox_types::VolumeName;

use super::LocalBackend;
use crate::backend::Snapshots;
use crate::catalog::VolumeRow;
use crate::crash::crash_point;
use crate::error::{VolumeError, blocking};
use crate::lock::{Lock, Share};
use crate::pending::{Pending, settle};
use crate::record::SnapshotRecord;

impl LocalBackend {
    pub(super) async fn remove_volume(
        &self,
        name: &VolumeName,
        snapshots: Snapshots,
    ) -> Result<(), VolumeError> {
        self.open_to_remove().await?;
        let held = self.hold(name).await?;
        let row = self.row(name).await?;
        let catalog = self.catalog().await?;
        let of_it = catalog.snapshots(row.id).await?;
        if snapshots == Snapshots::Refuse && !of_it.is_empty() {
            return Err(VolumeError::HasSnapshots {
                name: name.clone(),
                count: of_it.len(),
            });
        }
        settle(&self.home, &catalog).await?;
        let withdrawn = self.withdraw(&row, &of_it).await?;
        let struck_out = match self.strike_out(&row, &of_it).await {
            Err(error) if self.makes_room(&error) => self.strike_out(&row, &of_it).await,
            struck_out => struck_out,
        };
        struck_out.inspect_err(|_| tracing::warn!(%name, "the volume stays"))?;
        crash_point("row removed");
        let (lock_path, name) = (self.home.name_lock(name), name.clone());
        blocking(move || {
            // All of them are tried.
            let removed: Vec<_> = withdrawn.into_iter().map(Pending::remove).collect();
            let removed: Result<Vec<()>, VolumeError> = removed.into_iter().collect();
            removed.map_err(|error| left_behind(&name, error))?;
            held.remove(&lock_path).map_err(VolumeError::io(&lock_path))
        })
        .await
    }

    /// Moves it out of everybody's way, with its snapshots; those whose directories are gone are gone already.
    async fn withdraw(
        &self,
        row: &VolumeRow,
        snapshots: &[SnapshotRecord],
    ) -> Result<Vec<Pending>, VolumeError> {
        let mut locked = Vec::new();
        match self.lock_place(row, Share::Exclusive).await {
            Ok(lock) => locked.push((self.place(row), row.place.clone(), lock)),
            Err(VolumeError::Missing { .. }) => {}
            Err(error) => return Err(error),
        }
        for snapshot in snapshots {
            if let Some(lock) = self.lock_snapshot(&row.name, snapshot).await? {
                let path = self.home.snapshots().join(&snapshot.place);
                locked.push((path, snapshot.place.clone(), lock));
            }
        }
        let home = self.home.clone();
        blocking(move || {
            let each = locked.into_iter();
            each.map(|(path, id, lock)| Pending::withdraw(&home, &path, &id, lock))
                .collect()
        })
        .await
    }

    /// None where its directory is gone.
    async fn lock_snapshot(
        &self,
        name: &VolumeName,
        snapshot: &SnapshotRecord,
    ) -> Result<Option<Lock>, VolumeError> {
        let path = self.home.snapshots().join(&snapshot.place);
        let name = name.clone();
        blocking(move || match Lock::try_directory(&path, Share::Exclusive) {
            Ok(Some(lock)) => Ok(Some(lock)),
            Ok(None) => Err(VolumeError::Busy { name }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(VolumeError::io(&path)(error)),
        })
        .await
    }

    async fn strike_out(&self, row: &VolumeRow, snapshots: &[SnapshotRecord]) -> Result<(), VolumeError> {
        let catalog = self.catalog().await?;
        // Its lock was free, so those who are written down as using it are gone.
        let dead = catalog.holders(row.id).await?;
        let change = catalog.change().await?;
        for (id, _) in &dead {
            change.remove_attachments(id, row.id).await?;
        }
        for snapshot in snapshots {
            change.remove_snapshot(&snapshot.place).await?;
        }
        change.remove_volume(row.id).await?;
        Ok(change.commit().await?)
    }

    pub(super) async fn drop_snapshot(
        &self,
        name: &VolumeName,
        snapshot: &VolumeName,
    ) -> Result<(), VolumeError> {
        self.open_to_remove().await?;
        let _held = self.hold(name).await?;
        let row = self.row(name).await?;
        let found = self.snapshot_of(&row, snapshot).await?;
        let lock = self.lock_snapshot(name, &found).await?;
        let pending = match lock {
            Some(lock) => {
                let (home, path) = (self.home.clone(), self.home.snapshots().join(&found.place));
                let id = found.place.clone();
                Some(blocking(move || Pending::withdraw(&home, &path, &id, lock)).await?)
            }
            None => None,
        };
        let struck_out = match self.strike_out_snapshot(&found).await {
            Err(error) if self.makes_room(&error) => self.strike_out_snapshot(&found).await,
            struck_out => struck_out,
        };
        struck_out?;
        crash_point("row removed");
        blocking(move || pending.map_or(Ok(()), Pending::remove)).await
    }

    async fn strike_out_snapshot(&self, snapshot: &SnapshotRecord) -> Result<(), VolumeError> {
        let catalog = self.catalog().await?;
        let change = catalog.change().await?;
        change.remove_snapshot(&snapshot.place).await?;
        Ok(change.commit().await?)
    }
}

fn left_behind(name: &VolumeName, error: VolumeError) -> VolumeError {
    match error {
        VolumeError::Io { path, source } => VolumeError::LeftBehind {
            name: name.clone(),
            path,
            source,
        },
        error => error,
    }
}
