//! Waiting for one descriptor.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

const NOW: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// Whether it is readable, or at its end; for a pidfd, whether its process has ended.
pub(crate) fn is_readable(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    rustix::event::poll(&mut fds, Some(&NOW)).is_ok_and(|ready| ready > 0)
}

/// Waits until it is readable; false when that takes longer than `limit`.
pub(crate) fn await_readable(fd: BorrowedFd<'_>, limit: Option<Duration>) -> rustix::io::Result<bool> {
    await_any(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], limit)
}

/// Waits until the other end of a socket is closed; false when that takes longer than `limit`.
pub(crate) fn await_hang_up(fd: BorrowedFd<'_>, limit: Duration) -> rustix::io::Result<bool> {
    await_any(
        &mut [PollFd::from_borrowed_fd(fd, PollFlags::empty())],
        Some(limit),
    )
}

/// Waits until something has happened to any of them.
pub(crate) fn await_any(fds: &mut [PollFd<'_>], limit: Option<Duration>) -> rustix::io::Result<bool> {
    let until = limit.and_then(|limit| Instant::now().checked_add(limit));
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let left = left.map(|left| Timespec::try_from(left).unwrap_or(NOW));
        match rustix::event::poll(fds, left.as_ref()) {
            Ok(count) => return Ok(count > 0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}
