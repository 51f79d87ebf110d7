//! What Landlock allows: rights from the `landlock` crate, rules on stable parents.

use std::path::{Path, PathBuf};

use landlock::{AccessFs, AccessNet, BitFlags, Scope};
use sandbox_types::policy::NetworkMode;
use sandbox_types::{Access, MountSource, Policy};

use super::{Place, SCRATCH, View, is_host_root};
use crate::host::Host;
use crate::view::{EtcEntry, GrantKind, SystemEntry, generate};

/// Landlock's part of a plan, as the kernel's numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LandlockPlan {
    /// Handled rights: file system, network, scopes. All zero: no Landlock here.
    pub handled: [u64; 3],
    /// What is allowed beneath which path, as it is called inside.
    pub paths: Vec<PathRule>,
    /// TCP ports and the rights on them.
    pub ports: Vec<(u16, u64)>,
    /// Rights on what the standard streams are connected to.
    pub stdio_rights: u64,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathRule {
    /// The path.
    pub path: PathBuf,
    /// LANDLOCK_ACCESS_FS_*.
    pub rights: u64,
    /// Whether it is no error when the path is not there.
    pub may_be_missing: bool,
    /// Whether the path was resolved when the plan was made: a link that is on it now is an error.
    pub is_resolved: bool,
}

struct Rights {
    all: BitFlags<AccessFs>,
    read: BitFlags<AccessFs>,
    file: BitFlags<AccessFs>,
    device: BitFlags<AccessFs>,
}

impl Rights {
    fn of(host: &Host) -> Self {
        let abi = host.abi();
        let all = AccessFs::from_all(abi);
        // Nobody in here makes device nodes; 0:0 ones, which need no privilege, are overlayfs whiteouts.
        let write = all & !(AccessFs::MakeChar | AccessFs::MakeBlock);
        Self {
            all: write,
            read: AccessFs::Execute | AccessFs::ReadFile | AccessFs::ReadDir,
            file: AccessFs::from_file(abi),
            device: (AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev) & all,
        }
    }

    /// The rights of an access on a directory or a file.
    fn on(&self, access: Access, is_dir: bool) -> u64 {
        let rights = match access {
            Access::Read => self.read,
            Access::Write => self.all,
        };
        if is_dir {
            rights.bits()
        } else {
            (rights & self.file).bits()
        }
    }
}

use landlock::Access as _;

/// Whether Landlock is left out: nobody in a Landlock domain may mount (landlock(7)), which is what programs
/// that sandbox themselves do. The private root is the wall then, and the report says so.
pub(super) fn gives_way(policy: &Policy, place: Place) -> bool {
    policy.syscalls.nested && place == Place::Namespaces
}

pub(super) fn plan(policy: &Policy, host: &Host, place: Place, view: &View) -> LandlockPlan {
    if host.landlock_abi == 0 || gives_way(policy, place) {
        return LandlockPlan::default();
    }
    let abi = host.abi();
    let rights = Rights::of(host);
    let ports_ruled = policy.network.ports_ruled();
    let net = if ports_ruled {
        AccessNet::from_all(abi).bits()
    } else {
        0
    };
    // Inside namespaces of their own, signals and abstract sockets are out of reach anyway, and commands of
    // one sandbox, each in a domain of its own, should reach one another.
    let scopes = match place {
        Place::InPlace => Scope::from_all(abi),
        Place::Namespaces if policy.network.mode == NetworkMode::Host => {
            Scope::from_all(abi) & Scope::AbstractUnixSocket
        }
        Place::Namespaces => BitFlags::EMPTY,
    };
    let mut paths = match place {
        Place::Namespaces => in_namespaces(policy, host, view, &rights),
        Place::InPlace => in_place(view, &rights),
    };
    for grant in &view.grants {
        let rule = rule(&grant.at, rights.on(grant.access, grant.is_dir));
        paths.push(rule.resolved());
    }
    for (_, at) in &view.sockets {
        paths.push(optional(at, rights.file.bits()).resolved());
    }
    LandlockPlan {
        handled: [AccessFs::from_all(abi).bits(), net, scopes.bits()],
        paths,
        ports: ports(policy),
        stdio_rights: (rights.device | (rights.all & AccessFs::Truncate)).bits(),
    }
}

