//! Letting others in: a state machine without a thread, and a thread for those who want one.
//!
//! Whoever knocks has a moment to say the greeting; nobody else waits for them meanwhile.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, epoll};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags};

use super::build::VERSION;
use super::error::{GateError, Refusal};
use super::packet::{self, Answer, Greeting};
use super::peer;
use super::stake::Handout;
use crate::messages::high;
use crate::ready::{await_any, is_readable};

/// How long somebody may knock without a word.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many may stand there at once; the oldest makes way.
const MAX_VISITORS: usize = 32;
/// How many are let in before the caller's other business is looked at.
const MAX_AT_ONCE: usize = 32;
/// How long the thread rests when it could not let anybody in.
const REST: Duration = Duration::from_millis(100);

/// Lets other processes join a shared sandbox. Without one that is served, joining waits and fails; commands
/// do not depend on it. It keeps nothing alive: when the sandbox is dropped or left here, it is closed.
///
/// In an event loop: wait for [`Gate::readiness`], call [`Gate::serve`]. Otherwise: [`Gate::in_thread`].
#[derive(Debug)]
#[must_use = "nobody is let in unless it is served"]
pub struct Gate {
    handout: Arc<Handout>,
    epoll: OwnedFd,
    timer: OwnedFd,
    visitors: Vec<Visitor>,
}

/// Whether there is still something to join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateState {
    /// There is.
    Open,
    /// This process has left the sandbox. There is nothing more to serve.
    Closed,
}

/// A thread that serves a gate until it is dropped, or the gate is closed.
#[derive(Debug)]
#[must_use = "dropping it ends the thread"]
pub struct GateThread {
    stop: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

/// Somebody who has not yet said the greeting.
#[derive(Debug)]
struct Visitor {
    socket: OwnedFd,
    until: Instant,
}

/// What becomes of a visitor.
enum Visit {
    /// They have not said anything yet.
    Waits,
    /// They have been answered, or have gone.
    Over,
}

impl Gate {
    pub(super) fn new(handout: Arc<Handout>) -> rustix::io::Result<Self> {
        let timer_flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let gate = Self {
            epoll: high(epoll::create(epoll::CreateFlags::CLOEXEC)?)?,
            timer: high(rustix::time::timerfd_create(
                TimerfdClockId::Monotonic,
                timer_flags,
            )?)?,
            visitors: Vec::new(),
            handout,
        };
        gate.listen_to(gate.handout.over())?;
        gate.listen_to(gate.timer.as_fd())?;
        let listening = gate.handout.with(|parts| gate.listen_to(parts.listener.as_fd()));
        listening.unwrap_or(Ok(()))?;
        Ok(gate)
    }

    /// The descriptor that becomes readable when [`Gate::serve`] has something to do. For event loops.
    pub fn readiness(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// Lets in whoever may come in, without waiting for anybody.
    ///
    /// # Errors
    /// [`GateError`], for instance when this process is out of descriptors. Nobody is turned away by that;
    /// it may be tried again after a moment.
    pub fn serve(&mut self) -> Result<GateState, GateError> {
        for _ in 0..MAX_AT_ONCE {
            let (visitor, inside) = match self.handout.with(|parts| (parts.accept(), parts.inside)) {
                None => return Ok(GateState::Closed),
                Some((Ok(Some(visitor)), inside)) => (visitor, inside),
                Some((Ok(None), _)) => break,
                Some((Err(errno), _)) => return Err(GateError::io("accept")(errno)),
            };
            match peer::check(visitor.as_fd(), inside) {
                Ok(()) => self.welcome(visitor).map_err(GateError::io("epoll_ctl"))?,
                Err(refusal) => refuse(&visitor, refusal),
            }
        }
        self.hear_visitors();
        self.arm_timer().map_err(GateError::io("timerfd_settime"))?;
        Ok(match self.handout.with(|_| ()) {
            Some(()) => GateState::Open,
            None => GateState::Closed,
        })
    }

    /// Serves it in a thread of its own.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn in_thread(self) -> io::Result<GateThread> {
        let stop = high(rustix::event::eventfd(
            0,
            EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK,
        )?)?;
        let stopped = stop.try_clone()?;
        let thread = std::thread::Builder::new().name("sandbox-gate".to_owned());
        let thread = thread.spawn(move || self.serve_until(&stopped))?;
        Ok(GateThread {
            stop,
            thread: Some(thread),
        })
    }

