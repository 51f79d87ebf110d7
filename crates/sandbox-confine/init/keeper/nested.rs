//! The first process of a clone's pid namespace: it adopts and reaps orphans, and its end is the end of all.
//!
//! It shares the keeper's memory and descriptors, so that it costs a stack of two pages and no page table. The keeper
//! speaks to it by signals that are blocked, as all are: the kernel keeps what is blocked even for the first process
//! of a namespace, which ignores what it has no handler for (pid_namespaces(7)). What is sent from
//! inside it shrugs off: the kernel says who has sent it.

use core::cell::Cell;
use core::sync::atomic::{AtomicU32, Ordering};

use super::workshop::Made;
use crate::descendants::decimal;
use crate::sys::files::open_read;
use crate::sys::{self, EAGAIN, EINVAL, ENOTTY, ESRCH, ETIMEDOUT, Fd, First, NamespaceKind, Stacks};
use crate::views;
use crate::wire::{Cursor, MAX_CLONES, Text};

const SIGUSR1: u64 = 10;
const SIGUSR2: u64 = 12;
const SIGCHLD: u64 = 17;
const SIGCONT: u64 = 18;
const SIGSTOP: u64 = 19;
/// How often everybody is stopped: one that is about to continue others when it is stopped still does so.
const STOP_ROUNDS: u32 = 64;
/// How long the first process of a namespace may take to carry out what it is told.
const PATIENCE_MS: u32 = 1000;

/// How often any of them has done what it was told. One at a time is told.
static DONE: AtomicU32 = AtomicU32::new(0);

/// Where they run.
pub struct Nested(Stacks);

impl Nested {
    /// Room for as many as there may be clones.
    pub fn new() -> sys::Result<Self> {
        Stacks::new(MAX_CLONES).map(Self)
    }

    /// Starts the first process of a new namespace, on the stack of that number, which must be free.
    pub fn start(&self, place: usize) -> sys::Result<First> {
        let top = self.0.top(place).ok_or(EAGAIN)?;
        sys::clone_first(top, first)
    }

    /// The same in a mount namespace of its own, in which what `made` holds lies over what is at the places of `blob`. An
    /// error comes with the process, which is there.
    pub fn start_with_views(
        &self,
        place: usize,
        blob: &[u8],
        made: &Made,
    ) -> sys::Result<(First, sys::Result<()>)> {
        let top = self.0.top(place).ok_or(EAGAIN)?;
        let laying = Laying {
            blob,
            made,
            result: Cell::new(Ok(())),
        };
        let process = sys::clone_first_apart(top, Laying::carry_out, &laying, first)?;
        Ok((process, laying.result.get()))
    }
}

/// What the first process of a clone with views does before all else.
struct Laying<'a> {
    blob: &'a [u8],
    made: &'a Made,
    result: Cell<sys::Result<()>>,
}

impl Laying<'_> {
    fn carry_out(&self) {
        self.result.set(self.lay_over());
    }

    fn lay_over(&self) -> sys::Result<()> {
        let views = Cursor(self.blob).views().ok_or(EINVAL)?;
        for (view, overlay) in views.iter().flatten().zip(&self.made.overlays) {
            views::lay_over(view, overlay.as_ref().ok_or(EINVAL)?)?;
        }
        Ok(())
    }
}

/// Stops all that is in the namespace of `pid`.
pub fn stop(pid: Option<i32>) -> sys::Result<()> {
    tell(pid, SIGUSR1)
}

/// Continues all that is in the namespace of `pid`.
pub fn go_on(pid: Option<i32>) -> sys::Result<()> {
    tell(pid, SIGUSR2)
}

/// A namespace of a first process.
pub fn namespace(of: &First, kind: NamespaceKind) -> sys::Result<Fd> {
    match sys::namespace_of(&of.pidfd, kind) {
        // Before Linux 6.11 there is /proc only.
        Err(ENOTTY | EINVAL) => {}
        result => return result,
    }
    let (mut path, mut digits) = ([0_u8; 32], [0_u8; 12]);
    let name: &[u8] = match kind {
        NamespaceKind::Pid => b"/ns/pid",
        NamespaceKind::Mount => b"/ns/mnt",
    };
    let parts: [&[u8]; 4] = [b"/proc/", decimal(of.pid, &mut digits), name, b"\0"];
    for (place, byte) in path.iter_mut().zip(parts.iter().flat_map(|part| part.iter())) {
        *place = *byte;
    }
    open_read(Text::from_bytes_until_nul(&path).map_err(|_| ESRCH)?)
}

fn tell(pid: Option<i32>, signal: u64) -> sys::Result<()> {
    let (pid, before) = (pid.ok_or(ESRCH)?, DONE.load(Ordering::Acquire));
    sys::kill(pid, signal)?;
    // In a pause of the whole sandbox it is stopped itself.
    sys::kill(pid, SIGCONT)?;
    while DONE.load(Ordering::Acquire) == before {
        if sys::wait_while(&DONE, before, Some(PATIENCE_MS)) == Err(ETIMEDOUT) {
            return Err(ETIMEDOUT);
        }
    }
    Ok(())
}

fn first() -> ! {
    let mask = [SIGUSR1, SIGUSR2, SIGCHLD]
        .iter()
        .fold(0, |mask, signal| mask | 1 << (signal - 1));
    loop {
        let Ok(signal) = sys::await_signal(mask) else {
            continue;
        };
        match (signal.number, signal.is_from_outside) {
            (SIGCHLD, _) => {
                sys::reap_ended();
            }
            (SIGUSR1, true) => {
                for _ in 0..STOP_ROUNDS {
                    // ESRCH: nobody is left.
                    let _ = sys::kill(-1, SIGSTOP);
                }
                done();
            }
            (SIGUSR2, true) => {
                let _ = sys::kill(-1, SIGCONT);
                done();
            }
            _ => {}
        }
    }
}

fn done() {
    DONE.fetch_add(1, Ordering::Release);
    sys::wake(&DONE);
}
