//! What a run may do, as pure data in sections with defaults, in TOML and JSON.
//!
//! A policy with no field set is the default policy: system directories and toolchains read-only, a
//! private home and `/tmp`, no network, the `network` system-call profile, no limits. Paths are absolute,
//! or start with `~/` (the caller's home) or `./` (the caller's directory); they are resolved once, when
//! a plan is made.

mod builder;
mod check;
mod document;
mod profiles;
mod syscalls;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{ByteSize, Mount, RiskRules, SizeExt, Span};

pub use builder::PolicyBuilder;
pub use check::{PolicyError, PolicyProblem};
pub use document::{DocumentError, Format};
pub use profiles::{BUILT_IN, BuiltIn, built_in};
pub use syscalls::{SyscallPolicy, SyscallProfile};

/// Everything a run may do.
///
/// ```
/// use sandbox_types::{Policy, SizeExt};
/// let policy = Policy::builder().read("/srv/data").memory(512.mib()).build().unwrap();
/// let toml = policy.to_toml();
/// assert_eq!(Policy::from_toml(&toml).unwrap(), policy);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// What is visible and what may be written.
    pub filesystem: FilesystemPolicy,
    /// Who may be talked to.
    pub network: NetworkPolicy,
    /// Which system calls are allowed.
    pub syscalls: SyscallPolicy,
    /// How much may be used.
    pub limits: LimitPolicy,
    /// What the command's surroundings look like.
    pub process: ProcessPolicy,
    /// What holds for branches.
    #[serde(skip_serializing_if = "BranchPolicy::is_default")]
    pub branch: BranchPolicy,
    /// What happens when a guarantee cannot be kept.
    pub require: Require,
}

/// What holds for branches.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BranchPolicy {
    /// What a commit holds back, besides what is built in.
    pub risk: RiskRules,
}

impl BranchPolicy {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What is visible and what may be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilesystemPolicy {
    /// Paths visible read-only at their own place, with what is beneath them.
    pub read: Vec<PathBuf>,
    /// Paths visible at their own place and writable, with what is beneath them.
    pub write: Vec<PathBuf>,
    /// Paths that are hidden even beneath a granted directory.
    pub deny: Vec<PathBuf>,
    /// Paths that appear elsewhere inside, and file systems in memory.
    pub mounts: Vec<Mount>,
    /// Whether the system is visible: /usr, /bin, /lib*, and of /etc what programs need.
    pub system: bool,
    /// Whether toolchains that PATH finds under the caller's home are visible read-only.
    pub toolchains: bool,
    /// The one unix socket each that may be reached: `ssh-agent`, `gpg-agent`, or a path.
    pub sockets: Vec<String>,
    /// The most that the private home, /tmp and /dev/shm may hold together.
    pub scratch: ByteSize,
}

/// Who may be talked to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkPolicy {
    /// Which network the command sees.
    pub mode: NetworkMode,
    /// TCP ports that may be bound. Naming any port rules all of them.
    pub bind_ports: Vec<u16>,
    /// TCP ports that may be connected to. Naming any port rules all of them.
    pub connect_ports: Vec<u16>,
}

/// Which network the command sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkMode {
    /// A loopback of its own and nothing else.
    #[default]
    None,
    /// The host's network, ruled by ports when any are named.
    Host,
}

/// How much may be used. What is absent is not limited.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitPolicy {
    /// Memory in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    /// Processes and threads, those of the sandbox's init not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<u32>,
    /// Wall-clock time from the start of the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_time: Option<Span>,
    /// User and system CPU time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_time: Option<Span>,
    /// Bytes on standard output and standard error, each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<ByteSize>,
    /// What happens to a command that writes more than `output`.
    pub on_output: OnOutput,
    /// Open file descriptors of each process (RLIMIT_NOFILE).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u32>,
    /// Size of a file that a process makes (RLIMIT_FSIZE).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_size: Option<ByteSize>,
}

/// What happens at the output limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnOutput {
    /// The run is ended.
    #[default]
    Kill,
    /// What is over is read and thrown away; the run goes on.
    Truncate,
}

/// What the command's surroundings look like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProcessPolicy {
    /// Variables set inside.
    pub env: BTreeMap<String, String>,
    /// Variables taken over from the caller, by name.
    pub pass_env: Vec<String>,
    /// The directory the command starts in; the private home when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<PathBuf>,
    /// File mode creation mask.
    pub umask: u32,
    /// Host name inside.
    pub hostname: String,
    /// Who the command is.
    pub identity: Identity,
    /// Niceness, −20 to 19.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nice: Option<i8>,
    /// CPUs the command may run on; all of the caller's when empty.
    pub cpus: Vec<u32>,
}

/// Who the command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    /// The caller's own user and group.
    #[default]
    Caller,
    /// User and group 0 inside, which are the caller's outside.
    Root,
    /// Another user and group of the same number; only root may ask for it.
    User(u32),
}

/// What happens when a guarantee cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Require {
    /// A guarantee that nothing provides is an error before the start; a weaker one is reported.
    #[default]
    Guaranteed,
    /// Whatever is not enforced with all its walls is an error before the start.
    Full,
    /// The command starts in any case, and the report says behind what.
    BestEffort,
}

impl Policy {
    /// Starts from the default policy.
    pub fn builder() -> PolicyBuilder {
        PolicyBuilder::from(Self::default())
    }
}

impl NetworkPolicy {
    /// Whether naming a port has put all TCP ports under rules.
    pub fn ports_ruled(&self) -> bool {
        !self.bind_ports.is_empty() || !self.connect_ports.is_empty()
    }
}

impl Default for FilesystemPolicy {
    fn default() -> Self {
        Self {
            read: Vec::new(),
            write: Vec::new(),
            deny: Vec::new(),
            mounts: Vec::new(),
            system: true,
            toolchains: true,
            sockets: Vec::new(),
            scratch: 2.gib(),
        }
    }
}

impl Default for ProcessPolicy {
    fn default() -> Self {
        Self {
            env: BTreeMap::new(),
            pass_env: Vec::new(),
            cwd: None,
            umask: 0o022,
            hostname: "sandbox".to_owned(),
            identity: Identity::Caller,
            nice: None,
            cpus: Vec::new(),
        }
    }
}
