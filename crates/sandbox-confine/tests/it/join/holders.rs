//! Who comes and goes, in what order and how, and what is left.

use sandbox_confine::{JoinError, Policy, Sandbox};
use sandbox_types::{Guarantee, Mechanism};

use super::{Room, hosts, runs, shared, two, two_behind};
use crate::harness::second::{Host, Second};
use crate::harness::{eventually, live_with_argument, name_of_test, skip, unique_seconds};

#[test]
fn the_first_leaves_and_the_second_s_command_goes_on() {
    for host in hosts(name_of_test!()) {
        let room = Room::new();
        let marker = unique_seconds();
        let (mut first, mut second) = two(&room, host);
        first.tell("run echo kept > $TMPDIR/file");
        second.tell(&format!("start exec sleep {marker}"));
        eventually("it runs", || runs(&marker));
        assert_eq!(first.tell("leave"), "goes on");
        assert!(runs(&marker), "{host:?}");
        assert_eq!(second.tell("run cat $TMPDIR/file"), "Exited { code: 0 }\nkept\n");
        assert_eq!(second.tell("status"), "Running");
    }
}

#[test]
fn leaving_ends_one_s_own_commands_and_their_verdict_is_that_they_were_ended() {
    let room = Room::new();
    let (own, other) = (unique_seconds(), unique_seconds());
    let (mut first, mut second) = two(&room, Host::Usual);
    first.tell(&format!("start sleep {own} & sleep {own}"));
    second.tell(&format!("start exec sleep {other}"));
    eventually("all run", || live_with_argument(&own).len() == 2 && runs(&other));
    first.tell("drop");
    assert_eq!(live_with_argument(&own), [0_u32; 0]);
    assert_eq!(first.tell("wait"), "Cancelled");
    assert!(runs(&other));
}

#[test]
fn when_the_last_one_leaves_everything_is_dead_and_nothing_is_left() {
    for host in hosts(name_of_test!()) {
        for word in ["leave", "drop"] {
            let room = Room::new();
            let marker = unique_seconds();
            let (mut first, mut second) = two(&room, host);
            second.tell(&format!("run (setsid sleep {marker} > /dev/null 2>&1 &)"));
            assert_eq!(first.tell("leave"), "goes on");
            eventually("it runs", || runs(&marker));
            second.tell(word);
            assert_eq!(live_with_argument(&marker), [0_u32; 0], "{host:?}");
            assert!(room.is_empty(), "the socket is gone");
            assert!(first.private_directories().is_empty());
            assert!(matches!(
                Sandbox::join(room.path()),
                Err(JoinError::Nobody { .. })
            ));
        }
    }
}

#[test]
fn kill_9_of_the_first_leaves_the_second_all_it_has() {
    for host in hosts(name_of_test!()) {
        let room = Room::new();
        let (gone, stays) = (unique_seconds(), unique_seconds());
        let (mut first, mut second) = two(&room, host);
        first.tell(&format!("start exec sleep {gone}"));
        second.tell(&format!("start exec sleep {stays}"));
        eventually("both run", || runs(&gone) && runs(&stays));
        first.kill_9();
        eventually("the first one's command ends", || !runs(&gone));
        assert!(runs(&stays));
        assert_eq!(
            second.tell("run echo $TMPDIR > $TMPDIR/x; exit 4"),
            "Exited { code: 4 }\n"
        );
        assert_eq!(second.tell("leave"), "ended");
        assert_eq!(live_with_argument(&stays), [0_u32; 0]);
    }
}

#[test]
fn what_a_killed_process_has_made_is_not_left_over_while_somebody_else_needs_it() {
    for host in hosts(name_of_test!()) {
        let room = Room::new();
        let (first, mut second) = two(&room, host);
        let directories = first.private_directories();
        assert_eq!(directories.len(), usize::from(host == Host::WithoutNamespaces));
        first.kill_9();
        for directory in &directories {
            let leftovers = second.tell("leftovers");
            assert!(!leftovers.contains(&*directory.to_string_lossy()), "{leftovers}");
            assert!(directory.exists());
        }
        second.tell("drop");
        assert!(directories.iter().all(|directory| !directory.exists()));
    }
}

