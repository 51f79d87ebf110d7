//! Where in a v2 hierarchy a limited group may be made.
//!
//! A v2 cgroup with processes cannot give controllers to children ("no internal processes"), so a group
//! usually goes beside ours, not beneath it. Beside is allowed in two cases only: our cgroup is the leaf
//! that [`Adopt::OwnLeaf`](super::Adopt) made; or we are root and our cgroup carries no limit that would be
//! left behind, as in the session of a root login. A plain user in a systemd slice could write there too,
//! but systemd may take the controllers of an undelegated slice away again, and the limit with them.

use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, eaccess};

use super::mounts::Access;
use super::owner::{Owner, SUPERVISOR};
use super::{Availability, Controller, Unavailable, files};

/// What was read of the v2 hierarchy.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) own: Node,
    pub(super) parent: Option<Node>,
    pub(super) mount: PathBuf,
    pub(super) access: Access,
    pub(super) pid: u32,
    pub(super) privileged: bool,
}

/// One cgroup.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) path: PathBuf,
    /// The real root, which may have processes and children with controllers.
    pub(super) is_root: bool,
    pub(super) writable: bool,
    /// No limit is set on it.
    pub(super) unlimited: bool,
    pub(super) controllers: Vec<String>,
    /// `cgroup.subtree_control`: what children have.
    pub(super) enabled: Vec<String>,
    pub(super) processes: Vec<u32>,
}

impl Facts {
    /// Reads our cgroup and the one above it.
    pub(super) fn read(access: Access, mount: &Path, own: &Path) -> Result<Self, Unavailable> {
        let parent = own
            .parent()
            .filter(|_| own != mount)
            .map(|path| Node::read(path, mount));
        Ok(Self {
            own: Node::read(own, mount)?,
            parent: parent.transpose()?,
            mount: mount.to_owned(),
            access,
            pid: std::process::id(),
            privileged: nix::unistd::geteuid().is_root(),
        })
    }

    /// Where a group with the memory or pids controller may be made.
    pub(super) fn limiter(&self, controller: Controller) -> Availability {
        match self.place(controller) {
            Ok(node) => Availability::V2 {
                parent: node.path.clone(),
            },
            Err(why) => Availability::Unavailable { why },
        }
    }

    /// Where a group may be made that needs no controller: where the limited ones are, else beneath ours.
    pub(super) fn plain(&self, limiters: [&Availability; 2]) -> Availability {
        let limited = limiters
            .into_iter()
            .find(|place| matches!(place, Availability::V2 { .. }));
        match limited {
            Some(place) => place.clone(),
            None if self.access == Access::ReadOnly => Availability::Unavailable {
                why: Unavailable::ReadOnly {
                    path: self.mount.clone(),
                },
            },
            None if self.own.writable => Availability::V2 {
                parent: self.own.path.clone(),
            },
            None => Availability::Unavailable {
                why: Unavailable::NotDelegated {
                    path: self.own.path.clone(),
                },
            },
        }
    }

    fn place(&self, controller: Controller) -> Result<&Node, Unavailable> {
        let path = || self.own.path.clone();
        if self.access == Access::ReadOnly {
            return Err(Unavailable::ReadOnly {
                path: self.mount.clone(),
            });
        }
        if !self.own.controllers.contains(&controller.to_string()) {
            return Err(Unavailable::ControllerMissing {
                controller,
                path: path(),
            });
        }
        if self.own.writable && (self.own.is_root || self.own.gives(controller)) {
            return Ok(&self.own);
        }
        if let Some(parent) = self
            .parent
            .as_ref()
            .filter(|parent| parent.writable && parent.gives(controller))
            && (self.own.is_supervisor_leaf() || (self.privileged && self.own.unlimited))
        {
            return Ok(parent);
        }
        if !self.own.writable {
            return Err(Unavailable::NotDelegated { path: path() });
        }
        match self.own.processes.iter().filter(|pid| **pid != self.pid).count() {
            0 => Err(Unavailable::NeedsLeaf { path: path() }),
            others => Err(Unavailable::InternalProcesses { path: path(), others }),
        }
    }
}

impl Node {
    fn read(path: &Path, mount: &Path) -> Result<Self, Unavailable> {
        let unreadable = |error: std::io::Error| Unavailable::Unreadable {
            path: path.to_owned(),
            kind: error.kind(),
        };
        Ok(Self {
            is_root: path == mount && !path.join("cgroup.type").exists(),
            writable: may_write(path)
                && may_write(&path.join("cgroup.procs"))
                && may_write(&path.join("cgroup.subtree_control")),
            unlimited: is_unlimited(path),
            controllers: files::words(&path.join("cgroup.controllers")),
            enabled: files::words(&path.join("cgroup.subtree_control")),
            processes: files::processes(path).map_err(unreadable)?,
            path: path.to_owned(),
        })
    }

    fn gives(&self, controller: Controller) -> bool {
        self.enabled.contains(&controller.to_string())
    }

    fn is_supervisor_leaf(&self) -> bool {
        let name = self.path.file_name().and_then(|name| name.to_str());
        name.and_then(Owner::parse)
            .is_some_and(|(_, suffix)| suffix == SUPERVISOR)
    }
}

/// Whether this process may write `path`, a cgroup's directory or file.
pub(super) fn may_write(path: &Path) -> bool {
    let flags = if path.is_dir() {
        AccessFlags::W_OK | AccessFlags::X_OK
    } else {
        AccessFlags::W_OK
    };
    eaccess(path, flags).is_ok()
}

/// Whether none of the files that limit a group says anything but "no limit"; a doubt is a limit.
fn is_unlimited(dir: &Path) -> bool {
    const FILES: [(&str, &str); 7] = [
        ("memory.max", "max"),
        ("memory.high", "max"),
        ("memory.swap.max", "max"),
        ("pids.max", "max"),
        ("cpu.max", "max"),
        ("io.max", ""),
        ("cpuset.cpus", ""),
    ];
    FILES
        .iter()
        .all(|(file, unlimited)| match fs::read_to_string(dir.join(file)) {
            Ok(text) => text.split_whitespace().next().unwrap_or_default() == *unlimited,
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        })
}
