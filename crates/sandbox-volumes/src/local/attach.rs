//! Who has what attached.

use sandbox_types::{Access, VolumeName};

use super::{LocalBackend, content_of};
use crate::catalog::{NewAttachment, NewSandbox, VolumeRow, now};
use crate::crash::crash_point;
use crate::error::{VolumeError, blocking};
use crate::lease::{Attach, Attached, Holder, Lease, Written, lock_path};
use crate::lock::{Held, Lock, Share};
use crate::pending::random_name;
use crate::record::HolderRecord;

impl LocalBackend {
    pub(super) async fn attach_volumes(
        &self,
        volumes: &[Attach],
        holder: &Holder,
    ) -> Result<Lease, VolumeError> {
        let mut rows: Vec<VolumeRow> = Vec::with_capacity(volumes.len());
        let mut locks: Vec<Lock> = Vec::new();
        for attach in volumes {
            // One lock for a volume that is attached twice, by whoever writes if anybody does.
            let known = rows.iter().find(|row| row.name == attach.volume).cloned();
            let row = if let Some(row) = known {
                row
            } else {
                let share = share(volumes, &attach.volume);
                let (row, lock) = self.locked_row(&attach.volume, share).await?;
                locks.push(lock);
                row
            };
            rows.push(row);
        }
        let written = self.write_down(volumes, &rows, holder).await?;
        crash_point("lease row");
        let attached = volumes.iter().zip(&rows).map(|(attach, row)| Attached {
            volume: attach.volume.clone(),
            path: content_of(&self.place(row), row.form),
            access: attach.access,
        });
        Ok(Lease {
            volumes: attached.collect(),
            locks,
            written,
        })
    }

    async fn write_down(
        &self,
        volumes: &[Attach],
        rows: &[VolumeRow],
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
            id,
            path,
            lock,
            backend: self.clone(),
        };
        let attachments: Vec<_> = volumes
            .iter()
            .zip(rows)
            .map(|(attach, row)| NewAttachment {
                volume: row.id,
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
            blocking(move || lock.remove(&path).map_err(VolumeError::io(&path))).await?;
            buried += 1;
        }
        Ok(buried)
    }
}

fn share(volumes: &[Attach], name: &VolumeName) -> Share {
    let writes = |attach: &&Attach| attach.volume == *name && attach.access == Access::Write;
    if volumes.iter().any(|attach| writes(&attach)) {
        Share::Exclusive
    } else {
        Share::Shared
    }
}
