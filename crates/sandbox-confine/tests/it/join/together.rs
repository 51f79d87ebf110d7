//! What each of several holders can do, and what the others notice of it.

use sandbox_confine::{Command, JoinError, Policy, RunError, Sandbox, Stdio};
use sandbox_types::{Access, ByteSize, Guarantee, Mechanism, Mount, MountSource, Overlay};

use super::{Room, hosts, two, two_behind};
use crate::harness::second::{Host, Second};
use crate::harness::{Place, live_with_argument, name_of_test, needs_namespaces, skip, unique_seconds};

#[test]
fn both_may_pause_at_once_and_each_learns_when_it_is_done() {
    for host in hosts(name_of_test!()) {
        let room = Room::new();
        let marker = unique_seconds();
        let (mut first, mut second) = two(&room, host);
        first.tell(&format!("start exec sh -c 'while :; do :; done' x {marker}"));
        first.say("pause-and-resume 50");
        second.say("pause-and-resume 50");
        assert_eq!(
            (first.answer("f"), second.answer("s")),
            (Ok(String::new()), Ok(String::new()))
        );
        first.tell("pause");
        second.tell("pause");
        assert_eq!(
            (first.tell("status"), second.tell("status")),
            ("Paused".into(), "Paused".into())
        );
        first.tell("resume");
        assert_eq!(
            (first.tell("status"), second.tell("status")),
            ("Running".into(), "Running".into())
        );
        assert_eq!(second.tell("run echo lives"), "Exited { code: 0 }\nlives\n");
    }
}

#[test]
fn any_holder_may_kill_it_and_the_others_are_told() {
    for host in hosts(name_of_test!()) {
        let room = Room::new();
        let marker = unique_seconds();
        let (mut first, mut second) = two(&room, host);
        first.tell(&format!("start exec sleep {marker}"));
        second.tell("kill");
        assert_eq!(live_with_argument(&marker), [0_u32; 0]);
        assert_eq!(first.ask("wait"), Err(RunError::InitDied.to_string()));
        assert_eq!(first.tell("status"), "Crashed");
        assert!(matches!(Sandbox::join(room.path()), Err(JoinError::Ended { .. })));
        assert_eq!(first.tell("leave"), "ended");
        drop(second);
        assert!(first.private_directories().is_empty());
    }
}

#[test]
fn a_joined_sandbox_has_terminals_like_any_other() {
    let room = Room::new();
    let (first, mut second) = two(&room, Host::Usual);
    let script = "run-pty test -t 0 && test -t 2 && echo terminal; exit 5";
    assert_eq!(second.tell(script), "Exited { code: 5 }\nterminal\n");
    first.kill_9();
    assert_eq!(second.tell(script), "Exited { code: 5 }\nterminal\n");
}

#[test]
fn a_joiner_without_standard_streams_hands_none_of_the_sandbox_s_own_to_a_command() {
    crate::harness::in_own_process(name_of_test!(), || {
        let room = Room::new();
        let mut second = Second::start();
        second.tell(&room.named("share"));
        let saved = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 10).expect("a descriptor");
        for fd in 0..3 {
            crate::harness::sys::close(fd);
        }
        let mut sandbox = Sandbox::join(room.path()).expect("joins");
        let command = Command::new("sh").args(["-c", "readlink /proc/self/fd/0 /proc/self/fd/2"]);
        let result = sandbox
            .spawn(command.stdout(Stdio::capture()))
            .expect("starts")
            .wait()
            .expect("ends");
        rustix::stdio::dup2_stderr(&saved).expect("a descriptor");
        rustix::stdio::dup2_stdout(&saved).expect("a descriptor");
        let text = String::from_utf8_lossy(&result.stdout).into_owned();
        let is_harmless = |line: &str| line == "/dev/null" || line.starts_with("pipe:");
        assert!(
            text.lines().count() == 2 && text.lines().all(is_harmless),
            "{text}"
        );
    });
}

#[test]
fn the_clock_of_a_command_is_that_of_who_has_started_it() {
    let wall_time = std::time::Duration::from_millis(300);
    let policy = Policy::builder().wall_time(wall_time).build().expect("valid");
    let room = Room::new();
    let mut first = Second::start_with(Host::Usual, &policy, |_| {});
    first.tell(&room.named("share"));
    let mut second = Second::start();
    second.tell(&room.named("join"));
    first.kill_9();
    assert_eq!(second.tell("run while :; do :; done"), "WallTime\n");
}

#[test]
fn memory_has_its_verdict_for_who_has_joined() {
    let policy = Policy::builder()
        .memory(ByteSize::from_bytes(64 << 20))
        .build()
        .expect("valid");
    let room = Room::new();
    let held = two_behind(&room, &policy, Guarantee::Memory, Mechanism::CgroupMemory);
    let Some((first, mut second)) = held else {
        return skip(name_of_test!(), "no memory controller here");
    };
    first.kill_9();
    assert_eq!(
        second.tell("run exec head -c 200000000 /dev/zero > /tmp/big"),
        "Memory\n"
    );
    assert_eq!(second.tell("leave"), "ended");
}

#[test]
fn all_see_one_copy_on_write_view_and_its_lock_is_held_until_the_last_has_left() {
    needs_namespaces!();
    let place = Place::new();
    let (base, layer) = (place.dir("base"), place.dir("layer"));
    let overlay = Overlay {
        lowers: vec![base.clone()],
        upper: place.dir("layer/upper"),
        work: place.dir("layer/work"),
        lock: Some(place.file("lock", "")),
    };
    let mount = Mount {
        at: base.clone(),
        source: MountSource::Overlay(overlay),
        access: Access::Write,
    };
    let policy = Policy::builder().mount(mount).cwd(&base).build().expect("valid");
    let room = Room::new();
    let mut first = Second::start_with(Host::Usual, &policy, |_| {});
    first.tell(&room.named("share"));
    let mut second = Second::start();
    second.tell(&room.named("join"));
    second.tell("run echo new > file");
    assert_eq!(first.tell("run cat file"), "Exited { code: 0 }\nnew\n");
    assert!(!base.join("file").exists() && layer.join("upper/file").exists());
    let is_free = || {
        let lock = std::fs::File::open(place.path().join("lock")).expect("made above");
        lock.try_lock().is_ok()
    };
    first.kill_9();
    assert!(!is_free());
    assert_eq!(second.tell("leave"), "ended");
    assert!(is_free());
}
