//! From a policy, a host and a view of it to a plan: data, printable.
//!
//! ```text
//! Policy ─┐
//! Host   ─┼─ plan() ─► Plan ─ encode ─► init
//! View   ─┘
//! ```
//!
//! It changes nothing and asks the host one thing only: whether a mount point inside a granted directory is
//! there, since nothing may be made in it. All else it knows is in its arguments.
//!
//! A plan says everything a run will do: the steps that build the root, the Landlock rules, the filter, the
//! limits, the environment, and the report of which guarantee is held by what. What cannot be guaranteed is
//! an error here, before anything has started.

mod denied;
mod env;
mod gather;
mod guarantees;
mod in_place;
mod landlock;
mod limits;
mod pins;
mod refused;
mod root;
mod step;
#[cfg(test)]
mod tests;
mod tree;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sandbox_types::policy::{Identity, NetworkMode};
use sandbox_types::{ByteSize, EnforcementReport, Mount, MountSource, Policy};

use crate::cgroup::{CgroupLimits, CgroupSupport};
use crate::error::{PrepareError, StartError};
use crate::exec::text;
use crate::host::Host;
use crate::init::{IdMaps, Launch};
use crate::process::Watch;
use crate::seccomp::{FilterSpec, Inet, Toggles};
use crate::streams::OutputLimit;
use crate::wire::{
    Confinement, GO_SERVED, KEEP_NICE, MAX_SOURCES, RULE_IS_RESOLVED, RULE_MAY_BE_MISSING, Writer,
};

pub(crate) use gather::gather;
pub use gather::{ResolvedGrant, ServedView, View};
pub use landlock::{LandlockPlan, PathRule};
pub use limits::Rlimit;
pub use refused::RefusedLimit;
pub use step::Step;

/// Everything a run will do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Which guarantee is held by what.
    pub report: EnforcementReport,
    /// How the root is built; empty without namespaces.
    pub steps: Vec<Step>,
    /// What Landlock allows.
    pub landlock: LandlockPlan,
    /// What seccomp allows.
    pub filter: FilterSpec,
    /// Resource limits of every process.
    pub rlimits: Vec<Rlimit>,
    /// Limits of the sandbox as a whole, where a cgroup holds them.
    pub cgroup: Option<CgroupLimits>,
    /// The environment of commands.
    pub env: Vec<(OsString, OsString)>,
    /// Where programs are looked up.
    pub path: Vec<PathBuf>,
    /// Where commands start.
    pub cwd: PathBuf,
    pub(crate) launch: Launch,
    pub(crate) watch: Watch,
    pub(crate) output: Option<OutputLimit>,
    pub(crate) identity: Option<(u32, u32)>,
    umask: u32,
    nice: Option<i32>,
    cpus: Vec<u8>,
}

/// Where a run takes place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In namespaces of its own.
    Namespaces,
    /// On the host's own view, behind Landlock and seccomp.
    InPlace,
}

/// A stand-in, in paths of a plan without namespaces, for the private directory made at the start.
pub(crate) const SCRATCH: &str = "/\u{1}scratch";

/// Makes the plan.
///
/// # Errors
/// [`PrepareError::Unavailable`] for what this host cannot guarantee; problems of the policy on this host.
pub fn plan(
    policy: &Policy,
    host: &Host,
    cgroups: Option<&CgroupSupport>,
    view: &View,
) -> Result<Plan, PrepareError> {
    let place = if host.no_namespaces.is_none() {
        Place::Namespaces
    } else {
        Place::InPlace
    };
    if let Identity::User(uid) = policy.process.identity
        && !host.is_root()
        && uid != host.uid
    {
        return Err(PrepareError::Identity { uid });
    }
    in_place::check(policy, host, view)?;
    let limits = limits::plan(policy, host, place, cgroups);
    let report = guarantees::report(policy, host, place, view, &limits);
    guarantees::check(policy.require, &report)?;
    let steps = match place {
        Place::Namespaces => root::steps(policy, host, view).and_then(few_enough)?,
        Place::InPlace => Vec::new(),
    };
    let (env, path) = env::environment(policy, place, view);
    Ok(Plan {
        steps,
        landlock: landlock::plan(policy, host, place, view),
        filter: FilterSpec::from_policy(&policy.syscalls, toggles(policy, host, place)),
        rlimits: limits.rlimits,
        cgroup: limits.cgroup,
        env,
        path,
        cwd: view.cwd.clone().unwrap_or_else(|| match place {
            Place::Namespaces => view.home.clone(),
            Place::InPlace => Path::new(SCRATCH).join("home"),
        }),
        launch: launch(policy, host, place),
        watch: limits.watch,
        output: limits.output,
        identity: identity(policy, host),
        umask: policy.process.umask,
        nice: policy.process.nice.map(i32::from),
        cpus: cpu_mask(&policy.process.cpus),
        report,
    })
}

