//! Messages with descriptors, and the loopback interface.

use core::sync::atomic::AtomicU32;

use super::super::wire::{self, MESSAGE_BYTES, MESSAGE_FDS, Message};
use super::{EINTR, ETOOMANYREFS, Fd, Result, arch, fd, files, number, wait_while};

const MSG_TRUNC: i32 = 0x20;
const MSG_DONTWAIT: usize = 0x40;
const MSG_NOSIGNAL: usize = 0x4000;
const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;
const SOL_SOCKET: u32 = 1;
const SCM_RIGHTS: u32 = 1;
/// A cmsghdr with `MESSAGE_FDS` descriptors, rounded up to eight bytes.
const CONTROL_WORDS: usize = 2 + MESSAGE_FDS.div_ceil(2);

#[repr(C)]
struct MsgHdr {
    name: usize,
    name_length: u32,
    vectors: *mut [usize; 2],
    vector_count: usize,
    control: *mut u64,
    control_length: usize,
    flags: i32,
}

/// What came in.
#[derive(Debug)]
pub enum Received {
    /// A message and its descriptors.
    Message(Message, [Option<Fd>; MESSAGE_FDS]),
    /// Nothing is there yet.
    Nothing,
    /// Something that is not one of our messages; its descriptors are closed.
    Malformed,
    /// The other side is gone.
    End,
}

/// How to wait for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Until one comes.
    Block,
    /// Not at all.
    Never,
}

/// Receives one message.
pub fn receive(socket: &Fd, wait: Wait) -> Result<Received> {
    let mut bytes = [0_u8; MESSAGE_BYTES];
    let mut control = [0_u64; CONTROL_WORDS];
    let mut vector = [bytes.as_mut_ptr() as usize, MESSAGE_BYTES];
    let mut header = header(&mut vector, &mut control);
    let flags = MSG_CMSG_CLOEXEC | if wait == Wait::Never { MSG_DONTWAIT } else { 0 };
    let args = [
        number(socket.number()),
        (&raw mut header) as usize,
        flags,
        0,
        0,
        0,
    ];
    let count = loop {
        match arch::call(arch::number::RECVMSG, args) {
            Err(EINTR) => {}
            Err(super::EAGAIN) => return Ok(Received::Nothing),
            result => break result?,
        }
    };
    let fds = descriptors(&control, header.control_length);
    match count {
        // An empty message reads like the end of the stream.
        0 if files::is_hung_up(socket) => Ok(Received::End),
        MESSAGE_BYTES if header.flags & MSG_TRUNC == 0 => {
            Ok(Received::Message(wire::from_bytes(&bytes), fds))
        }
        _ => Ok(Received::Malformed),
    }
}

/// How often sending is tried again, 1 ms apart, while there are too many descriptors on their way.
const TRIES: u32 = 1000;

/// Sends one message, with as many descriptors as [`MESSAGE_FDS`] at most; more are not sent. Never blocks on the peer:
/// its queue holds far more messages than are ever under way, and a peer that is gone is no reason to stop. A user may
/// have only so many descriptors on their way (unix(7)); that others take theirs off is waited for, for a second or so.
pub fn send(socket: &Fd, message: &Message, with: &[&Fd]) -> Result<()> {
    let mut bytes = wire::to_bytes(message);
    let mut control = [0_u64; CONTROL_WORDS];
    let mut vector = [bytes.as_mut_ptr() as usize, MESSAGE_BYTES];
    let mut header = header(&mut vector, &mut control);
    header.control_length = 0;
    if !with.is_empty() {
        let with = with.get(..MESSAGE_FDS.min(with.len())).unwrap_or_default();
        control = rights(with);
        header.control = control.as_mut_ptr();
        header.control_length = 16 + (4 * with.len()).next_multiple_of(8);
    }
    let args = [
        number(socket.number()),
        (&raw mut header) as usize,
        MSG_DONTWAIT | MSG_NOSIGNAL,
        0,
        0,
        0,
    ];
    let mut tries = 0;
    loop {
        match arch::call(arch::number::SENDMSG, args) {
            Err(EINTR) => {}
            Err(ETOOMANYREFS) if tries < TRIES => {
                tries += 1;
                // Nobody wakes this: only time passes.
                let _ = wait_while(&AtomicU32::new(0), 0, Some(1));
            }
            result => return result.map(drop),
        }
    }
}

fn header(vector: &mut [usize; 2], control: &mut [u64; CONTROL_WORDS]) -> MsgHdr {
    MsgHdr {
        name: 0,
        name_length: 0,
        vectors: vector,
        vector_count: 1,
        control: control.as_mut_ptr(),
        control_length: size_of_val(control),
        flags: 0,
    }
}

/// A cmsghdr of length, level and type, then the descriptors.
fn rights(files: &[&Fd]) -> [u64; CONTROL_WORDS] {
    let mut control = [0; CONTROL_WORDS];
    let [length, kind, rest @ ..] = &mut control;
    *length = 16 + 4 * files.len() as u64;
    *kind = u64::from(SOL_SOCKET) | (u64::from(SCM_RIGHTS) << 32);
    for (word, pair) in rest.iter_mut().zip(files.chunks(2)) {
        for (index, file) in pair.iter().enumerate() {
            *word |= u64::from(file.number().cast_unsigned()) << (32 * index);
        }
    }
    control
}

/// Takes over the descriptors of a received control message.
fn descriptors(control: &[u64; CONTROL_WORDS], length: usize) -> [Option<Fd>; MESSAGE_FDS] {
    let mut fds = [const { None }; MESSAGE_FDS];
    let [size, kind, rest @ ..] = control;
    let is_rights = *kind == u64::from(SOL_SOCKET) | (u64::from(SCM_RIGHTS) << 32);
    let size = usize::try_from(*size).unwrap_or(0);
    if !is_rights || size > length || size < 16 {
        return fds;
    }
    let numbers = rest.iter().flat_map(|word| [*word as u32, (*word >> 32) as u32]);
    for (slot, descriptor) in fds.iter_mut().zip(numbers.take((size - 16) / 4)) {
        *slot = Some(Fd::own(descriptor.cast_signed()));
    }
    fds
}

/// Brings `lo` up in this network namespace (netdevice(7)).
pub fn bring_loopback_up() -> Result<()> {
    const AF_INET: usize = 2;
    const SOCK_DGRAM_CLOEXEC: usize = 0o2_000_002;
    const SIOCSIFFLAGS: usize = 0x8914;
    const IFF_UP_RUNNING: u16 = 0x41;
    let socket = fd(arch::call(
        arch::number::SOCKET,
        [AF_INET, SOCK_DGRAM_CLOEXEC, 0, 0, 0, 0],
    ))?;
    // struct ifreq: a name of 16 bytes, then flags in a union of 24.
    let mut request = [0_u8; 40];
    if let Some(name) = request.get_mut(..2) {
        name.copy_from_slice(b"lo");
    }
    if let Some(flags) = request.get_mut(16..18) {
        flags.copy_from_slice(&IFF_UP_RUNNING.to_le_bytes());
    }
    arch::call(
        arch::number::IOCTL,
        [
            number(socket.number()),
            SIOCSIFFLAGS,
            request.as_ptr() as usize,
            0,
            0,
            0,
        ],
    )
    .map(drop)
}
