//! write(2) for a library: whoever has stopped reading is an error here, never a SIGPIPE for the host program.

use std::io;
use std::os::fd::BorrowedFd;

/// Writes what `fd` takes. A pipe without a reader is EPIPE, whatever the host program does with SIGPIPE.
pub(crate) fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> rustix::io::Result<usize> {
    let Ok(blocked) = PipeSignalBlocked::new() else {
        return Err(rustix::io::Errno::NOMEM);
    };
    let result = rustix::io::write(fd, bytes);
    if result == Err(rustix::io::Errno::PIPE) {
        blocked.take_back();
    }
    result
}

/// SIGPIPE blocked in this thread until dropped.
struct PipeSignalBlocked {
    signal: libc::sigset_t,
    before: libc::sigset_t,
    was_pending: bool,
}

impl PipeSignalBlocked {
    fn new() -> io::Result<Self> {
        let mut signal = empty_set();
        let (mut before, mut pending) = (empty_set(), empty_set());
        // SAFETY: an initialized set and a valid number.
        unsafe { libc::sigaddset(&raw mut signal, libc::SIGPIPE) };
        // SAFETY: writes the set it is given.
        unsafe { libc::sigpending(&raw mut pending) };
        // SAFETY: both sets are initialized; `before` is written by the call.
        match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const signal, &raw mut before) } {
            0 => Ok(Self {
                signal,
                before,
                // SAFETY: an initialized set and a valid number.
                was_pending: unsafe { libc::sigismember(&raw const pending, libc::SIGPIPE) } == 1,
            }),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    /// Takes back the signal that a write has just sent to this thread.
    fn take_back(&self) {
        if self.was_pending {
            return;
        }
        let now = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // Nothing is pending where the host program ignores the signal.
        // SAFETY: an initialized set, no information asked for, and a time that lives for the call.
        unsafe { libc::sigtimedwait(&raw const self.signal, std::ptr::null_mut(), &raw const now) };
    }
}

impl Drop for PipeSignalBlocked {
    fn drop(&mut self) {
        // SAFETY: a mask that pthread_sigmask(3) gave; setting it back cannot fail.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, std::ptr::null_mut()) };
    }
}

fn empty_set() -> libc::sigset_t {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: initializes the set it is given.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: initialized by the call above.
    unsafe { set.assume_init() }
}
