//! How much is in a volume: asked of whoever serves it, of what was written down, or counted.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sandbox_types::quota::QuotaRecord;
use sandbox_types::{ByteSize, Quota, VolumeForm, VolumeName};

use super::{LocalBackend, QUOTA, content_of, disk};
use crate::catalog::VolumeRow;
use crate::error::{VolumeError, blocking};
use crate::lock::{Lock, Share};
use crate::record::Usage;
use crate::usage::measure;
use crate::usage::weigh::{read_record, record_path, weigh};

impl LocalBackend {
    pub(super) async fn measure(&self, name: &VolumeName, age: Duration) -> Result<Usage, VolumeError> {
        let row = self.row(name).await?;
        match row.form {
            VolumeForm::Directory { quota: Quota::NONE } => self.walked(&row, age).await,
            VolumeForm::Directory { .. } => self.kept(&row).await,
            VolumeForm::Disk { .. } => match self.served(&row).await? {
                Some(usage) => Ok(usage),
                None => self.looked_up(&row).await,
            },
        }
    }

    /// Counted by looking at everything, at most `age` ago.
    async fn walked(&self, row: &VolumeRow, age: Duration) -> Result<Usage, VolumeError> {
        let young = |usage: &Usage| usage.measured_at.elapsed().is_ok_and(|elapsed| elapsed <= age);
        if let Some(usage) = row.usage.filter(young) {
            return Ok(usage);
        }
        let path = content_of(&self.place(row), row.form);
        let usage = blocking(move || measure(&path).map_err(VolumeError::io(&path))).await?;
        let catalog = self.catalog().await?;
        let change = catalog.change().await?;
        change.note_usage(&row.place, usage).await?;
        change.commit().await?;
        Ok(usage)
    }

    /// As the mount of whoever has it attached says: what `df` says inside. None where there is none that this
    /// process can see.
    async fn served(&self, row: &VolumeRow) -> Result<Option<Usage>, VolumeError> {
        let holders = self.catalog().await?.holders(row.id).await?;
        let mounts = self.home.mounts();
        let places: Vec<PathBuf> = holders
            .into_iter()
            .map(|(id, _)| mounts.join(id).join(&row.place))
            .collect();
        blocking(move || Ok(places.iter().find_map(|place| of_mount(place)))).await
    }

    /// As the keeper of the quota has left it, or counted where it could not.
    async fn kept(&self, row: &VolumeRow) -> Result<Usage, VolumeError> {
        let place = self.place(row);
        let data = content_of(&place, row.form);
        blocking(move || {
            let record = of_quota(&data, &place.join(QUOTA)).map_err(VolumeError::io(&data))?;
            Ok(Usage {
                bytes: ByteSize::from_bytes(record.bytes),
                inodes: record.inodes,
                measured_at: SystemTime::now(),
            })
        })
        .await
    }

    /// As the superblock says. One that is behind its journal is brought up to date, unless somebody uses the disk.
    async fn looked_up(&self, row: &VolumeRow) -> Result<Usage, VolumeError> {
        let place = self.place(row);
        let image = content_of(&place, row.form);
        blocking(move || {
            let mut found = disk::look(&image)?;
            let mut measured_at = SystemTime::now();
            if found.needs_recovery {
                match Lock::try_directory(&place, Share::Exclusive).map_err(VolumeError::io(&place))? {
                    Some(_alone) => {
                        disk::recover(&image)?;
                        found = disk::look(&image)?;
                    }
                    None => measured_at = found.written,
                }
            }
            // As `df` says inside: root's disks are mounted by the kernel, those of others by fuse2fs.
            let bytes = if rustix::process::geteuid().is_root() {
                found.used
            } else {
                found.used_in_fuse2fs
            };
            Ok(Usage {
                bytes,
                inodes: found.used_inodes,
                measured_at,
            })
        })
        .await
    }
}

/// What is mounted there says how full it is; none where nothing is.
fn of_mount(place: &Path) -> Option<Usage> {
    let device = |path: &Path| std::fs::symlink_metadata(path).map(|stat| stat.dev());
    if device(place).ok()? == device(place.parent()?).ok()? {
        return None;
    }
    let stat = rustix::fs::statvfs(place).ok()?;
    let used = stat.f_blocks.saturating_sub(stat.f_bfree);
    Some(Usage {
        bytes: ByteSize::from_bytes(used.saturating_mul(stat.f_frsize)),
        inodes: stat.f_files.saturating_sub(stat.f_ffree),
        measured_at: SystemTime::now(),
    })
}

/// What the keeper of the quota says while there is one, and has written down at its end. Where that is not exact, it is
/// counted.
fn of_quota(data: &Path, state: &Path) -> std::io::Result<QuotaRecord> {
    let path = record_path(data, state)?;
    // The keeper holds this lock, too.
    let alone = Lock::try_directory(data, Share::Exclusive)?;
    let known = if alone.is_some() {
        read_record(&path)?
    } else {
        read_live(&path.with_extension(QuotaRecord::LIVE))?
    };
    if let Some(record) = known.filter(|record| record.exact) {
        return Ok(record);
    }
    let counted = weigh(data)?;
    if alone.is_some() {
        write_record(&path, counted)?;
    }
    Ok(counted)
}

fn read_live(path: &Path) -> std::io::Result<Option<QuotaRecord>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(QuotaRecord::of_live(&bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn write_record(path: &Path, record: QuotaRecord) -> std::io::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
    }
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(record.to_text().as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}
