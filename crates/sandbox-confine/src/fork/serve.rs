//! What the template does once it is confined: it runs the caller's first function, then is forked as it is told, and
//! each copy runs the second.

use std::ffi::CString;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::order::Order;
use crate::inside::sys::sockets::send;
use crate::inside::sys::{self as kernel, Errno, Fd};
use crate::inside::template::{self, Library, Terms};
use crate::inside::{huge, threads};
use crate::sys::{self, Forked};
use crate::wire::{FAILED, PANICKED, READY, THREADS};

/// What a clone does with its number; it ends with the answer.
pub(crate) type Work<'a> = Box<dyn Fn(u32) -> i32 + 'a>;

/// What a Rust program that panics ends with.
pub(crate) const PANIC_STATUS: i32 = 101;
/// What a template ends with that has threads, so that it cannot be forked.
const NOT_FORKED: i32 = 1;
/// What a clone ends with that could not be confined; nothing of the caller's has run in it then.
const NOT_CONFINED: i32 = 125;

/// The C library, by which this process allocates and keeps its environment.
const LIBRARY: Library = Library {
    fork: || sys::fork().map_err(errno),
    put_variable: |variable| sys::put_variable(variable).map_err(errno),
};

#[expect(clippy::needless_pass_by_value, reason = "as map_err passes it")]
fn errno(error: std::io::Error) -> Errno {
    Errno(error.raw_os_error().unwrap_or(libc::EIO))
}

/// Runs `init`, then serves the keeper until it is gone, and in each clone what `init` has answered. The exit status of
/// this process, whichever it has become.
pub(crate) fn serve<'a>(socket: Fd, order: &Order, init: impl FnOnce() -> Work<'a>) -> i32 {
    // What panics is the caller's function, and nothing of ours is left half done by it.
    let Ok(work) = catch_unwind(AssertUnwindSafe(init)) else {
        let _ = send(&socket, &[FAILED, PANICKED, 0, 0, 0, 0, 0, 0], &[]);
        flush();
        return PANIC_STATUS;
    };
    // A fork copies the thread that calls it: what another one holds locked would stay locked in every clone.
    let threads = threads::settled(fork_of_nothing).unwrap_or(0);
    if threads != 1 {
        let _ = send(
            &socket,
            &[FAILED, THREADS, u64::from(threads), 0, 0, 0, 0, 0],
            &[],
        );
        flush();
        return NOT_FORKED;
    }
    if order.huge_pages {
        huge::collapse();
    }
    // Else each clone would write once more what is left in the buffers.
    flush();
    let pid = u64::from(kernel::getpid().unsigned_abs());
    if send(&socket, &[READY, pid, 0, 0, 0, 0, 0, 0], &[]).is_err() {
        return 1;
    }
    // Nothing of the caller's runs here any more, so it stays what it is.
    let cwd = std::env::current_dir().ok();
    let cwd = cwd.and_then(|cwd| CString::new(cwd.into_os_string().into_vec()).ok());
    let terms = Terms {
        narrowing: &order.narrowing,
        refer: order.refer,
        setup: order.clone_setup.as_deref(),
        cwd: cwd.as_deref().unwrap_or(&order.cwd),
    };
    match template::forked_off(socket, &terms, LIBRARY) {
        None => 0,
        // Ends here: what is freed on the way out would be copied from the template first.
        Some(mut clone) => kernel::exit(match clone.prepare(&terms) {
            Ok(()) => run(&work, clone.id),
            Err((what, Errno(errno))) => {
                let text = format!(
                    "sandbox: cannot confine a clone: {what}: {}\n",
                    std::io::Error::from_raw_os_error(errno)
                );
                let _ = std::io::stderr().write_all(text.as_bytes());
                NOT_CONFINED
            }
        }),
    }
}

/// A fork whose child ends at once: what was registered with pthread_atfork(3) runs before it.
fn fork_of_nothing() {
    match sys::fork() {
        Ok(Forked::Child) => kernel::exit(0),
        Ok(Forked::Parent(pid)) => kernel::wait_for(pid),
        Err(_) => {}
    }
}

fn run(work: &Work<'_>, id: u32) -> i32 {
    let status = catch_unwind(AssertUnwindSafe(|| work(id))).unwrap_or(PANIC_STATUS);
    flush();
    status
}

/// Writes out what is buffered; what cannot be written is as lost as at any other end of a program.
pub(crate) fn flush() {
    let _ = std::io::stdout().flush();
    sys::flush_stdio();
}
