//! A template that is a program: forked here, executed behind the walls.
//!
//! Between fork and exec nothing is allocated and no lock is taken, so that it does not matter what other threads of
//! this process hold.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::MemfdFlags;

use super::enter;
use super::error::ForkError;
use super::order::{Files, Order};
use crate::error::StartError;
use crate::inside::execute::Words;
use crate::inside::sys::sockets::send;
use crate::inside::sys::{Errno, Fd};
use crate::messages;
use crate::sys::{self, Forked};
use crate::wire::{FAILED, Stage, TERMS};

/// What a shell ends with that finds no such command.
const NOT_EXECUTED: i32 = 127;

/// Leaves for the program, on our end of its socket, what it has to know when it says that it is ready.
pub(super) fn send_terms(to: BorrowedFd<'_>, order: &Order) -> Result<(), StartError> {
    let filter = messages::sealed("sandbox-filter", &order.narrowing, MemfdFlags::NOEXEC_SEAL)?;
    let setup = order.clone_setup.as_deref();
    let setup = setup.map(|setup| messages::sealed("sandbox-views", setup, MemfdFlags::NOEXEC_SEAL));
    let setup = setup.transpose()?;
    let huge_pages = u64::from(order.huge_pages);
    let mut with = vec![filter.as_fd()];
    with.extend(setup.as_ref().map(AsFd::as_fd));
    messages::send(to, &[TERMS, huge_pages, order.refer, 0, 0, 0, 0, 0], &with)
}

/// Forks the entrant of a template that executes what `blob` says. Its pid.
pub(super) fn fork(order: &Order, files: &Files, blob: &[u8]) -> Result<i32, ForkError> {
    let mut program = Words::of(blob).map_err(|(_, Errno(errno))| ForkError::Enter {
        step: "prepare the program",
        source: io::Error::from_raw_os_error(errno),
    })?;
    match sys::fork().map_err(|source| ForkError::Enter { step: "fork", source })? {
        Forked::Child => enter::enter(order, files, |socket| execute(&socket, &mut program)),
        Forked::Parent(pid) => Ok(pid),
    }
}

/// Becomes the program. What it ends with when it cannot.
fn execute(socket: &Fd, program: &mut Words<'_>) -> i32 {
    let Errno(errno) = program.execute();
    let message = [
        FAILED,
        Stage::Exec as u64,
        u64::from(errno.unsigned_abs()),
        0,
        0,
        0,
        0,
        0,
    ];
    // A supervisor that is gone does not miss it.
    let _ = send(socket, &message, &[]);
    NOT_EXECUTED
}
