//! The supervisor's side of a command's terminal.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::termios::Winsize;

/// The master of a terminal in the sandbox's own devpts. Bytes read are what the command wrote; bytes
/// written are what a person typed. Reading fails with EIO when the command's side is closed.
#[derive(Debug)]
pub struct PtyMaster(File);

impl PtyMaster {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self(fd.into())
    }

    /// Tells the command how large the terminal is, in characters; it is sent SIGWINCH.
    ///
    /// # Errors
    /// Those of ioctl(2) TIOCSWINSZ.
    pub fn resize(&self, rows: u16, columns: u16) -> io::Result<()> {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        Ok(rustix::termios::tcsetwinsize(&self.0, size)?)
    }

    /// A second handle to the same terminal.
    ///
    /// # Errors
    /// Those of fcntl(2).
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }
}

impl Read for PtyMaster {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for PtyMaster {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for PtyMaster {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
