//! Doing to one's own process what a host program might have done.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU32, Ordering};

/// SIGCHLDs that [`count_sigchld`]'s handler has seen.
pub(crate) static SIGCHLD_COUNT: AtomicU32 = AtomicU32::new(0);

extern "C" fn on_sigchld(_: libc::c_int) {
    SIGCHLD_COUNT.fetch_add(1, Ordering::Relaxed);
}

/// Installs a handler that counts.
pub(crate) fn count_sigchld() {
    let handler: extern "C" fn(libc::c_int) = on_sigchld;
    // SAFETY: the handler only touches an atomic.
    let before = unsafe { libc::signal(libc::SIGCHLD, handler as libc::sighandler_t) };
    assert_ne!(before, libc::SIG_ERR);
}

/// Ignores a signal, or gives it back its default.
pub(crate) fn set_signal(signal: i32, ignore: bool) {
    let how = if ignore { libc::SIG_IGN } else { libc::SIG_DFL };
    // SAFETY: no handler of ours is involved.
    let before = unsafe { libc::signal(signal, how) };
    assert_ne!(before, libc::SIG_ERR);
}

/// waitpid(-1, WNOHANG).
pub(crate) fn wait_for_anybody() -> i32 {
    // SAFETY: no status is asked for.
    unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) }
}

/// Closes a descriptor by number, whoever owns it.
pub(crate) fn close(fd: i32) {
    // SAFETY: the test's process is alone and uses none of these again.
    unsafe { libc::close(fd) };
}

/// Opens a file that programs executed from here inherit.
pub(crate) fn leak_descriptor() -> i32 {
    // SAFETY: a constant path.
    let fd = unsafe { libc::open(c"/etc/passwd".as_ptr(), libc::O_RDONLY) };
    assert!(fd >= 0);
    fd
}

/// Sets a variable of this process, which must have no other thread.
pub(crate) fn set_variable(name: &str, value: impl AsRef<std::ffi::OsStr>) {
    // SAFETY: the test's process is its own and has one thread.
    unsafe { std::env::set_var(name, value) };
}

/// Runs `body` in a child, which must have one thread; its failure fails.
#[track_caller]
pub(crate) fn in_a_fork(body: impl FnOnce()) {
    // SAFETY: this process has one thread, so the child is as whole as its parent.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork");
    if pid == 0 {
        let has_passed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).is_ok();
        // SAFETY: it ends this process; the parent runs the destructors.
        unsafe { libc::_exit(i32::from(!has_passed)) };
    }
    let mut status = 0;
    // SAFETY: `status` is there for the call.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!(
        (waited, status),
        (pid, 0),
        "what ran in a process of its own has failed"
    );
}

/// Runs `body` in a copy of this process that has one thread, and answers whether it came to its end.
pub(crate) fn alone_in_a_copy(body: impl FnOnce()) -> bool {
    // SAFETY: the copy is a test of its own, started as one; the other thread of the test harness waits for it and
    // holds nothing locked.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: numbers only. A test that takes too long is killed, and its copy with it.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
            std::process::exit(i32::from(ended.is_err()))
        }
        pid => {
            let mut status = 1;
            // SAFETY: our child, and a place for its status.
            unsafe { libc::waitpid(pid, &raw mut status, 0) };
            status == 0
        }
    }
}

/// A template of a process with more than one thread.
pub(crate) fn template_anyway(work: impl Fn(u32) + Send + Sync) -> sandbox_confine::Sandbox {
    // SAFETY: the other thread of the test harness waits for this one and holds nothing locked.
    let template = unsafe {
        sandbox_confine::Sandbox::template(&sandbox_confine::Policy::default())
            .functions_unchecked(|| {}, work)
    };
    template.expect("a template")
}
