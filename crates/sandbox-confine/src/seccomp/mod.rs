//! The system call filter: six cumulative allow-lists, as data, and their compiler to BPF.
//!
//! ```text
//! FilterSpec ─rules::plan()─► [Call] ─┬─ranges()─► search() ─┐
//!                                     └─library::generate() ─┴─► Bpf ─► seccomp(2)
//! ```
//!
//! What a filter made here guarantees, whatever the policy says: calls of another ABI (i386, x32) kill the
//! process; a call that is not in the table is ENOSYS, so that libc falls back; a call that is known and not
//! allowed is EPERM; nobody joins or makes a namespace, mounts, or loads code into the kernel unless the policy
//! says `nested`, and then only the first two; `socket()` is an allow-list of family, type and protocol.
//! Arguments that the kernel truncates to 32 bits are compared in 32 bits.
//!
//! It is not the wall for paths (that is Landlock and the mount namespace: a filter cannot follow pointers),
//! and it installs nothing: loading the program is the spawner's work.
//!
//! The built-in policies' filters are compiled when this crate is built ([`builtin`]); others at run time,
//! once a policy. Needs libseccomp ≥ 2.5 to build and Linux ≥ 4.14 to run.

mod arguments;
mod builtin;
mod compile;
mod conditions;
mod error;
mod groups;
mod instruction;
mod library;
mod narrow;
mod nearest;
mod numbers;
mod preset;
mod processes;
mod ranges;
mod rules;
mod search;
mod select;
mod sockets;
mod spec;
#[cfg(test)]
mod tests;
mod tidy;

pub use builtin::{builtin, filter};
pub use compile::{Bpf, compile};
pub use error::SeccompError;
pub use groups::{GROUPS, Group, Tier};
pub use narrow::narrowing;
pub use numbers::{Arch, number};
pub use spec::{FilterSpec, Inet, Toggles};
