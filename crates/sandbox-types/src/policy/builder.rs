//! Building a policy step by step; every problem is reported at `build()`, all at once.

use std::path::PathBuf;
use std::time::Duration;

use super::{Identity, NetworkMode, OnOutput, Policy, PolicyError, Require, SyscallProfile};
use crate::{Access, ByteSize, Mount, MountSource};

/// A policy under construction. Later values replace earlier ones; lists grow.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build()`"]
pub struct PolicyBuilder(Policy);

impl From<Policy> for PolicyBuilder {
    fn from(policy: Policy) -> Self {
        Self(policy)
    }
}

impl PolicyBuilder {
    /// Makes `path` visible read-only. Fails at the start when it does not exist.
    pub fn read(mut self, path: impl Into<PathBuf>) -> Self {
        self.0.filesystem.read.push(path.into());
        self
    }

    /// Makes `path` visible and writable. Fails at the start when it does not exist.
    pub fn write(mut self, path: impl Into<PathBuf>) -> Self {
        self.0.filesystem.write.push(path.into());
        self
    }

    /// Hides `path` even beneath a granted directory.
    pub fn deny(mut self, path: impl Into<PathBuf>) -> Self {
        self.0.filesystem.deny.push(path.into());
        self
    }

    /// Makes the host's `source` appear at `at`.
    pub fn bind(self, source: impl Into<PathBuf>, at: impl Into<PathBuf>, access: Access) -> Self {
        self.mount(Mount {
            at: at.into(),
            source: MountSource::Bind(source.into()),
            access,
        })
    }

    /// Adds a mount.
    pub fn mount(mut self, mount: Mount) -> Self {
        self.0.filesystem.mounts.push(mount);
        self
    }

    /// Lets exactly one unix socket through: `ssh-agent`, `gpg-agent` or a path.
    pub fn allow_socket(mut self, socket: impl Into<String>) -> Self {
        self.0.filesystem.sockets.push(socket.into());
        self
    }

    /// Whether the system directories are visible; they are by default.
    pub fn system(mut self, visible: bool) -> Self {
        self.0.filesystem.system = visible;
        self
    }

    /// The most that the private home, /tmp and /dev/shm may hold together; 2 GiB by default.
    pub fn scratch(mut self, size: ByteSize) -> Self {
        self.0.filesystem.scratch = size;
        self
    }

    /// Which network the command sees; none by default.
    pub fn network(mut self, mode: NetworkMode) -> Self {
        self.0.network.mode = mode;
        self
    }

    /// Allows binding one TCP port, and rules all others.
    pub fn bind_port(mut self, port: u16) -> Self {
        self.0.network.bind_ports.push(port);
        self
    }

    /// Allows connecting to one TCP port, and rules all others.
    pub fn connect_port(mut self, port: u16) -> Self {
        self.0.network.connect_ports.push(port);
        self
    }

    /// The system-call profile; `network` by default.
    pub fn syscalls(mut self, profile: SyscallProfile) -> Self {
        self.0.syscalls.profile = profile;
        self
    }

    /// Limits memory.
    pub fn memory(mut self, size: ByteSize) -> Self {
        self.0.limits.memory = Some(size);
        self
    }

    /// Limits processes and threads.
    pub fn processes(mut self, count: u32) -> Self {
        self.0.limits.processes = Some(count);
        self
    }

    /// Limits the wall-clock time from the start of the command.
    pub fn wall_time(mut self, time: Duration) -> Self {
        self.0.limits.wall_time = Some(time.into());
        self
    }

    /// Limits user and system CPU time.
    pub fn cpu_time(mut self, time: Duration) -> Self {
        self.0.limits.cpu_time = Some(time.into());
        self
    }

    /// Limits each output stream, and says what happens then.
    pub fn output(mut self, size: ByteSize, then: OnOutput) -> Self {
        self.0.limits.output = Some(size);
        self.0.limits.on_output = then;
        self
    }

    /// Limits open file descriptors of each process.
    pub fn open_files(mut self, count: u32) -> Self {
        self.0.limits.open_files = Some(count);
        self
    }

    /// Limits the size of files that are made.
    pub fn file_size(mut self, size: ByteSize) -> Self {
        self.0.limits.file_size = Some(size);
        self
    }

    /// Sets a variable inside.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.process.env.insert(name.into(), value.into());
        self
    }

    /// Takes a variable over from the caller; absent there, absent inside.
    pub fn env_from_host(mut self, name: impl Into<String>) -> Self {
        self.0.process.pass_env.push(name.into());
        self
    }

    /// The directory the command starts in. It must be visible inside.
    pub fn cwd(mut self, path: impl Into<PathBuf>) -> Self {
        self.0.process.cwd = Some(path.into());
        self
    }

    /// File mode creation mask; 022 by default.
    pub fn umask(mut self, mask: u32) -> Self {
        self.0.process.umask = mask;
        self
    }

    /// Host name inside; `sandbox` by default.
    pub fn hostname(mut self, name: impl Into<String>) -> Self {
        self.0.process.hostname = name.into();
        self
    }

    /// Who the command is; the caller by default.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.0.process.identity = identity;
        self
    }

    /// Niceness, −20 to 19.
    pub fn nice(mut self, nice: i8) -> Self {
        self.0.process.nice = Some(nice);
        self
    }

    /// CPUs the command may run on.
    pub fn cpus(mut self, cpus: impl IntoIterator<Item = u32>) -> Self {
        self.0.process.cpus = cpus.into_iter().collect();
        self
    }

    /// What happens when a guarantee cannot be kept.
    pub fn require(mut self, require: Require) -> Self {
        self.0.require = require;
        self
    }

    /// Changes anything that has no setter of its own.
    pub fn with(mut self, change: impl FnOnce(&mut Policy)) -> Self {
        change(&mut self.0);
        self
    }

    /// Checks the policy.
    ///
    /// # Errors
    /// [`PolicyError`] holds every problem, not only the first.
    pub fn build(self) -> Result<Policy, PolicyError> {
        self.0.check()?;
        Ok(self.0)
    }
}
