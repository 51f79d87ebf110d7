//! The event loop: requests from the supervisor, signals to commands, ended children.

use crate::command::{self, Terminal};
use crate::descendants;
use crate::sys::files::{self, Poll, poll};
use crate::sys::sockets::{Received, Wait, receive, send};
use crate::sys::{self, EAGAIN, EINVAL, Errno, Fd, Stack};
use crate::wire::{
    CONTINUED, Confinement, DONE, EXITED, FAILED, Message, PAUSE, RESUME, SIGNAL, SPAWN, SPAWN_FDS,
    SPAWN_LAST, SPAWN_PTY, STARTED, STOPPED, Stage,
};

/// The most commands that run at once in one sandbox; one more is refused with EAGAIN.
const MAX_COMMANDS: usize = 500;
const SIGKILL: u64 = 9;
const SIGSTOP: u64 = 19;
const SIGCONT: u64 = 18;

/// A command that runs, and the channel to whoever waits for it.
struct Running {
    pid: i32,
    channel: Fd,
    is_last: bool,
    has_session_terminal: bool,
}

struct Server<'a> {
    control: &'a Fd,
    confinement: &'a Confinement<'a>,
    pid_namespace: bool,
    stack: Stack,
    running: [Option<Running>; MAX_COMMANDS],
}

/// Whether to go on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    GoOn,
    End,
}

/// Serves until the supervisor is gone or the last command has ended.
pub fn until_the_end(control: &Fd, confinement: &Confinement<'_>, pid_namespace: bool) -> sys::Result<()> {
    let children = sys::signal_fd()?;
    let mut server = Server {
        control,
        confinement,
        pid_namespace,
        stack: Stack::new()?,
        running: [const { None }; MAX_COMMANDS],
    };
    let mut polls = [Poll::input(-1); MAX_COMMANDS + 2];
    loop {
        for (entry, running) in polls.iter_mut().zip(&server.running) {
            *entry = Poll::input(running.as_ref().map_or(-1, |running| running.channel.number()));
        }
        let [.., for_control, for_children] = &mut polls;
        *for_control = Poll::input(control.number());
        *for_children = Poll::input(children.number());
        poll(&mut polls)?;
        let [channels @ .., for_control, for_children] = &polls;
        if for_children.is_ready() && server.reap(&children)? == Next::End {
            return Ok(());
        }
        for (index, _) in channels.iter().enumerate().filter(|(_, entry)| entry.is_ready()) {
            server.serve_channel(index);
        }
        if for_control.is_ready() && server.serve_control()? == Next::End {
            return Ok(());
        }
    }
}

