//! fork(2), as the template of a fork uses it.
//!
//! Everything here runs in a process with one thread, or in one whose maker has promised what [`fork`] needs.

use std::ffi::{CStr, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::launch::{become_init, check};

/// Where fork(2) has returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forked {
    /// In the process that called, with the child's pid.
    Parent(i32),
    /// In the child.
    Child,
}

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

/// Runs `child` in a process that shares this one's memory, which meanwhile stands still, as with vfork(2). When
/// `child` is over so is that process; unless it has forked: in a child of *its* own, a copy of this process, it
/// answers [`Beside::InCopy`], and that copy goes on from here.
///
/// So this returns once in this process, with the pid of the process that is over, and once in each such copy.
pub(crate) fn beside<T>(argument: &mut T, child: fn(&mut T) -> Beside) -> io::Result<Forked> {
    struct Call<'a, T> {
        argument: &'a mut T,
        child: fn(&mut T) -> Beside,
    }
    extern "C" fn enter<T>(call: *mut c_void) -> i64 {
        // SAFETY: the `Call` below, whose owner stands still while this runs.
        let call = unsafe { &mut *call.cast::<Call<'_, T>>() };
        match (call.child)(call.argument) {
            Beside::Over => -1,
            Beside::InCopy => 0,
        }
    }
    let mut call = Call { argument, child };
    // SAFETY: `enter` takes what it is given; `call` outlives the child that shares it.
    let result = unsafe { sandbox_fork_beside(enter::<T>, (&raw mut call).cast()) };
    match i32::try_from(result) {
        Ok(0) => Ok(Forked::Child),
        Ok(pid) if pid > 0 => Ok(Forked::Parent(pid)),
        Ok(errno) => Err(io::Error::from_raw_os_error(-errno)),
        Err(_) => Err(io::ErrorKind::Other.into()),
    }
}

/// What the function given to [`beside`] answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beside {
    /// The process beside this one is done.
    Over,
    /// This is a copy that it has forked.
    InCopy,
}

unsafe extern "C" {
    fn sandbox_fork_beside(child: extern "C" fn(*mut c_void) -> i64, argument: *mut c_void) -> i64;
}

// clone(CLONE_VM | CLONE_VFORK | SIGCHLD) on the caller's own stack, below what the caller has on it: the child returns
// from here in a copy of the memory only, so each memory sees one return. Written by hand because a compiler must not
// keep anything on that stack across the call.
#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".globl sandbox_fork_beside",
    ".hidden sandbox_fork_beside",
    ".type sandbox_fork_beside,@function",
    "sandbox_fork_beside:",
    "push rbx",
    "push r12",
    "push r13",
    "mov r12, rdi",
    "mov r13, rsi",
    "mov eax, 56",
    "mov edi, 0x4111",
    "xor esi, esi",
    "xor edx, edx",
    "xor r10d, r10d",
    "xor r8d, r8d",
    "syscall",
    "test rax, rax",
    "jnz 2f",
    "mov rdi, r13",
    "call r12",
    "test rax, rax",
    "jns 2f",
    "xor edi, edi",
    "mov eax, 231",
    "syscall",
    "ud2",
    "2:",
    "pop r13",
    "pop r12",
    "pop rbx",
    "ret",
    ".size sandbox_fork_beside, . - sandbox_fork_beside",
);

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

/// Sets a variable of this process, which has one thread.
pub(crate) fn set_variable(name: &CStr, value: &CStr) -> io::Result<()> {
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

/// Puts anonymous memory of this process into huge pages, now and where it is touched later. Whatever is in it stays.
pub(crate) fn collapse(start: usize, length: usize) -> io::Result<()> {
    const MADV_COLLAPSE: c_int = 25;
    let place = std::ptr::with_exposed_provenance_mut::<c_void>(start);
    for advice in [libc::MADV_HUGEPAGE, MADV_COLLAPSE] {
        // SAFETY: neither changes what is in memory, whoever uses it; what is not mapped is an error.
        if unsafe { libc::madvise(place, length, advice) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
