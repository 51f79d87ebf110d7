//! Which mount is at a path.

use std::ffi::CStr;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, StatxFlags};
use rustix::io::Errno;

/// The identity of the mount that is found at `path`, or at a descriptor's own place. Async-signal-safe.
///
/// A filesystem whose server is dead, or has not begun, is not asked for anything.
pub(super) fn mount_id(at: BorrowedFd<'_>, path: &CStr) -> Result<u64, Errno> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW | AtFlags::STATX_DONT_SYNC;
    rustix::fs::statx(at, path, flags, StatxFlags::MNT_ID).map(|stat| stat.stx_mnt_id)
}
