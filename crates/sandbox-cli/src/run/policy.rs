//! From flags to a policy.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use sandbox::policy::Identity;
use sandbox::{MountSource, Policy, PolicyBuilder};

use super::args::{FileArgs, LimitArgs, NetworkArgs, ProcessArgs, RunArgs, SyscallArgs};
use super::directory::{self, Start, Surroundings};
use super::on_branch::Session;
use super::paths::{existing, existing_directory};
use crate::error::CliError;
use crate::profiles;

/// The policy that the flags describe, on a branch if there is one, and where the command starts.
pub(crate) fn of(args: &RunArgs, session: Option<&Session>) -> Result<(Policy, Start), CliError> {
    let base = match &args.policy.profile {
        Some(name) => profiles::load(name)?,
        None => Policy::default(),
    };
    let mut builder = PolicyBuilder::from(base);
    if let Some(require) = args.policy.require {
        builder = builder.require(require.into());
    }
    builder = args.files.apply(builder)?;
    builder = args.network.apply(builder);
    builder = args.syscalls.apply(builder);
    builder = args.limits.apply(builder);
    builder = args.process.apply(builder)?;
    if let Some(session) = session {
        builder = session.apply(args, builder)?;
    }
    let policy = builder.build()?;
    let start = start(args, &policy)?;
    match &start {
        Start::Grant(directory) => Ok((PolicyBuilder::from(policy).read(directory).build()?, start)),
        _ => Ok((policy, start)),
    }
}

fn start(args: &RunArgs, policy: &Policy) -> Result<Start, CliError> {
    let named = args.process.cwd.as_deref();
    let is_inside = |path: &Path| {
        policy
            .filesystem
            .mounts
            .iter()
            .any(|mount| path.starts_with(&mount.at))
    };
    let directory = match named {
        // Where something is mounted inside, the host need not have anything.
        Some(path) if path.is_absolute() && is_inside(path) => return Ok(Start::In(path.to_owned())),
        Some(path) => real(&existing_directory("--cwd", path)?).ok(),
        None if policy.process.cwd.is_some() => return Ok(Start::AsPolicy),
        None => std::env::current_dir().ok().and_then(|path| real(&path).ok()),
    };
    let Some(directory) = directory else {
        let hidden = std::env::current_dir().unwrap_or_else(|_| ".".into());
        return Ok(Start::Home {
            hidden,
            why: "out of your reach",
        });
    };
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let expand = |path: &PathBuf| {
        let path = match (path.strip_prefix("~"), &home) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => path.clone(),
        };
        real(&path).unwrap_or(path)
    };
    let files = &policy.filesystem;
    Ok(directory::start(
        policy,
        &Surroundings {
            directory: &directory,
            home: home.as_ref().map(expand).as_deref(),
            granted: &files
                .read
                .iter()
                .chain(&files.write)
                .map(expand)
                .collect::<Vec<_>>(),
            denied: &files.deny.iter().map(expand).collect::<Vec<_>>(),
            is_named: named.is_some(),
        },
    ))
}

fn real(path: &Path) -> std::io::Result<PathBuf> {
    path.canonicalize()
}

impl FileArgs {
    fn apply(&self, mut builder: PolicyBuilder) -> Result<PolicyBuilder, CliError> {
        for path in &self.read {
            builder = builder.read(existing("--read", path)?);
        }
        for path in &self.write {
            builder = builder.write(existing("--write", path)?);
        }
        for path in &self.deny {
            builder = builder.deny(existing("--deny", path)?);
        }
        for bind in &self.bind {
            builder = builder.bind(existing("--bind", &bind.source)?, &bind.at, bind.access);
        }
        for volume in &self.volume {
            builder = builder.mount(volume.mount());
        }
        for tmpfs in &self.tmpfs {
            let source = MountSource::Tmpfs { size: tmpfs.size };
            let mount = sandbox::Mount {
                at: tmpfs.at.clone(),
                source,
                access: sandbox::Access::Write,
            };
            builder = builder.mount(mount);
        }
        for socket in &self.allow_socket {
            builder = builder.allow_socket(socket_name(socket)?);
        }
        if let Some(size) = self.tmp_size {
            builder = builder.scratch(size);
        }
        Ok(if self.no_system {
            builder.system(false)
        } else {
            builder
        })
    }
}

fn socket_name(socket: &OsStr) -> Result<String, CliError> {
    const FLAG: &str = "--allow-socket";
    match socket.to_str() {
        Some(agent @ ("ssh-agent" | "gpg-agent")) => Ok(agent.to_owned()),
        _ => utf8(FLAG, existing(FLAG, Path::new(socket))?.as_os_str()).map(str::to_owned),
    }
}

impl NetworkArgs {
    fn apply(&self, mut builder: PolicyBuilder) -> PolicyBuilder {
        if let Some(mode) = self.net {
            builder = builder.network(mode.into());
        }
        builder = self
            .bind_port
            .iter()
            .fold(builder, |builder, port| builder.bind_port(*port));
        self.connect_port
            .iter()
            .fold(builder, |builder, port| builder.connect_port(*port))
    }
}

impl SyscallArgs {
    fn apply(&self, builder: PolicyBuilder) -> PolicyBuilder {
        builder.with(|policy| {
            let syscalls = &mut policy.syscalls;
            syscalls.profile = self.syscalls.unwrap_or(syscalls.profile);
            syscalls.allow.extend_from_slice(&self.allow_syscall);
            syscalls.deny.extend_from_slice(&self.deny_syscall);
            syscalls.nested |= self.nested;
        })
    }
}

impl LimitArgs {
    fn apply(&self, builder: PolicyBuilder) -> PolicyBuilder {
        builder.with(|policy| {
            let limits = &mut policy.limits;
            limits.memory = self.memory.or(limits.memory);
            limits.processes = self.processes.or(limits.processes);
            limits.wall_time = self.wall_time.or(limits.wall_time);
            limits.cpu_time = self.cpu_time.or(limits.cpu_time);
            limits.output = self.output_limit.or(limits.output);
            limits.on_output = self.on_output.map_or(limits.on_output, Into::into);
            limits.open_files = self.open_files.or(limits.open_files);
            limits.file_size = self.file_size.or(limits.file_size);
        })
    }
}

impl ProcessArgs {
    fn apply(&self, mut builder: PolicyBuilder) -> Result<PolicyBuilder, CliError> {
        for variable in &self.env {
            builder = match utf8("--env", variable)?.split_once('=') {
                Some((name, value)) => builder.env(name, value),
                None => builder.env_from_host(variable.to_string_lossy()),
            };
        }
        if self.root {
            builder = builder.identity(Identity::Root);
        }
        if let Some(uid) = self.user {
            builder = builder.identity(Identity::User(uid));
        }
        if let Some(name) = &self.hostname {
            builder = builder.hostname(name);
        }
        if let Some(mask) = self.umask {
            builder = builder.umask(mask);
        }
        if let Some(nice) = self.nice {
            builder = builder.nice(nice);
        }
        Ok(match &self.cpus {
            Some(cpus) => builder.cpus(cpus.0.iter().copied()),
            None => builder,
        })
    }
}

fn utf8<'a>(flag: &'static str, value: &'a OsStr) -> Result<&'a str, CliError> {
    value.to_str().ok_or_else(|| CliError::NotUtf8 {
        flag,
        value: OsString::from(value),
    })
}
