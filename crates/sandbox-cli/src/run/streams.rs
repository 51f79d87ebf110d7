//! Waiting for a command on the caller's own streams.

use rustix::event::{PollFd, PollFlags, poll};
use sandbox::Process;

use super::Ended;
use super::live::Door;
use super::signals::{self, Signals, Wish};
use crate::error::CliError;

pub(super) const SIGCONT: i32 = 18;
pub(super) const SIGSTOP: i32 = 19;

/// Waits for the end, passes signals on, and lets others in.
pub(crate) fn wait(mut process: Process, mut signals: Signals, door: &mut Door) -> Result<Ended, CliError> {
    loop {
        if let Some(result) = process.poll()? {
            return Ok(Ended {
                result,
                cancelled_by: signals.cancelled_by,
                goes_on: false,
                status: None,
                branch: None,
            });
        }
        let others = door.readiness();
        let fds = [process.readiness(), signals.as_fd()].into_iter().chain(others);
        let mut fds: Vec<_> = fds
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => {
                return Err(CliError::Terminal {
                    what: "poll",
                    source: errno.into(),
                });
            }
        }
        door.serve();
        // The command is in a session of its own, which no terminal stops and continues.
        if signals.forward(&mut process)?.contains(&Wish::Stop) {
            process.signal(SIGSTOP)?;
            signals::stop_self()?;
            process.signal(SIGCONT)?;
        }
    }
}
