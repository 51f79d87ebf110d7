//! The event loop: requests from the supervisor, signals to commands, ended children.

use core::cell::Cell;
use core::num::NonZeroI32;

use crate::command::{self, Terminal};
use crate::descendants;
use crate::everybody::{self, Everybody, Patience};
use crate::standby::StandBy;
use crate::sys::files::{self, Poll, poll};
use crate::sys::sockets::{Received, Wait, receive, send};
use crate::sys::{self, EAGAIN, EINVAL, EMFILE, Errno, Fd, Mapping, Stack, State};
use crate::views;
use crate::wire::{
    CONTINUED, Confinement, Cursor, DONE, END, EXITED, FAILED, FREEZE, GROUP, MESSAGE_FDS, Message, PAUSE,
    REPLACE, RESUME, SIGNAL, SPAWN, SPAWN_LAST, SPAWN_PTY, SPAWN_READY, SPAWN_SOLE, STAND_BY, STARTED, STATE,
    STOPPED, Stage,
};

/// The most commands that run at once in one sandbox; one more is refused with EAGAIN.
const MAX_COMMANDS: usize = 500;
/// The most requests that are served before commands and their ends are looked at again.
const MAX_REQUESTS: usize = 64;
const SIGHUP: u64 = 1;
const SIGKILL: u64 = 9;
const SIGCONT: u64 = 18;

/// A command that runs, and the channel to whoever waits for it.
struct Running {
    /// `None` when it has been reaped: from then on the number may be somebody else's.
    pid: Option<NonZeroI32>,
    channel: Fd,
    /// Init ends with it.
    is_last: bool,
    /// Everybody else ends with it, and is reaped before its end is told.
    is_sole: bool,
    has_session_terminal: bool,
    /// The latest event, when the channel had no room for it. A command may make events faster than
    /// anybody reads them; older ones give way to newer ones, and the end is never lost.
    owed: Option<Mapping>,
}

impl Running {
    /// Signals the command's process group; the command itself where it has left that group.
    fn signal(&self, signal: u64) {
        let Some(pid) = self.pid.map(NonZeroI32::get) else {
            return;
        };
        let group = sys::kill(-pid, signal);
        if group.is_err() || signal == SIGKILL {
            // ESRCH: it has ended.
            let _ = sys::kill(pid, signal);
        }
    }
}

struct Server<'a> {
    control: &'a Fd,
    confinement: Confinement<'static>,
    everybody: Everybody,
    stack: Stack,
    patience: Patience,
    running: [Option<Running>; MAX_COMMANDS],
    /// Becomes the next command, if that suits it.
    standing_by: Option<StandBy>,
}

/// Whether to go on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    GoOn,
    End,
}

/// Serves until the supervisor is gone or the last command has ended.
#[expect(
    clippy::large_stack_arrays,
    reason = "init has a stack of megabytes and allocates nothing else"
)]
pub fn until_the_end(
    control: &Fd,
    confinement: Confinement<'static>,
    pid_namespace: bool,
    patience: Patience,
) -> sys::Result<()> {
    let children = sys::signal_fd()?;
    let mut server = Server {
        control,
        confinement,
        everybody: Everybody::new(pid_namespace),
        stack: Stack::new()?,
        patience,
        running: [const { None }; MAX_COMMANDS],
        standing_by: None,
    };
    let mut polls = [Poll::input(-1); MAX_COMMANDS + 2];
    loop {
        let [for_control, for_children, for_channels @ ..] = &mut polls;
        *for_control = Poll::input(control.number());
        *for_children = Poll::input(children.number());
        for (entry, running) in for_channels.iter_mut().zip(&server.running) {
            *entry = match running {
                None => Poll::input(-1),
                Some(Running {
                    channel, owed: None, ..
                }) => Poll::input(channel.number()),
                Some(Running {
                    channel,
                    owed: Some(_),
                    ..
                }) => Poll::input_and_output(channel.number()),
            };
        }
        // No more entries than needed: poll(2) refuses more than there may be open files.
        let used = server
            .running
            .iter()
            .rposition(Option::is_some)
            .map_or(0, |last| last + 1);
        poll(polls.get_mut(..used + 2).ok_or(EINVAL)?)?;
        let [for_control, for_children, channels @ ..] = &polls;
        if for_children.is_ready() && server.reap(&children)? == Next::End {
            return Ok(());
        }
        for (index, _) in channels.iter().enumerate().filter(|(_, entry)| entry.is_ready()) {
            if server.serve_channel(index) == Next::End {
                return Ok(());
            }
        }
        if for_control.is_ready() && server.serve_control()? == Next::End {
            return Ok(());
        }
    }
}

