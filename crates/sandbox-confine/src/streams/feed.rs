//! What goes to standard input.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::sys;

/// Bytes on their way to standard input.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) pipe: OwnedFd,
    rest: Vec<u8>,
    sent: usize,
}

impl Feed {
    /// `bytes`, to be written to `pipe`, which does not block.
    pub(super) fn new(pipe: OwnedFd, bytes: Vec<u8>) -> Self {
        Self {
            pipe,
            rest: bytes,
            sent: 0,
        }
    }

    /// Writes what the pipe takes; true when all is written or nobody reads any more.
    pub(crate) fn push(&mut self) -> io::Result<bool> {
        while let Some(rest) = self.rest.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match sys::write(self.pipe.as_fd(), rest) {
                Ok(count) => self.sent += count,
                Err(rustix::io::Errno::AGAIN) => return Ok(false),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::PIPE) => return Ok(true),
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(true)
    }
}
