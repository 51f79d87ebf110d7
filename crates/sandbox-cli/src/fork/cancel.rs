//! Ctrl-C: what is waited for is waited for no longer, and everything ends.

use std::os::fd::{AsFd, OwnedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::error::CliError;
use crate::run::signals;

const ASKS: [Signal; 4] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM];

/// Signals that ask to end, as a descriptor that is readable when one has come.
#[derive(Debug)]
pub(crate) struct Cancel(SignalFd);

impl Cancel {
    /// From here on they are waiting to be read. What a parent has set to be ignored (nohup) stays ignored.
    pub(crate) fn block() -> Result<Self, CliError> {
        let failed = |errno: nix::Error| CliError::Terminal {
            what: "signalfd",
            source: errno.into(),
        };
        let asks: SigSet = ASKS
            .into_iter()
            .filter(|signal| !signals::is_ignored(*signal))
            .collect();
        asks.thread_block().map_err(failed)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        SignalFd::with_flags(&asks, flags).map(Self).map_err(failed)
    }

    /// Another descriptor of the same.
    pub(crate) fn descriptor(&self) -> Result<OwnedFd, CliError> {
        let cloned = self.0.as_fd().try_clone_to_owned();
        cloned.map_err(|source| CliError::Terminal {
            what: "fcntl",
            source,
        })
    }

    /// The signal that has come.
    pub(crate) fn signal(&self) -> Option<u8> {
        let info = self.0.read_signal().ok()??;
        u8::try_from(info.ssi_signo).ok()
    }
}
