//! What goes on behind the door: malformed requests, visitors of another build, who is last.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Barrier};

use rustix::net::{RecvFlags, SendFlags};
use sandbox_types::{Outcome, Policy};

use super::build::{BUILD, VERSION};
use super::door::{Door, Knock};
use super::packet::{self, Answer, Greeting};
use super::{GateThread, Position, Refusal, Stake, join};
use crate::command::{Command, Stdio};
use crate::messages::{self, socket_pair};
use crate::prepared::Prepared;
use crate::process::Owned;
use crate::start::start_in;
use crate::wire;

fn live() -> Owned {
    Prepared::new(&Policy::default())
        .expect("plans")
        .launch()
        .expect("starts")
}

fn exits_with(owned: &mut Owned, code: i32) {
    let command = Command::new("sh")
        .args(["-c", &format!("exit {code}")])
        .stdin(Stdio::Null);
    let result = start_in(owned, command).expect("starts").wait().expect("ends");
    assert_eq!(result.outcome, Outcome::Exited { code });
}

/// A shared sandbox, its socket, its gate, and the directory of it all.
fn shared() -> (Owned, PathBuf, GateThread, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o700)).expect("own");
    let socket = directory.path().join("s");
    let mut owned = live();
    let stake = Stake::found(&owned, &Policy::default(), &socket).expect("shares");
    let gate = stake.gate().expect("a gate").in_thread().expect("a thread");
    owned.stake = Some(stake);
    (owned, socket, gate, directory)
}

fn knock(socket: &std::path::Path) -> OwnedFd {
    match Door::knock(socket).expect("somebody listens") {
        Knock::Open(_, socket) => socket,
        Knock::Busy => panic!("busy"),
    }
}

fn answer(visitor: &OwnedFd) -> Option<(Answer, Vec<OwnedFd>)> {
    crate::ready::await_readable(visitor.as_fd(), None).expect("a socket");
    let received = packet::receive(visitor.as_fd()).expect("a socket")?;
    Some((
        Answer::decode(&received.message).expect("an answer"),
        received.fds,
    ))
}

fn malformed(control: BorrowedFd<'_>) {
    let long = [0xff_u8; 200];
    for bytes in [&long[..0], &long[..1], &long[..64], &long] {
        rustix::net::send(control, bytes, SendFlags::NOSIGNAL).expect("sent");
    }
    let known = [
        wire::BEGIN,
        wire::GO,
        wire::SPAWN,
        wire::PAUSE,
        wire::RESUME,
        wire::STATE,
        wire::GROUP,
    ];
    for tag in known {
        messages::send(control, &[tag, 0, u64::MAX, 0, 0, 0, 0, 0], &[]).expect("sent");
    }
    messages::send(control, &[wire::RESUME, 0, 0, 0, 0, 0, 0, 0], &[control; 5]).expect("sent");
}

#[test]
fn what_is_no_request_is_dropped_by_init_and_everything_goes_on() {
    let mut owned = live();
    malformed(owned.init.control());
    exits_with(&mut owned, 3);
    for group in [0, 1, u64::MAX, 1 << 31] {
        assert_eq!(
            owned.init.ask(wire::GROUP, group, None).expect("answered"),
            0,
            "{group}"
        );
    }
}

#[test]
fn a_request_whose_descriptors_are_missing_is_answered() {
    let owned = live();
    let (ours, theirs) = socket_pair().expect("sockets");
    let fds = [theirs.as_fd(), theirs.as_fd()];
    messages::send(owned.init.control(), &[wire::SPAWN, 0, 0, 0, 0, 0, 0, 0], &fds).expect("sent");
    drop(theirs);
    let answer = messages::receive(ours.as_fd(), RecvFlags::empty()).expect("a socket");
    let emfile = u64::from(libc::EMFILE.unsigned_abs());
    assert!(
        matches!(answer, Some(([wire::FAILED, 1, errno, ..], None)) if errno == emfile),
        "{answer:?}"
    );
}

