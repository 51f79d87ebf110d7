//! Guarantees, mechanisms, and the one table that says which mechanisms suffice for which guarantee.
//!
//! A policy asks for guarantees; a host offers mechanisms. [`judge`] reads [`TABLE`] and says, for a set of
//! mechanisms that hold, whether a guarantee is enforced, degraded or disabled, and why. Nothing else in
//! the project decides that question.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::Status;

/// What a policy can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Guarantee {
    /// Only granted paths can be read or executed.
    FilesRead,
    /// Only granted paths can be written, created, removed, or have their metadata changed.
    FilesWrite,
    /// Denied paths and credentials are not there, even beneath a granted directory.
    FilesDeny,
    /// Only harmless device nodes can be opened.
    Devices,
    /// No network but a loopback of its own.
    NetworkNone,
    /// Only the ruled TCP ports can be bound or connected to.
    NetworkPorts,
    /// No unix socket of the host can be reached.
    UnixSockets,
    /// Processes outside cannot be seen, signalled or traced.
    Isolation,
    /// Everything the sandbox started ends with it.
    Containment,
    /// Only the system calls of the profile.
    Syscalls,
    /// No capability, and nothing that gains one.
    Privileges,
    /// The memory limit.
    Memory,
    /// The limit on processes and threads.
    Processes,
    /// The CPU-time limit.
    CpuTime,
    /// The wall-clock limit.
    WallTime,
    /// The limit on bytes written to standard output and error.
    Output,
    /// Open files, file size and core size.
    Resources,
}

/// What can provide a guarantee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Mechanism {
    /// user_namespaces(7).
    UserNamespace,
    /// A mount namespace with a root of its own, which holds granted paths only.
    PrivateRoot,
    /// pid_namespaces(7) with our init as pid 1.
    PidNamespace,
    /// ipc_namespaces(7).
    IpcNamespace,
    /// uts_namespaces(7).
    UtsNamespace,
    /// cgroup_namespaces(7).
    CgroupNamespace,
    /// network_namespaces(7) with only `lo`, which is up.
    NetworkNamespace,
    /// Landlock's file-system rights, ABI 1 and later.
    Landlock,
    /// Landlock's TCP port rules, ABI 4 and later.
    LandlockNet,
    /// Landlock's scopes for signals and abstract unix sockets, ABI 6 and later.
    LandlockScope,
    /// Landlock's right for connecting to pathname unix sockets, ABI 9 and later.
    LandlockUnix,
    /// The seccomp filter of the policy's profile.
    Seccomp,
    /// The seccomp filter for a shared view of the host: no internet or unix sockets, no change of metadata,
    /// nothing about other processes.
    SeccompStrict,
    /// prctl(2) PR_SET_NO_NEW_PRIVS.
    NoNewPrivileges,
    /// Empty capability sets, bounding set included.
    DroppedCapabilities,
    /// Our init as child subreaper, which hunts down what is left.
    Subreaper,
    /// The memory controller of cgroup v2 or v1.
    CgroupMemory,
    /// The pids controller of cgroup v2 or v1.
    CgroupPids,
    /// CPU accounting of cgroup v2 or v1, watched by the supervisor.
    CgroupCpu,
    /// RLIMIT_DATA.
    RlimitData,
    /// RLIMIT_NPROC where it binds: an unprivileged user in a user namespace of its own.
    RlimitProcesses,
    /// RLIMIT_CPU.
    RlimitCpu,
    /// RLIMIT_NOFILE, RLIMIT_FSIZE, RLIMIT_CORE.
    Rlimits,
    /// Our own process, which holds the clock and the pipes.
    Supervisor,
}

/// How far a row of the table reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strength {
    /// Suffices for the whole guarantee.
    Whole,
    /// Suffices for less than the whole: accepted, reported, refused by `require = "full"`.
    Narrow,
    /// A second wall behind the first: its absence is reported, and refused by `require = "full"`.
    Second,
}

/// One line of the table: these mechanisms together have this strength for this guarantee.
#[derive(Debug)]
pub struct Row {
    /// What is provided.
    pub guarantee: Guarantee,
    /// All of these together.
    pub by: &'static [Mechanism],
    /// How far it reaches.
    pub strength: Strength,
    /// What a user should know about it; what is *not* covered, for a narrow row.
    pub says: &'static str,
}

/// The answer of [`judge`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Enforced, degraded or disabled.
    pub status: Status,
    /// The mechanisms that hold it up.
    pub by: Vec<Mechanism>,
    /// What is missing for `Enforced`; empty when it is.
    pub missing: Vec<Mechanism>,
    /// The sentence of the row that decided.
    pub says: &'static str,
}

const fn row(guarantee: Guarantee, strength: Strength, by: &'static [Mechanism], says: &'static str) -> Row {
    Row {
        guarantee,
        by,
        strength,
        says,
    }
}

