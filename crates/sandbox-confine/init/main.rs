//! Process 1 of a sandbox.
//!
//! Init builds the root, starts every command, adopts orphans, and ends, with all that is inside, when the
//! supervisor's end of the control socket closes. It is a static program of a few pages without a C
//! library, so it holds nothing of the supervisor's memory, and it executes in a fraction of a millisecond.
//!
//! It guarantees: it is not dumpable before the first command exists, so no command can trace it or look
//! into its /proc entries; it holds no descriptor of the host but the control socket, the set-up blob, the
//! lock of a branch and one channel a command (the device of a served filesystem passes through it); it never panics and never blocks on anything but its own sockets.
//!
//! It is not confined itself: it keeps the capabilities, in the sandbox's own user namespace, that mounting
//! and signalling need. Nothing from inside the sandbox is ever read by it, except wait statuses.
#![cfg_attr(not(test), no_std, no_main)]
#![deny(unsafe_code)]
// Linted and unit-tested as the test target `init-program`; the program itself is built by build/init.rs.
#![cfg_attr(test, allow(dead_code, reason = "tests do not enter at _start"))]
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::option_option,
    clippy::similar_names,
    clippy::trivially_copy_pass_by_ref,
    reason = "a program, not a library; registers hold what fits them"
)]

#[cfg(not(test))]
#[allow(unsafe_code)]
mod bare;
mod beside;
mod command;
mod descendants;
mod everybody;
mod execute;
mod fuse;
mod keeper;
mod overlay;
mod root;
mod serve;
mod standby;
#[allow(unsafe_code)]
mod sys;
mod views;
mod walls;
mod wire;

use sys::files;
use sys::sockets::{Received, Wait, receive, send};
use sys::{Errno, Fd, Mapping, exit};
use wire::{BEGIN, Cursor, FAILED, GO, GO_PID_NAMESPACE, GO_SERVED, KEEP, READY};

/// Where the supervisor leaves the control socket.
const CONTROL: i32 = 0;

/// The set-up failed before its first step.
const BEFORE_THE_FIRST_STEP: u64 = u64::MAX;

/// Entry point, called once by `_start` on a fresh stack.
pub extern "C" fn init_main() -> ! {
    let control = Fd::own(CONTROL);
    let status = match run(&control) {
        Ok(()) => 0,
        Err((step, Errno(errno))) => {
            // A supervisor that is gone does not miss the message.
            let _ = send(
                &control,
                &[FAILED, step, u64::from(errno.unsigned_abs()), 0, 0, 0, 0, 0],
                &[],
            );
            1
        }
    };
    exit(status)
}

/// Sets up and serves until the end. An error carries the step it happened in.
fn run(control: &Fd) -> Result<(), (u64, Errno)> {
    let early = |errno| (BEFORE_THE_FIRST_STEP, errno);
    files::close_from(1).map_err(early)?;
    // Nothing that is opened or received later has the number of a standard stream, where a command's will be.
    let control = &files::out_of_the_way(control).map_err(early)?;
    // It was executed from a descriptor, whose name it would have.
    sys::set_name(c"sandbox-init").map_err(early)?;
    // Modes are as the plan says, whatever the caller's mask.
    sys::set_umask(0);
    // Every signal stays blocked; ended children are read from a descriptor.
    sys::reset_signals(u64::MAX).map_err(early)?;
    // A session of its own: kill(0) from inside must not reach the supervisor's process group.
    sys::setsid().map_err(early)?;
    let namespaces = match next(control).map_err(early)? {
        Received::Message([BEGIN, namespaces, ..], _) => namespaces,
        Received::Message([KEEP, pid, ..], [Some(template), ..]) => {
            return keeper::until_the_end(control, &template, pid).map_err(early);
        }
        _ => return Err(early(sys::EINVAL)),
    };
    let beside = beside::start(namespaces).map_err(early)?;
    let Received::Message([GO, flags, ..], [Some(setup_file), ..]) = next(control).map_err(early)? else {
        return Err(early(sys::EINVAL));
    };
    let length = files::size(&setup_file).map_err(early)?;
    let setup = Mapping::of_file(&setup_file, length).map_err(early)?;
    drop(setup_file);
    // The sandbox lives by it to its end.
    let mut cursor = Cursor(setup.leak());
    root::build(&mut cursor, control, beside)?;
    sys::set_dumpable_off().map_err(early)?;
    let confinement = cursor.confinement().ok_or(early(sys::EINVAL))?;
    let pid_namespace = flags & GO_PID_NAMESPACE != 0;
    if !pid_namespace {
        sys::become_subreaper().map_err(early)?;
    }
    send(control, &[READY, 0, 0, 0, 0, 0, 0, 0], &[]).map_err(early)?;
    let patience = if flags & GO_SERVED == 0 {
        everybody::Patience::Endless
    } else {
        everybody::Patience::Short
    };
    let result = serve::until_the_end(control, confinement, pid_namespace, patience).map_err(early);
    if pid_namespace {
        // The kernel would do it, but only after init has let go of what it holds: a branch's lock.
        everybody::kill_and_reap(patience);
    } else {
        descendants::kill_all();
    }
    result
}

/// The next message; without a supervisor there is nothing to do.
fn next(control: &Fd) -> sys::Result<Received> {
    match receive(control, Wait::Block)? {
        Received::End => exit(0),
        received => Ok(received),
    }
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(70)
}
