//! The scheduling class of the calling thread (sched(7)).

use std::io;
use std::ptr;

/// Whether the calling thread can become one that only runs when nobody else wants to, and ordinary again: the way back
/// needs `CAP_SYS_NICE` or an `RLIMIT_NICE` of 20 (sched(7)). Found out by a thread of its own, which may get stuck there.
pub(crate) fn can_stand_back() -> bool {
    // SAFETY: no pointers; 0 is the calling thread.
    if unsafe { libc::sched_getscheduler(0) } != libc::SCHED_OTHER {
        return false;
    }
    let tried = std::thread::Builder::new()
        .name("fuse".to_owned())
        .spawn(|| stand_back().is_ok() && step_forward().is_ok());
    tried.is_ok_and(|thread| thread.join().unwrap_or(false))
}

/// From now on it runs only when nobody else wants to (`SCHED_IDLE`).
pub(crate) fn stand_back() -> io::Result<()> {
    become_(0, libc::SCHED_IDLE)
}

/// Ordinary again, as nice as it was.
pub(crate) fn step_forward() -> io::Result<()> {
    become_(0, libc::SCHED_OTHER)
}

/// Makes another thread ordinary.
pub(crate) fn bring_forward(thread: u32) -> io::Result<()> {
    let thread = libc::pid_t::try_from(thread).map_err(io::Error::other)?;
    become_(thread, libc::SCHED_OTHER)
}

/// The number of the calling thread.
pub(crate) fn this_thread() -> u32 {
    rustix::thread::gettid().as_raw_pid().unsigned_abs()
}

/// `thread` 0 is the calling one.
fn become_(thread: libc::pid_t, policy: libc::c_int) -> io::Result<()> {
    // SAFETY: `sched_param` is plain numbers, of which zero is the one that these classes want.
    let parameter: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a whole structure that outlives the call.
    if unsafe { libc::sched_setscheduler(thread, policy, ptr::from_ref(&parameter)) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Whether the calling thread stands back; nothing where it is neither that nor ordinary.
#[cfg(test)]
pub(crate) fn stands_back() -> Option<bool> {
    // SAFETY: no pointers; 0 is the calling thread.
    match unsafe { libc::sched_getscheduler(0) } {
        libc::SCHED_IDLE => Some(true),
        libc::SCHED_OTHER => Some(false),
        _ => None,
    }
}