impl Plan {
    /// Takes copies of directories of the host besides, before they are out of sight, and after whatever is served is
    /// mounted.
    pub(crate) fn take_trees(&mut self, trees: &[PathBuf]) {
        let Some(before) = self
            .steps
            .iter()
            .position(|step| matches!(step, Step::Hostname(_)))
        else {
            return;
        };
        let trees = trees.iter().map(|path| Step::Tree { path: path.clone() });
        self.steps.splice(before..before, trees);
        // Views are covered by copies of what covers the template's own, which the kernel takes only of what is there.
        self.steps.retain(|step| !matches!(step, Step::Remove { .. }));
    }

    /// Shows processes in /proc only those that they may trace. Clones are of one user and in one /proc; Landlock keeps them
    /// from tracing one another and their template, but some of an entry's files are anybody's of that user to write.
    pub(crate) fn hide_others(&mut self) {
        for step in &mut self.steps {
            if let Step::Mount {
                kind: "proc",
                options,
                ..
            } = step
            {
                // proc(5), since Linux 5.8.
                "hidepid=ptraceable".clone_into(options);
            }
        }
    }

    /// Leaves half of what a limit on memory allows for memory. What is in /tmp stays there when whoever has written it is
    /// gone, and ending somebody else makes no room: with all of the limit in files, nobody inside could go on.
    pub(crate) fn bound_scratch(&mut self, memory: Option<ByteSize>) {
        let Some(most) = memory.map(|limit| limit.bytes() / 2) else {
            return;
        };
        for step in &mut self.steps {
            if let Step::Root { size } = step {
                *size = most.min(*size);
            }
        }
    }

    /// Whether the plan needs a private directory on the host.
    pub(crate) fn needs_scratch(&self) -> bool {
        self.launch.namespaces == 0
    }

    /// What init has to know beside its blob: `GO_` flags.
    pub(crate) fn flags(&self) -> u64 {
        let serves = self.steps.iter().any(|step| matches!(step, Step::Served { .. }));
        if serves { GO_SERVED } else { 0 }
    }

    /// The plan as init reads it. `scratch` is the private directory, where one is needed.
    pub(crate) fn encode(&self, filter: &[u8], scratch: Option<&Path>) -> Result<Vec<u8>, StartError> {
        let mut writer = Writer::default();
        for step in &self.steps {
            step.encode(&mut writer)?;
        }
        writer.end_of_ops();
        let mut path_rules = Writer::default();
        for rule in &self.landlock.paths {
            let path = placed(&rule.path, scratch);
            path_rules
                .u64(rule.rights)
                .byte(rule_flags(rule))
                .text(&text(path.as_os_str())?);
        }
        let mut port_rules = Writer::default();
        for (port, rights) in &self.landlock.ports {
            port_rules.u64(*rights).u64(u64::from(*port));
        }
        let mut rlimits = Writer::default();
        for limit in &self.rlimits {
            rlimits.u32(limit.resource).u64(limit.soft).u64(limit.hard);
        }
        writer.confinement(&Confinement {
            identity: self.identity,
            umask: self.umask,
            nice: self.nice.unwrap_or(KEEP_NICE),
            cpus: &self.cpus,
            limits: &rlimits.finish(),
            handled: self.landlock.handled,
            path_rules: &path_rules.finish(),
            port_rules: &port_rules.finish(),
            stdio_rights: self.landlock.stdio_rights,
            filter,
        });
        Ok(writer.finish())
    }

    /// The environment, with the private directory in its place.
    pub(crate) fn env_in(&self, scratch: Option<&Path>) -> Vec<(OsString, OsString)> {
        let place = |(name, value): &(OsString, OsString)| {
            (name.clone(), placed(Path::new(value), scratch).into_os_string())
        };
        self.env.iter().map(place).collect()
    }

    /// The starting directory, with the private directory in its place.
    pub(crate) fn cwd_in(&self, scratch: Option<&Path>) -> PathBuf {
        placed(&self.cwd, scratch)
    }
}

/// Init takes no more trees than it has room for.
fn few_enough(steps: Vec<Step>) -> Result<Vec<Step>, PrepareError> {
    let attached = steps.iter().filter(|step| matches!(step, Step::Attach { .. }));
    match attached.count() {
        count if count > MAX_SOURCES => Err(PrepareError::TooManyPaths {
            count,
            most: MAX_SOURCES,
        }),
        _ => Ok(steps),
    }
}

fn rule_flags(rule: &PathRule) -> u8 {
    let missing = if rule.may_be_missing {
        RULE_MAY_BE_MISSING
    } else {
        0
    };
    let resolved = if rule.is_resolved { RULE_IS_RESOLVED } else { 0 };
    missing | resolved
}