fn rule(path: impl Into<PathBuf>, rights: u64) -> PathRule {
    PathRule {
        path: path.into(),
        rights,
        may_be_missing: false,
        is_resolved: false,
    }
}

fn optional(path: impl Into<PathBuf>, rights: u64) -> PathRule {
    PathRule {
        path: path.into(),
        rights,
        may_be_missing: true,
        is_resolved: false,
    }
}

impl PathRule {
    fn resolved(self) -> Self {
        Self {
            is_resolved: true,
            ..self
        }
    }
}

/// The root is composed; Landlock repeats what may be written.
fn in_namespaces(policy: &Policy, host: &Host, view: &View, rights: &Rights) -> Vec<PathRule> {
    let mut rules = vec![rule("/", rights.read.bits())];
    let private = super::root::private(policy, view);
    rules.extend(private.map(|path| rule(path, rights.all.bits())));
    rules.push(rule("/dev/pts", (rights.device | AccessFs::ReadDir).bits()));
    rules.extend(
        super::root::DEVICES
            .iter()
            .map(|name| optional(Path::new("/dev").join(name), rights.device.bits())),
    );
    // A process may write to its own entries; root's are read-only, because they include the host's knobs.
    let proc = if is_host_root(policy, host) {
        rights.read
    } else {
        rights.read | AccessFs::WriteFile
    };
    rules.push(rule("/proc", proc.bits()));
    for mount in &policy.filesystem.mounts {
        let is_granted = || view.grants.iter().any(|grant| grant.at == mount.at);
        let is_new = match mount.source {
            MountSource::Tmpfs { .. } => true,
            MountSource::Served(_) => !is_granted(),
            _ => false,
        };
        if is_new {
            rules.push(rule(&mount.at, rights.on(mount.access, true)));
        }
    }
    rules
}

/// The root is the host's; Landlock is the wall.
fn in_place(view: &View, rights: &Rights) -> Vec<PathRule> {
    let read_dir = rights.read.bits();
    let read_file = (rights.read & rights.file).bits();
    let mut rules = Vec::new();
    for entry in &view.system {
        // A link's target is among the directories.
        if let SystemEntry::Dir(path) | SystemEntry::Elsewhere { source: path, .. } = entry {
            rules.push(optional(path, read_dir));
        }
    }
    for entry in &view.etc.entries {
        let (path, rights) = match entry {
            EtcEntry::Dir { source, .. } => (source.clone(), read_dir),
            EtcEntry::File { name, .. } | EtcEntry::Large { name, .. } => {
                (Path::new("/etc").join(name), read_file)
            }
            EtcEntry::Link { .. } => continue,
        };
        rules.push(optional(path, rights));
    }
    for name in generate::NAMES {
        rules.push(optional(Path::new("/etc").join(name), read_file));
    }
    for grant in &view.toolchains.grants {
        match grant.kind {
            GrantKind::Dir => rules.push(optional(&grant.path, read_dir).resolved()),
            GrantKind::File => rules.push(optional(&grant.path, read_file).resolved()),
            GrantKind::Link { .. } => {}
        }
    }
    for name in super::root::DEVICES.iter().chain(&["ptmx"]) {
        rules.push(optional(Path::new("/dev").join(name), rights.device.bits()));
    }
    // Facts about the machine and the process's own entries; not those of the host's processes.
    for name in [
        "cpuinfo",
        "meminfo",
        "stat",
        "version",
        "filesystems",
        "loadavg",
        "uptime",
        "sys",
        "self",
    ] {
        let path = Path::new("/proc").join(name);
        let rights = if matches!(name, "sys" | "self") {
            read_dir
        } else {
            read_file
        };
        rules.push(optional(path, rights));
    }
    rules.push(rule(SCRATCH, rights.all.bits()));
    rules
}

fn ports(policy: &Policy) -> Vec<(u16, u64)> {
    let bind = policy
        .network
        .bind_ports
        .iter()
        .map(|port| (*port, BitFlags::from(AccessNet::BindTcp).bits()));
    let connect = policy
        .network
        .connect_ports
        .iter()
        .map(|port| (*port, BitFlags::from(AccessNet::ConnectTcp).bits()));
    bind.chain(connect).collect()
}