use Guarantee as G;
use Mechanism as M;
use Strength::{Narrow, Second, Whole};

/// Which mechanisms suffice for which guarantee, in order of preference.
pub const TABLE: &[Row] = &[
    row(
        G::FilesRead,
        Whole,
        &[M::PrivateRoot],
        "the new root holds nothing but granted paths",
    ),
    row(
        G::FilesRead,
        Narrow,
        &[M::Landlock, M::SeccompStrict],
        "contents and listings are refused; whether a path outside exists, its size and owner can still be asked",
    ),
    row(
        G::FilesRead,
        Second,
        &[M::Landlock],
        "a second wall should the mount table ever be wrong",
    ),
    row(
        G::FilesWrite,
        Whole,
        &[M::PrivateRoot],
        "everything is mounted read-only but what was granted for writing",
    ),
    row(
        G::FilesWrite,
        Whole,
        &[M::Landlock, M::SeccompStrict],
        "contents by Landlock; changes of mode, owner, times and attributes are refused everywhere by seccomp",
    ),
    row(G::FilesWrite, Second, &[M::PrivateRoot], "a read-only root"),
    row(
        G::FilesWrite,
        Second,
        &[M::Landlock],
        "a second wall should the mount table ever be wrong",
    ),
    row(
        G::FilesDeny,
        Whole,
        &[M::PrivateRoot],
        "an empty file or directory covers the path inside; nothing is made on the host",
    ),
    row(
        G::Devices,
        Whole,
        &[M::PrivateRoot],
        "/dev holds null, zero, full, random, urandom, tty and terminals of its own",
    ),
    row(
        G::Devices,
        Whole,
        &[M::Landlock],
        "no right is given on any other device node",
    ),
    row(
        G::Devices,
        Second,
        &[M::Landlock],
        "a second wall should the mount table ever be wrong",
    ),
    row(
        G::NetworkNone,
        Whole,
        &[M::NetworkNamespace, M::Seccomp],
        "a network namespace with lo only; odd socket families refused",
    ),
    row(
        G::NetworkNone,
        Whole,
        &[M::SeccompStrict],
        "no internet socket can be made at all, so there is no lo either",
    ),
    row(
        G::NetworkNone,
        Second,
        &[M::NetworkNamespace],
        "a network namespace",
    ),
    row(
        G::NetworkPorts,
        Whole,
        &[M::LandlockNet, M::Seccomp],
        "TCP by Landlock; UDP, raw, MPTCP and Fast Open refused by seccomp; listen can take a free port where one may be bound",
    ),
    row(
        G::UnixSockets,
        Whole,
        &[M::PrivateRoot, M::NetworkNamespace],
        "no socket file is visible, abstract names are the namespace's own",
    ),
    row(
        G::UnixSockets,
        Whole,
        &[M::PrivateRoot, M::LandlockScope],
        "no socket file is visible, abstract names are scoped by Landlock",
    ),
    row(
        G::UnixSockets,
        Whole,
        &[M::LandlockUnix, M::LandlockScope],
        "Landlock refuses sockets outside, by path and by abstract name",
    ),
    row(
        G::UnixSockets,
        Whole,
        &[M::SeccompStrict, M::Landlock],
        "no new unix socket can be made; socketpair stays",
    ),
    row(
        G::Isolation,
        Whole,
        &[M::PidNamespace, M::IpcNamespace],
        "nothing outside has a pid inside",
    ),
    row(
        G::Isolation,
        Narrow,
        &[M::LandlockScope, M::SeccompStrict],
        "signals and tracing are refused; that a process with some pid exists can still be asked",
    ),
    row(
        G::Isolation,
        Second,
        &[M::Landlock],
        "ptrace outside the domain is refused",
    ),
    row(
        G::Containment,
        Whole,
        &[M::PidNamespace],
        "the kernel kills all of it with its init",
    ),
    row(
        G::Containment,
        Narrow,
        &[M::Subreaper, M::LandlockScope],
        "init adopts and kills what is left; a fork bomb is chased, not frozen",
    ),
    row(
        G::Syscalls,
        Whole,
        &[M::Seccomp, M::NoNewPrivileges],
        "an allow-list; what is unknown is ENOSYS",
    ),
    row(
        G::Privileges,
        Whole,
        &[M::NoNewPrivileges, M::DroppedCapabilities],
        "no capability in any set, set-uid bits have no effect",
    ),
    row(
        G::Privileges,
        Second,
        &[M::UserNamespace],
        "what could be gained would count inside only",
    ),
    row(
        G::Memory,
        Whole,
        &[M::CgroupMemory],
        "everything charged to the sandbox: anonymous, page cache, tmpfs, kernel memory",
    ),
    row(
        G::Memory,
        Narrow,
        &[M::RlimitData],
        "each process by itself, private writable memory only: not memfd, shared or file mappings, nor tmpfs",
    ),
    row(
        G::Processes,
        Whole,
        &[M::CgroupPids],
        "processes and threads of the sandbox together",
    ),
    row(
        G::Processes,
        Whole,
        &[M::RlimitProcesses],
        "processes and threads of this user in this user namespace",
    ),
    row(
        G::CpuTime,
        Whole,
        &[M::CgroupCpu, M::Supervisor],
        "everything in the sandbox together",
    ),
    row(G::CpuTime, Narrow, &[M::RlimitCpu], "each process by itself"),
    row(
        G::WallTime,
        Whole,
        &[M::Supervisor],
        "from the start of the command",
    ),
    row(
        G::Output,
        Whole,
        &[M::Supervisor],
        "counted as it is read, for captured and piped streams",
    ),
    row(
        G::Resources,
        Whole,
        &[M::Rlimits],
        "each process by itself, as setrlimit(2) defines it",
    ),
];

