//! Registering a descriptor with tokio's reactor.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;

/// Takes `fd` over and watches it. Needs a tokio runtime with its I/O driver.
pub(crate) fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open, keeps its number, and is closed only when the `AsyncFd`, which owns it
    // from here on, drops it.
    unsafe { AsyncFd::register(fd) }.map_err(io::Error::from)
}
