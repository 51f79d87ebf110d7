//! The supervisor's side of init: starting it, talking to it, ending it.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::fs::MemfdFlags;
use rustix::net::RecvFlags;
use rustix::process::Signal;

use crate::error::StartError;
use crate::messages::{receive, sealed, send, socket_pair};
use crate::orphans;
use crate::ready::{await_readable, is_readable};
use crate::sys::{self, InitFds, LaunchFailure, Reaped};
use crate::wire;

/// The program, built with this crate.
pub(crate) const IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/init"));

/// How long init may take to end everything in order.
const PATIENCE: Duration = Duration::from_secs(1);

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
    relation: Relation,
    reaped: Option<Reaped>,
}

/// What init is to this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    /// Started here, and reaped here.
    Child,
    /// Started by another process, which has let us hold it as well.
    Joined,
    /// Held by others only.
    Left,
}

impl Init {
    /// Starts init, which begins to make the namespaces that take long; the rest waits for [`Init::go`].
    pub(crate) fn start(launch: &Launch) -> Result<Self, StartError> {
        orphans::reap_ended();
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
            relation: Relation::Child,
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

    /// An init that another process has started.
    pub(crate) fn joined(control: OwnedFd, pidfd: OwnedFd, pid: i32, kill_is_enough: bool) -> Self {
        Self {
            control,
            pidfd,
            pid,
            kill_is_enough,
            relation: Relation::Joined,
            reaped: None,
        }
    }

    /// Lets init build the root as the set-up blob and the `GO_` flags of the plan say; what comes of it is read from [`Init::control`].
    pub(crate) fn go(&self, setup: BorrowedFd<'_>, flags: u64) -> Result<(), StartError> {
        let own = if self.kill_is_enough {
            wire::GO_PID_NAMESPACE
        } else {
            0
        };
        let flags = flags | own;
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

    /// Sends a request about something, which is answered, and the answer's value; ETIMEDOUT where it takes longer than that. The
    /// answer comes on a channel of its own: others may hold the control socket as well.
    pub(crate) fn ask(
        &self,
        request: u64,
        about: u64,
        patience: Option<Duration>,
    ) -> Result<u64, StartError> {
        let (ours, theirs) = socket_pair()?;
        send(
            self.control(),
            &[request, about, 0, 0, 0, 0, 0, 0],
            &[theirs.as_fd()],
        )?;
        drop(theirs);
        let is_answered = await_readable(ours.as_fd(), patience).map_err(StartError::supervisor("poll"))?;
        if !is_answered {
            return Err(StartError::supervisor("wait for init")(
                rustix::io::Errno::TIMEDOUT,
            ));
        }
        match receive(ours.as_fd(), RecvFlags::empty())? {
            Some(([wire::DONE, value, ..], _)) => Ok(value),
            Some(([wire::FAILED, _, errno, ..], _)) => Err(StartError::Supervisor {
                what: "signal everything inside",
                source: io::Error::from_raw_os_error(i32::try_from(errno).unwrap_or(0)),
            }),
            Some(_) | None => Err(StartError::Ended),
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
        self.reaped.is_some() || is_readable(self.pidfd())
    }

    /// Whether killing it is enough, because its pid namespace dies with it.
    pub(crate) fn kill_is_enough(&self) -> bool {
        self.kill_is_enough
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

    /// Asks init to end, and everything inside before it.
    pub(crate) fn close(&self) {
        // ENOTCONN: it has ended already.
        let _ = rustix::net::shutdown(&self.control, rustix::net::Shutdown::Both);
    }

    /// [`Init::end`], but init itself does it, as far as it answers in time: killed, it would let go of what it
    /// holds, a branch's lock, before the kernel has ended everybody else.
    pub(crate) fn end_in_order(&mut self) -> io::Result<Reaped> {
        self.close();
        await_readable(self.pidfd(), Some(PATIENCE))?;
        self.end()
    }

    /// Waits until init has ended by itself, and reaps it.
    pub(crate) fn reap(&mut self) -> io::Result<Reaped> {
        if let Some(reaped) = self.reaped {
            return Ok(reaped);
        }
        let reaped = match self.relation {
            Relation::Child => sys::reap(self.pidfd.as_fd())?,
            // Its account is its parent's to read (wait4(2)).
            Relation::Joined | Relation::Left => {
                await_readable(self.pidfd(), None).map(|_| Reaped::default())?
            }
        };
        self.reaped = Some(reaped);
        Ok(reaped)
    }

    /// Whether it has been left to others.
    pub(crate) fn is_left(&self) -> bool {
        self.relation == Relation::Left
    }

    /// Leaves it to the others who hold it: from now on dropping it does it no harm.
    pub(crate) fn let_go(&mut self) {
        if self.relation == Relation::Child && self.reaped.is_none() {
            match self.pidfd.try_clone() {
                Ok(pidfd) => orphans::adopt(pidfd),
                Err(error) => tracing::warn!(pid = self.pid, %error, "an init will not be reaped"),
            }
        }
        self.relation = Relation::Left;
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
        if self.is_left() {
            return;
        }
        if let Err(error) = self.end() {
            tracing::error!(pid = self.pid, %error, "cannot reap the sandbox's init");
        }
    }
}

pub(crate) fn image() -> Result<&'static OwnedFd, StartError> {
    static SEALED: OnceLock<OwnedFd> = OnceLock::new();
    if let Some(image) = SEALED.get() {
        return Ok(image);
    }
    let image = sealed("sandbox-init", IMAGE, MemfdFlags::EXEC)?;
    Ok(SEALED.get_or_init(|| image))
}
