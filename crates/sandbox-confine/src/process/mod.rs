//! A running command: waiting for it, its streams, its limits, its verdict.
//!
//! Everything a command can do next is one epoll instance: its channel from init, the supervisor's ends of
//! its streams, a timer for its limits, init's pidfd. [`Process::wait`] blocks on it; the asynchronous layer
//! waits for the same descriptor and calls the same [`Process::step`]. No thread, no signal handler.

mod channel;
mod end;
mod limits;
mod owned;

use std::io::PipeWriter;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::net::RecvFlags;
use rustix::time::{TimerfdClockId, TimerfdFlags};
use sandbox_types::{EnforcementReport, Outcome, RunResult, Stream};
use serde::{Deserialize, Serialize};

use crate::error::{RunError, StartError};
use crate::messages;
use crate::pty::PtyMaster;
use crate::streams::{Drain, Drained, Meter, Ours, OutputReader};
use crate::wire;

pub(crate) use channel::Channel;
pub(crate) use limits::monotonic_us;
pub use owned::Left;
pub(crate) use owned::{Heir, Owned, Shared};

/// The limits that the supervisor itself enforces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Watch {
    pub(crate) wall_time: Option<Duration>,
    /// Enforced by accounting; RLIMIT_CPU is init's business.
    pub(crate) cpu_time: Option<Duration>,
    /// RLIMIT_CPU that every process has, for telling its signal from another.
    pub(crate) cpu_rlimit: Option<Duration>,
    /// Whether RLIMIT_FSIZE is set.
    pub(crate) file_size: bool,
}

impl Watch {
    /// Whether any of it is a matter of time.
    fn is_needed(&self) -> bool {
        self.wall_time.is_some() || self.cpu_time.is_some()
    }
}

/// What a process needs to know of the sandbox it runs in.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) channel: Arc<Channel>,
    pub(crate) ours: Ours,
    pub(crate) watch: Watch,
    pub(crate) report: Arc<EnforcementReport>,
    pub(crate) pty: Option<PtyMaster>,
    pub(crate) started_us: u64,
    /// The sandbox, when it ends with this command.
    pub(crate) owned: Option<Owned>,
    /// What a command knows of a sandbox that lives on.
    pub(crate) shared: Option<Shared>,
}

/// A command that runs inside a sandbox. Dropping it ends the command; where the sandbox was made for it
/// alone, everything in the sandbox.
#[derive(Debug)]
pub struct Process {
    epoll: OwnedFd,
    /// Where there may be something to set it for.
    timer: Option<OwnedFd>,
    channel: Arc<Channel>,
    feed: Option<crate::streams::Feed>,
    drains: [Option<Drain>; 2],
    meters: [Option<Arc<Meter>>; 2],
    watch: Watch,
    report: Arc<EnforcementReport>,
    started_us: u64,
    owned: Option<Owned>,
    shared: Option<Shared>,
    end: Option<End>,
    killed_for: Option<Outcome>,
    is_stopped: bool,
    is_init_dead: bool,
    /// Standard input of the command, where it is piped. Drop it to close it.
    pub stdin: Option<PipeWriter>,
    /// Standard output of the command, where it is piped.
    pub stdout: Option<OutputReader>,
    /// Standard error of the command, where it is piped.
    pub stderr: Option<OutputReader>,
    /// The terminal of the command, where it has one.
    pub pty: Option<PtyMaster>,
}

/// What [`Process::wait_event`] can report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A signal stopped the command (Ctrl-Z on its terminal, or SIGSTOP).
    Stopped,
    /// It goes on.
    Continued,
    /// It has ended; [`Process::wait`] gives the result without waiting.
    Ended,
}

/// How the command itself ended, as init saw it.
#[derive(Debug, Clone, Copy, Default)]
struct End {
    /// The wait status; `None` when init was gone before it could say.
    status: Option<i32>,
    time_us: u64,
    user: Duration,
    system: Duration,
    max_rss_kib: u64,
    /// Of everybody who was inside, or of init itself: see [`wire::EXITED`].
    others_user: Duration,
    others_system: Duration,
}

