//! wait4(2) for one process of ours, with what it and its descendants used.

use std::io;
use std::time::Duration;

/// The account of an ended process.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reaped {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

/// Waits for process `pid`, a child of ours that nobody else waits for.
pub(crate) fn reap(pid: i32) -> io::Result<Reaped> {
    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // SAFETY: both pointers are valid for the call.
        if unsafe { libc::wait4(pid, &raw mut status, libc::__WALL, usage.as_mut_ptr()) } == pid {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    // SAFETY: zeroed, and written by wait4(2); every bit pattern is a valid `rusage`.
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
