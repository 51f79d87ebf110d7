//! The process that the user has started: it has the server started, mounts, waits for the end, unmounts.
//!
//! The server is another process, because it is confined, and whoever is confined can neither mount nor unmount.

use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags};
use sandbox::serve::fuse::{Mount, UnmountError};

use super::job::Job;
use super::options::Options;
use super::server::{self, Server};
use super::{background, failed};
use crate::error::CliError;
use crate::output::note;

/// Mounts what `job` describes, and has it served until it is unmounted or a signal says so.
pub(super) fn serve(options: &Options, job: &dyn Job) -> Result<ExitCode, CliError> {
    if server::is_server() {
        return server::serve(options, job);
    }
    if options.daemon && !background::is_background() {
        return background::start();
    }
    check_place(options, job)?;
    let signals = signals()?;
    let mut server = Server::start()?;
    // A server that ends has said why.
    let Some(walls) = server.hear()? else {
        return server.exit_status();
    };
    let (mount, device) = options.mount(&job.name()).mount(&options.mountpoint)?;
    server.give(device)?;
    if server.hear()?.is_none() {
        drop(mount);
        return server.exit_status();
    }
    if background::is_background() {
        background::ready().map_err(failed("the background"))?;
    } else {
        let place = mount.path().unwrap_or(&options.mountpoint);
        note(format_args!("mounted on {}", place.display()));
        note(walls);
    }
    wait(&signals, &server).map_err(failed("waiting"))?;
    end(mount, &server);
    server.exit_status()
}

/// A server that sees its own mount asks itself, without end, and keeps it from being unmounted. That of root has a root of
/// its own, where nothing is mounted later.
fn check_place(options: &Options, job: &dyn Job) -> Result<(), CliError> {
    if rustix::process::geteuid().is_root() && !options.unconfined {
        return Ok(());
    }
    // What is not there is said by who looks at it more closely.
    let Ok(place) = options.mountpoint.canonicalize() else {
        return Ok(());
    };
    let mut shown = job
        .shown()
        .into_iter()
        .filter_map(|shown| shown.canonicalize().ok());
    match shown.find(|shown| place.starts_with(shown)) {
        Some(shown) => Err(CliError::MountInItself { place, shown }),
        None => Ok(()),
    }
}

/// Unmounts it. A server that has ended already is no reason to leave it.
fn end(mount: Mount, server: &Server) {
    match mount.unmount() {
        Ok(()) => {}
        Err((mount, error)) => {
            match error {
                UnmountError::Busy => note("it was in use: who uses it gets errors from now on"),
                error => note(error),
            }
            // Dropped, it is unmounted all the same: what was written is served to its end, and nothing more.
            drop(mount);
            server.abort();
        }
    }
}

/// The signals that mean the end, blocked from here on, so that none is lost.
pub(super) fn signals() -> Result<SignalFd, CliError> {
    let set: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]
        .into_iter()
        .collect();
    let blocked = set.thread_block();
    blocked
        .and_then(|()| SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC))
        .map_err(|errno| failed("signalfd")(errno.into()))
}

/// Until there is a signal, or no server.
fn wait(signals: &SignalFd, server: &Server) -> io::Result<()> {
    let mut fds = [signals.as_fd(), server.end()].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
    loop {
        match rustix::event::poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => {}
            result => return result.map(drop).map_err(io::Error::from),
        }
    }
}
