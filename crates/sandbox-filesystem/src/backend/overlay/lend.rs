//! Files of the upper whose mode keeps their own owner out, which the server is where it is no root.
//!
//! The kernel's overlayfs has the capabilities of whoever mounted it. A server without any gives itself the permission for
//! as long as one system call takes, and takes it back. Only in the upper; layers are never changed.

use std::os::fd::BorrowedFd;

use crate::backend::passthrough::attr::chmod;
use crate::backend::passthrough::host;
use crate::fs::{Errno, FsResult};

/// Makes a call; where it is refused by the file's mode, once more with these permission bits in addition.
pub(super) fn with_mode<T>(
    file: BorrowedFd<'_>,
    bits: u32,
    mut call: impl FnMut() -> FsResult<T>,
) -> FsResult<T> {
    match call() {
        Err(Errno::EACCES) => {}
        other => return other,
    }
    let mode = u32::from(host::stat(file)?.stx_mode) & 0o7777;
    if mode & bits == bits || chmod(file, mode | bits).is_err() {
        return Err(Errno::EACCES);
    }
    let result = call();
    if let Err(error) = chmod(file, mode) {
        tracing::warn!(%error, mode, "a mode could not be given back");
    }
    result
}
