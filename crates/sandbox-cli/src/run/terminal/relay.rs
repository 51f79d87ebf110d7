//! Bytes between the caller's streams and the command's terminal, both ways, without a thread.

use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{isatty, tcgetwinsize};
use sandbox::PtyMaster;

use crate::error::CliError;

/// The size of one read, and the most that waits for a command that does not read.
const CHUNK: usize = 4096;
/// The character that ends the input of a terminal in its usual mode (termios(3), VEOF).
const END_OF_INPUT: u8 = 4;

/// Both directions.
#[derive(Debug)]
pub(super) struct Relay {
    /// None when the command has closed its side, or nobody reads what it writes.
    master: Option<PtyMaster>,
    is_input_open: bool,
    /// Typed and not yet taken by the command's terminal.
    typed: Vec<u8>,
    ends_line: bool,
}

impl Relay {
    pub(super) fn new(master: Option<PtyMaster>) -> Result<Self, CliError> {
        if let Some(master) = &master {
            // Its other side may not be reading; the caller's signals have to be heard all the same.
            rustix::io::ioctl_fionbio(master, true).map_err(failed("ioctl"))?;
        }
        Ok(Self {
            master,
            is_input_open: true,
            typed: Vec::new(),
            ends_line: true,
        })
    }

    /// Gives the command's terminal the size of the caller's.
    pub(super) fn resize(&self) {
        let caller = [rustix::stdio::stdout(), rustix::stdio::stdin()];
        let size = caller.into_iter().find_map(|fd| tcgetwinsize(fd).ok());
        let (rows, columns) = size.map_or((24, 80), |size| (size.ws_row, size.ws_col));
        if let Some(master) = &self.master {
            // It fails only when the command's side is gone, which reading will find.
            master.resize(rows, columns).ok();
        }
    }

    /// Waits until something can be moved or one of `others` is readable, and moves it.
    pub(super) fn step(
        &mut self,
        others: &[BorrowedFd<'_>],
        timeout: Option<&Timespec>,
    ) -> Result<(), CliError> {
        let stdin = rustix::stdio::stdin();
        let reads = self.is_input_open && self.typed.is_empty() && self.master.is_some();
        let writes = if self.typed.is_empty() {
            PollFlags::empty()
        } else {
            PollFlags::OUT
        };
        let (from_caller, from_command) = {
            let mut fds: Vec<_> = others
                .iter()
                .map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN))
                .collect();
            if let Some(master) = &self.master {
                fds.push(PollFd::new(master, PollFlags::IN | writes));
            }
            if reads {
                fds.push(PollFd::from_borrowed_fd(stdin, PollFlags::IN));
            }
            match poll(&mut fds, timeout) {
                Ok(_) => {}
                Err(Errno::INTR) => return Ok(()),
                Err(errno) => return Err(failed("poll")(errno)),
            }
            let mut relayed = fds.iter().skip(others.len()).map(|fd| !fd.revents().is_empty());
            let from_command = self.master.is_some() && relayed.next().unwrap_or(false);
            (relayed.next().unwrap_or(false), from_command)
        };
        if from_caller {
            self.read_typed()?;
        }
        self.write_typed()?;
        if from_command {
            self.show()?;
        }
        Ok(())
    }

    /// Shows what the command wrote before it ended.
    pub(super) fn drain(&mut self) -> Result<(), CliError> {
        while self.show()? {}
        Ok(())
    }

    fn read_typed(&mut self) -> Result<(), CliError> {
        let mut buffer = [0; CHUNK];
        let stdin = rustix::stdio::stdin();
        let count = match rustix::io::read(stdin, &mut buffer) {
            Ok(count) => count,
            Err(Errno::INTR | Errno::AGAIN) => return Ok(()),
            // A terminal that is gone.
            Err(Errno::IO) => 0,
            Err(errno) => return Err(failed("read standard input")(errno)),
        };
        let typed = buffer.get(..count).unwrap_or_default();
        match typed.last() {
            Some(last) => {
                self.ends_line = *last == b'\n';
                self.typed.extend_from_slice(typed);
            }
            None if isatty(stdin) => self.hang_up(),
            None => {
                self.is_input_open = false;
                // In the middle of a line the first one only sends what is there.
                self.typed.extend(std::iter::repeat_n(
                    END_OF_INPUT,
                    if self.ends_line { 1 } else { 2 },
                ));
            }
        }
        Ok(())
    }

    fn write_typed(&mut self) -> Result<(), CliError> {
        let Some(master) = self.master.as_ref().filter(|_| !self.typed.is_empty()) else {
            return Ok(());
        };
        match rustix::io::write(master, &self.typed) {
            Ok(count) => drop(self.typed.drain(..count.min(self.typed.len()))),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(Errno::IO) => self.typed.clear(),
            Err(errno) => return Err(failed("write to the command's terminal")(errno)),
        }
        Ok(())
    }

    /// Shows one chunk; false when there is none.
    fn show(&mut self) -> Result<bool, CliError> {
        let Some(master) = &self.master else {
            return Ok(false);
        };
        let mut buffer = [0; CHUNK];
        let count = match rustix::io::read(master, &mut buffer) {
            Ok(count) => count,
            Err(Errno::AGAIN) => return Ok(false),
            Err(Errno::INTR) => return Ok(true),
            // Nobody has the command's side open any more.
            Err(Errno::IO) => 0,
            Err(errno) => return Err(failed("read the command's terminal")(errno)),
        };
        let shown = buffer.get(..count).unwrap_or_default();
        if shown.is_empty() || !write_all(shown)? {
            self.hang_up();
            return Ok(false);
        }
        Ok(true)
    }

    /// Closes the command's terminal, which tells it so (SIGHUP).
    fn hang_up(&mut self) {
        self.master = None;
        self.is_input_open = false;
        self.typed.clear();
    }
}

/// Writes to standard output; false when nobody reads it any more.
fn write_all(mut bytes: &[u8]) -> Result<bool, CliError> {
    let stdout = rustix::stdio::stdout();
    while !bytes.is_empty() {
        match rustix::io::write(stdout, bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                // Somebody else has made it non-blocking.
                let mut fds = [PollFd::from_borrowed_fd(stdout, PollFlags::OUT)];
                poll(&mut fds, None).map_err(failed("poll"))?;
            }
            Err(Errno::PIPE | Errno::IO) => return Ok(false),
            Err(errno) => return Err(failed("write to standard output")(errno)),
        }
    }
    Ok(true)
}

fn failed(what: &'static str) -> impl FnOnce(Errno) -> CliError {
    move |errno| CliError::Terminal {
        what,
        source: errno.into(),
    }
}
