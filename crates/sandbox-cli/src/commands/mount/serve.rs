//! Mounting, waiting for the end, unmounting.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags};
use sandbox::serve::fuse::{Session, SessionBuilder, UnmountError};

use super::options::Options;
use super::{background, stats};
use crate::error::CliError;
use crate::output::note;

/// Mounts what `prepare` makes, and serves it until it is unmounted or a signal says so.
pub(super) fn serve(
    options: &Options,
    prepare: impl FnOnce() -> Result<SessionBuilder, CliError>,
) -> Result<ExitCode, CliError> {
    if options.daemon && !background::is_background() {
        return background::start();
    }
    // Before there are threads, so that they are blocked in all of them.
    let signals = signals()?;
    let session = prepare()?.mount(&options.mountpoint)?;
    let ended = session.ended().map_err(failed("eventfd"))?;
    if background::is_background() {
        background::ready().map_err(failed("the background"))?;
    } else {
        let place = session.mount_point().unwrap_or(&options.mountpoint);
        note(format_args!("mounted on {}", place.display()));
    }
    wait(&signals, &ended).map_err(failed("waiting"))?;
    if options.stats {
        stats::print(&session.counters().counted());
    }
    end(session);
    Ok(ExitCode::SUCCESS)
}

fn end(session: Session) {
    match session.unmount() {
        Ok(()) => {}
        // Dropped, it is unmounted all the same.
        Err((_session, UnmountError::Busy)) => note("it was in use: who uses it gets errors from now on"),
        Err((_session, error)) => note(error),
    }
}

fn signals() -> Result<SignalFd, CliError> {
    let set: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]
        .into_iter()
        .collect();
    let blocked = set.thread_block();
    blocked
        .and_then(|()| SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC))
        .map_err(|errno| failed("signalfd")(errno.into()))
}

/// Until there is a signal, or nobody to serve.
fn wait(signals: &SignalFd, ended: &OwnedFd) -> io::Result<()> {
    let mut fds = [signals.as_fd(), ended.as_fd()].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
    loop {
        match rustix::event::poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => {}
            result => return result.map(drop).map_err(io::Error::from),
        }
    }
}

fn failed(what: &'static str) -> impl Fn(io::Error) -> CliError {
    move |source| CliError::Serving { what, source }
}
