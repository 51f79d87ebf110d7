//! Becoming a holder of somebody else's sandbox.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use sandbox_types::Policy;

use super::build::VERSION;
use super::description::Description;
use super::door::{Door, Knock};
use super::error::JoinError;
use super::packet::{self, Answer, Received};
use super::peer::{self, Inside};
use super::stake::{Parts, Stake};
use crate::init::Init;
use crate::process::Owned;
use crate::ready::await_readable;
use crate::sys;

/// How long to wait for somebody who lets us in.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long one attempt may take: whoever has accepted may have been stopped meanwhile, and others may not.
const ATTEMPT: Duration = Duration::from_millis(500);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(5);

/// Joins the sandbox whose socket is `path`.
pub(crate) fn join(path: &Path) -> Result<(Owned, Policy), JoinError> {
    let until = Instant::now() + PATIENCE;
    loop {
        // Whoever was about to let us in may leave or be killed; then another holder does.
        if let Some((door, fds)) = attempt(path)? {
            return enter(path, door, fds);
        }
        if Instant::now() >= until {
            return Err(JoinError::NoAnswer { path: path.into() });
        }
        std::thread::sleep(PAUSE);
    }
}

/// Knocks once. `None` where it should be tried again.
fn attempt(path: &Path) -> Result<Option<(Door, Vec<OwnedFd>)>, JoinError> {
    let Knock::Open(door, socket) = Door::knock(path)? else {
        return Ok(None);
    };
    sys::ask_for_senders(socket.as_fd()).map_err(|source| JoinError::Io {
        path: path.into(),
        what: "setsockopt",
        source,
    })?;
    match packet::send(socket.as_fd(), &packet::greeting(), &[]) {
        // Refused before we said a word, or gone; what they have said is still to be read.
        Ok(()) | Err(Errno::PIPE | Errno::CONNRESET) => {}
        Err(errno) => return Err(io(path, "sendmsg", errno)),
    }
    let Some(received) = await_answer(path, &socket)? else {
        return Ok(None);
    };
    match Answer::decode(&received.message) {
        None => Err(garbled(path, io::ErrorKind::InvalidData)),
        Some(Answer::Welcome) => match received.sender.and_then(peer::check_host) {
            Some(Ok(())) => Ok(Some((door, received.fds))),
            Some(Err(reason)) => Err(JoinError::Impostor {
                path: path.into(),
                reason,
            }),
            None => Ok(None),
        },
        Some(Answer::Ended) => Err(JoinError::Ended { path: path.into() }),
        Some(Answer::Refused(reason)) => Err(JoinError::Refused {
            path: path.into(),
            reason,
        }),
        Some(Answer::OtherBuild { version }) => Err(JoinError::OtherBuild {
            path: path.into(),
            theirs: version,
            ours: VERSION.to_owned(),
        }),
    }
}

fn await_answer(path: &Path, socket: &OwnedFd) -> Result<Option<Received>, JoinError> {
    let is_answered = await_readable(socket.as_fd(), Some(ATTEMPT));
    if !is_answered.map_err(|errno| io(path, "poll", errno))? {
        return Ok(None);
    }
    packet::receive(socket.as_fd()).map_err(|source| JoinError::Io {
        path: path.into(),
        what: "recvmsg",
        source,
    })
}

fn enter(path: &Path, door: Door, fds: Vec<OwnedFd>) -> Result<(Owned, Policy), JoinError> {
    let mut fds = fds.into_iter();
    let (Some(description), Some(control), Some(pidfd), Some(listener)) =
        (fds.next(), fds.next(), fds.next(), fds.next())
    else {
        return Err(garbled(path, io::ErrorKind::UnexpectedEof));
    };
    let told = Description::read(&description).map_err(|source| JoinError::Garbled {
        path: path.into(),
        source,
    })?;
    let (pid, kill_is_enough) = (told.pid, told.kill_is_enough);
    let copy = |fd: &OwnedFd| {
        let copy = rustix::io::fcntl_dupfd_cloexec(fd, 3);
        copy.map_err(|errno| io(path, "duplicate a descriptor", errno))
    };
    let (own_control, own_pidfd) = (copy(&control)?, copy(&pidfd)?);
    let parts = Parts {
        door,
        description,
        control,
        pidfd,
        listener,
        marks: fds.collect(),
        inside: Inside {
            pid,
            has_namespace: kill_is_enough,
        },
    };
    let stake = Stake::new(parts).map_err(|errno| io(path, "eventfd", errno))?;
    // From here on nothing fails: what follows would end the sandbox when it is dropped without the stake.
    let (scratch, cgroup, surroundings, policy) = told.into_parts();
    let init = Init::joined(own_control, own_pidfd, pid, kill_is_enough);
    let mut owned = Owned::new(init, cgroup, scratch, surroundings);
    owned.stake = Some(stake);
    Ok((owned, policy))
}

fn garbled(path: &Path, kind: io::ErrorKind) -> JoinError {
    JoinError::Garbled {
        path: path.into(),
        source: kind.into(),
    }
}

fn io(path: &Path, what: &'static str, errno: Errno) -> JoinError {
    JoinError::Io {
        path: path.into(),
        what,
        source: errno.into(),
    }
}
