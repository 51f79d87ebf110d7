//! Starting init: clone(2) into new namespaces and execute at once, on a stack of its own.
//!
//! The child shares the supervisor's memory until it executes (CLONE_VM | CLONE_VFORK), as posix_spawn(3)
//! does it: nothing of the supervisor's page tables is copied, however large it is. It runs only the
//! function [`child`], which calls the kernel and nothing else. Only this thread is suspended meanwhile.

use std::ffi::{CStr, c_int, c_void};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Descriptors for init. All of them are numbered 3 or more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InitFds<'a> {
    /// The program.
    pub(crate) image: BorrowedFd<'a>,
    /// Becomes descriptor 0.
    pub(crate) control: BorrowedFd<'a>,
}

/// Where starting init failed.
#[derive(Debug)]
pub(crate) enum LaunchFailure {
    /// clone(2) with the namespaces asked for.
    Clone(io::Error),
    /// dup2(2), capset(2), prctl(2) or execveat(2) in the child.
    Exec(io::Error),
}

struct Child {
    image: c_int,
    control: c_int,
    ambient: u64,
    errno: c_int,
}

/// Room for the few calls of [`child`]: 16 KiB, which the heap has without growing.
const STACK_WORDS: usize = 1024;

/// Starts init in new namespaces (CLONE_NEW* in `namespaces`), with the capabilities of `ambient` in the
/// new user namespace. When it ends, it is a child like any other (execve(2) sets the exit signal back to
/// SIGCHLD): a host program that waits for everybody may be told of it, which does no harm.
pub(crate) fn launch(
    fds: InitFds<'_>,
    namespaces: c_int,
    ambient: u64,
) -> Result<(OwnedFd, i32), LaunchFailure> {
    let mut stack = vec![0_u128; STACK_WORDS];
    let mut child_data = Child {
        image: fds.image.as_raw_fd(),
        control: fds.control.as_raw_fd(),
        ambient,
        errno: 0,
    };
    let mut pidfd: c_int = -1;
    let flags = namespaces | libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD;
    let top = stack.as_mut_ptr_range().end.cast::<c_void>();
    let argument = (&raw mut child_data).cast::<c_void>();
    // No handler of this process may run in the child, on memory that both share.
    let blocked = SignalsBlocked::new().map_err(LaunchFailure::Clone)?;
    // SAFETY: `top` is the aligned end of a stack that outlives the child's use of it, because CLONE_VFORK
    // suspends this thread until the child has executed or exited; `argument` and `pidfd` likewise.
    let pid = unsafe { libc::clone(child, top, flags, argument, &raw mut pidfd) };
    let result = if pid < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(pid)
    };
    drop(blocked);
    let pid = result.map_err(LaunchFailure::Clone)?;
    // SAFETY: the kernel has just made this descriptor for us (CLONE_PIDFD).
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    // SAFETY: `child_data` is ours again; the read is volatile because the child wrote it behind the
    // compiler's back.
    let errno = unsafe { (&raw const child_data.errno).read_volatile() };
    if errno == 0 {
        return Ok((pidfd, pid));
    }
    // It has exited already; there is nothing that waiting for it could tell.
    let _ = super::reap(pidfd.as_fd());
    Err(LaunchFailure::Exec(io::Error::from_raw_os_error(errno)))
}

extern "C" fn child(argument: *mut c_void) -> c_int {
    // SAFETY: `argument` is the `Child` of `launch`, which is suspended; nobody else refers to it.
    let data = unsafe { &mut *argument.cast::<Child>() };
    data.errno = become_init(data.image, data.control, data.ambient);
    // SAFETY: ends this process only; no destructor of the parent's runs.
    unsafe { libc::_exit(127) }
}

/// Executes init with `control` as its descriptor 0; returns the errno when that fails.
pub(super) fn become_init(image: c_int, control: c_int, ambient: u64) -> c_int {
    match prepare(control, ambient) {
        Ok(()) => execute(image),
        Err(errno) => errno,
    }
}

fn prepare(control: c_int, ambient: u64) -> Result<(), c_int> {
    // SAFETY: plain numbers; the child's table is its own (no CLONE_FILES).
    check(unsafe { libc::dup2(control, 0) })?;
    if ambient != 0 {
        keep_capabilities(ambient)
    } else {
        Ok(())
    }
}

/// Capabilities that survive exec by a user who is not 0: inheritable and ambient (capabilities(7)).
fn keep_capabilities(keep: u64) -> Result<(), c_int> {
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0];
    let low = u32::try_from(keep & 0xffff_ffff).unwrap_or(0);
    let high = u32::try_from(keep >> 32).unwrap_or(0);
    let data = [low, low, low, high, high, high];
    // SAFETY: both arrays have the layout of capset(2), version 3, and live for the call.
    if unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) } < 0 {
        return Err(errno());
    }
    for capability in (0..64_u64).filter(|bit| keep >> bit & 1 == 1) {
        // SAFETY: numbers only.
        check(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, capability, 0, 0) })?;
    }
    Ok(())
}

/// Executes init; returns the errno when that fails.
fn execute(image: c_int) -> c_int {
    const NAME: &CStr = c"sandbox-init";
    let argv = [NAME.as_ptr(), std::ptr::null()];
    let envp = [std::ptr::null::<libc::c_char>()];
    // SAFETY: both arrays end with null and live for the call; the path is empty, as AT_EMPTY_PATH wants.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            image,
            c"".as_ptr(),
            argv.as_ptr(),
            envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
    }
    errno()
}

pub(super) fn check(result: c_int) -> Result<(), c_int> {
    if result < 0 { Err(errno()) } else { Ok(()) }
}

fn errno() -> c_int {
    // A read of this thread's errno, which the child shares with its suspended parent; no allocation.
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

/// Every signal blocked in this thread until dropped.
struct SignalsBlocked(libc::sigset_t);

impl SignalsBlocked {
    fn new() -> io::Result<Self> {
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
