//! Signals to this process, as a descriptor that can be waited for.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use sandbox::Process;

use crate::error::CliError;

const FORWARDED: [Signal; 6] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGTSTP,
    Signal::SIGWINCH,
];

/// Signals that are for the command. Blocked here, which is not passed on to it.
#[derive(Debug)]
pub(crate) struct Signals {
    fd: SignalFd,
    asked_to_end: bool,
    /// The signal for which the run was cancelled.
    pub(crate) cancelled_by: Option<u8>,
}

/// What is left to do for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Stop, as Ctrl-Z does.
    Stop,
    /// The caller's terminal has another size.
    Resize,
}

impl Signals {
    /// From here on they are waiting to be read. What a parent has set to be ignored (nohup) stays ignored.
    pub(crate) fn block() -> Result<Self, CliError> {
        let failed = |errno: nix::Error| CliError::Terminal {
            what: "signalfd",
            source: errno.into(),
        };
        let ignored = ignored();
        let set: SigSet = FORWARDED
            .iter()
            .copied()
            .filter(|signal| !is_in(ignored, *signal))
            .collect();
        set.thread_block().map_err(failed)?;
        let fd =
            SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(failed)?;
        Ok(Self {
            fd,
            asked_to_end: false,
            cancelled_by: None,
        })
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Passes on what has arrived. The command may end itself in its own way the first time; the second
    /// time it is ended.
    pub(crate) fn forward(&mut self, process: &mut Process) -> Result<Vec<Wish>, CliError> {
        let mut wishes = Vec::new();
        while let Some(signal) = self.next()? {
            match signal {
                Signal::SIGTSTP => wishes.push(Wish::Stop),
                Signal::SIGWINCH => wishes.push(Wish::Resize),
                Signal::SIGINT | Signal::SIGTERM if self.asked_to_end => {
                    self.cancelled_by = u8::try_from(signal as i32).ok();
                    process.kill();
                }
                signal => {
                    self.asked_to_end |= matches!(signal, Signal::SIGINT | Signal::SIGTERM);
                    process.signal(signal as i32)?;
                }
            }
        }
        Ok(wishes)
    }

    fn next(&self) -> Result<Option<Signal>, CliError> {
        let info = self.fd.read_signal().map_err(|errno| CliError::Terminal {
            what: "signalfd",
            source: errno.into(),
        })?;
        Ok(info.and_then(|info| Signal::try_from(i32::try_from(info.ssi_signo).ok()?).ok()))
    }
}

/// Lets signals do what they do by themselves again, after the command. Those that came for it and were too late are
/// forgotten.
pub(crate) fn release() -> Result<(), CliError> {
    let signals = Signals::block()?;
    while signals.next()?.is_some() {}
    let set: SigSet = FORWARDED.iter().copied().collect();
    set.thread_unblock().map_err(|errno| CliError::Terminal {
        what: "sigprocmask",
        source: errno.into(),
    })
}

/// Whether a signal is ignored, which a parent has set (nohup).
pub(crate) fn is_ignored(signal: Signal) -> bool {
    is_in(ignored(), signal)
}

fn is_in(mask: u64, signal: Signal) -> bool {
    mask >> (signal as u32 - 1) & 1 == 1
}

/// The signals that are ignored, as a bit mask (proc_pid_stat(5), field 33). A blocked one would be queued
/// all the same.
fn ignored() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields);
    fields
        .and_then(|fields| fields.split_whitespace().nth(30)?.parse().ok())
        .unwrap_or(0)
}

/// Stops this process as SIGTSTP does; returns when it is continued. Where nobody could continue it, the
/// kernel does not stop it.
pub(crate) fn stop_self() -> Result<(), CliError> {
    stop(|| nix::sys::signal::raise(Signal::SIGTSTP))
}

/// The same for the whole job that the caller's shell knows.
pub(crate) fn stop_job() -> Result<(), CliError> {
    stop(|| nix::sys::signal::kill(nix::unistd::Pid::from_raw(0), Signal::SIGTSTP))
}

fn stop(send: impl FnOnce() -> nix::Result<()>) -> Result<(), CliError> {
    let only = SigSet::from(Signal::SIGTSTP);
    let stopped = only
        .thread_unblock()
        .and_then(|()| send())
        .and_then(|()| only.thread_block());
    stopped.map_err(|errno| CliError::Terminal {
        what: "stop",
        source: io::Error::from(errno),
    })
}