/// Says whether `guarantee` holds when exactly the mechanisms in `held` hold.
pub fn judge(guarantee: Guarantee, held: &BTreeSet<Mechanism>) -> Verdict {
    let rows = || TABLE.iter().filter(move |row| row.guarantee == guarantee);
    let holds = |row: &&Row| row.by.iter().all(|mechanism| held.contains(mechanism));
    let of = |strength| rows().filter(move |row| row.strength == strength);
    let missing_of = |row: &Row| {
        row.by
            .iter()
            .copied()
            .filter(|m| !held.contains(m))
            .collect::<Vec<_>>()
    };

    let mut missing: Vec<Mechanism> = of(Second).flat_map(missing_of).collect();
    let best = of(Whole).find(holds).or_else(|| of(Narrow).find(holds));
    let Some(best) = best else {
        let wanted = of(Whole)
            .chain(of(Narrow))
            .min_by_key(|row| missing_of(row).len());
        return Verdict {
            status: Status::Disabled,
            by: Vec::new(),
            missing: wanted.map(missing_of).unwrap_or_default(),
            says: wanted.map_or("no mechanism provides it", |row| row.says),
        };
    };
    if best.strength == Narrow {
        missing.extend(of(Whole).next().into_iter().flat_map(missing_of));
    }
    missing.sort_unstable();
    missing.dedup();
    let mut by: Vec<Mechanism> = best.by.to_vec();
    by.extend(of(Second).filter(holds).flat_map(|row| row.by.iter().copied()));
    by.sort_unstable();
    by.dedup();
    let status = if missing.is_empty() {
        Status::Enforced
    } else {
        Status::Degraded
    };
    Verdict {
        status,
        by,
        missing,
        says: best.says,
    }
}

/// [`TABLE`] as a Markdown table, for docs/threat-model.md.
pub fn markdown() -> String {
    let mut text = String::from("| guarantee | by | strength | what it means |\n|---|---|---|---|\n");
    for guarantee in Guarantee::ALL {
        let mut name = format!("**{}**: {}", guarantee.title(), guarantee.promise());
        for row in TABLE.iter().filter(|row| row.guarantee == *guarantee) {
            let by: Vec<_> = row.by.iter().map(|mechanism| mechanism.title()).collect();
            let strength = match row.strength {
                Whole => "whole",
                Narrow => "narrow",
                Second => "second",
            };
            text.push_str(&format!(
                "| {name} | {} | {strength} | {} |\n",
                by.join(" + "),
                row.says
            ));
            name.clear();
        }
    }
    text
}

