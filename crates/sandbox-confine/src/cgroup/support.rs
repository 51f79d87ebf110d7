//! What the host lets us use, as plain facts.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Which controllers this process may use for a sandbox, and where. Made by
/// [`Hierarchy::probe`](super::Hierarchy::probe).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupSupport {
    /// Memory limit, peak memory, out-of-memory kills.
    pub memory: Availability,
    /// Limit on processes and threads, their peak, refused forks.
    pub pids: Availability,
    /// User and system CPU time.
    pub cpu: Availability,
    /// Stopping and killing everything inside at once.
    pub freezer: Availability,
}

impl CgroupSupport {
    /// The fact about one controller.
    pub fn get(&self, controller: Controller) -> &Availability {
        match controller {
            Controller::Memory => &self.memory,
            Controller::Pids => &self.pids,
            Controller::Cpu => &self.cpu,
            Controller::Freezer => &self.freezer,
        }
    }
}

/// What a cgroup is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Controller {
    /// The memory controller.
    Memory,
    /// The pids controller.
    Pids,
    /// CPU accounting: `cpu.stat` of every v2 group, the cpuacct controller of v1.
    Cpu,
    /// Freezing and killing: a part of every v2 group, the freezer controller of v1.
    Freezer,
}

impl Controller {
    /// Every controller.
    pub const ALL: [Self; 4] = [Self::Memory, Self::Pids, Self::Cpu, Self::Freezer];

    /// What cgroup v1 calls it.
    pub(super) fn v1_name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Cpu => "cpuacct",
            Self::Freezer => "freezer",
        }
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Cpu => "cpu",
            Self::Freezer => "freezer",
        })
    }
}

/// The version of cgroups that provides something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// One directory tree per controller.
    V1,
    /// The unified tree.
    V2,
}

/// Whether and where a controller can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Availability {
    /// A group made in `parent` has it.
    V2 {
        /// A cgroup that is ours: without processes of its own, or the root, or in need of no controller.
        parent: PathBuf,
    },
    /// A group made in `dir` has it.
    V1 {
        /// The caller's own cgroup in the controller's hierarchy.
        dir: PathBuf,
    },
    /// Not usable.
    Unavailable {
        /// Why not.
        why: Unavailable,
    },
}

impl Availability {
    /// The version that provides it.
    pub fn version(&self) -> Option<Version> {
        match self {
            Self::V2 { .. } => Some(Version::V2),
            Self::V1 { .. } => Some(Version::V1),
            Self::Unavailable { .. } => None,
        }
    }

    /// The directory in which a group is made.
    pub fn parent(&self) -> Option<&Path> {
        match self {
            Self::V2 { parent } | Self::V1 { dir: parent } => Some(parent),
            Self::Unavailable { .. } => None,
        }
    }
}

/// Why a controller cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// No mounted hierarchy has it.
    #[error("no mounted cgroup hierarchy has the {controller} controller")]
    NotMounted {
        /// What was looked for.
        controller: Controller,
    },
    /// The hierarchy is mounted, but does not show where this process is.
    #[error("{}: own cgroup, outside what is mounted", own.display())]
    OutsideMount {
        /// The own cgroup as `/proc/self/cgroup` names it.
        own: PathBuf,
    },
    /// The v2 cgroup of this process was not given the controller.
    #[error("{}: the {controller} controller is not enabled here", path.display())]
    ControllerMissing {
        /// What was looked for.
        controller: Controller,
        /// The own cgroup.
        path: PathBuf,
    },
    /// The cgroup belongs to somebody else.
    #[error("{}: not delegated to this user", path.display())]
    NotDelegated {
        /// The own cgroup.
        path: PathBuf,
    },
    /// The hierarchy is mounted read-only.
    #[error("{}: mounted read-only", path.display())]
    ReadOnly {
        /// The mount point.
        path: PathBuf,
    },
    /// The cgroup is ours, but others are in it: a v2 group with processes cannot give its controllers to
    /// children.
    #[error("{}: {others} other processes are here, so no limited cgroup can be beneath", path.display())]
    InternalProcesses {
        /// The own cgroup.
        path: PathBuf,
        /// How many processes besides this one.
        others: usize,
    },
    /// The cgroup is ours and only this process is in it: it has to move to a leaf first.
    #[error("{}: this process has to move to a leaf of its cgroup first", path.display())]
    NeedsLeaf {
        /// The own cgroup.
        path: PathBuf,
    },
    /// A file that tells where we are could not be read.
    #[error("{}: {kind}", path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// What went wrong.
        kind: io::ErrorKind,
    },
}

impl Unavailable {
    /// What a user can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotMounted {
                controller: Controller::Memory,
            } => {
                "mount cgroup v2 on /sys/fs/cgroup; where the kernel leaves memory out, boot with \
                 cgroup_enable=memory"
            }
            Self::NotMounted { .. } | Self::Unreadable { .. } => {
                "mount /proc, and cgroup v2 on /sys/fs/cgroup"
            }
            Self::OutsideMount { .. } => {
                "in a container: start it with a cgroup namespace of its own (--cgroupns=private)"
            }
            Self::ControllerMissing { .. } => {
                "delegate it: systemctl edit user@.service, [Service] Delegate=cpu memory pids, and log in \
                 again"
            }
            Self::NotDelegated { .. } | Self::InternalProcesses { .. } => {
                "systemd-run --user --scope -p Delegate=yes -- COMMAND; as root without --user"
            }
            Self::ReadOnly { .. } => {
                "start the container with a writable /sys/fs/cgroup (podman: --systemd=always, docker: \
                 --privileged)"
            }
            Self::NeedsLeaf { .. } => "allow the move: probe with Adopt::OwnLeaf",
        }
    }
}