const CHANNEL: u64 = 0;
const TIMER: u64 = 1;
const FEED: u64 = 2;
const STDOUT: u64 = 3;
const STDERR: u64 = 4;
const INIT: u64 = 5;
const RELAY_STDOUT: u64 = 6;
const RELAY_STDERR: u64 = 7;
const ALARM: u64 = 8;

impl Process {
    pub(crate) fn new(parts: Parts) -> Result<Self, StartError> {
        let epoll =
            epoll::create(epoll::CreateFlags::CLOEXEC).map_err(StartError::supervisor("epoll_create1"))?;
        let timer = if parts.watch.is_needed() || parts.owned.is_some() {
            Some(timer()?)
        } else {
            None
        };
        let Ours {
            feed,
            drains,
            stdin,
            stdout,
            stderr,
        } = parts.ours;
        let meters = [
            stdout.as_ref().map(OutputReader::meter),
            stderr.as_ref().map(OutputReader::meter),
        ];
        let process = Self {
            epoll,
            timer,
            channel: parts.channel,
            feed,
            drains,
            meters,
            watch: parts.watch,
            report: parts.report,
            started_us: parts.started_us,
            owned: parts.owned,
            shared: parts.shared,
            end: None,
            killed_for: None,
            is_stopped: false,
            is_init_dead: false,
            stdin,
            stdout,
            stderr,
            pty: parts.pty,
        };
        process.register().map_err(StartError::supervisor("epoll_ctl"))?;
        process
            .arm_timer(process.first_deadline())
            .map_err(StartError::supervisor("timerfd_settime"))?;
        Ok(process)
    }

