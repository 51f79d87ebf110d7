//! One live sandbox, held by several processes.

mod door;
mod holders;
mod together;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sandbox_confine::{Command, GateThread, Policy, Sandbox, StartError, Stdio};
use sandbox_types::{Guarantee, Mechanism};

use crate::harness::second::{Host, Second, serve_if_asked, tidy_up};
use crate::harness::{Place, live_with_argument, name_of_test, skip};

/// A directory of one's own, and the path of a socket in it.
struct Room {
    _place: Place,
    socket: PathBuf,
}

impl Room {
    fn new() -> Self {
        let place = Place::new();
        let socket = place.dir("state").join("control.sock");
        let mode = fs::Permissions::from_mode(0o700);
        fs::set_permissions(place.path().join("state"), mode).expect("own directory");
        Self {
            _place: place,
            socket,
        }
    }

    fn path(&self) -> &Path {
        &self.socket
    }

    fn named(&self, word: &str) -> String {
        format!("{word} {}", self.socket.display())
    }

    fn is_empty(&self) -> bool {
        let parent = self.socket.parent().expect("in a directory");
        fs::read_dir(parent).expect("own directory").next().is_none()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        tidy_up();
    }
}

/// A sandbox of `policy` that others are let into.
fn shared(room: &Room, policy: &Policy) -> (Sandbox, GateThread) {
    let mut sandbox = Sandbox::new(policy).expect("plans");
    let gate = sandbox.share(room.path()).expect("shares");
    (sandbox, gate.in_thread().expect("a thread"))
}

/// Two processes that hold one sandbox of `policy`, whose `guarantee` is held by `mechanism`; none where it is held by
/// something else here.
fn two_behind(
    room: &Room,
    policy: &Policy,
    guarantee: Guarantee,
    mechanism: Mechanism,
) -> Option<(Second, Second)> {
    let mut first = Second::start_with(Host::Usual, policy, |_| {});
    first.tell(&room.named("share"));
    let mut second = Second::start();
    second.tell(&room.named("join"));
    let sandbox = Sandbox::join(room.path()).expect("joins");
    let report = sandbox.report();
    report
        .get(guarantee)?
        .by
        .contains(&mechanism)
        .then_some((first, second))
}

/// Two processes that hold one sandbox.
fn two(room: &Room, host: Host) -> (Second, Second) {
    let (mut first, mut second) = (Second::start_on(host), Second::start_on(host));
    first.tell(&room.named("share"));
    second.tell(&room.named("join"));
    (first, second)
}

fn hosts(name: &str) -> Vec<Host> {
    if sandbox_confine::Host::detect().expect("/proc").landlock_abi >= 3 {
        vec![Host::Usual, Host::WithoutNamespaces]
    } else {
        skip(
            name,
            "Landlock ABI 3 is the least that suffices without namespaces",
        );
        vec![Host::Usual]
    }
}

/// Whether a process with that argument lives.
fn runs(marker: &str) -> bool {
    !live_with_argument(marker).is_empty()
}

#[test]
fn another_process_does_as_it_is_told() {
    if serve_if_asked() {
        return;
    }
    let mut second = Second::start();
    assert_eq!(second.ask("nonsense"), Err("unknown".to_owned()));
    assert_eq!(second.ask("run true"), Err("no sandbox".to_owned()));
}

#[test]
fn the_second_sees_what_the_first_has_left_and_runs_in_the_same_surroundings() {
    for host in hosts(name_of_test!()) {
        let room = Room::new();
        let (mut first, mut second) = two(&room, host);
        assert_eq!(first.tell("run echo kept > $TMPDIR/file"), "Exited { code: 0 }\n");
        assert_eq!(
            second.tell("run cat $TMPDIR/file; exit 3"),
            "Exited { code: 3 }\nkept\n"
        );
        let surroundings = "run pwd; env | sort; id -u; ulimit -a; grep -h Seccomp: /proc/self/status";
        assert_eq!(first.tell(surroundings), second.tell(surroundings));
    }
}

#[test]
fn a_joined_sandbox_has_the_policy_the_report_and_the_pid_of_the_one_that_is_shared() {
    let room = Room::new();
    let policy = Policy::builder().env("WORD", "value").build().expect("valid");
    let (first, _gate) = shared(&room, &policy);
    let mut second = Sandbox::join(room.path()).expect("joins");
    assert_eq!((second.policy(), second.report()), (&policy, first.report()));
    assert_eq!(second.pid(), first.pid());
    let command = Command::new("printenv").arg("WORD").stdout(Stdio::capture());
    let result = second.spawn(command).expect("starts").wait().expect("ends");
    assert_eq!(result.stdout, b"value\n");
    second.kill().expect("ours");
    assert_eq!((second.policy(), second.report()), (&policy, first.report()));
    assert!(matches!(
        second.spawn(Command::new("true")),
        Err(StartError::Ended)
    ));
}
