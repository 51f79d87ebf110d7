//! Making a group and putting processes into it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;

use thiserror::Error;

use super::limits::{CgroupLimits, Measure, Swap};
use super::owner::Owner;
use super::{Availability, CgroupSupport, Controller, Hierarchy, Unavailable, Version, adopt, files, remove};

/// The control group of one sandbox: one directory in each hierarchy that is used.
///
/// Dropping it removes the directories as far as the kernel lets it; [`Cgroup::remove`] says whether it
/// did. A process forked from the owner does not remove anything.
#[derive(Debug)]
pub struct Cgroup {
    pub(super) slots: Vec<Slot>,
    pub(super) swap_limited: bool,
    /// The process that removes it; 0 when that is somebody else's business.
    pub(super) keeper: AtomicU32,
}

/// The directory that provides one controller; with v2 all have the same one.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) controller: Controller,
    pub(super) version: Version,
    pub(super) dir: PathBuf,
}

/// Why there is no group. Nothing is left behind.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CreateError {
    /// A limit was asked for that nothing here can hold.
    #[error("{controller} limit: {why}")]
    Unavailable {
        /// What would have held it.
        controller: Controller,
        /// Why it cannot.
        why: Unavailable,
    },
    /// No controller is available at all.
    #[error("no cgroup hierarchy is usable")]
    NoHierarchy,
    /// `/proc` did not tell who we are.
    #[error("own identity in /proc")]
    Identity(#[source] io::Error),
    /// A controller could not be given to children.
    #[error("{}: enable controllers", path.display())]
    Enable {
        /// `cgroup.subtree_control`.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The directory could not be made.
    #[error("{}: create cgroup", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The kernel refused a limit.
    #[error("{}: set to {value}", path.display())]
    Limit {
        /// The file.
        path: PathBuf,
        /// The value.
        value: u64,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

impl CreateError {
    /// What a user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unavailable { why, .. } => Some(why.hint()),
            _ => None,
        }
    }
}

/// A process could not be put into the group.
#[derive(Debug, Error)]
#[error("{}: add process {pid}", path.display())]
pub struct AddError {
    /// The `cgroup.procs` that refused.
    pub path: PathBuf,
    /// The process.
    pub pid: u32,
    /// What the kernel said; ESRCH: it has ended.
    #[source]
    pub source: io::Error,
}

impl Cgroup {
    /// Makes a group with these limits, or nothing.
    ///
    /// `name_suffix` tells the groups of one owner apart and must not be in use. A limit that `support`
    /// cannot hold is an error. A process killed for memory dies alone (`memory.oom.group` stays 0), as
    /// with v1: other commands of the same sandbox, and its init, go on.
    pub fn create(
        support: &CgroupSupport,
        name_suffix: u64,
        limits: &CgroupLimits,
    ) -> Result<Self, CreateError> {
        let owner = Owner::current(&Hierarchy::host()).map_err(CreateError::Identity)?;
        Self::create_as(owner, support, name_suffix, limits)
    }

    pub(super) fn create_as(
        owner: Owner,
        support: &CgroupSupport,
        name_suffix: u64,
        limits: &CgroupLimits,
    ) -> Result<Self, CreateError> {
        let slots = plan(support, limits, &owner.directory(name_suffix))?;
        let mut group = Self {
            slots: Vec::with_capacity(slots.len()),
            swap_limited: false,
            keeper: AtomicU32::new(owner.pid),
        };
        for slot in slots {
            group.make(slot)?;
        }
        group.limit(limits)?;
        Ok(group)
    }

    /// Moves process `pid` with all its threads into the group.
    ///
    /// What it forks from then on is in the group too; what it forked before is not.
    pub fn add(&self, pid: u32) -> Result<(), AddError> {
        self.directories().into_iter().try_for_each(|dir| {
            let path = dir.join("cgroup.procs");
            files::write(&path, &pid.to_string()).map_err(|source| AddError { path, pid, source })
        })
    }

    /// The version of cgroups that provides `controller` here, if any.
    pub fn version(&self, controller: Controller) -> Option<Version> {
        self.slot(controller).map(|slot| slot.version)
    }

    /// Whether swap is limited together with memory; false on kernels that do not account swap.
    pub fn swap_limited(&self) -> bool {
        self.swap_limited
    }

    /// The group's directories, each once.
    pub fn directories(&self) -> Vec<&Path> {
        let mut dirs: Vec<&Path> = Vec::new();
        for slot in &self.slots {
            if !dirs.contains(&slot.dir.as_path()) {
                dirs.push(&slot.dir);
            }
        }
        dirs
    }

    pub(super) fn slot(&self, controller: Controller) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.controller == controller)
    }

    fn make(&mut self, slot: Slot) -> Result<(), CreateError> {
        if !self.slots.iter().any(|made| made.dir == slot.dir) {
            if let (Version::V2, Controller::Memory | Controller::Pids, Some(parent)) =
                (slot.version, slot.controller, slot.dir.parent())
            {
                adopt::enable(parent).map_err(|(path, source)| CreateError::Enable { path, source })?;
            }
            fs::create_dir(&slot.dir).map_err(|source| CreateError::Directory {
                path: slot.dir.clone(),
                source,
            })?;
        }
        self.slots.push(slot);
        Ok(())
    }

    fn limit(&mut self, limits: &CgroupLimits) -> Result<(), CreateError> {
        if let (Some(bytes), Some(slot)) = (limits.memory, self.slot(Controller::Memory)) {
            let (file, swap_file, swap) = match slot.version {
                Version::V2 => ("memory.max", "memory.swap.max", 0),
                Version::V1 => ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", bytes),
            };
            set(&slot.dir.join(file), bytes)?;
            let swap_file = slot.dir.join(swap_file);
            if limits.swap == Swap::Forbid && swap_file.exists() {
                set(&swap_file, swap)?;
                self.swap_limited = true;
            }
        }
        if let (Some(processes), Some(slot)) = (limits.processes, self.slot(Controller::Pids)) {
            set(&slot.dir.join("pids.max"), processes)?;
        }
        Ok(())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if *self.keeper.get_mut() != std::process::id() {
            return;
        }
        if let Err(error) = remove::directories(&self.directories()) {
            tracing::warn!(%error, "cgroup left behind");
        }
    }
}

/// Which directories to make for which controllers.
fn plan(support: &CgroupSupport, limits: &CgroupLimits, name: &str) -> Result<Vec<Slot>, CreateError> {
    let mut slots = Vec::new();
    for controller in Controller::ALL {
        let limited = match controller {
            Controller::Memory => limits.memory.is_some(),
            Controller::Pids => limits.processes.is_some(),
            Controller::Cpu | Controller::Freezer => false,
        };
        let wanted = limited || limits.measure == Measure::All || controller == Controller::Freezer;
        match support.get(controller) {
            Availability::Unavailable { why } if limited => {
                return Err(CreateError::Unavailable {
                    controller,
                    why: why.clone(),
                });
            }
            Availability::V1 { dir } if wanted => {
                slots.push(Slot {
                    controller,
                    version: Version::V1,
                    dir: dir.join(name),
                });
            }
            Availability::V2 { parent } if wanted => {
                slots.push(Slot {
                    controller,
                    version: Version::V2,
                    dir: parent.join(name),
                });
            }
            _ => {}
        }
    }
    if slots.is_empty() {
        Err(CreateError::NoHierarchy)
    } else {
        Ok(slots)
    }
}

fn set(path: &Path, value: u64) -> Result<(), CreateError> {
    files::write(path, &value.to_string()).map_err(|source| CreateError::Limit {
        path: path.to_owned(),
        value,
        source,
    })
}
