//! A group that several processes use, and the last of them removes.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::{Deserialize, Serialize};

use super::create::Slot;
use super::owner::Owner;
use super::{Cgroup, Controller, Version};
use crate::mark;

/// Where a group is, for another process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Index of the controller in [`Controller::ALL`], version, directory.
    slots: Vec<(usize, u8, OsString)>,
    swap_limited: bool,
}

impl Place {
    /// Whether all its directories have names of ours.
    pub(crate) fn is_ours(&self) -> bool {
        let name = |dir: &OsString| Owner::parse(Path::new(dir).file_name()?.to_str()?).map(drop);
        self.slots.iter().all(|(_, _, dir)| name(dir).is_some())
    }
}

impl Cgroup {
    /// Where it is.
    pub(crate) fn place(&self) -> Place {
        let slots = self.slots.iter().filter_map(|slot| {
            let controller = Controller::ALL
                .iter()
                .position(|known| *known == slot.controller)?;
            let version = match slot.version {
                Version::V1 => 1,
                Version::V2 => 2,
            };
            Some((controller, version, slot.dir.clone().into_os_string()))
        });
        Place {
            slots: slots.collect(),
            swap_limited: self.swap_limited,
        }
    }

    /// A group that another process has made and shares with this one.
    pub(crate) fn joined(place: Place) -> Self {
        let slots = place.slots.into_iter().filter_map(|(controller, version, dir)| {
            Some(Slot {
                controller: *Controller::ALL.get(controller)?,
                version: match version {
                    1 => Version::V1,
                    2 => Version::V2,
                    _ => return None,
                },
                dir: dir.into(),
            })
        });
        Self {
            slots: slots.collect(),
            swap_limited: place.swap_limited,
            keeper: AtomicU32::new(std::process::id()),
        }
    }

    /// Marks it as used by whoever holds the descriptor, so that it is not taken for left behind when the
    /// process is gone that has made it.
    pub(crate) fn mark(&self) -> Option<io::Result<OwnedFd>> {
        self.directories()
            .first()
            .map(|directory| mark_private(directory))
    }

    /// Leaves its removal to others, who use it still.
    pub(crate) fn leave(&self) {
        self.keeper.store(0, Ordering::Relaxed);
    }
}

/// Nobody else may hold a lock on it, which would look like a mark: the directory becomes private first.
fn mark_private(directory: &Path) -> io::Result<OwnedFd> {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
    mark::hold(directory)
}
