//! What is said at the door: a greeting, and an answer with the descriptors of a holder.
//!
//! One SEQPACKET message each, of eight words, whose first four never change, so that builds that differ in
//! everything else can tell one another so.

use std::io::{self, IoSlice, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

use super::build::{BUILD, VERSION};
use super::error::Refusal;
use crate::messages::high;
use crate::sys::{self, Peer};
use crate::wire::{self, MESSAGE_BYTES, Message};

/// "sbx-join", little endian.
const GREETING: u64 = u64::from_le_bytes(*b"sbx-join");
/// "sbx-open", little endian.
const ANSWER: u64 = u64::from_le_bytes(*b"sbx-open");

/// Description, control socket, pidfd, listening socket; then the marks.
pub(super) const FIXED_FDS: usize = 4;
/// A cgroup and a private directory may be marked.
const MAX_FDS: usize = FIXED_FDS + 2;

const WELCOME: u64 = 1;
const OTHER_BUILD: u64 = 2;
const ENDED: u64 = 3;
const REFUSED_USER: u64 = 4;
const REFUSED_NAMESPACE: u64 = 5;
const REFUSED_INSIDE: u64 = 6;
const REFUSED_UNKNOWN: u64 = 7;

/// What a greeting says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Greeting {
    /// From a process of our build.
    Ours,
    /// From another build.
    Foreign,
    /// Nonsense.
    Garbage,
}

/// What the answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Come in; the descriptors come along.
    Welcome,
    /// The holder is of another build.
    OtherBuild {
        /// Its version.
        version: String,
    },
    /// The sandbox is over.
    Ended,
    /// Not you.
    Refused(Refusal),
}

/// The greeting of this build.
pub(super) fn greeting() -> Message {
    [GREETING, BUILD, 0, 0, 0, 0, 0, 0]
}

/// Reads a greeting.
pub(super) fn read_greeting(message: &Message) -> Greeting {
    match *message {
        [GREETING, BUILD, ..] => Greeting::Ours,
        [GREETING, ..] => Greeting::Foreign,
        _ => Greeting::Garbage,
    }
}

impl Answer {
    /// As a message. Its last four words hold this build's version.
    pub(super) fn encode(&self) -> Message {
        let code = match self {
            Self::Welcome => WELCOME,
            Self::OtherBuild { .. } => OTHER_BUILD,
            Self::Ended => ENDED,
            Self::Refused(Refusal::User) => REFUSED_USER,
            Self::Refused(Refusal::Namespace) => REFUSED_NAMESPACE,
            Self::Refused(Refusal::Inside) => REFUSED_INSIDE,
            Self::Refused(Refusal::Unknown) => REFUSED_UNKNOWN,
        };
        let [a, b, c, d] = version_words();
        [ANSWER, BUILD, code, 0, a, b, c, d]
    }

    /// Reads an answer; `None` for nonsense.
    pub(super) fn decode(message: &Message) -> Option<Self> {
        let [ANSWER, build, code, _, version @ ..] = message else {
            return None;
        };
        Some(match *code {
            ENDED => Self::Ended,
            REFUSED_USER => Self::Refused(Refusal::User),
            REFUSED_NAMESPACE => Self::Refused(Refusal::Namespace),
            REFUSED_INSIDE => Self::Refused(Refusal::Inside),
            REFUSED_UNKNOWN => Self::Refused(Refusal::Unknown),
            WELCOME if *build == BUILD => Self::Welcome,
            _ if *build == BUILD => return None,
            _ => Self::OtherBuild {
                version: version_text(*version),
            },
        })
    }
}

fn version_words() -> [u64; 4] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(VERSION.as_bytes().chunks(8)) {
        let mut filled = [0; 8];
        // A chunk is never longer than eight, and reading from memory does not fail.
        let _ = { bytes }.read(&mut filled);
        *word = u64::from_le_bytes(filled);
    }
    words
}

fn version_text(words: [u64; 4]) -> String {
    let bytes = words.iter().flat_map(|word| word.to_le_bytes());
    let known = bytes.take_while(u8::is_ascii_graphic).map(char::from);
    let text: String = known.collect();
    if text.is_empty() {
        "unknown".to_owned()
    } else {
        text
    }
}

/// Sends a message with at most [`MAX_FDS`] descriptors, without waiting.
pub(super) fn send(to: BorrowedFd<'_>, message: &Message, fds: &[BorrowedFd<'_>]) -> rustix::io::Result<()> {
    let bytes = wire::to_bytes(message);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::INVAL);
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    loop {
        let bytes = [IoSlice::new(&bytes)];
        match rustix::net::sendmsg(to, &bytes, &mut control, flags) {
            Err(Errno::INTR) => {}
            result => return result.map(drop),
        }
    }
}

/// A message, its descriptors, numbered 3 or more, and who has sent it, where that was asked for.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) message: Message,
    pub(super) fds: Vec<OwnedFd>,
    pub(super) sender: Option<Peer>,
}

/// Receives, without waiting. `None` at the end, and for what is no message.
pub(super) fn receive(from: BorrowedFd<'_>) -> io::Result<Option<Received>> {
    let mut bytes = [0; MESSAGE_BYTES];
    let received = loop {
        match sys::receive(from, &mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Told once, before what is still to be read, when the other side has left our greeting unread.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            result => break result?,
        }
    };
    // A command's standard streams are duplicates of 0, 1 and 2 of whoever starts it.
    let fds = received.fds.into_iter().map(high).collect::<Result<_, _>>()?;
    if received.is_cut {
        return Err(Errno::MFILE.into());
    }
    Ok((received.bytes == MESSAGE_BYTES).then(|| Received {
        message: wire::from_bytes(&bytes),
        fds,
        sender: received.sender,
    }))
}

/// Borrowed descriptors of a welcome, in their order.
pub(super) fn welcome_fds<'a>(fixed: [&'a OwnedFd; FIXED_FDS], marks: &'a [OwnedFd]) -> Vec<BorrowedFd<'a>> {
    fixed.into_iter().chain(marks).map(AsFd::as_fd).collect()
}
