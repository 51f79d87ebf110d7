//! The kernel, without a C library: every `unsafe` of init is beneath this module.
//!
//! Each function is one system call (or two that belong together), is safe to call, and answers with the
//! kernel's errno. Pointers handed to the kernel are borrowed for the call only.

mod arch;
mod memory;
mod process;
mod sharer;
mod thread;

pub mod events;
pub mod files;
pub mod landlock;
pub mod mounts;
pub mod sockets;

#[allow(
    unused_imports,
    reason = "what is compiled twice uses some that init does not"
)]
pub use memory::{Mapping, Stack, Stacks, huge_pages};
#[allow(
    unused_imports,
    reason = "what is compiled twice uses some that init does not"
)]
pub use process::{
    First, NamespaceKind, Rusage, Signal, State, await_signal, become_subreaper, bounding_drop, capabilities,
    change_root_here, chdir, children_usage, clone_first, clone_first_apart, clone_sharing, detach,
    detach_root_on_top, drop_ambient, exec, exit, fchdir, getpid, has_children, join_namespace,
    join_namespaces, keep_capabilities_once, kill, leave_namespaces, make_inheritable, monotonic_us,
    namespace_of, no_new_privileges, own_identity, own_usage, pidfd, raise_open_files, reap_ended,
    reset_signals, set_affinity, set_dumpable_off, set_dumpable_on, set_groups, set_hostname, set_identity,
    set_limit, set_name, set_nice, set_own_group, set_seccomp, set_signal_mask, set_umask, setsid, signal_fd,
    state, wait, wait_for, wait_for_any, working_directory,
};
pub use sharer::Sharer;
pub use thread::{Thread, wait_while, wake};

/// An error number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

/// What a system call answers.
pub type Result<T> = core::result::Result<T, Errno>;

/// errno(3) values that init decides on.
pub const ENOENT: Errno = Errno(2);
pub const EINTR: Errno = Errno(4);
pub const ENOEXEC: Errno = Errno(8);
pub const EAGAIN: Errno = Errno(11);
pub const EACCES: Errno = Errno(13);
pub const ENOTDIR: Errno = Errno(20);
pub const EINVAL: Errno = Errno(22);
pub const ENOTTY: Errno = Errno(25);
pub const ESRCH: Errno = Errno(3);
pub const ENOMEM: Errno = Errno(12);
pub const EMFILE: Errno = Errno(24);
pub const ECONNRESET: Errno = Errno(104);
pub const ETOOMANYREFS: Errno = Errno(109);
pub const ETIMEDOUT: Errno = Errno(110);

/// An open file descriptor, closed on drop.
#[derive(Debug, PartialEq, Eq)]
pub struct Fd(i32);

impl Fd {
    /// Takes over descriptor `number`, which nothing else in init owns.
    pub const fn own(number: i32) -> Self {
        Self(number)
    }

    /// The descriptor's number.
    pub const fn number(&self) -> i32 {
        self.0
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        // A failed close leaves nothing to do: Linux has freed the number.
        let _ = arch::call(arch::number::CLOSE, [number(self.0), 0, 0, 0, 0, 0]);
    }
}

/// A descriptor or other signed number as a register.
const fn number(value: i32) -> usize {
    (value as isize).cast_unsigned()
}

/// A register as a descriptor.
fn fd(result: Result<usize>) -> Result<Fd> {
    result.map(|value| Fd(value as i32))
}
