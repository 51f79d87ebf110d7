//! What a filter is asked to do.

use sandbox_types::policy::{SyscallPolicy, SyscallProfile};

/// Everything that determines a filter. Equal specs give equal programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterSpec {
    /// The allow-list to start from.
    pub profile: SyscallProfile,
    /// Whether the command may make namespaces and mounts of its own.
    pub nested: bool,
    /// Names and `@groups` allowed beyond the profile.
    pub allow: Vec<String>,
    /// Names and `@groups` refused; wins over `allow`.
    pub deny: Vec<String>,
    /// What the other walls of this run leave to the filter.
    pub toggles: Toggles,
}

impl FilterSpec {
    /// A plain profile, without extras.
    pub fn new(profile: SyscallProfile, toggles: Toggles) -> Self {
        Self {
            profile,
            nested: false,
            allow: Vec::new(),
            deny: Vec::new(),
            toggles,
        }
    }

    /// What a policy's `syscalls` section asks for.
    pub fn from_policy(policy: &SyscallPolicy, toggles: Toggles) -> Self {
        Self {
            profile: policy.profile,
            nested: policy.nested,
            allow: policy.allow.clone(),
            deny: policy.deny.clone(),
            toggles,
        }
    }
}

/// What the other walls of a run leave to the filter. The default permits the least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Toggles {
    /// `socket(AF_UNIX)`. False where nothing else keeps the command from the host's sockets; socketpair stays.
    pub unix_sockets: bool,
    /// `socket(AF_INET)` and `socket(AF_INET6)`.
    pub inet: Inet,
    /// Refuses `listen`, which binds a free port by itself. For a command that may not bind any.
    pub deny_listen: bool,
    /// chmod, chown, utime, setxattr and their families. False without a mount namespace: Landlock does not
    /// mediate them, so they would reach every file of the caller's.
    pub metadata_changes: bool,
    /// Limits, priority and affinity of processes named by pid, the sandbox's init excepted. False without a pid
    /// namespace, where the pid may be one of the host's; a process may still change its own by pid 0.
    pub foreign_processes: bool,
    /// sched_setscheduler(2), without `foreign_processes`, is for making oneself idle and any thread ordinary: for a server
    /// whose threads stand back and make one another ordinary again.
    pub stands_back: bool,
    /// What the template of a fork does besides the caller's function: it joins pid namespaces that were made for its
    /// clones, talks to its keeper, and is forked.
    pub template: bool,
    /// A template besides: it joins mount namespaces that were made for its clones, which then put up a domain of their
    /// own by the rules of the policy.
    pub clone_mounts: bool,
    /// System V IPC and POSIX message queues. False without an IPC namespace, where they are the host's.
    pub ipc: bool,
    /// mknod(2) of devices that reach a driver. For who has the capability, and can open none where they are made.
    pub device_nodes: bool,
}

impl Toggles {
    /// With a mount, pid, IPC and network namespace: those are the walls, the filter does not repeat them.
    pub const fn namespaced() -> Self {
        Self {
            unix_sockets: true,
            inet: Inet::Any,
            deny_listen: false,
            metadata_changes: true,
            foreign_processes: true,
            stands_back: false,
            ipc: true,
            device_nodes: false,
            template: false,
            clone_mounts: false,
        }
    }

    /// Without namespaces: everything is refused that Landlock does not mediate.
    pub const fn shared_host() -> Self {
        Self {
            unix_sockets: false,
            inet: Inet::None,
            deny_listen: false,
            metadata_changes: false,
            foreign_processes: false,
            stands_back: false,
            ipc: false,
            device_nodes: false,
            template: false,
            clone_mounts: false,
        }
    }
}

/// Which internet sockets may be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Inet {
    /// None, and no netlink socket either.
    #[default]
    None,
    /// TCP without Fast Open or upper-layer protocols, so that Landlock's port rules see every connection.
    TcpOnly,
    /// TCP, UDP and ping.
    Any,
}
