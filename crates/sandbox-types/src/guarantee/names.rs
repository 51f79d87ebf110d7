//! What can be asked for and what can provide it, with the words that users know them by.

use serde::{Deserialize, Serialize};

use Guarantee as G;
use Mechanism as M;

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
