//! What travels between supervisor and init: messages with descriptors on SEQPACKET sockets, sealed memfds.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

use crate::error::StartError;
use crate::wire::{self, MESSAGE_BYTES, Message};

/// Two connected SEQPACKET sockets, numbered 3 or more, so that init's own numbers stay free.
pub(crate) fn socket_pair() -> Result<(OwnedFd, OwnedFd), StartError> {
    let (a, b) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(StartError::supervisor("socketpair"))?;
    let high = |fd| high(fd).map_err(StartError::supervisor("fcntl"));
    Ok((high(a)?, high(b)?))
}

/// A sealed file in memory with this content, numbered 3 or more.
pub(crate) fn sealed(name: &str, content: &[u8], flags: MemfdFlags) -> Result<OwnedFd, StartError> {
    let flags = flags | MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = match rustix::fs::memfd_create(name, flags) {
        // MFD_EXEC and MFD_NOEXEC_SEAL came with Linux 6.3.
        Err(rustix::io::Errno::INVAL) => {
            rustix::fs::memfd_create(name, flags.difference(MemfdFlags::EXEC | MemfdFlags::NOEXEC_SEAL))
        }
        result => result,
    }
    .map_err(StartError::supervisor("memfd_create"))?;
    let mut file = File::from(high(file).map_err(StartError::supervisor("fcntl"))?);
    io::Write::write_all(&mut file, content).map_err(|source| StartError::Supervisor {
        what: "write to a memfd",
        source,
    })?;
    rustix::fs::fcntl_add_seals(
        &file,
        SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
    )
    .map_err(StartError::supervisor("seal a memfd"))?;
    Ok(file.into())
}

/// The same file, numbered 3 or more: whatever has the number of a standard stream is taken for one.
pub(crate) fn high(fd: OwnedFd) -> rustix::io::Result<OwnedFd> {
    use std::os::fd::AsRawFd;
    if fd.as_raw_fd() >= 3 {
        return Ok(fd);
    }
    rustix::io::fcntl_dupfd_cloexec(&fd, 3)
}

/// How long descriptors may be too many that are on their way.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two attempts to send them.
const PAUSE: Duration = Duration::from_micros(200);

/// Sends one message with descriptors. Never blocks for long: init always reads. A user may have only so many
/// descriptors on their way, whoever sends them (unix(7)); they are soon taken off, and that is waited for.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    message: &Message,
    fds: &[BorrowedFd<'_>],
) -> Result<(), StartError> {
    let bytes = wire::to_bytes(message);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(wire::MESSAGE_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(StartError::Supervisor {
            what: "sendmsg",
            source: io::ErrorKind::InvalidInput.into(),
        });
    }
    let until = Instant::now() + PATIENCE;
    loop {
        match rustix::net::sendmsg(socket, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::TOOMANYREFS) if Instant::now() < until => std::thread::sleep(PAUSE),
            // Where init is gone: why, is in what it has sent before.
            Ok(_) | Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => return Ok(()),
            Err(errno) => {
                return Err(StartError::Supervisor {
                    what: "sendmsg",
                    source: errno.into(),
                });
            }
        }
    }
}

/// Receives one message and at most one descriptor; `None` at the end of the stream.
pub(crate) fn receive(
    socket: BorrowedFd<'_>,
    flags: RecvFlags,
) -> Result<Option<(Message, Option<OwnedFd>)>, StartError> {
    match try_receive(socket, flags) {
        Ok(received) => Ok(received),
        Err(errno) => Err(StartError::Supervisor {
            what: "recvmsg",
            source: errno.into(),
        }),
    }
}

/// [`receive`] with the kernel's own errno, EAGAIN among them.
pub(crate) fn try_receive(
    socket: BorrowedFd<'_>,
    flags: RecvFlags,
) -> rustix::io::Result<Option<(Message, Option<OwnedFd>)>> {
    let mut bytes = [0; MESSAGE_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let flags = flags | RecvFlags::CMSG_CLOEXEC;
        match rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags) {
            // Told once, before what is still to be read, when init has ended with messages unread.
            Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNRESET) => {}
            result => break result?,
        }
    };
    let fd = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    match received.bytes {
        MESSAGE_BYTES => Ok(Some((wire::from_bytes(&bytes), fd))),
        _ => Ok(None),
    }
}

/// Receives one message and all its descriptors; `None` at the end of the stream.
pub(crate) fn receive_all(socket: BorrowedFd<'_>) -> Result<Option<(Message, Vec<OwnedFd>)>, StartError> {
    let mut bytes = [0; MESSAGE_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(wire::MESSAGE_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let flags = RecvFlags::CMSG_CLOEXEC;
        match rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags) {
            Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNRESET) => {}
            result => break result.map_err(StartError::supervisor("recvmsg"))?,
        }
    };
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    match received.bytes {
        MESSAGE_BYTES => Ok(Some((wire::from_bytes(&bytes), fds))),
        _ => Ok(None),
    }
}