impl Server<'_> {
    /// Serves requests. Every holder of the other end is trusted alike, but the mistakes of one are not the
    /// end of the others: what is no request is dropped, and however many there are, commands get their turn.
    fn serve_control(&mut self) -> sys::Result<Next> {
        for _ in 0..MAX_REQUESTS {
            let (message, fds) = match receive(self.control, Wait::Never)? {
                Received::Message(message, fds) => (message, fds),
                Received::Malformed => continue,
                Received::Nothing => return Ok(Next::GoOn),
                Received::End => return Ok(Next::End),
            };
            match message {
                [SPAWN, flags, ..] => self.spawn(flags, fds)?,
                [STAND_BY, ..] => self.stand_by(&fds),
                [FREEZE, writable, ..] => answer(&fds, freeze(&fds, writable == 1).map(|()| 0)),
                [REPLACE, ..] => answer(&fds, replace(&fds).map(u64::from)),
                [PAUSE, keeper, ..] => answer(&fds, self.everybody.pause(keeper).map(|()| 0)),
                [RESUME, ..] => answer(&fds, self.everybody.resume().map(|()| 0)),
                [STATE, ..] => answer(&fds, Ok(u64::from(self.everybody.is_paused()))),
                [GROUP, pid, ..] => answer(&fds, Ok(u64::from(is_group_left(pid)))),
                [END, ..] => self.everybody.kill(),
                _ => {}
            }
        }
        Ok(Next::GoOn)
    }

    /// Starts a command and tells its channel how that went.
    fn spawn(&mut self, flags: u64, fds: [Option<Fd>; MESSAGE_FDS]) -> sys::Result<()> {
        // What has no number left here is not received (unix(7)).
        let [blob, Some(channel), stdin, stdout, stderr, ..] = fds else {
            return match flags & SPAWN_LAST {
                0 => Ok(()),
                // Nobody could ever be told how the only command ends.
                _ => Err(EMFILE),
            };
        };
        let started = match (blob, stdin, stdout, stderr) {
            (Some(blob), Some(stdin), Some(stdout), Some(stderr)) => {
                self.start(flags, &blob, [&stdin, &stdout, &stderr])
            }
            _ => Err((Stage::Request, EMFILE)),
        };
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
                    pid: NonZeroI32::new(started.pid),
                    channel,
                    is_last: flags & SPAWN_LAST != 0,
                    is_sole: flags & (SPAWN_LAST | SPAWN_SOLE) != 0 && self.everybody.is_a_namespace(),
                    has_session_terminal: terminal.is_some_and(|terminal| terminal.in_session()),
                    owed: None,
                };
                if let Some(place) = self.running.get_mut(slot) {
                    *place = Some(running);
                }
            }
            Err((stage, errno)) => tell(&channel, &failed(stage as u64, errno), None),
        }
        Ok(())
    }

    /// Has a child stand by. One is enough, and without a pid namespace it could outlive init.
    fn stand_by(&mut self, fds: &[Option<Fd>; MESSAGE_FDS]) {
        let [Some(channel), Some(blob), ..] = fds else {
            return;
        };
        if !self.everybody.is_a_namespace() || self.standing_by.is_some() {
            return answer(fds, Ok(0));
        }
        let have_stopped = Cell::new(false);
        let started = StandBy::start(self.confinement, blob, |pid| self.let_go_on(pid, &have_stopped));
        self.go_on_after(&have_stopped);
        match started {
            Ok(child) => {
                self.standing_by = Some(child);
                answer(fds, Ok(1));
            }
            Err((stage, errno)) => tell(channel, &failed(stage as u64, errno), None),
        }
    }

    fn start(
        &mut self,
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
        let blob = command::read_blob(blob)?;
        let standing_by = match flags & SPAWN_READY {
            0 => None,
            _ => self.standing_by.take_if(|child| child.suits(blob.bytes())),
        };
        let have_stopped = Cell::new(false);
        let meanwhile = |pid| self.let_go_on(pid, &have_stopped);
        let started = match standing_by {
            Some(child) => child.go(blob, stdio, self.control, meanwhile),
            None => command::start(
                &blob,
                stdio,
                terminal.as_ref(),
                &self.confinement,
                &self.stack,
                meanwhile,
            ),
        };
        self.go_on_after(&have_stopped);
        Ok((slot, terminal, started?))
    }

    /// Lets everybody go on who was stopped so that a start could come to its end.
    fn go_on_after(&self, have_stopped: &Cell<bool>) {
        if have_stopped.get() && !self.everybody.is_paused() {
            // ESRCH: nobody is left.
            let _ = self.everybody.go_on();
        }
    }

    fn serve_channel(&mut self, index: usize) -> Next {
        let Some(running) = self.running.get(index).and_then(Option::as_ref) else {
            return Next::GoOn;
        };
        match receive(&running.channel, Wait::Never) {
            Ok(Received::Message([SIGNAL, signal, ..], _)) => running.signal(signal),
            Ok(Received::Nothing) => {}
            // Whoever waited has let go of the command: it ends with its process group.
            Ok(Received::Message(..) | Received::Malformed | Received::End) | Err(_) => {
                running.signal(SIGKILL);
                let is_last = running.is_last && running.pid.is_none();
                if let Some(place) = self.running.get_mut(index) {
                    *place = None;
                }
                return if is_last { Next::End } else { Next::GoOn };
            }
        }
        self.settle(index)
    }

    /// Reports an event of a command, now or when its channel has room for it.
    fn report(&mut self, index: usize, message: &Message) -> sys::Result<Next> {
        let Some(Some(running)) = self.running.get_mut(index) else {
            return Ok(Next::GoOn);
        };
        if running.owed.is_none() && send(&running.channel, message, &[]) != Err(EAGAIN) {
            return Ok(self.told(index, message));
        }
        let mut memory = match running.owed.take() {
            Some(memory) => memory,
            None => Mapping::of_pointers(message.len())?,
        };
        for (place, word) in memory.pointers().iter_mut().zip(message) {
            *place = usize::try_from(*word).unwrap_or(usize::MAX);
        }
        running.owed = Some(memory);
        Ok(Next::GoOn)
    }

    /// Sends what a channel is owed, if there is room.
    fn settle(&mut self, index: usize) -> Next {
        let Some(Some(running)) = self.running.get_mut(index) else {
            return Next::GoOn;
        };
        let Some(memory) = running.owed.as_mut() else {
            return Next::GoOn;
        };
        let mut message = Message::default();
        for (word, kept) in message.iter_mut().zip(memory.pointers()) {
            *word = u64::try_from(*kept).unwrap_or(u64::MAX);
        }
        if send(&running.channel, &message, &[]) == Err(EAGAIN) {
            return Next::GoOn;
        }
        running.owed = None;
        self.told(index, &message)
    }

    /// Forgets a command whose end has been told.
    fn told(&mut self, index: usize, message: &Message) -> Next {
        if !matches!(message, [EXITED, ..]) {
            return Next::GoOn;
        }
        let running = self.running.get_mut(index).and_then(Option::take);
        if running.is_some_and(|running| running.is_last) {
            Next::End
        } else {
            Next::GoOn
        }
    }

    /// The terminal of the session has been closed: the kernel tells the session's leader, which is init.
    fn hang_up(&self) {
        for running in self
            .running
            .iter()
            .flatten()
            .filter(|running| running.has_session_terminal)
        {
            running.signal(SIGHUP);
            running.signal(SIGCONT);
        }
    }

    /// A command that is being started is kept by something: by another one that stops it, again and again, or by a
    /// slow disk. The first is stopped itself until the start is over; the second is waited for, as long as there
    /// is a supervisor.
    fn let_go_on(&self, pid: i32, have_stopped: &Cell<bool>) {
        if files::is_hung_up(self.control) {
            if !self.everybody.is_a_namespace() {
                descendants::kill_all();
            }
            sys::exit(0);
        }
        if sys::state(pid) == State::Stopped {
            have_stopped.set(true);
            // ESRCH: nobody is left.
            let _ = self.everybody.stop();
            let _ = sys::kill(pid, SIGCONT);
        }
    }

    /// Reaps whatever has ended, orphans included, and reports commands.
    fn reap(&mut self, children: &Fd) -> sys::Result<Next> {
        let mut information = [0_u8; 128];
        match files::read(children, &mut information) {
            Ok(_) | Err(EAGAIN) => {}
            Err(errno) => return Err(errno),
        }
        // signalfd(2): the signal's number comes first.
        if matches!(information, [signal, 0, 0, 0, ..] if u64::from(signal) == SIGHUP) {
            self.hang_up();
        }
        while let Some((pid, status, usage)) = sys::wait() {
            let is_it = |slot: &Option<Running>| {
                slot.as_ref()
                    .is_some_and(|running| running.pid.is_some_and(|known| known.get() == pid))
            };
            let Some(index) = self.running.iter().position(is_it) else {
                // Somebody inside may have ended it before its turn.
                self.standing_by.take_if(|child| child.pid() == pid);
                continue;
            };
            let Some(Some(running)) = self.running.get_mut(index) else {
                continue;
            };
            let word = u64::from(status.cast_unsigned());
            let message = if status & 0xff == 0x7f {
                [STOPPED, word >> 8, 0, 0, 0, 0, 0, 0]
            } else if status == 0xffff {
                [CONTINUED, 0, 0, 0, 0, 0, 0, 0]
            } else {
                running.pid = None;
                let time_us = sys::monotonic_us();
                if running.is_sole {
                    // What a dying namespace takes along is in nobody's accounts; what init reaps is.
                    everybody::kill_and_reap(self.patience);
                }
                // Nobody else is left to be counted.
                let others = if running.is_sole {
                    sys::children_usage()
                } else {
                    sys::own_usage()
                };
                [
                    EXITED,
                    word,
                    time_us,
                    usage.user_us,
                    usage.system_us,
                    usage.max_rss_kib,
                    others.user_us,
                    others.system_us,
                ]
            };
            if self.report(index, &message)? == Next::End {
                return Ok(Next::End);
            }
        }
        Ok(Next::GoOn)
    }
}

