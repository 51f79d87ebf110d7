//! fcntl(2) locks of an open file description (`F_OFD_SETLK`).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// A range as fcntl(2) takes it: the first byte, and how many; 0 is all that follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordLock {
    /// `F_RDLCK`, `F_WRLCK` or `F_UNLCK`.
    pub(crate) kind: i32,
    pub(crate) start: i64,
    pub(crate) len: i64,
}

/// Takes or gives up a lock; `EAGAIN` where somebody else's is in the way.
pub(crate) fn set(file: BorrowedFd<'_>, lock: RecordLock) -> io::Result<()> {
    call(file, libc::F_OFD_SETLK, lock).map(drop)
}

/// The lock that is in the way, or the same one with `F_UNLCK`.
pub(crate) fn get(file: BorrowedFd<'_>, lock: RecordLock) -> io::Result<RecordLock> {
    call(file, libc::F_OFD_GETLK, lock)
}

fn call(file: BorrowedFd<'_>, command: i32, lock: RecordLock) -> io::Result<RecordLock> {
    let narrow = |number: i32| i16::try_from(number).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL));
    let mut raw = libc::flock {
        l_type: narrow(lock.kind)?,
        l_whence: narrow(libc::SEEK_SET)?,
        l_start: lock.start,
        l_len: lock.len,
        l_pid: 0,
    };
    // SAFETY: `file` is open, and `raw` is the struct flock that both commands take and the second one fills.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut raw) };
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(RecordLock {
        kind: i32::from(raw.l_type),
        start: raw.l_start,
        len: raw.l_len,
    })
}
