//! The terminal while a screen is shown on it: raw, its other screen, and as before afterwards.

use std::io::{Write, stderr};
use std::os::fd::AsFd;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::tcgetwinsize;

use super::keys::{Decoder, Key};
use crate::error::CliError;
use crate::run::terminal::RawMode;

/// The other screen, without a cursor; lines are not wrapped.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &[u8] = b"\x1b[?7h\x1b[?25h\x1b[?1049l";
/// How long the rest of a key's bytes may take, in nanoseconds.
const REST: i64 = 25_000_000;

/// Lasts as long as the screen is shown.
#[derive(Debug)]
pub(super) struct Terminal {
    signals: SignalFd,
    decoder: Decoder,
    blocked: SigSet,
    _raw: RawMode,
}

impl Terminal {
    pub(super) fn open() -> Result<Self, CliError> {
        let failed = |errno: nix::Error| CliError::Terminal {
            what: "signalfd",
            source: errno.into(),
        };
        let set: SigSet = [Signal::SIGWINCH, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT]
            .into_iter()
            .collect();
        let blocked = SigSet::thread_get_mask().map_err(failed)?;
        set.thread_block().map_err(failed)?;
        let signals =
            SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(failed)?;
        let raw = RawMode::enter()?;
        write(ENTER)?;
        Ok(Self {
            signals,
            decoder: Decoder::default(),
            blocked,
            _raw: raw,
        })
    }

    /// Rows and columns.
    pub(super) fn size() -> (usize, usize) {
        let size = tcgetwinsize(rustix::stdio::stderr());
        size.map_or((24, 80), |size| match (size.ws_row, size.ws_col) {
            (0, _) | (_, 0) => (24, 80),
            (rows, columns) => (rows.into(), columns.into()),
        })
    }

    /// Replaces what is shown by these lines.
    pub(super) fn paint(lines: &[String]) -> Result<(), CliError> {
        // In one write, or it flickers.
        let mut text = String::from("\x1b[H");
        for (index, line) in lines.iter().enumerate() {
            if index > 0 {
                text.push_str("\r\n");
            }
            // Cleared before: behind a line that fills the terminal its last letter would be.
            text.push_str("\x1b[2K");
            text.push_str(line);
            text.push_str("\x1b[0m");
        }
        text.push_str("\x1b[J");
        write(text.as_bytes())
    }

    /// Waits for a key.
    pub(super) fn key(&mut self) -> Result<Key, CliError> {
        loop {
            if let Some(key) = self.decoder.next(false) {
                return Ok(key);
            }
            let rest = Timespec {
                tv_sec: 0,
                tv_nsec: REST,
            };
            let is_begun = self.decoder.is_begun();
            let stdin = rustix::stdio::stdin();
            let mut fds = [
                PollFd::from_borrowed_fd(stdin, PollFlags::IN),
                PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
            ];
            match poll(&mut fds, is_begun.then_some(&rest)) {
                Ok(0) => {
                    if let Some(key) = self.decoder.next(true) {
                        return Ok(key);
                    }
                }
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(failed("poll", errno)),
            }
            let is_readable = fds.first().is_some_and(|fd| !fd.revents().is_empty());
            if let Some(key) = self.signal()? {
                return Ok(key);
            }
            if is_readable {
                let mut bytes = [0; 256];
                match rustix::io::read(stdin, &mut bytes) {
                    Ok(0) => return Ok(Key::Cancel),
                    Ok(count) => self.decoder.push(bytes.get(..count).unwrap_or_default()),
                    Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                    // The terminal has gone.
                    Err(_) => return Ok(Key::Cancel),
                }
            }
        }
    }

    fn signal(&mut self) -> Result<Option<Key>, CliError> {
        let mut key = None;
        while let Some(info) = self.signals.read_signal().map_err(|errno| CliError::Terminal {
            what: "signalfd",
            source: errno.into(),
        })? {
            let is_resize = i64::from(info.ssi_signo) == Signal::SIGWINCH as i64;
            key = Some(match key {
                Some(Key::Cancel) => Key::Cancel,
                _ if is_resize => Key::Redraw,
                _ => Key::Cancel,
            });
        }
        Ok(key)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The terminal may be gone, and there is nobody left to tell.
        write(LEAVE).ok();
        self.blocked.thread_set_mask().ok();
    }
}

fn write(bytes: &[u8]) -> Result<(), CliError> {
    let mut stderr = stderr().lock();
    let written = stderr.write_all(bytes).and_then(|()| stderr.flush());
    written.map_err(|source| CliError::Terminal {
        what: "write",
        source,
    })
}

fn failed(what: &'static str, errno: rustix::io::Errno) -> CliError {
    CliError::Terminal {
        what,
        source: errno.into(),
    }
}