#[test]
fn a_flood_of_requests_keeps_nobody_from_starting_commands() {
    let (mut owned, socket, _gate, _directory) = shared();
    let (flooder, _) = join(&socket).expect("joins");
    let is_over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let thread = std::thread::spawn({
        let is_over = Arc::clone(&is_over);
        move || {
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                malformed(flooder.init.control());
            }
        }
    });
    for code in 0..20 {
        exits_with(&mut owned, code);
    }
    is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    thread.join().expect("no panic");
}

#[test]
fn another_build_is_told_so_on_either_side() {
    let (_owned, socket, _gate, _directory) = shared();
    let visitor = knock(&socket);
    let [tag, ..] = packet::greeting();
    packet::send(visitor.as_fd(), &[tag, BUILD + 1, 9, 9, 9, 9, 9, 9], &[]).expect("sent");
    crate::ready::await_readable(visitor.as_fd(), None).expect("a socket");
    let received = packet::receive(visitor.as_fd())
        .expect("a socket")
        .expect("an answer");
    assert!(received.fds.is_empty(), "nothing is handed out");
    let mut message = received.message;
    // As a program of that other build reads it.
    message[1] = BUILD + 1;
    let version = VERSION.to_owned();
    assert_eq!(
        Answer::decode(&message),
        Some(Answer::OtherBuild {
            version: version.clone()
        })
    );
    // A holder of another build that did not notice is not believed either.
    let mut message = Answer::Welcome.encode();
    message[1] = BUILD + 1;
    assert_eq!(Answer::decode(&message), Some(Answer::OtherBuild { version }));
}

#[test]
fn answers_and_greetings_survive_the_wire() {
    let refusals = [
        Refusal::User,
        Refusal::Namespace,
        Refusal::Inside,
        Refusal::Unknown,
    ];
    for answer in refusals
        .map(Answer::Refused)
        .into_iter()
        .chain([Answer::Welcome, Answer::Ended])
    {
        assert_eq!(Answer::decode(&answer.encode()), Some(answer));
    }
    assert_eq!(Answer::decode(&packet::greeting()), None);
    assert_eq!(packet::read_greeting(&packet::greeting()), Greeting::Ours);
    assert_eq!(
        packet::read_greeting(&Answer::Welcome.encode()),
        Greeting::Garbage
    );
}

#[test]
fn who_was_let_in_and_never_came_is_no_holder() {
    let (mut owned, socket, _gate, _directory) = shared();
    let visitor = knock(&socket);
    packet::send(visitor.as_fd(), &packet::greeting(), &[]).expect("sent");
    crate::ready::await_readable(visitor.as_fd(), None).expect("answered");
    drop(visitor);
    let stake = owned.stake.take().expect("shared");
    assert_eq!(stake.give_up(), Position::Last);
}

#[test]
fn who_is_being_let_in_counts_as_a_holder() {
    let (mut owned, socket, _gate, _directory) = shared();
    let visitor = knock(&socket);
    packet::send(visitor.as_fd(), &packet::greeting(), &[]).expect("sent");
    crate::ready::await_readable(visitor.as_fd(), None).expect("answered");
    let stake = owned.stake.take().expect("shared");
    assert_eq!(stake.give_up(), Position::NotLast);
    let (welcome, fds) = answer(&visitor).expect("still to be read");
    assert_eq!((welcome, fds.len()), (Answer::Welcome, packet::FIXED_FDS));
}

#[test]
fn of_many_who_leave_at_once_exactly_one_is_the_last() {
    for _ in 0..20 {
        let (first, socket, _gate, _directory) = shared();
        let mut holders = vec![first];
        holders.extend((0..7).map(|_| join(&socket).expect("joins").0));
        let barrier = Arc::new(Barrier::new(holders.len()));
        let threads: Vec<_> = holders
            .into_iter()
            .map(|mut holder| {
                let barrier = Arc::clone(&barrier);
                std::thread::spawn(move || {
                    let stake = holder.stake.take().expect("shared");
                    barrier.wait();
                    let position = stake.give_up();
                    holder.init.let_go();
                    position
                })
            })
            .collect();
        let positions: Vec<_> = threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect();
        assert_eq!(
            positions
                .iter()
                .filter(|position| **position == Position::Last)
                .count(),
            1
        );
    }
}
