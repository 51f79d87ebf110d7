//! fork(2), as the template of a fork uses it.
//!
//! Everything here runs in a process with one thread, or in one whose maker has promised what [`fork`] needs.

use std::ffi::{CStr, c_int};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::launch::{become_init, check};
pub(crate) use crate::inside::beside::Forked;
use crate::inside::template::Variable;

/// fork(2) of the C library, which runs what was registered with pthread_atfork(3).
///
/// Safe to call where this process has one thread. With more, the child may call nothing that takes a lock another
/// thread could hold: whoever allows that says so in an `unsafe` function.
pub(crate) fn fork() -> io::Result<Forked> {
    // SAFETY: see above; all other state is copied as it is.
    match unsafe { libc::fork() } {
        0 => Ok(Forked::Child),
        pid if pid > 0 => Ok(Forked::Parent(pid)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Waits for a child; its wait status. Children that somebody else has reaped are over.
pub(crate) fn wait_for(pid: i32) -> io::Result<Option<i32>> {
    let mut status = 0;
    loop {
        // SAFETY: `status` is valid for the call.
        match unsafe { libc::waitpid(pid, &raw mut status, 0) } {
            -1 => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error if error.raw_os_error() == Some(libc::ECHILD) => return Ok(None),
                error => return Err(error),
            },
            _ => return Ok(Some(status)),
        }
    }
}

/// Becomes init's program with `control` as its descriptor 0 and the capabilities of `ambient`; returns the errno
/// when that fails.
pub(crate) fn become_keeper(image: BorrowedFd<'_>, control: BorrowedFd<'_>, ambient: u64) -> c_int {
    become_init(image.as_raw_fd(), control.as_raw_fd(), ambient)
}

/// This process and its descendants to be are adopted and reaped by it.
pub(crate) fn become_subreaper() -> Result<(), c_int> {
    // SAFETY: numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) })
}

/// Default action for every signal, except that a broken pipe stays an error (as a Rust program expects) and a fault
/// is reported by whoever reports it now.
pub(crate) fn reset_signals() {
    for signal in 1..=64 {
        let handler = match signal {
            libc::SIGKILL | libc::SIGSTOP | libc::SIGSEGV | libc::SIGBUS => continue,
            libc::SIGPIPE => libc::SIG_IGN,
            _ => libc::SIG_DFL,
        };
        // SAFETY: no handler is set, only taken away; numbers that are no signals are refused.
        unsafe { libc::signal(signal, handler) };
    }
}

/// A broken pipe ends this process, as it does any program that has not said otherwise.
pub(crate) fn die_of_broken_pipes() {
    // SAFETY: no handler is set.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Sets the environment, and forgets the one that was there.
pub(crate) fn set_environment<'a>(
    variables: impl IntoIterator<Item = (&'a CStr, &'a CStr)>,
) -> io::Result<()> {
    // SAFETY: this process has one thread, so nobody reads the environment meanwhile.
    unsafe { libc::clearenv() };
    variables
        .into_iter()
        .try_for_each(|(name, value)| set_variable(name, value))
}

/// Makes a text part of the environment of this process, which has one thread.
pub(crate) fn put_variable(variable: &'static Variable) -> io::Result<()> {
    // SAFETY: as above; it ends with NUL, lives as long as this process, and may be written to.
    match unsafe { libc::putenv(variable.as_ptr().cast_mut().cast()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn set_variable(name: &CStr, value: &CStr) -> io::Result<()> {
    // SAFETY: as above; both texts are valid, and setenv(3) copies them.
    match unsafe { libc::setenv(name.as_ptr(), value.as_ptr(), 1) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Writes out what the C library has buffered.
pub(crate) fn flush_stdio() {
    // SAFETY: null means every open stream.
    unsafe { libc::fflush(std::ptr::null_mut()) };
}

/// Children that end are reaped by the kernel.
pub(crate) fn ignore_children() {
    // SAFETY: no handler is set.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}

/// A descriptor that has just been received and that nobody else owns.
pub(crate) fn take_over(number: i32) -> OwnedFd {
    // SAFETY: see above; whoever owned it has forgotten it.
    unsafe { OwnedFd::from_raw_fd(number) }
}
