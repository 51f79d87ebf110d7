//! Which arguments make a call acceptable, for the calls where the number alone does not say.

use super::conditions::{Case, Condition, bits_clear, int_is, int_is_ignoring};
use super::spec::{FilterSpec, Toggles};
use super::{processes, sockets};

/// The cases in which `call` is answered otherwise than with EPERM. `None`: it is allowed whatever its arguments.
pub(super) fn cases(call: &str, spec: &FilterSpec) -> Option<Vec<Case>> {
    match call {
        "clone" if !spec.nested => Some(allow_each([bits_clear(0, CLONE_NAMESPACES)])),
        "setns" if !spec.nested => Some(allow_each(joined(spec.toggles).map(|kind| int_is(1, kind)))),
        "unshare" if !spec.nested => Some(allow_each([bits_clear(0, !UNSHARE_OWN)])),
        "seccomp" if !spec.nested => Some(allow_each([bits_clear(1, SECCOMP_FILTER_FLAG_NEW_LISTENER)])),
        "ioctl" => Some(refused_ioctls(spec.toggles)),
        "personality" => Some(allow_each(
            HARMLESS_PERSONALITIES.map(|persona| int_is(0, persona)),
        )),
        "mknod" if !spec.toggles.device_nodes => Some(mknod(1)),
        "mknodat" if !spec.toggles.device_nodes => Some(mknod(2)),
        _ => processes::cases(call, spec).or_else(|| sockets::cases(call, spec.toggles)),
    }
}

/// One allowed case for each condition.
pub(super) fn allow_each(conditions: impl IntoIterator<Item = Condition>) -> Vec<Case> {
    conditions
        .into_iter()
        .map(|condition| Case::allow([condition]))
        .collect()
}

/// `CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}`. `CLONE_NEWTIME` is part of the exit signal in clone(2).
/// The flags are the first argument on x86_64 and aarch64 (on s390 they are the second).
const CLONE_NAMESPACES: u64 = 0x7E02_0000;

/// The kinds of namespaces that a template joins: of those made for its clones.
fn joined(toggles: Toggles) -> impl Iterator<Item = u32> {
    const CLONE_NEWPID: u32 = 0x2000_0000;
    const CLONE_NEWNS: u32 = 0x0002_0000;
    std::iter::once(CLONE_NEWPID).chain(toggles.clone_mounts.then_some(CLONE_NEWNS))
}

/// `CLONE_{FS,FILES,SYSVSEM}`: what unshare may separate from other threads. All other bits are refused.
const UNSHARE_OWN: u64 = 0x0004_0600;

/// A supervisor of one's own would compete with ours, and the kernel allows one in a chain.
const SECCOMP_FILTER_FLAG_NEW_LISTENER: u64 = 1 << 3;

/// `PER_LINUX`, the query, and `ADDR_NO_RANDOMIZE` for debuggers and reproducible runs.
const HARMLESS_PERSONALITIES: [u32; 3] = [0, u32::MAX, 0x0004_0000];

/// Terminal commands that act on the terminal of whoever started us: push input, drive the console, load a
/// line discipline.
const TERMINAL_TAKEOVER: [u32; 3] = [0x5412, 0x541C, 0x5423];

/// `FS_IOC_SETFLAGS`, its 32-bit twin, `FS_IOC_SETVERSION`, `FS_IOC_FSSETXATTR`: metadata by another door.
const METADATA_IOCTLS: [u32; 4] = [0x4008_6602, 0x4004_6602, 0x4008_7602, 0x401C_5820];

fn refused_ioctls(toggles: Toggles) -> Vec<Case> {
    let metadata = if toggles.metadata_changes {
        &[][..]
    } else {
        &METADATA_IOCTLS
    };
    let refused = TERMINAL_TAKEOVER.iter().chain(metadata);
    refused
        .map(|command| Case::refuse([int_is(1, *command)]))
        .collect()
}

/// Regular files, FIFOs, sockets and overlay whiteouts (character device 0/0); no device that reaches a driver.
fn mknod(mode: u8) -> Vec<Case> {
    const FORMAT: u32 = 0o170_000;
    const CHARACTER_DEVICE: u32 = 0o020_000;
    let is = |format| int_is_ignoring(mode, !FORMAT, format);
    let mut cases = allow_each([0, 0o100_000, 0o010_000, 0o140_000].map(is));
    cases.push(Case::allow([is(CHARACTER_DEVICE), int_is(mode + 1, 0)]));
    cases
}
