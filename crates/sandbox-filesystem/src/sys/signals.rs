//! Keeping the host program's signal handlers out of children that run on a copy of its memory, or on the memory
//! itself.

use std::io;

/// Every signal blocked in this thread until dropped.
pub(crate) struct SignalsBlocked(libc::sigset_t);

impl SignalsBlocked {
    pub(crate) fn new() -> io::Result<Self> {
        let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: fills the set it is given.
        unsafe { libc::sigfillset(all.as_mut_ptr()) };
        // SAFETY: `all` was filled above; `before` is written by the call.
        match unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) } {
            // SAFETY: pthread_sigmask(3) succeeded, so it has written the old mask.
            0 => Ok(Self(unsafe { before.assume_init() })),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        // SAFETY: a mask that pthread_sigmask(3) gave; setting it back cannot fail.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut()) };
    }
}
