//! A command on a terminal of its own, with the caller's terminal in raw mode between it and the user.
//!
//! What is typed goes through unchanged, so Ctrl-C and Ctrl-Z are the inner terminal's business. When the
//! command is stopped, so is this process, as the job that the caller's shell knows.

mod raw;
mod relay;

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use sandbox::Process;

pub(crate) use self::raw::RawMode;
use self::relay::Relay;
use super::Ended;
use super::live::Door;
use super::signals::{self, Signals, Wish};
use super::streams::{SIGCONT, SIGSTOP};
use crate::error::CliError;

/// A command that is continued says so at once. One that is still stopped after this has stopped again.
const GRACE: Duration = Duration::from_millis(200);

/// Whether all three streams are a terminal and this process is in its foreground. In the background the
/// command runs on the streams as they are, since the terminal is somebody else's.
pub(crate) fn is_ours() -> bool {
    let stdin = rustix::stdio::stdin();
    let all =
        std::io::stdin().is_terminal() && std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
    all && rustix::termios::tcgetpgrp(stdin).is_ok_and(|group| group == rustix::process::getpgrp())
}

/// Relays until the command has ended. The caller's terminal is as before, however this ends.
pub(crate) fn wait(mut process: Process, mut signals: Signals, door: &mut Door) -> Result<Ended, CliError> {
    let mut relay = Relay::new(process.pty.take())?;
    relay.resize();
    let mut raw = RawMode::enter()?;
    let mut continued: Option<Instant> = None;
    loop {
        if let Some(result) = process.poll()? {
            relay.drain()?;
            drop(raw);
            return Ok(Ended {
                result,
                cancelled_by: signals.cancelled_by,
                goes_on: false,
                status: None,
                branch: None,
            });
        }
        let left = continued.map(|since| GRACE.saturating_sub(since.elapsed()));
        match (process.is_stopped(), left) {
            (false, _) => continued = None,
            (true, Some(left)) if !left.is_zero() => {}
            (true, _) => {
                drop(raw);
                signals::stop_job()?;
                raw = RawMode::enter()?;
                relay.resize();
                process.signal(SIGCONT)?;
                continued = Some(Instant::now());
            }
        }
        let timeout = continued.map(|since| timespec(GRACE.saturating_sub(since.elapsed())));
        let fds = [process.readiness(), signals.as_fd()];
        let fds: Vec<_> = fds.into_iter().chain(door.readiness()).collect();
        relay.step(&fds, timeout.as_ref())?;
        door.serve();
        for wish in signals.forward(&mut process)? {
            match wish {
                Wish::Resize => relay.resize(),
                Wish::Stop => {
                    process.signal(SIGSTOP)?;
                }
            }
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}