#[test]
fn kill_9_of_all_holders_leaves_nothing_that_runs() {
    for host in hosts(name_of_test!()) {
        let room = Room::new();
        let marker = unique_seconds();
        let (mut first, mut second) = two(&room, host);
        first.tell(&format!(
            "start sleep {marker} & setsid sleep {marker} & exec sleep {marker}"
        ));
        second.tell(&format!("start setsid setsid sleep {marker}"));
        eventually("all run", || live_with_argument(&marker).len() >= 4);
        let directories = first.private_directories();
        first.kill_9();
        second.kill_9();
        eventually("nothing of it runs", || !runs(&marker));
        // And what is left, gc finds.
        eventually("its private directory is left over", || {
            let leftovers = format!("{:?}", sandbox_confine::gc::leftovers().expect("readable"));
            directories
                .iter()
                .all(|directory| leftovers.contains(&*directory.to_string_lossy()))
        });
        for leftover in sandbox_confine::gc::leftovers().expect("readable") {
            if leftover.paths().iter().any(|path| directories.contains(path)) {
                leftover.remove().expect("nobody uses it");
            }
        }
    }
}

#[test]
fn a_third_joins_through_the_second_when_the_first_has_gone() {
    for host in hosts(name_of_test!()) {
        let room = Room::new();
        let (mut first, mut second) = two(&room, host);
        first.tell("run echo kept > $TMPDIR/file");
        first.kill_9();
        let mut third = Second::start_on(host);
        third.tell(&room.named("join"));
        assert_eq!(third.tell("run cat $TMPDIR/file"), "Exited { code: 0 }\nkept\n");
        assert_eq!(second.tell("leave"), "goes on");
        let mut fourth = Second::start_on(host);
        fourth.tell(&room.named("join"));
        third.kill_9();
        assert_eq!(fourth.tell("run cat $TMPDIR/file"), "Exited { code: 0 }\nkept\n");
        assert_eq!(fourth.tell("leave"), "ended");
        assert!(room.is_empty());
    }
}

#[test]
fn two_that_leave_at_once_leave_nothing_behind() {
    for host in hosts(name_of_test!()) {
        let (mut first, mut second) = (Second::start_on(host), Second::start_on(host));
        for _ in 0..20 {
            let room = Room::new();
            first.tell(&room.named("share"));
            second.tell(&room.named("join"));
            first.say("leave");
            second.say("leave");
            let left = [first.answer("leave"), second.answer("leave")];
            assert!(left.contains(&Ok("ended".to_owned())), "{left:?}");
            eventually("whoever is last cleans up", || {
                room.is_empty() && first.private_directories().is_empty()
            });
        }
    }
}

#[test]
fn one_that_is_killed_while_it_joins_or_leaves_does_not_disturb_the_others() {
    let room = Room::new();
    let mut first = Second::start();
    first.tell(&room.named("share"));
    for delay in 0..20 {
        let mut other = Second::start();
        other.say(&format!("join-times 1000 {}", room.path().display()));
        std::thread::sleep(std::time::Duration::from_millis(10 + delay));
        other.kill_9();
    }
    assert_eq!(first.tell("run echo lives"), "Exited { code: 0 }\nlives\n");
    assert_eq!(first.tell("leave"), "ended");
    assert!(room.is_empty());
}

#[test]
fn a_child_that_was_left_to_others_is_reaped_with_the_next_sandbox() {
    crate::harness::in_own_process(name_of_test!(), || {
        let room = Room::new();
        let (first, gate) = shared(&room, &Policy::default());
        let mut second = Second::start();
        second.tell(&room.named("join"));
        assert_eq!(first.leave().expect("ours"), sandbox_confine::Left::GoesOn);
        drop(gate);
        assert_eq!(second.tell("leave"), "ended");
        drop(second);
        crate::harness::sh("true");
        assert_eq!(crate::harness::children(), [0_u32; 0]);
    });
}

#[test]
fn the_cgroup_of_a_killed_process_stays_until_the_last_one_leaves() {
    let policy = Policy::builder().processes(50).build().expect("valid");
    let room = Room::new();
    let held = two_behind(&room, &policy, Guarantee::Processes, Mechanism::CgroupPids);
    let Some((first, mut second)) = held else {
        return skip(name_of_test!(), "no pids controller here");
    };
    let part = format!("sandbox-{}-", first.id());
    first.kill_9();
    assert!(!second.tell("leftovers").contains(&part));
    assert_eq!(second.tell("run echo lives"), "Exited { code: 0 }\nlives\n");
    assert_eq!(second.tell("leave"), "ended");
    let groups = std::process::Command::new("find")
        .args(["/sys/fs/cgroup", "-name", &format!("{part}*")])
        .output();
    assert_eq!(String::from_utf8_lossy(&groups.expect("runs").stdout), "");
}

#[test]
fn one_that_is_stopped_keeps_nobody_from_joining_through_another() {
    let room = Room::new();
    let (first, _second) = two(&room, Host::Usual);
    let pid = rustix::process::Pid::from_raw(first.id().cast_signed()).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("our child");
    for _ in 0..5 {
        drop(Sandbox::join(room.path()).expect("joins"));
    }
    first.kill_9();
}
