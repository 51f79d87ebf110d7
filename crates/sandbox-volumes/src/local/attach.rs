//! Who has what attached.

use sandbox_types::{Access, VolumeKind, VolumeName};

use super::{LocalBackend, QUOTA, content_of, disk};
use crate::catalog::{NewAttachment, NewSandbox, VolumeRow, now};
use crate::crash::crash_point;
use crate::error::{VolumeError, blocking};
use crate::lease::{
    Attach, Attached, Holder, Lease, Written, lock_path, make_mount_point, remove_mount_points,
};
use crate::lock::{Held, Lock, Share};
use crate::pending::random_name;
use crate::record::HolderRecord;

impl LocalBackend {
    pub(super) async fn attach_volumes(
        &self,
        volumes: &[Attach],
        holder: &Holder,
    ) -> Result<Lease, VolumeError> {
        let mut taken: Vec<Taken> = Vec::with_capacity(volumes.len());
        let mut locks: Vec<Lock> = Vec::new();
        for attach in volumes {
            // One lock for a volume that is attached twice, by whoever writes if anybody does.
            let known = taken.iter().find(|taken| taken.row.name == attach.volume);
            let next = if let Some(known) = known {
                known.clone()
            } else {
                let access = access(volumes, &attach.volume);
                let (row, lock) = self.locked_to_be_used(&attach.volume, access).await?;
                locks.push(lock);
                Taken {
                    row,
                    lock: locks.len() - 1,
                }
            };
            taken.push(next);
        }
        let written = self.write_down(volumes, &taken, holder).await?;
        crash_point("lease row");
        let mut attached = Vec::with_capacity(volumes.len());
        for (attach, taken) in volumes.iter().zip(&taken) {
            attached.push(self.attached(attach, taken, &written).await?);
        }
        Ok(Lease {
            volumes: attached,
            locks,
            written,
        })
    }

    /// The volume and its lock. A disk that was not unmounted is made whole first: whoever only reads cannot, and
    /// would see it as it was in the middle of something.
    async fn locked_to_be_used(
        &self,
        name: &VolumeName,
        access: Access,
    ) -> Result<(VolumeRow, Lock), VolumeError> {
        if access == Access::Write {
            return self.locked_row(name, Share::Exclusive).await;
        }
        let (row, lock) = self.locked_row(name, Share::Shared).await?;
        if row.form.kind() == VolumeKind::Directory {
            return Ok((row, lock));
        }
        let image = content_of(&self.place(&row), row.form);
        if !blocking(move || disk::needs_recovery(&image)).await? {
            return Ok((row, lock));
        }
        drop(lock);
        {
            let (row, _alone) = self.locked_row(name, Share::Exclusive).await?;
            let image = content_of(&self.place(&row), row.form);
            blocking(move || disk::recover(&image)).await?;
        }
        self.locked_row(name, Share::Shared).await
    }

    async fn attached(
        &self,
        attach: &Attach,
        taken: &Taken,
        written: &Written,
    ) -> Result<Attached, VolumeError> {
        let place = self.place(&taken.row);
        let mut mount_point = None;
        if taken.row.form.kind() == VolumeKind::Disk {
            let path = written.mounts.join(&taken.row.place);
            mount_point = Some(path.clone());
            blocking(move || make_mount_point(&path).map_err(VolumeError::io(&path))).await?;
        }
        Ok(Attached {
            volume: attach.volume.clone(),
            path: content_of(&place, taken.row.form),
            access: attach.access,
            form: taken.row.form,
            mount_point,
            quota_state: place.join(QUOTA),
            lock: taken.lock,
        })
    }

