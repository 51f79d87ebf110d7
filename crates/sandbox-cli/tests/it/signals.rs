//! Signals to the `sandbox` process are for the command.

use std::os::unix::process::ExitStatusExt;
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::Harness;

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("it lives");
}

fn status(mut child: Child) -> i32 {
    let status = child.wait().expect("it ends");
    status
        .code()
        .unwrap_or_else(|| panic!("ended by signal {:?}", status.signal()))
}

#[test]
fn a_signal_is_passed_on_and_the_command_may_end_in_its_own_way() {
    let place = Harness::new();
    for (name, signal) in [
        ("INT", Signal::INT),
        ("TERM", Signal::TERM),
        ("HUP", Signal::HUP),
        ("QUIT", Signal::QUIT),
    ] {
        let script = format!("trap 'exit 42' {name}; echo ready; while :; do sleep 0.01; done");
        let child = place.start(&[], &script);
        send(&child, signal);
        assert_eq!(status(child), 42, "{name}");
    }
}

#[test]
fn a_command_without_a_handler_is_ended_by_it() {
    let child = Harness::new().start(&[], "echo ready; exec sleep 1000");
    send(&child, Signal::TERM);
    assert_eq!(status(child), 143);
}

#[test]
fn the_second_request_ends_a_command_that_does_not_listen() {
    let place = Harness::new();
    for (signal, expected) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let child = place.start(&[], "trap '' INT TERM; echo ready; while :; do sleep 1000; done");
        send(&child, signal);
        // Signals of one number that are sent together count once: wait until the first has been read.
        while pending(&child) {
            std::thread::yield_now();
        }
        send(&child, signal);
        assert_eq!(status(child), expected);
    }
}

/// Whether signals wait for the process (proc_pid_status(5), ShdPnd).
fn pending(child: &Child) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("it lives");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("ShdPnd:"))
        .expect("always there");
    u64::from_str_radix(line.trim(), 16).expect("hexadecimal") != 0
}

#[test]
fn what_a_parent_has_set_to_be_ignored_stays_ignored() {
    let place = Harness::new();
    let script = "trap '' HUP; exec \"$0\" run -- sh -c 'echo ready; read line; exit 5'";
    let mut command = place.at_home("/bin/sh".as_ref());
    command.args(["-c", script]).arg(crate::harness::binary());
    command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut ready = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().expect("piped"), &mut ready).expect("ready");
    send(&child, Signal::HUP);
    std::io::Write::write_all(child.stdin.as_mut().expect("piped"), b"go\n").expect("it reads");
    assert_eq!(status(child), 5);
}
