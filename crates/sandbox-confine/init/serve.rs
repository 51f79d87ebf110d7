//! The event loop: requests from the supervisor, signals to commands, ended children.

use core::cell::Cell;
use core::num::NonZeroI32;

use crate::command::{self, Terminal};
use crate::descendants;
use crate::sys::files::{self, Poll, poll};
use crate::sys::sockets::{Received, Wait, receive, send};
use crate::sys::{self, EAGAIN, EINVAL, Errno, Fd, Mapping, Stack, State};
use crate::wire::{
    CONTINUED, Confinement, DONE, END, EXITED, FAILED, Message, PAUSE, RESUME, SIGNAL, SPAWN, SPAWN_FDS,
    SPAWN_LAST, SPAWN_PTY, STARTED, STOPPED, Stage,
};

/// The most commands that run at once in one sandbox; one more is refused with EAGAIN.
const MAX_COMMANDS: usize = 500;
/// How often everybody is stopped in a pause.
const STOP_ROUNDS: u32 = 64;
const SIGHUP: u64 = 1;
const SIGKILL: u64 = 9;
const SIGSTOP: u64 = 19;
const SIGCONT: u64 = 18;

/// A command that runs, and the channel to whoever waits for it.
struct Running {
    /// `None` when it has been reaped: from then on the number may be somebody else's.
    pid: Option<NonZeroI32>,
    channel: Fd,
    is_last: bool,
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
#[expect(
    clippy::large_stack_arrays,
    reason = "init has a stack of megabytes and allocates nothing else"
)]
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
                [END, ..] => self.kill_all(),
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
                    pid: NonZeroI32::new(started.pid),
                    channel,
                    is_last: flags & SPAWN_LAST != 0,
                    has_session_terminal: terminal.is_some_and(|terminal| terminal.in_session()),
                    owed: None,
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
        let have_stopped = Cell::new(false);
        let meanwhile = |pid| self.let_go_on(pid, &have_stopped);
        let confinement = self.confinement;
        let started = command::start(
            blob,
            stdio,
            terminal.as_ref(),
            confinement,
            &self.stack,
            meanwhile,
        );
        if have_stopped.get() {
            // ESRCH: nobody is left.
            let _ = self.signal_everyone(SIGCONT);
        }
        Ok((slot, terminal, started?))
    }

    fn serve_channel(&mut self, index: usize) -> Next {
        let Some(running) = self.running.get(index).and_then(Option::as_ref) else {
            return Next::GoOn;
        };
        match receive(&running.channel, Wait::Never) {
            Ok(Received::Message([SIGNAL, signal, ..], _)) => running.signal(signal),
            Ok(Received::Nothing) => {}
            // Whoever waited has let go of the command: it ends with its process group.
            Ok(Received::Message(..) | Received::End) | Err(_) => {
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
        if running.owed.is_none() && send(&running.channel, message, None) != Err(EAGAIN) {
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
        if send(&running.channel, &message, None) == Err(EAGAIN) {
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
            if !self.pid_namespace {
                descendants::kill_all();
            }
            sys::exit(0);
        }
        if sys::state(pid) == State::Stopped {
            have_stopped.set(true);
            // ESRCH: nobody is left.
            let _ = self.signal_everyone(SIGSTOP);
            let _ = sys::kill(pid, SIGCONT);
        }
    }

    fn signal_all(&self, signal: u64) -> sys::Result<()> {
        self.signal_everyone(signal)?;
        send(self.control, &[DONE, 0, 0, 0, 0, 0, 0, 0], None)
    }

    fn signal_everyone(&self, signal: u64) -> sys::Result<()> {
        // One that is about to continue the others when it is stopped still does so: stopped again, until
        // nobody is left to do it.
        let rounds = match (signal, self.pid_namespace) {
            (SIGSTOP, true) => STOP_ROUNDS,
            // Each is a walk through /proc.
            (SIGSTOP, false) => STOP_ROUNDS / 16,
            _ => 1,
        };
        for _ in 0..rounds {
            if !self.pid_namespace {
                descendants::signal_all(signal);
                continue;
            }
            match sys::kill(-1, signal) {
                Ok(()) | Err(sys::ESRCH) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// Kills everything inside; the ends of commands are reported as always.
    fn kill_all(&self) {
        if self.pid_namespace {
            // ESRCH: nobody is left.
            let _ = sys::kill(-1, SIGKILL);
        } else {
            descendants::signal_all(SIGKILL);
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
                if running.is_last && self.pid_namespace {
                    // What a dying namespace takes along is in nobody's accounts; what init reaps is.
                    kill_and_reap();
                }
                let own = sys::own_usage();
                [
                    EXITED,
                    word,
                    time_us,
                    usage.user_us,
                    usage.system_us,
                    usage.max_rss_kib,
                    own.user_us,
                    own.system_us,
                ]
            };
            if self.report(index, &message)? == Next::End {
                return Ok(Next::End);
            }
        }
        Ok(Next::GoOn)
    }
}

/// Ends everything else in this pid namespace, and waits for it.
pub fn kill_and_reap() {
    // ESRCH: nobody is left.
    if sys::kill(-1, SIGKILL).is_ok() {
        while sys::wait_for_any() {}
    }
}

/// Sends an event to whoever waits; one who no longer does is no reason to stop.
fn tell(channel: &Fd, message: &Message, with: Option<&Fd>) {
    let _ = send(channel, message, with);
}
