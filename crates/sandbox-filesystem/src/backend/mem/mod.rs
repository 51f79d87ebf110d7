//! A filesystem in memory: [`MemFs`].
//!
//! Everything a client makes counts against its capacity before it exists: data by the page, inodes, names, extended
//! attributes, targets of links. Holes are free. What is freed goes back to the system. Every POSIX operation is there:
//! hard links, files that are open and unlinked, `O_TMPFILE`, atomic renames with all flags, holes that can be sought,
//! extended attributes and ACLs, locks of both kinds. docs/architecture.md says how it is built.
//!
//! It uses no thread, no file descriptor and no lock that is held while anything waits, and needs no feature of the
//! kernel beyond anonymous memory.
//!
//! # It is not
//! - kept: what is in it goes with it;
//! - who checks permissions: the kernel does (`default_permissions`), or whoever calls the methods;
//! - a limit for locks and open directories: there is a fixed one for locks, and the kernel's for open files.

mod attr;
mod builder;
mod clock;
mod content;
mod copy;
mod create;
mod dir;
mod directory;
mod filesystem;
mod inode;
mod io;
mod lifetime;
mod link;
pub(in crate::backend) mod lock;
mod lookup;
mod name;
mod open;
mod order;
mod rename;
mod space;
mod statfs;
mod table;
mod unlink;
mod xattr;

#[cfg(test)]
mod tests;

pub use builder::{InvalidMemFs, MemFsBuilder, MemFsProblem};
pub use filesystem::MemFs;
