//! One holder's part of a sandbox, and what it can give to another process.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::EventfdFlags;
use rustix::fs::{FlockOperation, MemfdFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::SocketFlags;
use sandbox_types::Policy;

use super::description::Description;
use super::door::Door;
use super::error::ShareError;
use super::gate::Gate;
use super::packet::{self, Answer};
use super::peer::Inside;
use crate::messages::{high, sealed};
use crate::process::Owned;
use crate::ready::is_readable;

/// Our part of a sandbox that others may hold as well.
#[derive(Debug)]
pub(crate) struct Stake(Arc<Handout>);

/// Whether others are left when one leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position {
    /// Nobody is; everything is ours to end and to clean up. Exactly one holder is told so, unless the last one
    /// is killed.
    Last,
    /// Others are, or are just being let in.
    NotLast,
}

/// What is handed out to those who come in, until we leave. Gates have a part in it, and must not keep the
/// sandbox alive.
#[derive(Debug)]
pub(super) struct Handout {
    parts: Mutex<Option<Parts>>,
    /// An eventfd, readable when there is nothing to hand out any more.
    over: OwnedFd,
}

#[derive(Debug)]
pub(super) struct Parts {
    pub(super) door: Door,
    /// The description, opened by this holder and locked shared.
    pub(super) description: OwnedFd,
    pub(super) control: OwnedFd,
    pub(super) pidfd: OwnedFd,
    pub(super) listener: OwnedFd,
    pub(super) marks: Vec<OwnedFd>,
    pub(super) inside: Inside,
}

impl Stake {
    /// Makes a sandbox that is ours alone one that others can join.
    pub(crate) fn found(owned: &Owned, policy: &Policy, socket: &Path) -> Result<Self, ShareError> {
        let mut marks = Vec::new();
        if let Some(mark) = owned.cgroup.as_deref().and_then(crate::cgroup::Cgroup::mark) {
            marks.push(marked("mark the cgroup", mark)?);
        }
        if let Some(scratch) = &owned.scratch {
            marks.push(marked(
                "mark the private directory",
                crate::mark::hold(scratch.path()),
            )?);
        }
        let text = serde_json::to_vec(&Description::of(owned, policy))?;
        let description = sealed("sandbox-description", &text, MemfdFlags::NOEXEC_SEAL)?;
        let description = open_own(&description).map_err(ShareError::io("open the description"))?;
        let copy = |fd: BorrowedFd<'_>| {
            rustix::io::fcntl_dupfd_cloexec(fd, 3).map_err(ShareError::io("duplicate a descriptor"))
        };
        let (control, pidfd) = (copy(owned.init.control())?, copy(owned.init.pidfd())?);
        let over = over().map_err(ShareError::io("eventfd"))?;
        let (door, listener) = Door::build(socket)?;
        let parts = Parts {
            door,
            description,
            control,
            pidfd,
            listener,
            marks,
            inside: Inside {
                pid: owned.init.pid(),
                has_namespace: owned.init.kill_is_enough(),
            },
        };
        Ok(Self::with(over, parts))
    }

    /// The part of one who has been let in.
    pub(super) fn new(parts: Parts) -> rustix::io::Result<Self> {
        Ok(Self::with(over()?, parts))
    }

    fn with(over: OwnedFd, parts: Parts) -> Self {
        Self(Arc::new(Handout {
            over,
            parts: Mutex::new(Some(parts)),
        }))
    }

    /// Something that lets others in.
    pub(crate) fn gate(&self) -> Result<Gate, ShareError> {
        Gate::new(Arc::clone(&self.0)).map_err(ShareError::io("epoll"))
    }

    /// Whether nobody else holds the sandbox just now.
    pub(crate) fn is_alone(&self) -> bool {
        self.0.with(|parts| is_alone(&parts.description)).unwrap_or(true)
    }

    /// Leaves. Who is told to be the last must end the sandbox; the others must not.
    pub(crate) fn give_up(self) -> Position {
        self.0.close()
    }
}

impl Drop for Stake {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Handout {
    fn close(&self) -> Position {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(parts) = parts else {
            return Position::NotLast;
        };
        if let Err(errno) = rustix::io::write(&self.over, &1_u64.to_ne_bytes()) {
            tracing::warn!(%errno, "a gate may not notice its end");
        }
        if !is_last(&parts.description) {
            return Position::NotLast;
        }
        if let Err(error) = parts.door.remove() {
            tracing::warn!(%error, "a socket is left behind");
        }
        Position::Last
    }

    /// Readable when there is nothing to hand out any more.
    pub(super) fn over(&self) -> BorrowedFd<'_> {
        self.over.as_fd()
    }

    /// Does something with what there is to hand out; `None` when we have left.
    pub(super) fn with<T>(&self, action: impl FnOnce(&Parts) -> T) -> Option<T> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.as_ref().map(action)
    }
}

impl Parts {
    /// Somebody who knocks, if anybody does.
    pub(super) fn accept(&self) -> rustix::io::Result<Option<OwnedFd>> {
        loop {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            match rustix::net::accept_with(&self.listener, flags) {
                Ok(visitor) => return Ok(Some(visitor)),
                Err(Errno::AGAIN) => return Ok(None),
                // They have gone again.
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Makes a visitor a holder. From here on we are not the last, until they have left: the lock that says so
    /// travels with the message.
    pub(super) fn let_in(&self, visitor: BorrowedFd<'_>) -> rustix::io::Result<()> {
        if is_readable(self.pidfd.as_fd()) {
            return packet::send(visitor, &Answer::Ended.encode(), &[]);
        }
        let description = open_own(&self.description)?;
        let fixed = [&description, &self.control, &self.pidfd, &self.listener];
        let fds = packet::welcome_fds(fixed, &self.marks);
        packet::send(visitor, &Answer::Welcome.encode(), &fds)
    }
}

fn over() -> rustix::io::Result<OwnedFd> {
    high(rustix::event::eventfd(
        0,
        EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK,
    )?)
}

/// Opens the description anew, with a lock of its own.
fn open_own(description: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", description.as_raw_fd());
    let own = high(rustix::fs::open(
        path,
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )?)?;
    // Nobody can have it exclusively while we have it shared (flock(2)).
    rustix::fs::flock(&own, FlockOperation::NonBlockingLockShared)?;
    Ok(own)
}

/// Whether nobody else has the description locked. It costs our own lock in any case: when two leave at once,
/// whoever comes second is the last.
fn is_last(description: &OwnedFd) -> bool {
    loop {
        match rustix::fs::flock(description, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return true,
            Err(Errno::WOULDBLOCK) => return false,
            Err(Errno::INTR) => {}
            Err(errno) => {
                // Init ends all the same when everybody has left, and gc finds the rest.
                tracing::warn!(%errno, "cannot tell whether others hold the sandbox");
                return false;
            }
        }
    }
}

/// Whether nobody else has the description locked. Our own lock is given up for a moment (flock(2)): somebody who
/// leaves in that moment takes themselves for the last, and ends the sandbox.
fn is_alone(description: &OwnedFd) -> bool {
    let is_alone = rustix::fs::flock(description, FlockOperation::NonBlockingLockExclusive).is_ok();
    while rustix::fs::flock(description, FlockOperation::LockShared) == Err(Errno::INTR) {}
    is_alone
}

fn marked(what: &'static str, mark: io::Result<OwnedFd>) -> Result<OwnedFd, ShareError> {
    let high = |mark: OwnedFd| Ok(high(mark)?);
    mark.and_then(high)
        .map_err(|source| ShareError::Mark { what, source })
}