impl Guarantee {
    /// All guarantees, in the order reports show them.
    pub const ALL: &'static [Self] = &[
        G::FilesRead,
        G::FilesWrite,
        G::FilesDeny,
        G::Devices,
        G::NetworkNone,
        G::NetworkPorts,
        G::UnixSockets,
        G::Isolation,
        G::Containment,
        G::Syscalls,
        G::Privileges,
        G::Memory,
        G::Processes,
        G::CpuTime,
        G::WallTime,
        G::Output,
        G::Resources,
    ];

    /// A short name for tables: `files read`.
    pub const fn title(self) -> &'static str {
        match self {
            G::FilesRead => "files read",
            G::FilesWrite => "files write",
            G::FilesDeny => "files deny",
            G::Devices => "devices",
            G::NetworkNone => "no network",
            G::NetworkPorts => "TCP ports",
            G::UnixSockets => "unix sockets",
            G::Isolation => "isolation",
            G::Containment => "containment",
            G::Syscalls => "system calls",
            G::Privileges => "privileges",
            G::Memory => "memory limit",
            G::Processes => "process limit",
            G::CpuTime => "CPU-time limit",
            G::WallTime => "wall-time limit",
            G::Output => "output limit",
            G::Resources => "resource limits",
        }
    }

    /// The promise, as one sentence.
    pub const fn promise(self) -> &'static str {
        match self {
            G::FilesRead => "only granted paths can be read or executed",
            G::FilesWrite => {
                "only granted paths can be written, created, removed or have their metadata changed"
            }
            G::FilesDeny => "denied paths and credentials are not there, even beneath a granted directory",
            G::Devices => "only harmless device nodes can be opened",
            G::NetworkNone => "no network but a loopback of its own",
            G::NetworkPorts => "only the ruled TCP ports can be bound or connected to",
            G::UnixSockets => "no unix socket of the host can be reached",
            G::Isolation => "processes outside cannot be seen, signalled or traced",
            G::Containment => "everything the sandbox started ends with it",
            G::Syscalls => "only the system calls of the profile",
            G::Privileges => "no capability, and nothing that gains one",
            G::Memory => "the memory limit holds",
            G::Processes => "the limit on processes and threads holds",
            G::CpuTime => "the CPU-time limit holds",
            G::WallTime => "the wall-clock limit holds",
            G::Output => "the output limit holds",
            G::Resources => "the limits on open files, file size and core size hold",
        }
    }
}

impl Mechanism {
    /// The name users know it by.
    pub const fn title(self) -> &'static str {
        match self {
            M::UserNamespace => "user namespace",
            M::PrivateRoot => "private root",
            M::PidNamespace => "pid namespace",
            M::IpcNamespace => "ipc namespace",
            M::UtsNamespace => "uts namespace",
            M::CgroupNamespace => "cgroup namespace",
            M::NetworkNamespace => "network namespace",
            M::Landlock => "Landlock",
            M::LandlockNet => "Landlock TCP rules",
            M::LandlockScope => "Landlock scopes",
            M::LandlockUnix => "Landlock unix sockets",
            M::Seccomp => "seccomp",
            M::SeccompStrict => "strict seccomp",
            M::NoNewPrivileges => "no_new_privs",
            M::DroppedCapabilities => "no capabilities",
            M::Subreaper => "subreaper",
            M::CgroupMemory => "cgroup memory",
            M::CgroupPids => "cgroup pids",
            M::CgroupCpu => "cgroup cpu accounting",
            M::RlimitData => "RLIMIT_DATA",
            M::RlimitProcesses => "RLIMIT_NPROC",
            M::RlimitCpu => "RLIMIT_CPU",
            M::Rlimits => "rlimits",
            M::Supervisor => "supervisor",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(mechanisms: &[Mechanism]) -> BTreeSet<Mechanism> {
        mechanisms.iter().copied().collect()
    }

    #[test]
    fn every_guarantee_has_a_whole_or_narrow_row() {
        for guarantee in Guarantee::ALL {
            assert!(
                TABLE
                    .iter()
                    .any(|row| row.guarantee == *guarantee && row.strength != Second),
                "{guarantee:?} cannot be provided by anything"
            );
        }
    }

    #[test]
    fn a_missing_second_wall_degrades_and_names_itself() {
        let verdict = judge(G::FilesRead, &held(&[M::PrivateRoot]));
        assert_eq!(
            (verdict.status, verdict.missing),
            (Status::Degraded, vec![M::Landlock])
        );
        let verdict = judge(G::FilesRead, &held(&[M::PrivateRoot, M::Landlock]));
        assert_eq!((verdict.status, verdict.missing), (Status::Enforced, vec![]));
    }

    #[test]
    fn a_narrow_row_is_degraded_and_says_what_it_does_not_cover() {
        let verdict = judge(G::Memory, &held(&[M::RlimitData]));
        assert_eq!(
            (verdict.status, verdict.missing),
            (Status::Degraded, vec![M::CgroupMemory])
        );
        assert!(verdict.says.contains("each process"));
    }

    #[test]
    fn nothing_held_means_everything_is_disabled() {
        for guarantee in Guarantee::ALL {
            let verdict = judge(*guarantee, &BTreeSet::new());
            assert_eq!(verdict.status, Status::Disabled, "{guarantee:?}");
            assert!(!verdict.missing.is_empty());
        }
    }

    #[test]
    fn more_mechanisms_never_make_a_guarantee_weaker() {
        let all: Vec<Mechanism> = TABLE
            .iter()
            .flat_map(|row| row.by.iter().copied())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        for guarantee in Guarantee::ALL {
            let mut set = BTreeSet::new();
            let mut last = Status::Disabled;
            for mechanism in &all {
                set.insert(*mechanism);
                let now = judge(*guarantee, &set).status;
                assert!(now >= last, "{guarantee:?} got weaker by {mechanism:?}");
                last = now;
            }
            assert_eq!(last, Status::Enforced, "{guarantee:?}");
        }
    }
}
