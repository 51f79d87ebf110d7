//! The socket in the file system: putting it there, finding it, taking it away.
//!
//! A unix socket's address holds 107 bytes, a path 4095: the directory is opened, and the socket is named by
//! its descriptor. The directory may be moved meanwhile.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::error::{JoinError, ShareError};
use super::peer;
use crate::messages::high;

/// What a socket is called until it listens.
const UNFINISHED: &str = ".sandbox-unfinished";
/// How long to wait for another process that is about to share a sandbox in the same directory.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many may wait to be let in.
const BACKLOG: i32 = 128;

/// Where a shared sandbox listens.
#[derive(Debug)]
pub(super) struct Door {
    directory: OwnedFd,
    name: OsString,
    /// Device and inode of the socket.
    id: (u64, u64),
}

/// What came of knocking.
#[derive(Debug)]
pub(super) enum Knock {
    /// Connected.
    Open(Door, OwnedFd),
    /// Too many are waiting.
    Busy,
}

impl Door {
    /// A listening socket at `path`, in a directory that only this user may enter. One that nobody listens on
    /// any more is replaced.
    pub(super) fn build(path: &Path) -> Result<(Self, OwnedFd), ShareError> {
        let (parent, name) = split(path).ok_or_else(|| ShareError::NotASocket { path: path.into() })?;
        let directory = private_directory(parent)?;
        lock(&directory, parent)?;
        let built = Self::build_locked(&directory, path, name);
        // Closing it would do the same, but it is kept.
        let _ = rustix::fs::flock(&directory, FlockOperation::Unlock);
        let (id, listener) = built?;
        let name = name.to_owned();
        Ok((Self { directory, name, id }, listener))
    }

    fn build_locked(
        directory: &OwnedFd,
        path: &Path,
        name: &OsStr,
    ) -> Result<((u64, u64), OwnedFd), ShareError> {
        match look_at(directory, name) {
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(ShareError::io("look at the socket")(errno)),
            Ok(found) if !is_socket(&found) => return Err(ShareError::NotASocket { path: path.into() }),
            Ok(_) if is_in_use(directory, name)? => return Err(ShareError::InUse { path: path.into() }),
            Ok(_) => {}
        }
        match rustix::fs::unlinkat(directory, UNFINISHED, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(ShareError::io("remove an unfinished socket")(errno)),
        }
        let listener = socket().map_err(ShareError::io("socket"))?;
        let address = address(directory.as_fd(), OsStr::new(UNFINISHED)).map_err(ShareError::io("bind"))?;
        rustix::net::bind(&listener, &address).map_err(ShareError::io("bind"))?;
        // Nobody else could enter the directory, whatever the mask left of the mode.
        rustix::fs::chmodat(directory, UNFINISHED, Mode::RUSR | Mode::WUSR, AtFlags::empty())
            .map_err(ShareError::io("chmod"))?;
        rustix::net::listen(&listener, BACKLOG).map_err(ShareError::io("listen"))?;
        rustix::fs::renameat(directory, UNFINISHED, directory, name).map_err(ShareError::io("rename"))?;
        let made = look_at(directory, name).map_err(ShareError::io("look at the socket"))?;
        Ok((id_of(&made), listener))
    }

