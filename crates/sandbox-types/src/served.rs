//! A filesystem that its owner serves, mounted in a sandbox: the joint between who confines and who serves.
//!
//! Whoever confines mounts it inside, in the sandbox's own user namespace, and hands the open /dev/fuse over;
//! whoever serves answers what comes out of it. Neither knows the other.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// A filesystem that can be mounted in a sandbox.
///
/// It is mounted with `default_permissions` and `allow_other`, without devices and set-user-ids; owners are those of
/// the sandbox's user namespace. Its root is a directory.
pub trait ServeFuse: Send + Sync + fmt::Debug {
    /// The directories of the host that it shows, the topmost first, where it shows any: what is hidden of them in a
    /// sandbox (credentials, sockets, denied paths) is hidden in the mount too.
    fn shows(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// A file on which the sandbox is to hold an exclusive flock(2) for as long as anything in it lives: one that
    /// cannot have it does not start.
    fn lock(&self) -> Option<PathBuf> {
        None
    }

    /// Serves the mount behind `device`, an open /dev/fuse, on threads of its own, none of which waits for the sandbox.
    /// Requests are answered when it returns.
    ///
    /// It has the only copy of `device`, and makes no other that outlives the value it returns.
    ///
    /// # Errors
    /// `EBUSY` where it is served already and cannot be twice; whatever else keeps it from being served.
    fn serve(&self, device: OwnedFd) -> io::Result<Box<dyn Serving>>;
}

/// A mount that is served. Dropped, it is no longer.
pub trait Serving: Send + Sync + fmt::Debug {
    /// How many requests have been answered so far: while it grows, it is at work.
    fn answered(&self) -> u64;

    /// Ends the connection at once: whoever waits for an answer, and whoever asks from now on, gets an error. Only
    /// then can a process be killed that waits for one. Harmless the second time.
    fn abort(&self);
}
