//! What a program loads to be forked: `libsandbox_fork.so`.
//!
//! Two functions, called through `sandbox_fork.h` or `sandbox_fork.py`: [`sandbox_fork_ready`], which returns in each
//! clone, and [`sandbox_fork_error`]. The program's own memory is all that is trusted with this: it is code in a
//! confined process, and what it says to its keeper is checked there (`init/keeper`).
//!
//! It has no dependencies: it enters the kernel itself, and takes from the C library that the process has what only
//! that can do ([`c`]): fork(3), because of pthread_atfork(3), and the environment.
#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]
#![allow(
    dead_code,
    unused_imports,
    missing_docs,
    unreachable_pub,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::trivially_copy_pass_by_ref,
    reason = "init uses the rest of what it shares with this; registers hold what fits them"
)]

mod beside;
#[allow(unsafe_code)]
mod c;
mod explain;
mod huge;
#[path = "../init/sys/mod.rs"]
#[allow(unsafe_code, clippy::pedantic)]
mod sys;
mod template;
mod threads;
#[path = "../init/walls.rs"]
#[allow(clippy::pedantic)]
mod walls;
#[path = "../init/wire.rs"]
#[allow(clippy::pedantic)]
mod wire;

use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};

use explain::Problem;
use sys::sockets::{Received, Wait, receive, send};
use sys::{Errno, Fd, Mapping, files};
use template::Terms;
use wire::{FAILED, READY, TERMS, THREADS};

/// What a clone ends with that could not be confined, as the library's do.
const NOT_CONFINED: i32 = 125;

/// Not called yet, or without success.
const FRESH: u32 = 0;
/// This is a clone.
const CLONE: u32 = 1;
static STATE: AtomicU32 = AtomicU32::new(FRESH);

/// The terms, once they have come: descriptors of the filter of clones and of what they are confined by once more, rights,
/// and whether memory is to be put into huge pages.
static FILTER: AtomicI32 = AtomicI32::new(-1);
static SETUP: AtomicI32 = AtomicI32::new(-1);
static REFER: AtomicU64 = AtomicU64::new(0);
static HUGE: AtomicU32 = AtomicU32::new(0);

/// Says that this process is ready to be forked, and is forked: returns in each clone, with its number. In the process
/// that calls it does not return, unless it cannot be forked: then it is minus an errno, and [`sandbox_fork_error`] has
/// it in words.
#[expect(unsafe_code, reason = "a name for the dynamic linker")]
#[unsafe(no_mangle)]
pub extern "C" fn sandbox_fork_ready() -> i64 {
    match be_forked() {
        Ok(number) => i64::from(number),
        Err(problem) => {
            explain::remember(&problem);
            -i64::from(problem.errno())
        }
    }
}

/// Why the last call of [`sandbox_fork_ready`] has failed, as text that lives until the next one.
#[expect(unsafe_code, reason = "a name for the dynamic linker")]
#[unsafe(no_mangle)]
pub extern "C" fn sandbox_fork_error() -> *const core::ffi::c_char {
    explain::text()
}

fn be_forked() -> Result<u32, Problem> {
    if STATE.load(Ordering::Relaxed) == CLONE {
        return Err(Problem::Again);
    }
    let socket = Fd::own(c::socket().ok_or(Problem::NotForked)?);
    let ready = announce(&socket);
    if let Err(problem) = ready {
        // It may be tried again.
        core::mem::forget(socket);
        return Err(problem);
    }
    // Nothing of the program's runs here any more, so it stays what it is.
    let mut cwd = [0; 4096];
    let terms = Terms {
        narrowing: &[],
        refer: REFER.load(Ordering::Relaxed),
        setup: None,
        cwd: sys::working_directory(&mut cwd).unwrap_or(c"/"),
    };
    match template::forked_off(socket, &terms, c::LIBRARY) {
        // The keeper is gone, and with it all there was to do.
        None => sys::exit(0),
        Some(clone) => Ok(become_clone(clone, &terms)),
    }
}

/// Tells the keeper that this process can be forked, if it can.
fn announce(socket: &Fd) -> Result<(), Problem> {
    take_terms(socket)?;
    let threads = threads::settled(fork_of_nothing).ok_or(Problem::NoProc)?;
    if threads > 1 {
        let _ = send(socket, &[FAILED, THREADS, u64::from(threads), 0, 0, 0, 0, 0], &[]);
        return Err(Problem::Threads(threads));
    }
    if HUGE.load(Ordering::Relaxed) != 0 {
        huge::collapse();
    }
    let pid = u64::from(sys::getpid().unsigned_abs());
    send(socket, &[READY, pid, 0, 0, 0, 0, 0, 0], &[]).map_err(|_| Problem::Closed(socket.number()))
}

/// What the supervisor has sent before this program was executed.
fn take_terms(socket: &Fd) -> Result<(), Problem> {
    while FILTER.load(Ordering::Relaxed) < 0 {
        let received = receive(socket, Wait::Never);
        let (huge, refer, filter, setup) = match received {
            Ok(Received::Message([TERMS, huge, refer, ..], [Some(filter), setup, ..])) => {
                (huge, refer, filter, setup)
            }
            Ok(Received::Message(..) | Received::Malformed) => continue,
            Ok(Received::Nothing | Received::End) | Err(_) => return Err(Problem::Closed(socket.number())),
        };
        HUGE.store(huge as u32, Ordering::Relaxed);
        REFER.store(refer, Ordering::Relaxed);
        FILTER.store(filter.number(), Ordering::Relaxed);
        core::mem::forget(filter);
        if let Some(setup) = setup {
            SETUP.store(setup.number(), Ordering::Relaxed);
            core::mem::forget(setup);
        }
    }
    Ok(())
}

/// A fork whose child ends at once: what was registered with pthread_atfork(3) runs before it.
fn fork_of_nothing() {
    match (c::LIBRARY.fork)() {
        Ok(beside::Forked::Child) => sys::exit(0),
        Ok(beside::Forked::Parent(pid)) => sys::wait_for(pid),
        Err(_) => {}
    }
}

/// Its number. A clone that cannot be confined ends.
fn become_clone(mut clone: template::Clone, terms: &Terms<'_>) -> u32 {
    STATE.store(CLONE, Ordering::Relaxed);
    c::forget_socket();
    if let Err((what, Errno(errno))) = confine(&mut clone, terms) {
        explain::cannot_confine(what, errno);
        sys::exit(NOT_CONFINED)
    }
    clone.id
}

fn confine(clone: &mut template::Clone, terms: &Terms<'_>) -> Result<(), template::Failure> {
    let narrowing = content(&FILTER).map_err(|errno| ("seccomp", errno))?;
    let setup = match SETUP.load(Ordering::Relaxed) {
        -1 => None,
        _ => Some(content(&SETUP).map_err(|errno| ("Landlock", errno))?),
    };
    let terms = Terms {
        narrowing: narrowing.bytes(),
        setup: setup.as_ref().map(Mapping::bytes),
        ..*terms
    };
    clone.prepare(&terms)
}

/// What is in a file of the terms, which is closed.
fn content(of: &AtomicI32) -> sys::Result<Mapping> {
    let file = Fd::own(of.load(Ordering::Relaxed));
    Mapping::of_file(&file, files::size(&file)?)
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    sys::exit(70)
}
