//! One command on its way: from its streams and words to init, and from init's answer to a process.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::MemfdFlags;
use rustix::net::RecvFlags;

use crate::command::{Command, Stdio};
use crate::error::StartError;
use crate::exec;
use crate::init::Init;
use crate::messages;
use crate::process::{Channel, Owned, Parts, Process};
use crate::pty::PtyMaster;
use crate::ready::is_readable;
use crate::streams::{OutputLimit, Streams};
use crate::surroundings::Surroundings;
use crate::wire;

/// A command with its streams open.
#[derive(Debug)]
pub(crate) struct Request {
    command: Command,
    streams: Streams,
    flags: u64,
}

/// A command that runs.
#[derive(Debug)]
pub(crate) struct Started {
    channel: Arc<Channel>,
    time_us: u64,
    master: Option<OwnedFd>,
}

/// What init made of a request.
enum Answer {
    Started {
        pid: u32,
        time_us: u64,
        master: Option<OwnedFd>,
    },
    /// The command could not be started.
    Failed(wire::Message),
    /// Building the root failed before.
    SetUpFailed(wire::Message),
    /// Init did not take the request.
    Lost,
}

/// Who reads the control socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Control {
    /// We alone: it says how building the root goes.
    Own,
    /// Maybe others as well, so nothing is taken from it. The root has been built; whatever it says now is
    /// the end.
    Shared,
}

/// Why there is no [`Started`].
#[derive(Debug)]
pub(crate) enum Failure {
    /// Building the root failed; the message says where.
    SetUp(wire::Message),
    /// All else.
    Start(StartError),
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::Start(error)
    }
}

impl Request {
    /// Opens the streams of `command`; `limit` holds for each output stream.
    pub(crate) fn new(limit: Option<OutputLimit>, mut command: Command) -> Result<Self, StartError> {
        let is_pty = command.is_pty();
        let mut take =
            |stdio: fn(&mut Command) -> &mut Option<Stdio>| stdio(&mut command).take().unwrap_or_default();
        let stdin = take(|command| &mut command.stdin);
        let stdout = take(|command| &mut command.stdout);
        let stderr = take(|command| &mut command.stderr);
        let streams = Streams::open(stdin, stdout, stderr, limit)?;
        let flags = match (is_pty, streams.has_files) {
            (true, _) => wire::SPAWN_PTY,
            (false, true) => 0,
            (false, false) => wire::SPAWN_READY,
        };
        Ok(Self {
            command,
            streams,
            flags,
        })
    }

    /// Sends it as the only command of a sandbox that ends with it, and waits until the command has executed,
    /// or it is known why not.
    pub(crate) fn start_alone(&self, owned: &Owned) -> Result<Started, Failure> {
        self.start(owned, wire::SPAWN_LAST, Control::Own)
    }

    /// The same for a sandbox with an heir, who sees to the end of init where nothing is left but that.
    pub(crate) fn start_for_heir(&self, owned: &Owned) -> Result<Started, Failure> {
        if owned.init.kill_is_enough() {
            self.start(owned, wire::SPAWN_SOLE, Control::Own)
        } else {
            self.start_alone(owned)
        }
    }

    fn start(&self, owned: &Owned, flags: u64, control: Control) -> Result<Started, Failure> {
        let channel = self.send(owned, flags)?;
        match await_start(&owned.init, &channel, control)? {
            Answer::Started { pid, time_us, master } => Ok(Started {
                channel: Arc::new(Channel::new(channel, pid)),
                time_us,
                master,
            }),
            Answer::Failed(message) => Err(self.start_error(&owned.surroundings, &message).into()),
            Answer::SetUpFailed(message) => Err(Failure::SetUp(message)),
            Answer::Lost => Err(lost(&owned.init).into()),
        }
    }

    /// The handle of what has been started in a sandbox that ends with it.
    pub(crate) fn into_process(self, started: Started, owned: Owned) -> Result<Process, StartError> {
        let mut parts = self.into_parts(started, &owned.surroundings);
        parts.owned = Some(owned);
        Process::new(parts)
    }

    fn into_parts(self, started: Started, surroundings: &Surroundings) -> Parts {
        Parts {
            channel: started.channel,
            ours: self.streams.ours,
            watch: surroundings.watch,
            report: Arc::clone(&surroundings.report),
            pty: started.master.map(PtyMaster::new),
            started_us: started.time_us,
            owned: None,
            shared: None,
        }
    }