    fn register(&self) -> rustix::io::Result<()> {
        let add = |fd: BorrowedFd<'_>, token, flags| {
            epoll::add(&self.epoll, fd, epoll::EventData::new_u64(token), flags)
        };
        add(self.channel.as_fd(), CHANNEL, epoll::EventFlags::IN)?;
        if let Some(timer) = &self.timer {
            add(timer.as_fd(), TIMER, epoll::EventFlags::IN)?;
        }
        if let Some(feed) = &self.feed {
            add(feed.pipe.as_fd(), FEED, epoll::EventFlags::OUT)?;
        }
        for (token, drain) in (STDOUT..).zip(&self.drains) {
            if let Some(drain) = drain {
                add(drain.pipe.as_fd(), token, epoll::EventFlags::IN)?;
            }
        }
        for meter in self.meters.iter().flatten() {
            if let Some(alarm) = meter.alarm() {
                add(alarm, ALARM, epoll::EventFlags::IN | epoll::EventFlags::ONESHOT)?;
            }
        }
        if let Some(owned) = &self.owned {
            add(owned.init.pidfd(), INIT, epoll::EventFlags::IN)?;
        }
        Ok(())
    }

    /// The command's pid inside the sandbox; outside, where there is no pid namespace.
    pub fn pid(&self) -> u32 {
        self.channel.pid()
    }

    /// What is enforced around it.
    pub fn report(&self) -> &EnforcementReport {
        &self.report
    }

    /// Sends a signal to the command's process group.
    ///
    /// # Errors
    /// Only failures of the supervisor's own socket; a command that has ended is no error.
    pub fn signal(&self, signal: i32) -> Result<(), StartError> {
        self.channel.signal(signal)
    }

    /// Ends the command; where the sandbox was made for it alone, everything in the sandbox. The outcome
    /// will be [`Outcome::Cancelled`], unless it has ended by itself before.
    pub fn kill(&mut self) {
        self.kill_for(Outcome::Cancelled);
    }

    /// Waits for the end and gives the verdict. Captured output is in the result.
    ///
    /// # Errors
    /// [`RunError::InitDied`] when the sandbox was killed from outside, [`RunError::Io`] when a stream of the
    /// supervisor failed.
    pub fn wait(mut self) -> Result<RunResult, RunError> {
        loop {
            if let Some(result) = self.poll()? {
                return Ok(result);
            }
            self.block()?;
        }
    }

    /// Waits until the command stops, continues or ends.
    ///
    /// # Errors
    /// As [`Process::wait`].
    pub fn wait_event(&mut self) -> Result<Event, RunError> {
        loop {
            let was_stopped = self.is_stopped;
            self.step()?;
            match (was_stopped, self.is_stopped) {
                _ if self.is_over() => return Ok(Event::Ended),
                (false, true) => return Ok(Event::Stopped),
                (true, false) => return Ok(Event::Continued),
                _ => self.block()?,
            }
        }
    }

    /// The descriptor that becomes readable when [`Process::poll`] has something to do. For event loops.
    pub fn readiness(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// Does what is to be done without waiting. The result, once, when it is over.
    ///
    /// # Errors
    /// As [`Process::wait`].
    pub fn poll(&mut self) -> Result<Option<RunResult>, RunError> {
        self.step()?;
        if self.is_over() {
            self.finish().map(Some)
        } else {
            Ok(None)
        }
    }

    /// Whether the command is stopped by a signal.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    pub(crate) fn block(&self) -> Result<(), RunError> {
        let mut fds = [rustix::event::PollFd::new(
            &self.epoll,
            rustix::event::PollFlags::IN,
        )];
        match rustix::event::poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(RunError::Io {
                what: "poll",
                source: errno.into(),
            }),
        }
    }

    /// The command has ended and nothing more can come of it.
    fn is_over(&self) -> bool {
        self.end.is_some() && (self.owned.is_none() || self.is_init_dead || self.is_inherited())
    }

    /// Whether nothing is left inside but init, which somebody else sees to. Without a pid namespace init goes on to end
    /// what is left when it has told of the command's end.
    fn is_inherited(&self) -> bool {
        let is_told = self.end.is_some_and(|end| end.status.is_some());
        let has_heir = |owned: &Owned| owned.heir.is_some() && owned.init.kill_is_enough();
        is_told && self.owned.as_ref().is_some_and(has_heir)
    }

    fn step(&mut self) -> Result<(), RunError> {
        let mut events = Vec::with_capacity(8);
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut events),
            Some(&now),
        ) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => {
                return Err(RunError::Io {
                    what: "epoll_wait",
                    source: errno.into(),
                });
            }
        }
        for event in events {
            match event.data.u64() {
                CHANNEL => self.read_channel()?,
                TIMER => self.check_limits()?,
                FEED => self.push_feed()?,
                STDOUT | RELAY_STDOUT => self.pull_drain(0)?,
                STDERR | RELAY_STDERR => self.pull_drain(1)?,
                // The meters are looked at below.
                ALARM => {}
                _ => self.notice_init_s_death()?,
            }
        }
        if let Some(stream) = self.violated_pipe() {
            self.kill_for(Outcome::Output { stream });
        }
        Ok(())
    }

    /// The piped stream of which more than the limit has been read.
    fn violated_pipe(&self) -> Option<Stream> {
        let streams = [Stream::Stdout, Stream::Stderr];
        let mut meters = streams.into_iter().zip(&self.meters);
        meters.find_map(|(stream, meter)| meter.as_ref()?.is_violated().then_some(stream))
    }

    fn read_channel(&mut self) -> Result<(), RunError> {
        loop {
            let message = match messages::try_receive(self.channel.as_fd(), RecvFlags::DONTWAIT) {
                Ok(Some((message, _))) => message,
                Ok(None) => {
                    self.end.get_or_insert_default();
                    return self.forget(CHANNEL);
                }
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Err(errno) => {
                    return Err(RunError::Io {
                        what: "recvmsg",
                        source: errno.into(),
                    });
                }
            };
            match message {
                [wire::STOPPED, ..] => self.is_stopped = true,
                [wire::CONTINUED, ..] => self.is_stopped = false,
                [
                    wire::EXITED,
                    status,
                    time_us,
                    user_us,
                    system_us,
                    max_rss_kib,
                    others_user_us,
                    others_system_us,
                ] => {
                    self.end = Some(End {
                        status: i32::try_from(status).ok(),
                        time_us,
                        user: Duration::from_micros(user_us),
                        system: Duration::from_micros(system_us),
                        max_rss_kib,
                        others_user: Duration::from_micros(others_user_us),
                        others_system: Duration::from_micros(others_system_us),
                    });
                    // Others inside may wait for an answer that never comes.
                    if let Some(owned) = self.owned.as_mut().filter(|owned| !owned.serving.is_empty()) {
                        owned.is_serving();
                        self.look_again()?;
                    }
                }
                _ => {}
            }
        }
    }

    /// Init is dead, and by the kernel's doing or its own so is everything inside.
    fn notice_init_s_death(&mut self) -> Result<(), RunError> {
        self.is_init_dead = true;
        self.read_channel()?;
        self.end.get_or_insert_default();
        self.forget(INIT)
    }

    fn push_feed(&mut self) -> Result<(), RunError> {
        let Some(feed) = &mut self.feed else { return Ok(()) };
        if feed.push().map_err(|source| RunError::Io {
            what: "write to standard input",
            source,
        })? {
            self.feed = None;
        }
        Ok(())
    }

    /// Reads an output stream; where it is relayed to somebody who is not ready, waits for them instead.
    fn pull_drain(&mut self, index: usize) -> Result<(), RunError> {
        let io = |what| {
            move |source: rustix::io::Errno| RunError::Io {
                what,
                source: source.into(),
            }
        };
        let epoll = &self.epoll;
        let Some(slot) = self.drains.get_mut(index) else {
            return Ok(());
        };
        let Some(drain) = slot else { return Ok(()) };
        let (token, relay_token) = if index == 0 {
            (STDOUT, RELAY_STDOUT)
        } else {
            (STDERR, RELAY_STDERR)
        };
        let drained = drain.pull().map_err(|source| RunError::Io {
            what: "read the command's output",
            source,
        })?;
        let listen = |flags| epoll::modify(epoll, &drain.pipe, epoll::EventData::new_u64(token), flags);
        match drained {
            Drained::More => listen(epoll::EventFlags::IN).map_err(io("epoll_ctl")),
            Drained::Blocked => {
                listen(epoll::EventFlags::empty()).map_err(io("epoll_ctl"))?;
                let Some(relay) = drain.relay() else { return Ok(()) };
                let flags = epoll::EventFlags::OUT | epoll::EventFlags::ONESHOT;
                let data = epoll::EventData::new_u64(relay_token);
                match epoll::add(epoll, relay, data, flags) {
                    Err(rustix::io::Errno::EXIST) => epoll::modify(epoll, relay, data, flags),
                    result => result,
                }
                .map_err(io("epoll_ctl"))
            }
            Drained::End => {
                drain.close();
                Ok(())
            }
            Drained::OverLimit => {
                let stream = drain.stream;
                drain.close();
                self.kill_for(Outcome::Output { stream });
                Ok(())
            }
        }
    }

    fn forget(&self, token: u64) -> Result<(), RunError> {
        let fd = match (token, &self.owned) {
            (INIT, Some(owned)) => owned.init.pidfd(),
            _ => self.channel.as_fd(),
        };
        match epoll::delete(&self.epoll, fd) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(errno) => Err(RunError::Io {
                what: "epoll_ctl",
                source: errno.into(),
            }),
        }
    }
}

fn timer() -> Result<OwnedFd, StartError> {
    let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
    rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)
        .map_err(StartError::supervisor("timerfd_create"))
}
