//! Clones and snapshots: volumes made of volumes.

use std::fs::File;
use std::path::{Path, PathBuf};

use sandbox_types::{Label, VolumeForm, VolumeKind, VolumeName};

use super::create::{make_data, provision};
use super::disk::form_in;
use super::{DATA, DISK, LocalBackend};
use crate::backend::CloneSource;
use crate::catalog::{NewSnapshot, VolumeRow, now};
use crate::copy::{Copy, CopyProgress, Progress, Side, copy_file};
use crate::crash::crash_point;
use crate::error::{VolumeError, blocking};
use crate::fs::beneath::Root;
use crate::fs::path::Inner;
use crate::lock::Share;
use crate::manifest::{Manifest, VERSION};
use crate::pending::Pending;
use crate::record::{SnapshotRecord, VolumeRecord};

impl LocalBackend {
    pub(super) async fn clone_to(
        &self,
        source: CloneSource<'_>,
        name: &VolumeName,
        labels: &[Label],
        progress: &Progress,
    ) -> Result<VolumeRecord, VolumeError> {
        // Nobody writes meanwhile, and nobody removes it.
        let (row, _source) = self.locked_row(source.volume, Share::Shared).await?;
        let from = match source.snapshot {
            None => self.place(&row),
            Some(snapshot) => self.snapshot_path(&row, snapshot).await?,
        };
        let form = self.form_in(&from, row.form).await?;
        let progress = progress.clone();
        self.make(name, form, labels, move |place| {
            copy_place(&from, place, form, &progress)
        })
        .await
    }

    pub(super) async fn take_snapshot(
        &self,
        name: &VolumeName,
        snapshot: &VolumeName,
        progress: &Progress,
    ) -> Result<SnapshotRecord, VolumeError> {
        let _held = self.hold(name).await?;
        let (row, _source) = self.locked_row(name, Share::Shared).await?;
        let exists = || VolumeError::SnapshotExists {
            name: name.clone(),
            snapshot: snapshot.clone(),
        };
        if self.snapshot_of(&row, snapshot).await.is_ok() {
            return Err(exists());
        }
        let manifest = Manifest {
            version: VERSION,
            name: name.clone(),
            form: self.form_in(&self.place(&row), row.form).await?,
            labels: row.labels.clone(),
            created: now(),
            snapshot: Some(snapshot.clone()),
            of: Some(row.place.clone()),
        };
        let mut pending = self.copy_of(self.place(&row), &manifest, progress).await?;
        let catalog = self.catalog().await?;
        let change = catalog.change().await?;
        let new = NewSnapshot {
            volume: row.id,
            name: snapshot,
            place: pending.id(),
            created: manifest.created,
        };
        if !change.add_snapshot(&new).await? {
            return Err(exists());
        }
        pending.keep();
        if let Err(error) = change.commit().await {
            self.decide_after(pending).await;
            return Err(error.into());
        }
        crash_point("row written");
        let to = self.home.snapshots().join(pending.id());
        blocking(move || pending.publish(&to).map(drop)).await?;
        self.snapshot_of(&row, snapshot).await
    }

    pub(super) async fn restore_snapshot(
        &self,
        name: &VolumeName,
        snapshot: &VolumeName,
        progress: &Progress,
    ) -> Result<(), VolumeError> {
        let _held = self.hold(name).await?;
        let (row, old_lock) = self.locked_row(name, Share::Exclusive).await?;
        let from = self.snapshot_path(&row, snapshot).await?;
        // A quota stays what it is, the size of a disk is part of it.
        let form = self.form_in(&from, row.form).await?;
        let manifest = Manifest {
            form,
            ..Manifest::of(&row)
        };
        let mut new = self.copy_of(from, &manifest, progress).await?;
        let old = {
            let (home, path, id) = (self.home.clone(), self.place(&row), row.place.clone());
            blocking(move || Pending::withdraw(&home, &path, &id, old_lock)).await?
        };
        let catalog = self.catalog().await?;
        let change = catalog.change().await?;
        change.move_volume(row.id, new.id()).await?;
        change.reshape_volume(row.id, form).await?;
        new.keep();
        if let Err(error) = change.commit().await {
            drop(old);
            self.decide_after(new).await;
            return Err(error.into());
        }
        crash_point("replaced");
        let place = new.id().to_owned();
        let to = self.home.volumes().join(&place);
        blocking(move || new.publish(&to).map(drop)).await?;
        if let Err(error) = self.point_snapshots_at(&row, place).await {
            tracing::warn!(%name, %error, "its snapshots do not say where it is now");
        }
        blocking(move || old.remove()).await
    }

