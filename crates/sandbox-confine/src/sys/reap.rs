//! waitid(2) for one process of ours, with what it and its descendants used.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// The account of an ended process.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reaped {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

/// Waits for the process behind `pidfd`, a child of ours. Where the host program ignores SIGCHLD or waits for
/// everybody, its account is gone when it has ended, and reads as nothing used.
pub(crate) fn reap(pidfd: BorrowedFd<'_>) -> io::Result<Reaped> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // waitid(2); the kernel's own has the account as its fifth argument.
        // SAFETY: no information is asked for, and `usage` is valid for the call.
        let result = unsafe {
            libc::syscall(
                libc::SYS_waitid,
                libc::P_PIDFD,
                pidfd.as_raw_fd(),
                std::ptr::null_mut::<libc::siginfo_t>(),
                libc::WEXITED | libc::__WALL,
                usage.as_mut_ptr(),
            )
        };
        if result == 0 {
            break;
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::ECHILD) => return Ok(Reaped::default()),
            _ => return Err(error),
        }
    }
    // SAFETY: zeroed, and written by waitid(2); every bit pattern is a valid `rusage`.
    let usage = unsafe { usage.assume_init() };
    Ok(Reaped {
        user: duration(usage.ru_utime),
        system: duration(usage.ru_stime),
    })
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let micros = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_micros(seconds.saturating_mul(1_000_000).saturating_add(micros))
}
