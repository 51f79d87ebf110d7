//! Which mount is at a path.

use std::ffi::CStr;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, StatxFlags};
use rustix::io::Errno;

/// `STATX_MNT_ID_UNIQUE` (statx(2), Linux 6.8): a number that no other mount gets. The older one is given to the next mount
/// as soon as its own is gone.
const UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// The identity of the mount that is found at `path`, or at a descriptor's own place. Async-signal-safe.
///
/// A filesystem whose server is dead, or has not begun, is not asked for anything.
pub(super) fn mount_id(at: BorrowedFd<'_>, path: &CStr) -> Result<u64, Errno> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW | AtFlags::STATX_DONT_SYNC;
    // Where both are asked for and known, the kernel gives the unique one.
    let wanted = StatxFlags::MNT_ID | UNIQUE;
    rustix::fs::statx(at, path, flags, wanted).map(|stat| stat.stx_mnt_id)
}