    /// Says in the snapshots of a volume where it is now: a catalog that is made anew finds by that whose they are.
    async fn point_snapshots_at(&self, row: &VolumeRow, place: String) -> Result<(), VolumeError> {
        let (all, home) = (self.catalog().await?.snapshots(row.id).await?, self.home.clone());
        blocking(move || {
            for snapshot in all {
                let directory = home.snapshots().join(&snapshot.place);
                let mut manifest = match Manifest::load(&directory) {
                    Ok(manifest) => manifest,
                    // What cannot be read is for fsck to say.
                    Err(error) => {
                        tracing::warn!(%error, snapshot = %snapshot.name, "cannot be read");
                        continue;
                    }
                };
                manifest.of = Some(place.clone());
                manifest.replace_in(&directory)?;
            }
            Ok::<_, VolumeError>(())
        })
        .await
    }

    /// What a place holds: see [`form_in`].
    pub(super) async fn form_in(&self, place: &Path, form: VolumeForm) -> Result<VolumeForm, VolumeError> {
        let place = place.to_owned();
        blocking(move || form_in(&place, form)).await
    }

    /// A place with a copy of what is in `from`.
    async fn copy_of(
        &self,
        from: PathBuf,
        manifest: &Manifest,
        progress: &Progress,
    ) -> Result<Pending, VolumeError> {
        let (home, manifest, progress) = (self.home.clone(), manifest.clone(), progress.clone());
        blocking(move || {
            let form = manifest.form;
            provision(&home, &manifest, |place| {
                copy_place(&from, place, form, &progress)
            })
        })
        .await
    }

    pub(super) async fn snapshot_of(
        &self,
        row: &VolumeRow,
        snapshot: &VolumeName,
    ) -> Result<SnapshotRecord, VolumeError> {
        let all = self.catalog().await?.snapshots(row.id).await?;
        let found = all.into_iter().find(|found| found.name == *snapshot);
        found.ok_or_else(|| VolumeError::NoSnapshot {
            name: row.name.clone(),
            snapshot: snapshot.clone(),
        })
    }

    async fn snapshot_path(&self, row: &VolumeRow, snapshot: &VolumeName) -> Result<PathBuf, VolumeError> {
        let found = self.snapshot_of(row, snapshot).await?;
        Ok(self.home.snapshots().join(found.place))
    }
}

/// Copies what is in a volume's directory into another's, and syncs.
fn copy_place(from: &Path, to: &Path, form: VolumeForm, progress: &Progress) -> Result<(), VolumeError> {
    match form.kind() {
        VolumeKind::Directory => copy_data(&from.join(DATA), to, progress)?,
        VolumeKind::Disk => copy_disk(&from.join(DISK), &to.join(DISK), progress)?,
    }
    sync_file_system(to)
}

fn copy_data(from: &Path, to: &Path, progress: &Progress) -> Result<(), VolumeError> {
    make_data(to)?;
    let to = to.join(DATA);
    let source = Root::open(from).map_err(VolumeError::io(from))?;
    let target = Root::open(&to).map_err(VolumeError::io(&to))?;
    let root = Inner::root();
    let side = |which| Side {
        root: which,
        path: &root,
    };
    let copied = Copy::new(side(&source), side(&target), None, progress).contents();
    copied.map(drop).map_err(|failed| {
        let path = failed.path.strip_prefix("/").unwrap_or(&failed.path);
        VolumeError::io(&from.join(path))(failed.source)
    })
}

fn copy_disk(from: &Path, to: &Path, progress: &Progress) -> Result<(), VolumeError> {
    let source = File::open(from).map_err(VolumeError::io(from))?;
    let target = File::create_new(to).map_err(VolumeError::io(to))?;
    let length = source.metadata().map_err(VolumeError::io(from))?.len();
    let mut done = CopyProgress {
        bytes_total: Some(length),
        ..CopyProgress::default()
    };
    copy_file(&source, &target, &mut |bytes| {
        done.bytes += bytes;
        progress.tell(done);
    })
    .map_err(VolumeError::io(to))
}

/// Every file by itself would take as many waits for the disk.
pub(crate) fn sync_file_system(at: &Path) -> Result<(), VolumeError> {
    let directory = File::open(at).map_err(VolumeError::io(at))?;
    rustix::fs::syncfs(&directory).map_err(|errno| VolumeError::io(at)(errno.into()))
}