impl Server<'_> {
    fn serve_control(&mut self) -> sys::Result<Next> {
        loop {
            let (message, fds) = match receive(self.control, Wait::Never)? {
                Received::Message(message, fds) => (message, fds),
                Received::Nothing => return Ok(Next::GoOn),
                Received::End => return Ok(Next::End),
            };
            match message {
                [SPAWN, flags, ..] => self.spawn(flags, fds),
                [PAUSE, ..] => self.signal_all(SIGSTOP)?,
                [RESUME, ..] => self.signal_all(SIGCONT)?,
                _ => return Err(EINVAL),
            }
        }
    }

    /// Starts a command and tells its channel how that went.
    fn spawn(&mut self, flags: u64, fds: [Option<Fd>; SPAWN_FDS]) {
        let [Some(blob), Some(channel), Some(stdin), Some(stdout), Some(stderr)] = fds else {
            return;
        };
        let started = self.start(flags, &blob, [&stdin, &stdout, &stderr]);
        match started {
            Ok((slot, terminal, started)) => {
                let message = [
                    STARTED,
                    u64::from(started.pid.unsigned_abs()),
                    started.time_us,
                    0,
                    0,
                    0,
                    0,
                    0,
                ];
                tell(
                    &channel,
                    &message,
                    terminal.as_ref().map(|terminal| &terminal.master),
                );
                let running = Running {
                    pid: started.pid,
                    channel,
                    is_last: flags & SPAWN_LAST != 0,
                    has_session_terminal: terminal.is_some_and(|terminal| terminal.in_session()),
                };
                if let Some(place) = self.running.get_mut(slot) {
                    *place = Some(running);
                }
            }
            Err((stage, Errno(errno))) => {
                tell(
                    &channel,
                    &[
                        FAILED,
                        stage as u64,
                        u64::from(errno.unsigned_abs()),
                        0,
                        0,
                        0,
                        0,
                        0,
                    ],
                    None,
                );
            }
        }
    }

    fn start(
        &self,
        flags: u64,
        blob: &Fd,
        stdio: [&Fd; 3],
    ) -> Result<(usize, Option<Terminal>, command::Started), command::Failure> {
        let slot = self
            .running
            .iter()
            .position(Option::is_none)
            .ok_or((Stage::Clone, EAGAIN))?;
        let session_is_free = !self
            .running
            .iter()
            .flatten()
            .any(|running| running.has_session_terminal);
        let terminal = match flags & SPAWN_PTY {
            0 => None,
            _ => Some(command::open_terminal(session_is_free).map_err(|errno| (Stage::Stdio, errno))?),
        };
        let started = command::start(blob, stdio, terminal.as_ref(), self.confinement, &self.stack)?;
        Ok((slot, terminal, started))
    }

    fn serve_channel(&mut self, index: usize) {
        let Some(running) = self.running.get(index).and_then(Option::as_ref) else {
            return;
        };
        match receive(&running.channel, Wait::Never) {
            // The command may have ended meanwhile; then there is nobody to signal.
            Ok(Received::Message([SIGNAL, signal, ..], _)) => {
                let _ = sys::kill(-running.pid, signal);
            }
            Ok(Received::Nothing) => {}
            // Whoever waited has let go of the command: it ends with its process group.
            Ok(Received::Message(..) | Received::End) | Err(_) => {
                let _ = sys::kill(-running.pid, SIGKILL);
                let _ = sys::kill(running.pid, SIGKILL);
                if let Some(place) = self.running.get_mut(index) {
                    *place = None;
                }
            }
        }
    }

    fn signal_all(&self, signal: u64) -> sys::Result<()> {
        if self.pid_namespace {
            match sys::kill(-1, signal) {
                Ok(()) | Err(sys::ESRCH) => {}
                Err(errno) => return Err(errno),
            }
        } else {
            descendants::signal_all(signal);
        }
        send(self.control, &[DONE, 0, 0, 0, 0, 0, 0, 0], None)
    }

    /// Reaps whatever has ended, orphans included, and reports commands.
    fn reap(&mut self, children: &Fd) -> sys::Result<Next> {
        // The signal's information is not needed; it only has to be taken off the queue.
        let mut information = [0_u8; 128];
        match files::read(children, &mut information) {
            Ok(_) | Err(EAGAIN) => {}
            Err(errno) => return Err(errno),
        }
        while let Some((pid, status, usage)) = sys::wait() {
            let slot = self
                .running
                .iter_mut()
                .find(|slot| slot.as_ref().is_some_and(|running| running.pid == pid));
            let Some(slot) = slot else { continue };
            let Some(running) = slot.as_ref() else { continue };
            let word = u64::from(status.cast_unsigned());
            if status & 0xff == 0x7f {
                tell(&running.channel, &[STOPPED, word >> 8, 0, 0, 0, 0, 0, 0], None);
            } else if status == 0xffff {
                tell(&running.channel, &[CONTINUED, 0, 0, 0, 0, 0, 0, 0], None);
            } else {
                let time = sys::monotonic_us();
                let own = sys::own_usage();
                let message = [
                    EXITED,
                    word,
                    time,
                    usage.user_us,
                    usage.system_us,
                    usage.max_rss_kib,
                    own.user_us,
                    own.system_us,
                ];
                tell(&running.channel, &message, None);
                let is_last = running.is_last;
                *slot = None;
                if is_last {
                    return Ok(Next::End);
                }
            }
        }
        Ok(Next::GoOn)
    }
}

/// Sends an event to whoever waits; one who no longer does is no reason to stop.
fn tell(channel: &Fd, message: &Message, with: Option<&Fd>) {
    let _ = send(channel, message, with);
}