    async fn write_down(
        &self,
        volumes: &[Attach],
        taken: &[Taken],
        holder: &Holder,
    ) -> Result<Written, VolumeError> {
        let catalog = self.catalog().await?;
        let run = self.home.run();
        let (id, path, lock) = blocking(move || {
            loop {
                let id = random_name().map_err(VolumeError::io(&run))?;
                let path = lock_path(&run, &id);
                if let Some(lock) = Lock::try_file(&path, Share::Exclusive).map_err(VolumeError::io(&path))? {
                    return Ok::<_, VolumeError>((id, path, lock));
                }
            }
        })
        .await?;
        let written = Written {
            mounts: self.home.mounts().join(&id),
            id,
            path,
            lock,
            backend: self.clone(),
        };
        let attachments: Vec<_> = volumes
            .iter()
            .zip(taken)
            .map(|(attach, taken)| NewAttachment {
                volume: taken.row.id,
                access: attach.access,
                at: attach.at.clone(),
            })
            .collect();
        let change = catalog.change().await?;
        let sandbox = NewSandbox {
            id: &written.id,
            name: holder.sandbox.as_ref().map(sandbox_types::SandboxName::as_str),
            pid: std::process::id(),
            command: &holder.command,
            started: now(),
        };
        change.add_sandbox(&sandbox, &attachments).await?;
        change.commit().await?;
        Ok(written)
    }

    /// Those who have a volume attached and are alive: they hold their locks.
    pub(super) async fn living_holders(&self, volume: i64) -> Result<Vec<HolderRecord>, VolumeError> {
        let holders = self.catalog().await?.holders(volume).await?;
        let run = self.home.run();
        blocking(move || {
            let mut living = Vec::new();
            for (id, holder) in holders {
                let path = lock_path(&run, &id);
                // Shared: two who look at once must not take one another for the holder.
                let held = Lock::try_existing(&path, Share::Shared).map_err(VolumeError::io(&path))?;
                if matches!(held, Held::ByAnother) {
                    living.push(holder);
                }
            }
            Ok::<_, VolumeError>(living)
        })
        .await
    }

    /// The names of the locks of those who are gone, and of locks that were never written down.
    pub(super) async fn dead_holders(&self) -> Result<Vec<String>, VolumeError> {
        let written = self.catalog().await?.sandboxes().await?;
        let run = self.home.run();
        blocking(move || {
            let mut names = written;
            for entry in std::fs::read_dir(&run).map_err(VolumeError::io(&run))? {
                let name = entry.map_err(VolumeError::io(&run))?.file_name();
                names.push(name.to_string_lossy().into_owned());
            }
            names.sort();
            names.dedup();
            let mut dead = Vec::new();
            for id in names {
                let path = lock_path(&run, &id);
                let held = Lock::try_existing(&path, Share::Shared).map_err(VolumeError::io(&path))?;
                if !matches!(held, Held::ByAnother) {
                    dead.push(id);
                }
            }
            Ok::<_, VolumeError>(dead)
        })
        .await
    }

    /// Strikes out those who are gone; how many there were.
    pub(super) async fn bury(&self) -> Result<usize, VolumeError> {
        let mut buried = 0;
        for id in self.dead_holders().await? {
            let path = lock_path(&self.home.run(), &id);
            let held = {
                let path = path.clone();
                blocking(move || Lock::try_file(&path, Share::Exclusive).map_err(VolumeError::io(&path)))
                    .await?
            };
            // Made by somebody who had not taken it yet.
            let Some(lock) = held else { continue };
            let catalog = self.catalog().await?;
            let change = catalog.change().await?;
            change.remove_sandbox(&id).await?;
            change.commit().await?;
            let mounts = self.home.mounts().join(&id);
            blocking(move || {
                if let Err(error) = remove_mount_points(&mounts) {
                    tracing::warn!(%error, path = %mounts.display(), "something is still mounted there");
                }
                lock.remove(&path).map_err(VolumeError::io(&path))
            })
            .await?;
            buried += 1;
        }
        Ok(buried)
    }
}

/// A volume that is taken, and for what.
#[derive(Debug, Clone)]
struct Taken {
    row: VolumeRow,
    lock: usize,
}

/// What a volume is wanted for, all in all.
fn access(volumes: &[Attach], name: &VolumeName) -> Access {
    let writes = |attach: &&Attach| attach.volume == *name && attach.access == Access::Write;
    if volumes.iter().any(|attach| writes(&attach)) {
        Access::Write
    } else {
        Access::Read
    }
}
