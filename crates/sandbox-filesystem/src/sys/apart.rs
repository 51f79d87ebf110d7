//! Doing something in a user namespace that exists for nothing else.
//!
//! The child that makes the namespaces shares this process's memory and descriptors until it exits (CLONE_VM |
//! CLONE_VFORK | CLONE_FILES), so what it has opened is the caller's, and its result needs no way back.

use std::ffi::{CStr, CString, c_int, c_void};
use std::io;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::signals::SignalsBlocked;

/// Room for a few calls.
const STACK_WORDS: usize = 4096;

/// The caller's user and group, as they are to be known in a user namespace: the same.
#[derive(Debug)]
pub(super) struct Identities {
    maps: [(&'static CStr, CString); 3],
}

impl Identities {
    pub(super) fn new() -> io::Result<Self> {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        Ok(Self {
            maps: [
                (c"/proc/self/setgroups", CString::from(c"deny")),
                (c"/proc/self/uid_map", CString::new(format!("{uid} {uid} 1\n"))?),
                (c"/proc/self/gid_map", CString::new(format!("{gid} {gid} 1\n"))?),
            ],
        })
    }

    /// Writes them for this process. Async-signal-safe.
    pub(super) fn map(&self) -> Result<(), Errno> {
        for (path, content) in &self.maps {
            let file = rustix::fs::open(*path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
            rustix::io::write(&file, content.to_bytes())?;
        }
        Ok(())
    }
}

/// Runs `work` in new user and mount namespaces, in which nobody is mapped yet, and waits until it is done.
///
/// `work` calls the kernel and allocates nothing: it runs beside this process's other threads.
pub(super) fn apart(work: &mut dyn FnMut()) -> io::Result<()> {
    let mut stack = vec![0_u128; STACK_WORDS];
    let top = stack.as_mut_ptr_range().end.cast::<c_void>();
    let mut work = work;
    let argument = (&raw mut work).cast::<c_void>();
    let shared = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES;
    let flags = shared | libc::CLONE_NEWUSER | libc::CLONE_NEWNS;
    // No handler of this process may run in the child, on memory that both share.
    let blocked = SignalsBlocked::new()?;
    // SAFETY: `top` is the aligned end of a stack, and `argument` the exclusively borrowed function that the child
    // expects; both outlive it, because CLONE_VFORK suspends this thread until it has exited.
    let pid = unsafe { libc::clone(child, top, flags, argument) };
    let result = if pid < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(pid)
    };
    drop(blocked);
    reap(result?);
    Ok(())
}

extern "C" fn child(argument: *mut c_void) -> c_int {
    // SAFETY: `argument` is the function of `apart`, whose thread is suspended; nobody else refers to it.
    let work = unsafe { &mut *argument.cast::<&mut dyn FnMut()>() };
    work();
    // SAFETY: ends this process only; no destructor of the parent's runs.
    unsafe { libc::_exit(0) }
}

/// Takes note of the end of a child that has exited. It had no exit signal, so `__WALL`; a host program that waits
/// for everybody may have been faster, which does no harm.
fn reap(pid: c_int) {
    // SAFETY: no status is asked for.
    while unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL) } < 0
        && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
}
