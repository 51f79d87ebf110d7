//! A stream that the supervisor reads: it keeps what comes, or relays it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use sandbox_types::Stream;

use super::meter::Meter;
use super::null;
use crate::sys;

/// A captured or relayed output stream.
#[derive(Debug)]
pub(crate) struct Drain {
    pub(crate) pipe: OwnedFd,
    pub(crate) stream: Stream,
    kept: Vec<u8>,
    keep: u64,
    relay: Option<OwnedFd>,
    meter: Meter,
    is_cut: bool,
    is_closed: bool,
}

/// What reading a stream found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drained {
    /// There may be more later.
    More,
    /// Whoever it is relayed to takes nothing now.
    Blocked,
    /// It is closed.
    End,
    /// It wrote more than it may, and the run must end.
    OverLimit,
}

impl Drain {
    /// Reads `pipe`, which does not block: keeps the first `keep` bytes, or relays them.
    pub(super) fn new(
        pipe: OwnedFd,
        stream: Stream,
        keep: u64,
        relay: Option<OwnedFd>,
        meter: Meter,
    ) -> Self {
        Self {
            pipe,
            stream,
            kept: Vec::new(),
            keep,
            relay,
            meter,
            is_cut: false,
            is_closed: false,
        }
    }

    /// Reads what is there, up to a bound, so that one stream does not starve the rest.
    pub(crate) fn pull(&mut self) -> io::Result<Drained> {
        let mut chunk = [0; 16 * 1024];
        for _ in 0..8 {
            if self.is_closed {
                return Ok(Drained::End);
            }
            // A pipe that is ready takes PIPE_BUF bytes without blocking (pipe(7)); so does a terminal.
            let room = match &self.relay {
                Some(relay) if !is_writable(relay)? => return Ok(Drained::Blocked),
                Some(_) => 4096,
                None => chunk.len(),
            };
            let count = match rustix::io::read(&self.pipe, chunk.get_mut(..room).unwrap_or_default()) {
                Ok(0) => return Ok(Drained::End),
                Ok(count) => count,
                Err(rustix::io::Errno::AGAIN) => return Ok(Drained::More),
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            let within = self.meter.count(count);
            match self.take(chunk.get(..within).unwrap_or_default()) {
                Ok(()) => {}
                // Nobody listens any more: closing our end tells the command as it would without us.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Drained::End),
                Err(error) => return Err(error),
            }
            if self.is_violated() {
                return Ok(Drained::OverLimit);
            }
        }
        Ok(Drained::More)
    }

    /// Reads all that is there after the command has ended. What others, still alive in a sandbox that goes
    /// on, write from now on is not the command's.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        let left = if self.is_closed {
            0
        } else {
            rustix::io::ioctl_fionread(&self.pipe)?
        };
        let end = self.bytes().saturating_add(left);
        loop {
            match self.pull()? {
                Drained::More if self.bytes() < end && self.has_more()? => {}
                Drained::Blocked => {
                    if let Some(relay) = &self.relay {
                        wait_writable(relay.as_fd())?;
                    }
                }
                Drained::More | Drained::End | Drained::OverLimit => {
                    self.close();
                    return Ok(());
                }
            }
        }
    }

    fn has_more(&self) -> io::Result<bool> {
        let mut poll = [rustix::event::PollFd::new(
            &self.pipe,
            rustix::event::PollFlags::IN,
        )];
        rustix::event::poll(&mut poll, Some(&NOW))?;
        let [poll] = poll;
        Ok(poll.revents().contains(rustix::event::PollFlags::IN))
    }

    /// Closes the reading end; the command's next write is a SIGPIPE.
    pub(crate) fn close(&mut self) {
        if !self.is_closed {
            self.is_closed = true;
            if let Ok(null) = null() {
                self.pipe = null;
            }
        }
    }

    /// From now on it is relayed, and no more of it is kept.
    pub(crate) fn relay_to(&mut self, relay: OwnedFd) {
        self.relay = Some(relay);
    }

    /// Where the stream is relayed to.
    pub(crate) fn relay(&self) -> Option<&OwnedFd> {
        self.relay.as_ref()
    }

    /// Whether it wrote more than it may.
    pub(crate) fn is_violated(&self) -> bool {
        self.meter.is_violated()
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(relay) = &self.relay {
            return write_all(relay.as_fd(), bytes);
        }
        let room = usize::try_from(self.keep)
            .unwrap_or(usize::MAX)
            .saturating_sub(self.kept.len());
        let kept = bytes.get(..bytes.len().min(room)).unwrap_or_default();
        self.kept.extend_from_slice(kept);
        self.is_cut |= kept.len() < bytes.len();
        Ok(())
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.meter.bytes()
    }

    pub(crate) fn is_truncated(&self) -> bool {
        self.is_cut || self.meter.is_over()
    }

    pub(crate) fn into_kept(self) -> Vec<u8> {
        self.kept
    }
}

const NOW: rustix::event::Timespec = rustix::event::Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

fn is_writable(fd: &OwnedFd) -> io::Result<bool> {
    let mut poll = [rustix::event::PollFd::new(fd, rustix::event::PollFlags::OUT)];
    rustix::event::poll(&mut poll, Some(&NOW))?;
    let [poll] = poll;
    Ok(!poll.revents().is_empty())
}

fn wait_writable(fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut poll = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::OUT)];
    match rustix::event::poll(&mut poll, None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match sys::write(fd, bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => wait_writable(fd)?,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}
