//! Loads a filter into a child process and makes calls there: the only unsafe code of these tests.
#![expect(unsafe_code, reason = "fork, seccomp(2) and raw system calls")]

use std::io;

/// How the child ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With the errno of its call, or 0 when the call succeeded.
    Errno(i32),
    Signal(i32),
}

/// What the child does once the filter is loaded.
#[derive(Clone, Copy)]
pub(super) enum Call {
    Native(libc::c_long, [u64; 3]),
    /// `getpid` through the 32-bit gate.
    #[cfg(target_arch = "x86_64")]
    Int80,
}

/// Forks, loads `program`, makes `call` and reports.
pub(super) fn under(program: &[u8], call: Call) -> End {
    let length = u16::try_from(program.len() / 8).unwrap();
    let filter = libc::sock_fprog {
        len: length,
        filter: program.as_ptr().cast_mut().cast(),
    };
    // SAFETY: the child makes raw system calls on memory prepared here and leaves by _exit.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let errno = if load(&filter) { make(call) } else { LOAD_FAILED };
        // SAFETY: ends the child without running the parent's destructors.
        unsafe { libc::_exit(errno) }
    }
    assert!(child > 0, "fork: {}", io::Error::last_os_error());
    let mut status = 0;
    // SAFETY: `status` outlives the call; `child` is ours and not yet reaped.
    let reaped = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(reaped, child, "waitpid: {}", io::Error::last_os_error());
    if libc::WIFSIGNALED(status) {
        End::Signal(libc::WTERMSIG(status))
    } else {
        ended(libc::WEXITSTATUS(status))
    }
}

/// No errno that a filter of ours returns.
const LOAD_FAILED: i32 = 255;

fn ended(status: i32) -> End {
    assert_ne!(status, LOAD_FAILED, "the kernel refused the filter");
    End::Errno(status)
}

fn load(filter: &libc::sock_fprog) -> bool {
    // SAFETY: takes no pointers.
    let privileges = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    // SAFETY: `filter` and the program it points to live for the call; the kernel copies them.
    let loaded = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            &raw const *filter,
        )
    };
    privileges == 0 && loaded == 0
}

fn make(call: Call) -> i32 {
    match call {
        Call::Native(number, [a, b, c]) => {
            // SAFETY: the tests pass numbers and null pointers, and only calls without effect on memory.
            let result = unsafe { libc::syscall(number, a, b, c) };
            if result < 0 {
                io::Error::last_os_error().raw_os_error().unwrap_or(LOAD_FAILED)
            } else {
                0
            }
        }
        #[cfg(target_arch = "x86_64")]
        Call::Int80 => {
            let result: i64;
            // SAFETY: getpid takes nothing and changes only the result register.
            unsafe { std::arch::asm!("int 0x80", inlateout("rax") 20_i64 => result) };
            i32::from(result < 0)
        }
    }
}