    fn serve_until(mut self, stopped: &OwnedFd) {
        // The host program's handlers run on its own threads.
        if let Err(errno) = nix::sys::signal::SigSet::all().thread_block() {
            tracing::debug!(%errno, "signals may be handled on the gate's thread");
        }
        loop {
            let waited = wait(&[self.readiness(), stopped.as_fd()], None);
            if waited.is_err() || is_readable(stopped.as_fd()) {
                return;
            }
            match self.serve() {
                Ok(GateState::Open) => {}
                Ok(GateState::Closed) => return,
                Err(error) => {
                    tracing::warn!(%error, "nobody can join the sandbox now");
                    if wait(&[stopped.as_fd()], Some(REST)).is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn welcome(&mut self, visitor: OwnedFd) -> rustix::io::Result<()> {
        if let Visit::Over = hear(&self.handout, visitor.as_fd()) {
            return Ok(());
        }
        if self.visitors.len() >= MAX_VISITORS {
            self.visitors.remove(0);
        }
        self.listen_to(visitor.as_fd())?;
        self.visitors.push(Visitor {
            socket: visitor,
            until: Instant::now() + PATIENCE,
        });
        Ok(())
    }

    fn hear_visitors(&mut self) {
        let (now, handout) = (Instant::now(), &self.handout);
        self.visitors
            .retain(|visitor| match hear(handout, visitor.socket.as_fd()) {
                Visit::Over => false,
                Visit::Waits => now < visitor.until,
            });
    }

    fn listen_to(&self, fd: BorrowedFd<'_>) -> rustix::io::Result<()> {
        // What is ready is looked for everywhere, so it does not matter which.
        epoll::add(
            &self.epoll,
            fd,
            epoll::EventData::new_u64(0),
            epoll::EventFlags::IN,
        )
    }

    /// Set to when the first visitor's time is up; off where there is none.
    fn arm_timer(&self) -> rustix::io::Result<()> {
        let first = self.visitors.iter().map(|visitor| visitor.until).min();
        let left = first.map(|until| until.saturating_duration_since(Instant::now()));
        let it_value = left.map_or(ZERO, |left| timespec(left.max(Duration::from_millis(1))));
        let spec = Itimerspec {
            it_interval: ZERO,
            it_value,
        };
        rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &spec).map(drop)
    }
}

impl Drop for GateThread {
    fn drop(&mut self) {
        if let Err(errno) = rustix::io::write(&self.stop, &1_u64.to_ne_bytes()) {
            tracing::warn!(%errno, "the gate's thread is left behind");
            return;
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the gate's thread has panicked");
        }
    }
}

/// Reads what a visitor has said, if anything, and answers.
fn hear(handout: &Handout, visitor: BorrowedFd<'_>) -> Visit {
    let greeting = match packet::receive(visitor) {
        Ok(Some(received)) => packet::read_greeting(&received.message),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Visit::Waits,
        Ok(None) | Err(_) => return Visit::Over,
    };
    let answered = match greeting {
        Greeting::Ours => handout.with(|parts| parts.let_in(visitor)),
        Greeting::Foreign => {
            let version = VERSION.to_owned();
            Some(packet::send(
                visitor,
                &Answer::OtherBuild { version }.encode(),
                &[],
            ))
        }
        Greeting::Garbage => None,
    };
    if let Some(Err(errno)) = answered {
        tracing::warn!(%errno, "somebody could not be let in");
    }
    Visit::Over
}

fn refuse(visitor: &OwnedFd, refusal: Refusal) {
    tracing::warn!(%refusal, "somebody was not let in");
    // Who has gone meanwhile does not miss it.
    let _ = packet::send(visitor.as_fd(), &Answer::Refused(refusal).encode(), &[]);
}

fn wait(fds: &[BorrowedFd<'_>], limit: Option<Duration>) -> rustix::io::Result<bool> {
    let mut polls: Vec<_> = fds.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    await_any(&mut polls, limit)
}

const ZERO: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

fn timespec(duration: Duration) -> Timespec {
    Timespec::try_from(duration).unwrap_or(ZERO)
}
