//! Making room in our own v2 cgroup by moving into a leaf of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::owner::{Owner, SUPERVISOR};
use super::{Availability, CgroupSupport, Hierarchy, Unavailable, files};

/// Whether the probe may move this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Adopt {
    /// It stays where it is: right for a library in somebody's program.
    #[default]
    Never,
    /// When it is alone in a v2 cgroup that is ours, it moves to a leaf of that cgroup, which from then on
    /// gives memory and pids to its children: right for a program of our own in a delegated systemd scope.
    OwnLeaf,
}

/// Why the move failed. The process is where it was.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AdoptError {
    /// `/proc` did not tell who we are.
    #[error("own identity in /proc")]
    Identity(#[source] io::Error),
    /// The leaf could not be made.
    #[error("{}: create leaf cgroup", path.display())]
    Create {
        /// The leaf.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// This process could not be moved.
    #[error("{}: move this process", path.display())]
    Move {
        /// The leaf.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The controllers could not be enabled, for instance because another process came in.
    #[error("{}: enable controllers", path.display())]
    Enable {
        /// `cgroup.subtree_control`.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

impl Hierarchy {
    /// [`probe`](Self::probe), after the move that `adopt` allows and the host needs.
    ///
    /// # Examples
    /// ```no_run
    /// use sandbox_confine::cgroup::{Adopt, Hierarchy};
    ///
    /// let support = Hierarchy::host().probe_adopting(Adopt::OwnLeaf)?;
    /// println!("{:?}", support.memory);
    /// # Ok::<_, sandbox_confine::cgroup::AdoptError>(())
    /// ```
    pub fn probe_adopting(&self, adopt: Adopt) -> Result<CgroupSupport, AdoptError> {
        let support = self.probe();
        match (adopt, own_in_need_of_leaf(&support)) {
            (Adopt::OwnLeaf, Some(own)) => {
                self.move_to_leaf(own)?;
                Ok(self.probe())
            }
            _ => Ok(support),
        }
    }

    fn move_to_leaf(&self, own: &Path) -> Result<(), AdoptError> {
        let owner = Owner::current(self).map_err(AdoptError::Identity)?;
        let leaf = own.join(owner.directory(SUPERVISOR));
        fs::create_dir(&leaf).map_err(|source| AdoptError::Create {
            path: leaf.clone(),
            source,
        })?;
        let moved = move_here(&leaf, owner.pid)
            .map_err(|source| AdoptError::Move {
                path: leaf.clone(),
                source,
            })
            .and_then(|()| enable(own).map_err(|(path, source)| AdoptError::Enable { path, source }));
        if moved.is_err() {
            let back = move_here(own, owner.pid).and_then(|()| fs::remove_dir(&leaf));
            if let Err(error) = back {
                tracing::warn!(leaf = %leaf.display(), %error, "cgroup leaf left behind");
            }
        }
        moved
    }
}

fn own_in_need_of_leaf(support: &CgroupSupport) -> Option<&Path> {
    [&support.memory, &support.pids]
        .into_iter()
        .find_map(|availability| match availability {
            Availability::Unavailable {
                why: Unavailable::NeedsLeaf { path },
            } => Some(path.as_path()),
            _ => None,
        })
}

fn move_here(dir: &Path, pid: u32) -> io::Result<()> {
    files::write(&dir.join("cgroup.procs"), &pid.to_string())
}

/// Gives memory and pids, as far as `dir` has them, to the children of `dir`.
pub(super) fn enable(dir: &Path) -> Result<(), (PathBuf, io::Error)> {
    let control = dir.join("cgroup.subtree_control");
    let enabled = files::words(&control);
    let wanted: Vec<String> = files::words(&dir.join("cgroup.controllers"))
        .into_iter()
        .filter(|name| (name == "memory" || name == "pids") && !enabled.contains(name))
        .map(|name| format!("+{name}"))
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    files::write(&control, &wanted.join(" ")).map_err(|source| (control, source))
}
