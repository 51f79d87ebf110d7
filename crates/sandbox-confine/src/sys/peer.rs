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

/// SO_PASSCRED: from now on the kernel says with each message who has sent it.
pub(crate) fn ask_for_senders(socket: BorrowedFd<'_>) -> io::Result<()> {
    let on: libc::c_int = 1;
    let length = libc::socklen_t::try_from(size_of::<libc::c_int>()).map_err(io::Error::other)?;
    // SAFETY: `on` is valid for the call, and `length` is its size.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PASSCRED,
            (&raw const on).cast(),
            length,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A message with what came along.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) bytes: usize,
    pub(crate) fds: Vec<OwnedFd>,
    /// Who has sent it, where that was asked for.
    pub(crate) sender: Option<Peer>,
    /// Some of the descriptors found no number here, or no room.
    pub(crate) is_cut: bool,
}

/// Room for sixteen descriptors and a sender.
const CONTROL_WORDS: usize = 32;

/// recvmsg(2), without waiting.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Received> {
    let mut control = [0_u64; CONTROL_WORDS];
    let mut vector = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: zeroes are a valid msghdr: no name, no vectors, no control.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(&control);
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: `header` names `buffer` and `control` with their sizes, and both live for the call.
    let count = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags) };
    let bytes = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    let mut received = Received {
        bytes,
        fds: Vec::new(),
        sender: None,
        is_cut: header.msg_flags & libc::MSG_CTRUNC != 0,
    };
    let length = header.msg_controllen.min(size_of_val(&control));
    let words = control.get(..length.div_ceil(8)).unwrap_or_default();
    take_control(words, length, &mut received);
    Ok(received)
}

/// Takes over what the kernel has put into the control buffer: headers of length, level and type, each with its
/// data, each at a multiple of eight bytes (cmsg(3)).
fn take_control(words: &[u64], length: usize, received: &mut Received) {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let mut rest = bytes.get(..length).unwrap_or_default();
    while let Some((header, _)) = rest.split_at_checked(16) {
        let size = usize::try_from(number(header, 0)).unwrap_or(0);
        let level_and_type = (half(header, 8), half(header, 12));
        let data = rest.get(16..size).unwrap_or_default();
        let halves = || data.chunks_exact(4).map(|chunk| half(chunk, 0));
        match level_and_type {
            (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                // SAFETY: the kernel has just made these descriptors for us, and each is taken over once.
                received
                    .fds
                    .extend(halves().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
            }
            (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) => {
                let mut halves = halves();
                if let (Some(pid), Some(uid)) = (halves.next(), halves.next()) {
                    let uid = uid.cast_unsigned();
                    received.sender = Some(Peer { pid, uid });
                }
            }
            _ => {}
        }
        rest = rest.get(size.next_multiple_of(8).max(16)..).unwrap_or_default();
    }
}

fn number(bytes: &[u8], at: usize) -> u64 {
    let word = bytes.get(at..at + 8).and_then(|word| word.try_into().ok());
    word.map_or(0, u64::from_ne_bytes)
}

fn half(bytes: &[u8], at: usize) -> i32 {
    let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
    word.map_or(-1, i32::from_ne_bytes)
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
