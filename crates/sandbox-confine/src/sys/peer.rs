//! Who is at the other end of a unix socket (unix(7)).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Whoever connected, or for the one who has connected whoever began to listen; at that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    /// In our pid namespace; 0 when it is in none that we see.
    pub(crate) pid: i32,
    pub(crate) uid: u32,
}

/// SO_PEERCRED.
pub(crate) fn peer(socket: BorrowedFd<'_>) -> io::Result<Peer> {
    let mut credentials = libc::ucred {
        pid: 0,
        uid: libc::uid_t::MAX,
        gid: libc::gid_t::MAX,
    };
    option(socket, libc::SO_PEERCRED, &mut credentials)?;
    Ok(Peer {
        pid: credentials.pid,
        uid: credentials.uid,
    })
}

/// SO_PEERPIDFD (Linux 6.5): a pidfd of the peer; `None` where the kernel has none to give.
pub(crate) fn peer_pidfd(socket: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    let mut number: libc::c_int = -1;
    match option(socket, libc::SO_PEERPIDFD, &mut number) {
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(()) => Ok(Some(unsafe { OwnedFd::from_raw_fd(number) })),
        Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => Ok(None),
        Err(error) => Err(error),
    }
}

fn option<T>(socket: BorrowedFd<'_>, name: libc::c_int, value: &mut T) -> io::Result<()> {
    let size = size_of::<T>();
    let mut length = libc::socklen_t::try_from(size).map_err(io::Error::other)?;
    // SAFETY: `value` and `length` are valid for the call, which writes at most `length` bytes of plain data.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            name,
            std::ptr::from_mut(value).cast(),
            &raw mut length,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
