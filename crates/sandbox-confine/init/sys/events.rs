//! Waiting for many descriptors (epoll(7)).

use super::{EINTR, Fd, Result, arch, fd, number};

const EPOLL_CLOEXEC: usize = 0o2_000_000;
const EPOLL_CTL_ADD: usize = 1;
const EPOLL_CTL_DEL: usize = 2;
const EPOLL_CTL_MOD: usize = 3;
const EPOLLIN: u32 = 1;

/// struct epoll_event, which is packed on x86_64.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C, packed)]
pub struct Event {
    events: u32,
    token: u64,
}

impl Event {
    /// What the descriptor was added with.
    pub const fn token(self) -> u64 {
        self.token
    }
}

/// What is listened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Input, and the end.
    Input,
    /// The end only.
    End,
}

/// An epoll instance. What is closed leaves it.
#[derive(Debug)]
pub struct Events(Fd);

impl Events {
    /// An empty one.
    pub fn new() -> Result<Self> {
        fd(arch::call(
            arch::number::EPOLL_CREATE1,
            [EPOLL_CLOEXEC, 0, 0, 0, 0, 0],
        ))
        .map(Self)
    }

    /// Listens to a descriptor; what comes of it carries `token`.
    pub fn add(&self, file: &Fd, token: u64) -> Result<()> {
        self.control(EPOLL_CTL_ADD, file, token, Interest::Input)
    }

    /// Listens for something else from now on.
    pub fn change(&self, file: &Fd, token: u64, interest: Interest) -> Result<()> {
        self.control(EPOLL_CTL_MOD, file, token, interest)
    }

    /// Listens to it no more.
    pub fn forget(&self, file: &Fd) -> Result<()> {
        self.control(EPOLL_CTL_DEL, file, 0, Interest::End)
    }

    fn control(&self, what: usize, file: &Fd, token: u64, interest: Interest) -> Result<()> {
        let events = if interest == Interest::Input { EPOLLIN } else { 0 };
        let event = Event { events, token };
        let place = (&raw const event) as usize;
        arch::call(
            arch::number::EPOLL_CTL,
            [number(self.0.number()), what, number(file.number()), place, 0, 0],
        )
        .map(drop)
    }

    /// Waits until something happens, for so many ms at most, or without end where that is negative: how many entries
    /// were filled.
    pub fn wait(&self, into: &mut [Event], limit_ms: i32) -> Result<usize> {
        let args = [
            number(self.0.number()),
            into.as_mut_ptr() as usize,
            into.len(),
            number(limit_ms),
            0,
            8,
        ];
        match arch::call(arch::number::EPOLL_PWAIT, args) {
            Err(EINTR) => Ok(0),
            result => result,
        }
    }
}
