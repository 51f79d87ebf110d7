//! One clone as its keeper knows it.

use core::num::NonZeroI32;

use super::{EXITED, SIGKILL};
use crate::sys::sockets::send;
use crate::sys::{self, ESRCH, Fd, Rusage};

/// A clone, from the making of its namespace until nothing of it is left.
pub struct Clone {
    /// `None` when whoever held it has let go.
    channel: Option<Fd>,
    /// The first process of its namespace; `None` when it has been reaped, and with it the namespace is gone.
    first: Option<NonZeroI32>,
    /// Held until nothing of it is left: that of its branch.
    lock: Option<Fd>,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    /// The template has been asked.
    Awaited,
    Runs(NonZeroI32),
    Ended {
        status: i32,
        time_us: u64,
        usage: Rusage,
    },
    /// It never ran.
    None,
}

/// What is left of a clone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// Something.
    InPart,
    /// Nothing; whoever held it has been told.
    Whole,
}

impl Clone {
    /// A clone whose namespace is there.
    pub fn new(channel: Fd, first: i32, lock: Option<Fd>) -> Self {
        Self {
            channel: Some(channel),
            first: NonZeroI32::new(first),
            lock,
            state: State::Awaited,
        }
    }

    /// Its pid, and that of the first process of its namespace; 0 for one that is not there.
    pub fn pids(&self) -> [i32; 2] {
        let own = match self.state {
            State::Runs(own) => own.get(),
            _ => 0,
        };
        [own, self.first.map_or(0, NonZeroI32::get)]
    }

    /// Whether the template has not answered yet.
    pub fn is_awaited(&self) -> bool {
        matches!(self.state, State::Awaited)
    }

    /// The template was forked into it.
    pub fn runs_as(&mut self, pid: i32) {
        self.state = NonZeroI32::new(pid).map_or(State::None, State::Runs);
        if self.channel.is_none() || self.first.is_none() {
            self.end();
        }
    }

    /// It will never run.
    pub fn give_up(&mut self) {
        self.state = State::None;
        self.end();
    }

    /// The channel to whoever holds it.
    pub fn channel(&self) -> Option<&Fd> {
        self.channel.as_ref()
    }

    /// The first process of its namespace.
    pub fn first(&self) -> Option<i32> {
        self.first.map(NonZeroI32::get)
    }

    /// Nobody holds it any more: it ends.
    pub fn let_go(&mut self) {
        self.channel = None;
        self.end();
    }

    /// Signals its process group; with SIGKILL all that is in its namespace.
    pub fn signal(&self, signal: u64) {
        if signal == SIGKILL {
            return self.end();
        }
        if let State::Runs(pid) = self.state {
            // ESRCH: it has ended, or has left its group.
            if sys::kill(-pid.get(), signal).is_err() {
                let _ = sys::kill(pid.get(), signal);
            }
        }
    }

    /// A descriptor of its process.
    pub fn pidfd(&self) -> sys::Result<Fd> {
        match self.state {
            State::Runs(pid) => sys::pidfd(pid.get()),
            _ => Err(ESRCH),
        }
    }

    /// Notes the end of one of its two processes.
    pub fn has_ended(&mut self, pid: i32, status: i32, usage: Rusage) -> Gone {
        if self.first.is_some_and(|first| first.get() == pid) {
            self.first = None;
        } else {
            let time_us = sys::monotonic_us();
            self.state = State::Ended {
                status,
                time_us,
                usage,
            };
            self.end();
        }
        if self.first.is_some() {
            return Gone::InPart;
        }
        // Whoever is told may want to have it at once.
        self.lock = None;
        match self.state {
            // A namespace goes when all in it have been reaped: what the template has named was never in there.
            State::Runs(_) => self.tell(SIGKILL as i32, sys::monotonic_us(), Rusage::default()),
            State::Ended {
                status,
                time_us,
                usage,
            } => self.tell(status, time_us, usage),
            State::Awaited | State::None => {}
        }
        Gone::Whole
    }

    fn tell(&self, status: i32, time_us: u64, usage: Rusage) {
        let Some(channel) = &self.channel else { return };
        let word = u64::from(status.cast_unsigned());
        let message = [
            EXITED,
            word,
            time_us,
            usage.user_us,
            usage.system_us,
            usage.max_rss_kib,
            0,
            0,
        ];
        // Nothing else has been sent there, so there is room; one who is gone does not miss it.
        let _ = send(channel, &message, &[]);
    }

    /// Ends all that is in its namespace.
    fn end(&self) {
        if let Some(first) = self.first {
            // It has not been reaped, so the number is still its own.
            let _ = sys::kill(first.get(), SIGKILL);
        }
    }
}
