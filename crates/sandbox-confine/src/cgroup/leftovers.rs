//! Groups whose owner died before it could remove them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::owner::{Owner, OwnerState, SUPERVISOR};
use super::{Hierarchy, KillError, RemoveError, Unavailable, files, kill, remove};
use crate::mark;

/// No hierarchy is deeper in practice; a bound for a walk in a tree that others change.
const MAX_DEPTH: usize = 16;

/// A group whose owner is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    name: String,
    owner: u32,
    dirs: Vec<PathBuf>,
}

/// Why left-over groups could not be looked for.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LeftoverError {
    /// It is not known what is mounted.
    #[error("look for left-over cgroups")]
    Mounts(#[source] Unavailable),
    /// Whether an owner lives could not be told.
    #[error("{}: look up its owner", path.display())]
    Owner {
        /// The group.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// Why a left-over group is still there.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RemoveLeftoverError {
    /// A process in it could not be killed.
    #[error("processes of a left-over cgroup")]
    Kill(#[from] KillError),
    /// A directory could not be removed.
    #[error("left-over cgroup")]
    Remove(#[from] RemoveError),
}

impl Hierarchy {
    /// Every group, in any mounted hierarchy, that was made by a process of this pid namespace that is gone,
    /// and that nobody has joined who is still there.
    pub fn leftovers(&self) -> Result<Vec<Leftover>, LeftoverError> {
        let mut groups = BTreeMap::new();
        for mount in self.cgroup_mounts().map_err(LeftoverError::Mounts)? {
            collect(&self.path(&mount.point), 0, &mut groups);
        }
        // Judged after everything was seen, so that an owner that dies meanwhile leaves all or nothing.
        let mut found = Vec::new();
        for (name, dirs) in groups {
            if let Some((owner, suffix)) = Owner::parse(&name)
                && !(suffix == SUPERVISOR && is_inhabited(&dirs))
                && self.is_dead(owner, &dirs)?
            {
                found.push(Leftover {
                    owner: owner.pid,
                    dirs: dirs.into_iter().collect(),
                    name,
                });
            }
        }
        Ok(found)
    }

    /// Whether its owner is gone and no other process needs it.
    fn is_dead(&self, owner: Owner, dirs: &BTreeSet<PathBuf>) -> Result<bool, LeftoverError> {
        let path = || dirs.first().cloned().unwrap_or_default();
        let state = owner
            .state(self)
            .map_err(|source| LeftoverError::Owner { path: path(), source })?;
        Ok(state == OwnerState::Dead && !dirs.iter().any(|dir| mark::is_held(dir)))
    }
}

/// Every group beneath `dir` that has a name of ours, by that name.
fn collect(dir: &Path, depth: usize, groups: &mut BTreeMap<String, BTreeSet<PathBuf>>) {
    // A directory that vanished or is not ours to read holds nothing that we could remove.
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
    {
        if depth < MAX_DEPTH {
            collect(&entry.path(), depth + 1, groups);
        }
        if let Some(name) = entry
            .file_name()
            .to_str()
            .filter(|name| Owner::parse(name).is_some())
        {
            groups.entry(name.to_owned()).or_default().insert(entry.path());
        }
    }
}

/// The leaf into which a supervisor moved itself holds its unconfined children, too: not ours to kill.
fn is_inhabited(dirs: &BTreeSet<PathBuf>) -> bool {
    dirs.iter()
        .any(|dir| files::processes(dir).map_or(true, |pids| !pids.is_empty()))
}

impl Leftover {
    /// The group's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process that made it.
    pub fn owner(&self) -> u32 {
        self.owner
    }

    /// Its directories.
    pub fn directories(&self) -> &[PathBuf] {
        &self.dirs
    }

    /// Kills what is still in it and removes it.
    pub fn remove(self) -> Result<(), RemoveLeftoverError> {
        for dir in self.dirs.iter().filter(|dir| dir.exists()) {
            kill::kill_dir(dir)?;
        }
        Ok(remove::directories(&self.dirs)?)
    }
}