/// Makes mounts read-only, or writable again.
fn freeze(fds: &[Option<Fd>; MESSAGE_FDS], writable: bool) -> sys::Result<()> {
    let [_, Some(blob), ..] = fds else {
        return Err(EINVAL);
    };
    let blob = Mapping::of_file(blob, files::size(blob)?)?;
    views::freeze(blob.bytes(), writable)
}

/// Puts overlays in the place of what is mounted; false where this kernel cannot.
fn replace(fds: &[Option<Fd>; MESSAGE_FDS]) -> sys::Result<bool> {
    let [_, Some(blob), overlays @ ..] = fds else {
        return Err(EINVAL);
    };
    let blob = Mapping::of_file(blob, files::size(blob)?)?;
    let places = Cursor(blob.bytes()).views().ok_or(EINVAL)?;
    for (view, overlay) in places.iter().flatten().zip(overlays) {
        if !views::replace(view, overlay.as_ref().ok_or(EINVAL)?)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Answers a request on the channel that came with it. Who has sent none wants no answer.
fn answer(channel: &[Option<Fd>; MESSAGE_FDS], result: sys::Result<u64>) {
    let message = match result {
        Ok(value) => [DONE, value, 0, 0, 0, 0, 0, 0],
        Err(errno) => failed(0, errno),
    };
    if let [Some(channel), ..] = channel {
        tell(channel, &message, None);
    }
}

fn failed(what: u64, Errno(errno): Errno) -> Message {
    [FAILED, what, u64::from(errno.unsigned_abs()), 0, 0, 0, 0, 0]
}

/// Whether a process group has members, be they dead and not yet reaped.
fn is_group_left(pid: u64) -> bool {
    // 0 and 1 would mean our own group and everybody (kill(2)).
    i32::try_from(pid).is_ok_and(|pid| pid > 1 && sys::kill(-pid, 0).is_ok())
}

/// Sends an event to whoever waits; one who no longer does is no reason to stop.
fn tell(channel: &Fd, message: &Message, with: Option<&Fd>) {
    let _ = match with {
        Some(file) => send(channel, message, &[file]),
        None => send(channel, message, &[]),
    };
}