fn placed(path: &Path, scratch: Option<&Path>) -> PathBuf {
    match (
        path.as_os_str().as_bytes().starts_with(SCRATCH.as_bytes()),
        scratch,
    ) {
        (true, Some(scratch)) => path
            .strip_prefix(SCRATCH)
            .map_or(path.to_owned(), |rest| scratch.join(rest)),
        _ => path.to_owned(),
    }
}

fn toggles(policy: &Policy, host: &Host, place: Place) -> Toggles {
    let (inet, deny_listen) = match (policy.network.mode, policy.network.ports_ruled()) {
        (NetworkMode::None, _) if place == Place::InPlace => (Inet::None, false),
        (_, true) => (Inet::TcpOnly, policy.network.bind_ports.is_empty()),
        (_, false) => (Inet::Any, false),
    };
    match place {
        Place::Namespaces => Toggles {
            inet,
            deny_listen,
            ..Toggles::namespaced()
        },
        Place::InPlace => Toggles {
            inet,
            deny_listen,
            unix_sockets: host.landlock_abi >= 9,
            ..Toggles::shared_host()
        },
    }
}

/// How init is started for this policy.
pub(crate) fn launch(policy: &Policy, host: &Host, place: Place) -> Launch {
    if place == Place::InPlace {
        return Launch {
            namespaces: 0,
            beside: 0,
            ambient: 0,
            maps: None,
        };
    }
    let network = if policy.network.mode == NetworkMode::None {
        libc::CLONE_NEWNET
    } else {
        0
    };
    let namespaces = libc::CLONE_NEWUSER
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP;
    Launch {
        namespaces,
        beside: libc::CLONE_NEWIPC | network,
        ambient: capabilities(policy),
        maps: Some(maps(policy, host)),
    }
}

/// What init keeps in its own user namespace: CAP_CHOWN, CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SETPCAP,
/// CAP_NET_ADMIN, CAP_SYS_ADMIN (capabilities(7)).
const CAPABILITIES: u64 = 1 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 12 | 1 << 21;

/// What overlayfs needs of whoever mounts it, to copy up what the command itself may write: CAP_DAC_OVERRIDE,
/// CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID, CAP_MKNOD, CAP_SETFCAP.
const OVERLAY_CAPABILITIES: u64 = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 27 | 1 << 31;

fn capabilities(policy: &Policy) -> u64 {
    let is_overlay = |mount: &Mount| matches!(mount.source, MountSource::Overlay(_));
    if policy.filesystem.mounts.iter().any(is_overlay) {
        CAPABILITIES | OVERLAY_CAPABILITIES
    } else {
        CAPABILITIES
    }
}

/// Root maps all it has onto itself; everybody else may map one identity (user_namespaces(7)).
fn maps(policy: &Policy, host: &Host) -> IdMaps {
    let inside = |id: u32| {
        if policy.process.identity == Identity::Root {
            0
        } else {
            id
        }
    };
    if host.is_root() {
        return IdMaps {
            uid: onto_itself(&host.uid_map),
            gid: onto_itself(&host.gid_map),
            setgroups: true,
        };
    }
    IdMaps {
        uid: format!("{} {} 1", inside(host.uid), host.uid),
        gid: format!("{} {} 1", inside(host.gid), host.gid),
        setgroups: false,
    }
}

/// The identity on what a map covers: the first and third column of /proc/self/uid_map.
fn onto_itself(map: &str) -> String {
    let mut text = String::new();
    for line in map.lines() {
        let mut columns = line.split_whitespace();
        if let (Some(first), _, Some(count)) = (columns.next(), columns.next(), columns.next()) {
            text.push_str(&format!("{first} {first} {count}\n"));
        }
    }
    text
}

/// Whom commands become: only where that differs from what init is.
fn identity(policy: &Policy, host: &Host) -> Option<(u32, u32)> {
    match policy.process.identity {
        Identity::User(uid) => Some((uid, uid)),
        // Root's supplementary groups are dropped with the change.
        Identity::Caller | Identity::Root if host.is_root() => Some((host.uid, host.gid)),
        Identity::Caller | Identity::Root => None,
    }
}

/// Whether commands are user 0 outside, who owns much of the host, capabilities or not.
fn is_host_root(policy: &Policy, host: &Host) -> bool {
    host.is_root() && !matches!(policy.process.identity, Identity::User(uid) if uid != 0)
}

fn cpu_mask(cpus: &[u32]) -> Vec<u8> {
    let Some(highest) = cpus.iter().max() else {
        return Vec::new();
    };
    // The kernel takes whole words.
    let bytes = (usize::try_from(*highest / 64).unwrap_or(0) + 1) * 8;
    let mut mask = vec![0; bytes.min(1024)];
    for cpu in cpus {
        if let Some(byte) = usize::try_from(cpu / 8)
            .ok()
            .and_then(|index| mask.get_mut(index))
        {
            *byte |= 1 << (cpu % 8);
        }
    }
    mask
}
