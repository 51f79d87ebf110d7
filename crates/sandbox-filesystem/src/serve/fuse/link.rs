//! The connection to the kernel, for as long as there is one.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd};
use rustix::fs::OFlags;
use rustix::io::Errno as HostErrno;

use crate::fs::{Errno, FsResult};

/// The device. Whoever uses it takes a reference for that moment, so that it is closed soon after it was given up.
///
/// Nobody blocks in reading it: there would be no way to wake them that needs neither a signal nor a privilege. They
/// wait for it and for the end at once, each in an epoll instance of its own.
#[derive(Debug)]
pub(super) struct Link {
    device: Mutex<Option<Arc<OwnedFd>>>,
    end: OwnedFd,
}

/// A worker's way to wait. One request wakes one of them (`EPOLLEXCLUSIVE`), the end wakes all. In an instance that all
/// share, a second one would be woken for every request, to find nothing: what is ready is put back while it is ready.
#[derive(Debug, Default)]
pub(super) struct Waiter(Option<OwnedFd>);

/// What waiting has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waited {
    ForSomething,
    /// The time is over.
    InVain,
}

impl Waiter {
    /// For a worker that is away for long: it needs no descriptor meanwhile.
    pub(super) fn rest(&mut self) {
        self.0 = None;
    }
}

impl Link {
    pub(super) fn new(device: OwnedFd) -> io::Result<Self> {
        let flags = rustix::fs::fcntl_getfl(&device)?;
        rustix::fs::fcntl_setfl(&device, flags | OFlags::NONBLOCK)?;
        let end = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self {
            device: Mutex::new(Some(Arc::new(device))),
            end,
        })
    }

    /// Waits until there may be something to read, or the device was given up; for `at_most` as long, where that is given.
    pub(super) fn wait(
        &self,
        waiter: &mut Waiter,
        at_most: Option<Duration>,
    ) -> Result<Waited, rustix::io::Errno> {
        let at_most = at_most.and_then(|at_most| Timespec::try_from(at_most).ok());
        let both = match waiter.0.take() {
            Some(both) => both,
            None => match self.watch() {
                Ok(Some(both)) => both,
                Ok(None) => return Ok(Waited::ForSomething),
                // Clients can have as much open as this process may.
                Err(HostErrno::MFILE | HostErrno::NFILE | HostErrno::NOMEM | HostErrno::NOSPC) => {
                    return self.wait_without(at_most.as_ref());
                }
                Err(error) => return Err(error),
            },
        };
        let mut events = Vec::with_capacity(1);
        let waited = epoll::wait(&both, spare_capacity(&mut events), at_most.as_ref());
        waiter.0 = Some(both);
        waited.map(|events| {
            if events == 0 {
                Waited::InVain
            } else {
                Waited::ForSomething
            }
        })
    }

    /// The same without a descriptor of one's own. Everybody who waits like this is woken for each request, which costs more;
    /// giving up because others have taken all descriptors would cost them the mount.
    fn wait_without(&self, at_most: Option<&Timespec>) -> Result<Waited, rustix::io::Errno> {
        let Some(device) = self.device() else {
            return Ok(Waited::ForSomething);
        };
        let mut both =
            [device.as_fd(), self.end.as_fd()].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        match rustix::event::poll(&mut both, at_most)? {
            0 => Ok(Waited::InVain),
            _ => Ok(Waited::ForSomething),
        }
    }

    /// Nothing where the device was given up.
    fn watch(&self) -> Result<Option<OwnedFd>, rustix::io::Errno> {
        let Some(device) = self.device() else {
            return Ok(None);
        };
        let both = epoll::create(CreateFlags::CLOEXEC)?;
        let exclusive = EventFlags::IN | EventFlags::EXCLUSIVE;
        epoll::add(&both, &device, EventData::new_u64(0), exclusive)?;
        epoll::add(&both, &self.end, EventData::new_u64(1), EventFlags::IN)?;
        Ok(Some(both))
    }

    /// Nothing once it was given up.
    pub(super) fn device(&self) -> Option<Arc<OwnedFd>> {
        self.lock().clone()
    }

    /// Gives it up, and wakes who waits. It is closed, which ends the connection, when the last who uses it is done.
    pub(super) fn give_up(&self) {
        drop(self.lock().take());
        if let Err(error) = rustix::io::write(&self.end, &1_u64.to_ne_bytes()) {
            tracing::debug!(%error, "an eventfd");
        }
    }

    /// Sends a message of our own (`fuse_out_header` with a code in place of the error).
    pub(super) fn notify(&self, code: i32, body: &[u8]) -> FsResult<()> {
        let device = self.device().ok_or(Errno::ENODEV)?;
        let length = u32::try_from(16 + body.len()).map_err(|_| Errno::EINVAL)?;
        let mut message = Vec::with_capacity(16 + body.len());
        message.extend_from_slice(&length.to_ne_bytes());
        message.extend_from_slice(&code.to_ne_bytes());
        message.extend_from_slice(&[0; 8]);
        message.extend_from_slice(body);
        rustix::io::write(device.as_fd(), &message)?;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<OwnedFd>>> {
        self.device.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
