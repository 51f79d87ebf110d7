//! Our end of a command's channel. Closing it ends the command.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::error::StartError;
use crate::messages;
use crate::ready::await_hang_up;
use crate::wire;

/// A channel, and whether its command was ended because its sandbox was let go of.
#[derive(Debug)]
pub(crate) struct Channel {
    socket: OwnedFd,
    pid: u32,
    is_cut: AtomicBool,
}

impl Channel {
    pub(crate) fn new(socket: OwnedFd, pid: u32) -> Self {
        Self {
            socket,
            pid,
            is_cut: AtomicBool::new(false),
        }
    }

    /// The command's pid inside, which is also its process group's number.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal to the command's process group; one that has ended is no error.
    pub(crate) fn signal(&self, signal: i32) -> Result<(), StartError> {
        let signal = u64::from(signal.unsigned_abs());
        messages::send(self.as_fd(), &[wire::SIGNAL, signal, 0, 0, 0, 0, 0, 0], &[])
    }

    /// Kills the command's process group, unless the command has ended by itself.
    pub(crate) fn cut(&self) -> Result<(), StartError> {
        if self.is_over_within(Duration::ZERO) {
            return Ok(());
        }
        self.is_cut.store(true, Ordering::Relaxed);
        self.signal(libc::SIGKILL)
    }

    /// Whether [`Channel::cut`] found the command running.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Relaxed)
    }

    /// Whether init has closed its end, which it does when the command has been reaped. Waits for it as long
    /// as that; takes nothing from the channel.
    pub(crate) fn is_over_within(&self, patience: Duration) -> bool {
        await_hang_up(self.as_fd(), patience).is_ok_and(|is_over| is_over)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
