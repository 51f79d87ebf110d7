//! The C library of the process: what only it can do.

use core::ffi::{c_char, c_int};

use super::beside::Forked;
use super::sys::{Errno, Result};
use super::template::{Library, Variable};
use super::wire::Text;

/// Names the descriptor by which the keeper is spoken to.
const SOCKET: &Text = c"SANDBOX_FORK_SOCKET";

unsafe extern "C" {
    fn fork() -> c_int;
    fn getenv(name: *const c_char) -> *const c_char;
    fn putenv(variable: *mut c_char) -> c_int;
    fn unsetenv(name: *const c_char) -> c_int;
    // The name is that of glibc and of musl.
    fn __errno_location() -> *mut c_int;
}

/// As it is in this process.
pub const LIBRARY: Library = Library {
    fork: fork_once,
    put_variable,
};

/// The descriptor by which the keeper is spoken to; none in a process that nobody forks.
pub fn socket() -> Option<i32> {
    // SAFETY: the name is a C string. The environment is the caller's, who has one thread or is refused.
    let value = unsafe { getenv(SOCKET.as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: getenv(3) answers a C string, which nobody changes meanwhile.
    let text = unsafe { Text::from_ptr(value) };
    text.to_str().ok()?.parse().ok().filter(|number| *number > 2)
}

/// What this process starts is not taken for a template.
pub fn forget_socket() {
    // SAFETY: the name is a C string; this process has one thread.
    unsafe { unsetenv(SOCKET.as_ptr()) };
}

fn fork_once() -> Result<Forked> {
    // SAFETY: of this process, which has one thread, all is copied; or its child ends at once.
    match unsafe { fork() } {
        0 => Ok(Forked::Child),
        pid if pid > 0 => Ok(Forked::Parent(pid)),
        _ => Err(errno()),
    }
}

fn put_variable(variable: &'static Variable) -> Result<()> {
    // SAFETY: it ends with NUL, lives as long as this process, and may be written to; this process has one thread.
    match unsafe { putenv(variable.as_ptr().cast_mut().cast()) } {
        0 => Ok(()),
        _ => Err(errno()),
    }
}

fn errno() -> Errno {
    // SAFETY: asks for nothing.
    let place = unsafe { __errno_location() };
    // SAFETY: the place of this thread's errno, which is always there.
    Errno(unsafe { *place })
}
