//! The table, as data.

use super::{Guarantee, Mechanism};

use Guarantee as G;
use Mechanism as M;
use Strength::{Narrow, Second, Whole};

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

const fn row(guarantee: Guarantee, strength: Strength, by: &'static [Mechanism], says: &'static str) -> Row {
    Row {
        guarantee,
        by,
        strength,
        says,
    }
}
