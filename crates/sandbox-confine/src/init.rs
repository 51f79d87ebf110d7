//! The supervisor's side of init: starting it, talking to it, ending it.

use std::fs;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use rustix::process::Signal;

use crate::error::StartError;
use crate::sys::{self, InitFds, LaunchFailure, Reaped};
use crate::wire::{self, MESSAGE_BYTES, Message};

/// The program, built with this crate.
const IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/init"));

/// How to start init.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Launch {
    /// CLONE_NEW* flags; none without namespaces.
    pub(crate) namespaces: i32,
    /// CLONE_NEW* flags of namespaces that init makes itself, beside building the root: they take long.
    pub(crate) beside: i32,
    /// Capabilities that init keeps in its user namespace.
    pub(crate) ambient: u64,
    /// Contents of uid_map and gid_map, and whether setgroups(2) stays allowed.
    pub(crate) maps: Option<IdMaps>,
}

/// The identity maps of a user namespace (user_namespaces(7)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdMaps {
    pub(crate) uid: String,
    pub(crate) gid: String,
    pub(crate) setgroups: bool,
}

/// A running init. Dropping it kills and reaps everything inside.
#[derive(Debug)]
pub(crate) struct Init {
    control: OwnedFd,
    pidfd: OwnedFd,
    pid: i32,
    /// With a pid namespace the kernel kills everything with init; without, init has to do it.
    kill_is_enough: bool,
    reaped: Option<Reaped>,
}

impl Init {
    /// Starts init, which begins to make the namespaces that take long; the rest waits for [`Init::go`].
    pub(crate) fn start(launch: &Launch) -> Result<Self, StartError> {
        let (ours, theirs) = socket_pair()?;
        let image = image()?;
        let fds = InitFds {
            image: image.as_fd(),
            control: theirs.as_fd(),
        };
        let (pidfd, pid) =
            sys::launch(fds, launch.namespaces, launch.ambient).map_err(|failure| match failure {
                LaunchFailure::Clone(source) if launch.namespaces != 0 => StartError::Namespaces { source },
                LaunchFailure::Clone(source) => StartError::Supervisor {
                    what: "clone",
                    source,
                },
                LaunchFailure::Exec(source) => StartError::Supervisor {
                    what: "execute the sandbox's init",
                    source,
                },
            })?;
        drop(theirs);
        let kill_is_enough = launch.namespaces & libc::CLONE_NEWPID != 0;
        let init = Self {
            control: ours,
            pidfd,
            pid,
            kill_is_enough,
            reaped: None,
        };
        if let Some(maps) = &launch.maps {
            init.write_maps(maps)
                .map_err(|source| StartError::Namespaces { source })?;
        }
        let beside = u64::from(launch.beside.cast_unsigned());
        send(init.control(), &[wire::BEGIN, beside, 0, 0, 0, 0, 0, 0], &[])?;
        Ok(init)
    }

    /// Lets init build the root as the set-up blob says; what comes of it is read from [`Init::control`].
    pub(crate) fn go(&self, setup: BorrowedFd<'_>) -> Result<(), StartError> {
        let flags = if self.kill_is_enough {
            wire::GO_PID_NAMESPACE
        } else {
            0
        };
        send(self.control(), &[wire::GO, flags, 0, 0, 0, 0, 0, 0], &[setup])
    }

    /// Asks init for a command.
    pub(crate) fn spawn(
        &self,
        flags: u64,
        fds: &[BorrowedFd<'_>; wire::SPAWN_FDS],
    ) -> Result<(), StartError> {
        send(self.control(), &[wire::SPAWN, flags, 0, 0, 0, 0, 0, 0], fds)
    }

    /// Stops or continues every process inside; returns when init has done so.
    pub(crate) fn signal_all(&self, request: u64) -> Result<(), StartError> {
        send(self.control(), &[request, 0, 0, 0, 0, 0, 0, 0], &[])?;
        loop {
            match receive(self.control(), RecvFlags::empty())? {
                Some(([wire::DONE, ..], _)) => return Ok(()),
                Some(_) => {}
                None => return Err(StartError::Ended),
            }
        }
    }

    /// The control socket; it reports READY or FAILED, and its end is that of init.
    pub(crate) fn control(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }

    /// Readable when init and everything inside is dead.
    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Whether it and everything inside has ended.
    pub(crate) fn is_dead(&self) -> bool {
        let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        rustix::event::poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
    }

    /// Init's pid outside.
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Asks init to kill everything inside and to report as always, so that what was used is accounted for.
    pub(crate) fn ask_to_end(&self) -> Result<(), StartError> {
        send(self.control(), &[wire::END, 0, 0, 0, 0, 0, 0, 0], &[])
    }

    /// Starts killing everything inside, without waiting for it.
    pub(crate) fn kill(&self) {
        if self.kill_is_enough {
            // ESRCH: it has ended already, and everything with it.
            let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
        } else {
            // Init hunts down what is left and ends; ENOTCONN: it has ended already.
            let _ = rustix::net::shutdown(&self.control, rustix::net::Shutdown::Both);
        }
    }

    /// Ends everything inside, waits for it and reaps init. What it all used, the first time.
    pub(crate) fn end(&mut self) -> io::Result<Reaped> {
        if let Some(reaped) = self.reaped {
            return Ok(reaped);
        }
        self.kill();
        self.reap()
    }

    /// Waits until init has ended by itself, and reaps it.
    pub(crate) fn reap(&mut self) -> io::Result<Reaped> {
        if let Some(reaped) = self.reaped {
            return Ok(reaped);
        }
        let reaped = sys::reap(self.pidfd.as_fd())?;
        self.reaped = Some(reaped);
        Ok(reaped)
    }

    fn write_maps(&self, maps: &IdMaps) -> io::Result<()> {
        let file = |name: &str| format!("/proc/{}/{name}", self.pid);
        if !maps.setgroups {
            fs::write(file("setgroups"), "deny")?;
        }
        fs::write(file("uid_map"), &maps.uid)?;
        fs::write(file("gid_map"), &maps.gid)
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::error!(pid = self.pid, %error, "cannot reap the sandbox's init");
        }
    }
}

/// Two connected SEQPACKET sockets, numbered 3 or more, so that init's own numbers stay free.
pub(crate) fn socket_pair() -> Result<(OwnedFd, OwnedFd), StartError> {
    let (a, b) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(StartError::supervisor("socketpair"))?;
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
    let mut file = fs::File::from(high(file)?);
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

fn image() -> Result<&'static OwnedFd, StartError> {
    static SEALED: OnceLock<OwnedFd> = OnceLock::new();
    if let Some(image) = SEALED.get() {
        return Ok(image);
    }
    let image = sealed("sandbox-init", IMAGE, MemfdFlags::EXEC)?;
    Ok(SEALED.get_or_init(|| image))
}

fn high(fd: OwnedFd) -> Result<OwnedFd, StartError> {
    use std::os::fd::AsRawFd;
    if fd.as_raw_fd() >= 3 {
        return Ok(fd);
    }
    rustix::io::fcntl_dupfd_cloexec(&fd, 3).map_err(StartError::supervisor("fcntl"))
}

/// Sends one message with descriptors. Never blocks for long: init always reads.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    message: &Message,
    fds: &[BorrowedFd<'_>],
) -> Result<(), StartError> {
    let bytes = wire::to_bytes(message);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(wire::SPAWN_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(StartError::Supervisor {
            what: "sendmsg",
            source: io::ErrorKind::InvalidInput.into(),
        });
    }
    loop {
        match rustix::net::sendmsg(socket, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::INTR) => {}
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