    /// Connects to the socket at `path`, which must be ours.
    pub(super) fn knock(path: &Path) -> Result<Knock, JoinError> {
        let nobody = || JoinError::Nobody { path: path.into() };
        let io = |what| {
            move |errno: Errno| match errno {
                Errno::NOENT | Errno::NOTDIR => nobody(),
                errno => JoinError::Io {
                    path: path.into(),
                    what,
                    source: errno.into(),
                },
            }
        };
        let (parent, name) = split(path).ok_or_else(|| JoinError::NotASocket { path: path.into() })?;
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(CWD, parent, flags | OFlags::DIRECTORY, Mode::empty())
            .and_then(high)
            .map_err(io("open its directory"))?;
        let file = rustix::fs::openat(&directory, name, flags | OFlags::NOFOLLOW, Mode::empty())
            .map_err(io("open"))?;
        let found = rustix::fs::fstat(&file).map_err(io("look at it"))?;
        if !is_socket(&found) {
            return Err(JoinError::NotASocket { path: path.into() });
        }
        if !peer::is_us(found.st_uid) {
            let uid = found.st_uid;
            return Err(JoinError::AnotherUser {
                path: path.into(),
                uid,
            });
        }
        let socket = socket().map_err(io("socket"))?;
        match connect(&socket, &file) {
            Ok(()) => {}
            Err(Errno::AGAIN) => return Ok(Knock::Busy),
            Err(Errno::CONNREFUSED) => return Err(nobody()),
            Err(Errno::PROTOTYPE) => return Err(JoinError::NotASocket { path: path.into() }),
            Err(errno) => return Err(io("connect")(errno)),
        }
        let door = Self {
            directory,
            name: name.to_owned(),
            id: id_of(&found),
        };
        Ok(Knock::Open(door, socket))
    }

    /// Takes the socket away. What has come into its place stays. To be called while the listening socket is
    /// still open: it keeps others from replacing it.
    pub(super) fn remove(&self) -> io::Result<()> {
        match look_at(&self.directory, &self.name) {
            Ok(found) if id_of(&found) == self.id => Ok(rustix::fs::unlinkat(
                &self.directory,
                &self.name,
                AtFlags::empty(),
            )?),
            Ok(_) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

fn split(path: &Path) -> Option<(&Path, &OsStr)> {
    let parent = match path.parent()? {
        parent if parent.as_os_str().is_empty() => Path::new("."),
        parent => parent,
    };
    Some((parent, path.file_name()?))
}

fn private_directory(path: &Path) -> Result<OwnedFd, ShareError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(path, flags, Mode::empty())
        .map_err(ShareError::io("open the socket's directory"))?;
    let found = rustix::fs::fstat(&directory).map_err(ShareError::io("look at the socket's directory"))?;
    let is_private = Mode::from_raw_mode(found.st_mode) & (Mode::RWXG | Mode::RWXO) == Mode::empty();
    if is_private && peer::is_us(found.st_uid) {
        high(directory).map_err(ShareError::io("fcntl"))
    } else {
        Err(ShareError::PublicDirectory { path: path.into() })
    }
}

fn lock(directory: &OwnedFd, path: &Path) -> Result<(), ShareError> {
    let until = Instant::now() + PATIENCE;
    loop {
        match rustix::fs::flock(directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::WOULDBLOCK) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(Errno::WOULDBLOCK) => return Err(ShareError::Locked { path: path.into() }),
            Err(errno) => return Err(ShareError::io("lock the socket's directory")(errno)),
        }
    }
}

fn is_in_use(directory: &OwnedFd, name: &OsStr) -> Result<bool, ShareError> {
    let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::openat(directory, name, flags, Mode::empty())
        .map_err(ShareError::io("open the socket"))?;
    let probe = socket().map_err(ShareError::io("socket"))?;
    match connect(&probe, &file) {
        Err(Errno::CONNREFUSED) => Ok(false),
        // Somebody listens, be it for something else (EPROTOTYPE) or to too many (EAGAIN).
        Ok(()) | Err(Errno::AGAIN | Errno::PROTOTYPE) => Ok(true),
        Err(errno) => Err(ShareError::io("connect")(errno)),
    }
}

fn socket() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    high(rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        flags,
        None,
    )?)
}

fn connect(socket: &OwnedFd, file: &OwnedFd) -> rustix::io::Result<()> {
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    rustix::net::connect(socket, &address)
}

fn address(directory: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<SocketAddrUnix> {
    SocketAddrUnix::new(PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name))
}

fn look_at(directory: &OwnedFd, name: &OsStr) -> rustix::io::Result<Stat> {
    rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
}

fn is_socket(found: &Stat) -> bool {
    FileType::from_raw_mode(found.st_mode) == FileType::Socket
}

fn id_of(found: &Stat) -> (u64, u64) {
    (found.st_dev, found.st_ino)
}
