//! The process that serves: confined, with the device and what it serves, and nothing else.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, ExitCode, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec};

use super::job::Job;
use super::options::Options;
use super::{background, failed, serve, stats, wire};
use crate::error::CliError;

/// Set in the process that serves.
const MARK: &str = "SANDBOX_MOUNT_SERVER";
/// Ends serving at once.
const ABORT: &str = "abort";
/// How long a server serves on whose mounter was killed: the mount is being unmounted meanwhile.
const PATIENCE: Timespec = Timespec {
    tv_sec: 5,
    tv_nsec: 0,
};

pub(super) fn is_server() -> bool {
    std::env::var_os(MARK).is_some()
}

/// The server, as the process that has started it sees it.
pub(super) struct Server {
    child: Child,
    pidfd: OwnedFd,
    socket: OwnedFd,
}

impl Server {
    /// Starts it: this command once more.
    pub(super) fn start() -> Result<Self, CliError> {
        // Whatever the caller's shell has open.
        sandbox::own::pass_nothing_on()?;
        Self::spawn().map_err(failed("the server"))
    }

    fn spawn() -> io::Result<Self> {
        let (ours, theirs) = wire::pair()?;
        let mut child = Command::new("/proc/self/exe")
            .args(std::env::args_os().skip(1))
            .env(MARK, "1")
            .stdin(Stdio::from(theirs))
            .spawn()?;
        let pidfd = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap_or(0))
            .ok_or(rustix::io::Errno::SRCH)
            .and_then(|pid| rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()));
        match pidfd {
            Ok(pidfd) => Ok(Self {
                child,
                pidfd,
                socket: ours,
            }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error.into())
            }
        }
    }

    /// What it says next; nothing where it has ended.
    pub(super) fn hear(&mut self) -> Result<Option<String>, CliError> {
        let heard = wire::hear(&self.socket).map_err(failed("the server"))?;
        Ok(heard.map(|(word, _)| word))
    }

    /// Gives it the device, of which no copy stays here.
    pub(super) fn give(&self, device: OwnedFd) -> Result<(), CliError> {
        let given = wire::say(&self.socket, "device", Some(&device));
        drop(device);
        given.map_err(failed("the server"))
    }

    /// Readable when it has ended.
    pub(super) fn end(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Has it stop at once.
    pub(super) fn abort(&self) {
        // It may have ended.
        let _ = wire::say(&self.socket, ABORT, None);
    }

    /// Waits for its end. It has said itself what went wrong, unless it was killed.
    pub(super) fn exit_status(&mut self) -> Result<ExitCode, CliError> {
        let status = self.child.wait().map_err(failed("the server"))?;
        match status.code() {
            Some(code) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(1))),
            None => Err(CliError::ServerKilled { status }),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Where it has been waited for, nothing happens.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves what it is given until that is unmounted.
pub(super) fn serve(options: &Options, job: &dyn Job) -> Result<ExitCode, CliError> {
    let socket = socket().map_err(failed("standard input"))?;
    // Everything that anybody has open in the mount takes a descriptor of this process.
    crate::open_files::raise();
    // They are for the process that mounts: it unmounts, which ends this one.
    let _blocked = serve::signals()?;
    // By then there is no /dev.
    let nowhere = background::is_background().then(nowhere);
    let nowhere = nowhere.transpose().map_err(failed("/dev/null"))?;
    let walls = if options.unconfined {
        "the server is not confined".to_owned()
    } else {
        format!("the server is confined: {}", job.walls()?.stand_back().enter()?)
    };
    let made = job.filesystem()?;
    let talking = failed("the process that mounts");
    wire::say(&socket, &walls, None).map_err(&talking)?;
    let Some((_, Some(device))) = wire::hear(&socket).map_err(&talking)? else {
        // It could not mount, and has said why.
        return Ok(ExitCode::FAILURE);
    };
    let session = options.session(made.fs.clone()).serve(device)?;
    let ended = session.ended().map_err(failed("eventfd"))?;
    wire::say(&socket, "ready", None).map_err(&talking)?;
    if let Some(nowhere) = nowhere {
        background::let_go(&nowhere).map_err(failed("the background"))?;
    }
    wait(&socket, &ended).map_err(failed("waiting"))?;
    if options.stats {
        stats::print(&session.counters().counted());
    }
    drop(session);
    Ok(ExitCode::SUCCESS)
}

/// The socket that is our standard input, where there is nothing from now on.
fn socket() -> io::Result<OwnedFd> {
    let socket = rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)?;
    rustix::stdio::dup2_stdin(&nowhere()?)?;
    Ok(socket)
}

fn nowhere() -> io::Result<File> {
    File::options().read(true).write(true).open("/dev/null")
}

/// Until nobody is left to serve, or the other process says so. Where that was killed, its guard unmounts, and who
/// still asks is answered for a while.
fn wait(socket: &OwnedFd, ended: &OwnedFd) -> io::Result<()> {
    let mut fds = [socket, ended].map(|fd| PollFd::new(fd, PollFlags::IN));
    poll(&mut fds, None)?;
    let [said, over] = fds.map(|fd| !fd.revents().is_empty());
    if over || !said || wire::hear(socket)?.is_some() {
        return Ok(());
    }
    poll(&mut [PollFd::new(ended, PollFlags::IN)], Some(&PATIENCE))
}

fn poll(fds: &mut [PollFd<'_>], limit: Option<&Timespec>) -> io::Result<()> {
    loop {
        match rustix::event::poll(fds, limit) {
            Err(rustix::io::Errno::INTR) => {}
            result => return result.map(drop).map_err(io::Error::from),
        }
    }
}
