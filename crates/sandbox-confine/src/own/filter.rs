//! The filter of system calls around this process: files, threads, waiting; no exec, no sockets, no namespaces.

use libseccomp::{ScmpAction, ScmpFilterContext, ScmpSyscall};
use sandbox_types::policy::SyscallProfile;

use super::OwnWallsError;
use super::landlock::Devices;
use crate::seccomp::{self, FilterSpec, Inet, SeccompError, Toggles};
use crate::sys;

/// Of the profile for changing files, what a server has no use for.
const DENIED: &[&str] = &[
    "@aio",
    "execveat",
    "fork",
    "ioprio_set",
    "kill",
    "migrate_pages",
    "move_pages",
    "pidfd_open",
    "pidfd_send_signal",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    "sched_setattr",
    "sched_setparam",
    "setpgid",
    "setpriority",
    "setsid",
    "vfork",
];

pub(super) fn compile(
    calls: &[String],
    devices: Devices,
    stands_back: bool,
) -> Result<Vec<u8>, OwnWallsError> {
    let spec = FilterSpec {
        profile: SyscallProfile::IoHeavy,
        nested: false,
        allow: calls.to_vec(),
        deny: DENIED.iter().map(|name| (*name).to_owned()).collect(),
        toggles: Toggles {
            unix_sockets: false,
            inet: Inet::None,
            deny_listen: true,
            metadata_changes: true,
            foreign_processes: false,
            stands_back,
            template: false,
            clone_mounts: false,
            ipc: false,
            device_nodes: devices == Devices::Made,
        },
    };
    Ok(seccomp::filter(&spec)?.into_owned())
}

/// Loads it, after a filter of one call: the lists are made for commands, and a command is started by execve.
pub(super) fn load(filter: &[u8]) -> Result<(), OwnWallsError> {
    let no_exec = || {
        let mut no_exec = ScmpFilterContext::new(ScmpAction::Allow)?;
        no_exec.add_rule(ScmpAction::Errno(libc::EPERM), ScmpSyscall::from_name("execve")?)?;
        no_exec.load()
    };
    no_exec().map_err(SeccompError::from)?;
    sys::load_filter(filter).map_err(OwnWallsError::kernel("seccomp"))
}