    fn send(&self, owned: &Owned, flags: u64) -> Result<OwnedFd, StartError> {
        let surroundings = &owned.surroundings;
        let (ours, theirs) = messages::socket_pair()?;
        let blob = exec::encode(
            &self.command,
            &surroundings.env,
            &surroundings.path,
            self.cwd(surroundings),
        )?;
        let blob = messages::sealed("sandbox-command", &blob, MemfdFlags::NOEXEC_SEAL)?;
        let [stdin, stdout, stderr] = &self.streams.theirs;
        let fds = [
            blob.as_fd(),
            theirs.as_fd(),
            stdin.as_fd(),
            stdout.as_fd(),
            stderr.as_fd(),
        ];
        owned.init.spawn(flags | self.flags, &fds)?;
        Ok(ours)
    }

    fn cwd<'a>(&'a self, surroundings: &'a Surroundings) -> &'a Path {
        self.command.cwd.as_ref().unwrap_or(&surroundings.cwd)
    }

    fn start_error(&self, surroundings: &Surroundings, message: &wire::Message) -> StartError {
        let [_, stage, errno, ..] = *message;
        let source = std::io::Error::from_raw_os_error(i32::try_from(errno).unwrap_or(0));
        let cwd = self.cwd(surroundings).to_owned();
        StartError::from_stage(stage, source, self.command.program().into(), cwd)
    }
}

/// Starts a command in a sandbox that lives on.
pub(crate) fn start_in(owned: &mut Owned, command: Command) -> Result<Process, StartError> {
    let request = Request::new(owned.surroundings.output, command)?;
    let started = request
        .start(owned, 0, Control::Shared)
        .map_err(|failure| match failure {
            Failure::Start(error) => error,
            Failure::SetUp(_) => StartError::Ended,
        })?;
    owned.remember(&started.channel);
    let mut parts = request.into_parts(started, &owned.surroundings);
    parts.shared = Some(owned.for_command());
    Process::new(parts)
}

/// Has a child stand by in a sandbox that has been built, behind every wall, for the first command whose streams are no
/// files and which starts where the policy says. Whether there is one: not without a pid namespace.
pub(crate) fn stand_by(owned: &Owned) -> Result<bool, StartError> {
    let cwd = &owned.surroundings.cwd;
    let blob = exec::encode(&Command::new(""), &[], &[], cwd)?;
    let blob = messages::sealed("sandbox-command", &blob, MemfdFlags::NOEXEC_SEAL)?;
    let (ours, theirs) = messages::socket_pair()?;
    let request = [wire::STAND_BY, 0, 0, 0, 0, 0, 0, 0];
    messages::send(owned.init.control(), &request, &[theirs.as_fd(), blob.as_fd()])?;
    drop(theirs);
    match messages::receive(ours.as_fd(), RecvFlags::empty())? {
        Some(([wire::DONE, stands, ..], _)) => Ok(stands == 1),
        Some(([wire::FAILED, stage, errno, ..], _)) => {
            let source = std::io::Error::from_raw_os_error(i32::try_from(errno).unwrap_or(0));
            Err(StartError::from_stage(stage, source, "".into(), cwd.clone()))
        }
        Some(_) | None => Err(StartError::Ended),
    }
}

/// Waits until the command has executed, or it is known why not.
fn await_start(init: &Init, channel: &OwnedFd, reader: Control) -> Result<Answer, StartError> {
    loop {
        let control = init.control();
        let mut fds = [
            PollFd::new(channel, PollFlags::IN),
            PollFd::new(&control, PollFlags::IN),
        ];
        match rustix::event::poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(StartError::supervisor("poll")(errno)),
        }
        let [for_channel, for_control] = fds.map(|fd| !fd.revents().is_empty());
        if for_channel {
            match messages::receive(channel.as_fd(), RecvFlags::DONTWAIT)? {
                Some(([wire::STARTED, pid, time_us, ..], master)) => {
                    let pid = u32::try_from(pid).unwrap_or(0);
                    return Ok(Answer::Started { pid, time_us, master });
                }
                Some((message @ [wire::FAILED, ..], _)) => return Ok(Answer::Failed(message)),
                Some(_) => continue,
                // Init is gone. Why, it has said on the control socket.
                None => {}
            }
        }
        match reader {
            Control::Own if for_control || for_channel => {
                match messages::receive(init.control(), RecvFlags::empty())? {
                    Some((message @ [wire::FAILED, ..], _)) => return Ok(Answer::SetUpFailed(message)),
                    Some(_) => {}
                    None => return Ok(Answer::Lost),
                }
            }
            Control::Shared if for_control || for_channel => return Ok(Answer::Lost),
            Control::Own | Control::Shared => {}
        }
    }
}

/// Init has ended, or it was out of descriptors and could not even say so. When it ends, the control socket is
/// the first to go.
fn lost(init: &Init) -> StartError {
    if is_readable(init.control()) {
        return StartError::Ended;
    }
    StartError::supervisor("hand the command to the sandbox's init")(rustix::io::Errno::MFILE)
}
