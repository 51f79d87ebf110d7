//! Looking whether everything is as it should be, and mending it.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sandbox_types::{ByteSize, VolumeForm, VolumeName};

use super::{LocalBackend, content_of};
use crate::backend::{Health, Problem, Repair};
use crate::catalog::{NewSnapshot, NewVolume, VolumeRow, is_place};
use crate::error::{VolumeError, blocking};
use crate::lease::lock_path;
use crate::lock::{Lock, Share};
use crate::manifest::Manifest;
use crate::pending::{Leftover, settle};
use crate::record::VolumeFilter;

/// What is not as it should be, as it is mended.
#[derive(Debug, Default)]
struct Findings {
    problems: Vec<Problem>,
    /// Volumes whose directories are gone.
    missing: Vec<VolumeRow>,
    /// Places of snapshots whose directories are gone.
    missing_snapshots: Vec<String>,
    /// Volumes whose directories say something else.
    differing: Vec<VolumeName>,
    /// Disks that have another size than is said.
    resized: Vec<VolumeName>,
    /// Directories of volumes that are in no catalog.
    orphans: Vec<(String, Manifest)>,
    /// The same of snapshots.
    orphan_snapshots: Vec<(String, Manifest)>,
    volumes: usize,
    snapshots: usize,
}

impl LocalBackend {
    pub(super) async fn check_all(&self) -> Result<Health, VolumeError> {
        match self.find_all().await {
            Ok(found) => Ok(Health {
                problems: found.problems,
                volumes: found.volumes,
                snapshots: found.snapshots,
            }),
            Err(VolumeError::Catalog(error)) if error.is_damage() => Ok(Health {
                problems: vec![Problem::Unreadable {
                    why: error.to_string(),
                }],
                ..Health::default()
            }),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn repair_all(&self) -> Result<Repair, VolumeError> {
        let alone = Arc::new(self.catalog_alone().await?);
        let mut repair = Repair::default();
        let found = match self.find_anew(&alone).await {
            Err(VolumeError::Catalog(error)) if error.is_damage() => {
                repair.set_aside = Some(self.set_aside(&alone).await?);
                self.open_anew(&alone).await?.number_anew().await?;
                self.find_all().await?
            }
            found => found?,
        };
        repair.dead_holders = self.bury().await?;
        self.strike_out_missing(&found, &mut repair).await?;
        self.enter_orphans(&found, &mut repair).await?;
        for name in &found.resized {
            self.say_size(name).await?;
            repair.resized.push(name.clone());
        }
        for name in &found.differing {
            self.say_anew(name).await?;
            repair.manifests += 1;
        }
        repair.left = self.find_all().await?.problems;
        Ok(repair)
    }

    async fn find_anew(&self, alone: &Lock) -> Result<Findings, VolumeError> {
        self.open_anew(alone).await?;
        self.find_all().await
    }

    async fn find_all(&self) -> Result<Findings, VolumeError> {
        let catalog = self.catalog().await?;
        let mut found = Findings::default();
        for Leftover { path, why } in settle(&self.home, &catalog).await? {
            let why = match why {
                VolumeError::Io { source, .. } => source.to_string(),
                why => why.to_string(),
            };
            found.problems.push(Problem::Leftover { path, why });
        }
        let damage = catalog.integrity().await?;
        found
            .problems
            .extend(damage.into_iter().map(|what| Problem::Damaged { what }));
        let rows = catalog.volumes(&VolumeFilter::all()).await?;
        let snapshots = catalog.snapshot_places().await?;
        (found.volumes, found.snapshots) = (rows.len(), snapshots.len());
        for id in self.dead_holders().await? {
            let path = lock_path(&self.home.run(), &id);
            found.problems.push(Problem::DeadHolder { path });
        }
        let this = self.clone();
        blocking(move || {
            this.look_at_volumes(&rows, &mut found)?;
            this.look_at_snapshots(snapshots, &mut found)?;
            Ok::<_, VolumeError>(found)
        })
        .await
    }

    fn look_at_volumes(&self, rows: &[VolumeRow], found: &mut Findings) -> Result<(), VolumeError> {
        let known: HashSet<_> = rows.iter().map(|row| row.place.as_str()).collect();
        for row in rows {
            let path = self.place(row);
            if !path.is_dir() {
                found.problems.push(missing(row, &path));
                found.missing.push(row.clone());
                continue;
            }
            if let Some(problem) = content_problem(row, &path) {
                if matches!(problem, Problem::Size { .. }) {
                    found.resized.push(row.name.clone());
                }
                found.problems.push(problem);
            }
            let why = match Manifest::load(&path) {
                Ok(manifest) if manifest == Manifest::of(row) => continue,
                Ok(_) => "volume.json differs from the catalog".to_owned(),
                Err(error) => error.to_string(),
            };
            found.problems.push(Problem::Manifest { path, why });
            found.differing.push(row.name.clone());
        }
        for (id, path) in places_in(&self.home.volumes())? {
            if !known.contains(id.as_str()) {
                found.orphans.extend(orphan(id, path, &mut found.problems));
            }
        }
        Ok(())
    }

    fn look_at_snapshots(&self, places: Vec<String>, found: &mut Findings) -> Result<(), VolumeError> {
        for place in &places {
            let path = self.home.snapshots().join(place);
            if !path.is_dir() {
                found.problems.push(Problem::Orphan { path });
                found.missing_snapshots.push(place.clone());
            }
        }
        let known: HashSet<_> = places.into_iter().collect();
        for (id, path) in places_in(&self.home.snapshots())? {
            if !known.contains(&id) {
                found
                    .orphan_snapshots
                    .extend(orphan(id, path, &mut found.problems));
            }
        }
        Ok(())
    }

    /// Writes down how large a disk is.
    async fn say_size(&self, name: &VolumeName) -> Result<(), VolumeError> {
        let _held = self.hold(name).await?;
        let (row, _alone) = self.locked_row(name, Share::Exclusive).await?;
        let form = self.form_in(&self.place(&row), row.form).await?;
        let catalog = self.catalog().await?;
        let change = catalog.change().await?;
        change.reshape_volume(row.id, form).await?;
        change.commit().await?;
        self.say_anew(name).await.map(drop)
    }

    async fn strike_out_missing(&self, found: &Findings, repair: &mut Repair) -> Result<(), VolumeError> {
        let catalog = self.catalog().await?;
        for place in &found.missing_snapshots {
            let change = catalog.change().await?;
            change.remove_snapshot(place).await?;
            change.commit().await?;
            repair.lost_snapshots += 1;
        }
        for row in &found.missing {
            // A volume that has snapshots can be restored from them.
            if catalog.snapshots(row.id).await?.is_empty() {
                let change = catalog.change().await?;
                change.remove_volume(row.id).await?;
                change.commit().await?;
                repair.lost.push(row.name.clone());
            }
        }
        Ok(())
    }

    async fn enter_orphans(&self, found: &Findings, repair: &mut Repair) -> Result<(), VolumeError> {
        for (place, manifest) in &found.orphans {
            let Some(name) = self.enter_orphan(place, manifest).await? else {
                continue;
            };
            if name != manifest.name {
                self.say_anew(&name).await?;
            }
            repair.found.push(name);
        }
        let catalog = self.catalog().await?;
        let rows = catalog.volumes(&VolumeFilter::all()).await?;
        for (place, manifest) in &found.orphan_snapshots {
            // Of the volume that it was taken of, which has another place when it was restored since.
            let of = |row: &&VolumeRow| manifest.of.as_ref() == Some(&row.place);
            // A volume that was made later is another one of that name.
            let by_name = |row: &&VolumeRow| manifest.name == row.name && row.created <= manifest.created;
            let Some(row) = rows.iter().find(of).or_else(|| rows.iter().find(by_name)) else {
                continue;
            };
            let Some(name) = &manifest.snapshot else { continue };
            let change = catalog.change().await?;
            let new = NewSnapshot {
                volume: row.id,
                name,
                place,
                created: manifest.created,
            };
            if change.add_snapshot(&new).await? {
                change.commit().await?;
                repair.found_snapshots += 1;
            }
        }
        Ok(())
    }

    /// Under its own name, or where that is taken, another like it. None where it has been entered meanwhile.
    async fn enter_orphan(
        &self,
        place: &str,
        manifest: &Manifest,
    ) -> Result<Option<VolumeName>, VolumeError> {
        let catalog = self.catalog().await?;
        for is_taken in [false, true] {
            let base = manifest.name.as_str();
            let name = if is_taken {
                format!("{base:.100}-{place}").parse()?
            } else {
                manifest.name.clone()
            };
            let change = catalog.change().await?;
            let new = NewVolume {
                name: &name,
                form: manifest.form,
                labels: &manifest.labels,
                place,
                created: manifest.created,
            };
            if change.add_volume(&new).await?.is_some() {
                change.commit().await?;
                return Ok(Some(name));
            }
        }
        Ok(None)
    }
}

/// What is wrong with what a volume holds.
fn content_problem(row: &VolumeRow, place: &Path) -> Option<Problem> {
    let path = content_of(place, row.form);
    let volume = row.name.clone();
    match looked_at(place, &path, row.form) {
        Ok(Seen::Sound) => None,
        Ok(Seen::Size { actual, said }) => Some(Problem::Size { volume, actual, said }),
        Ok(Seen::Nothing) => Some(Problem::Empty { volume, path }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Problem::Empty { volume, path }),
        Err(error) => Some(Problem::Closed {
            volume,
            path,
            why: error.to_string(),
        }),
    }
}

/// What is where the content of a volume is to be.
enum Seen {
    Sound,
    Size {
        actual: ByteSize,
        said: ByteSize,
    },
    /// Something of another kind.
    Nothing,
}

/// A disk that somebody writes, or makes larger, is not measured.
fn looked_at(place: &Path, path: &Path, form: VolumeForm) -> io::Result<Seen> {
    let found = path.metadata()?;
    Ok(match form {
        VolumeForm::Directory { .. } if found.is_dir() => Seen::Sound,
        VolumeForm::Disk { size: said } if found.is_file() => {
            let Some(_readable) = Lock::try_directory(place, Share::Shared)? else {
                return Ok(Seen::Sound);
            };
            let actual = ByteSize::from_bytes(path.metadata()?.len());
            if actual == said {
                Seen::Sound
            } else {
                Seen::Size { actual, said }
            }
        }
        _ => Seen::Nothing,
    })
}

fn missing(row: &VolumeRow, path: &Path) -> Problem {
    Problem::Missing {
        volume: row.name.clone(),
        path: path.to_owned(),
    }
}

/// A directory that the catalog does not know, if it says what it is.
fn orphan(id: String, path: PathBuf, problems: &mut Vec<Problem>) -> Option<(String, Manifest)> {
    if !is_place(&id) {
        let why = "it is not called as a volume's directory".to_owned();
        problems.push(Problem::Manifest { path, why });
        return None;
    }
    match Manifest::load(&path) {
        Ok(manifest) => {
            problems.push(Problem::Orphan { path });
            Some((id, manifest))
        }
        Err(error) => {
            let why = error.to_string();
            problems.push(Problem::Manifest { path, why });
            None
        }
    }
}

/// The places in a directory, by their names.
fn places_in(directory: &Path) -> Result<Vec<(String, PathBuf)>, VolumeError> {
    let mut places = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(VolumeError::io(directory))? {
        let entry = entry.map_err(VolumeError::io(directory))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            places.push((name, entry.path()));
        }
    }
    places.sort();
    Ok(places)
}
