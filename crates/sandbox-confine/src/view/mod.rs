//! What of the host is visible inside a sandbox by default.
//!
//! This is the I/O edge in front of the pure `plan()`: each `detect` looks at the host once, read-only and
//! with bounded work, and returns plain data that says what to bind, which links to create, which files to
//! write and what to cover. Nothing here mounts, creates or changes anything, and nothing found on the host
//! (a link loop, a directory that cannot be read, a name that is not UTF-8) makes it fail: what cannot be
//! shown is left out, and where the user would miss it, reported with the reason.
//!
//! - [`SystemView`]: `/usr` and its companions, as directories or links.
//! - [`EtcView`] and [`generate`]: the part of `/etc` that programs need, and the files made for the sandbox.
//! - [`Toolchains`]: what `PATH` names outside the system directories, with the stores behind it.
//! - [`HiddenPlaces`], [`masked_under`], [`sockets_under`], [`holds_credentials`]: what must stay hidden beneath a granted tree.
//! - [`agent_socket`]: where an agent listens, for `--allow-socket`.
//!
//! Never shown by default: `/run`, `/var`, `/boot`, `/srv`, `/mnt`, `/media`, `/sys`, and homes. Without
//! `/sys`, `lscpu`, `numactl` and `cpufreq` readers fail, and a JVM sizes its heap by the machine's memory
//! instead of the cgroup's; glibc, node, Python and Go count their processors by `sched_getaffinity`.

mod credentials;
mod etc;
mod hidden;
mod locate;
mod names;
mod system;
mod toolchain;
mod trace;

pub use credentials::{
    HiddenPlaces, Masked, MaskedKind, among_credentials, holds_credentials, masked_under, sockets_under,
};
pub use etc::{Account, EtcEntry, EtcView, generate, host_resolv_conf};
pub use locate::{AgentKind, AgentSocketError, agent_socket};
pub use system::{SystemEntry, SystemView};
pub use toolchain::{Grant, GrantKind, SkipReason, Skipped, Toolchains, Why};

use std::ffi::{OsStr, OsString};

/// The value of `name` in a list of environment variables; the last one wins, as in a shell.
fn lookup<'a>(env: &'a [(OsString, OsString)], name: &str) -> Option<&'a OsStr> {
    env.iter()
        .rev()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_os_str())
}
