//! Commands on a terminal of the sandbox's own.

use std::io::{Read, Write};

use sandbox_confine::{Command, Event, Outcome, Policy, Process, PtyMaster, Sandbox};

use crate::harness::{DEADLINE, within};

fn on_a_terminal(script: &str) -> (Process, PtyMaster) {
    let mut process = Sandbox::command(&Policy::default(), "sh")
        .args(["-c", script])
        .pty()
        .spawn()
        .expect("starts");
    let terminal = process.pty.take().expect("asked for");
    (process, terminal)
}

/// Reads until `text` has come.
fn expect(terminal: &PtyMaster, text: &str) -> String {
    let mut terminal = terminal.try_clone().expect("a descriptor");
    let text = text.to_owned();
    within(DEADLINE, move || {
        let mut seen = Vec::new();
        let mut byte = [0];
        while !String::from_utf8_lossy(&seen).contains(&text) {
            match terminal.read(&mut byte) {
                Ok(1) => seen.extend(byte),
                end => panic!("{end:?} after {:?}", String::from_utf8_lossy(&seen)),
            }
        }
        String::from_utf8_lossy(&seen).into_owned()
    })
}

fn end(process: Process) -> Outcome {
    within(DEADLINE, || process.wait()).expect("ends").outcome
}

#[test]
fn all_three_streams_are_a_terminal_of_the_sandbox_s_own() {
    let (process, terminal) = on_a_terminal(
        "test -t 0 && test -t 1 && test -t 2 && echo three; tty; echo to-tty > /dev/tty; ls -1 /dev/pts; echo end",
    );
    let text = expect(&terminal, "end");
    assert!(text.contains("three") && text.contains("to-tty"), "{text}");
    if crate::harness::namespaces().is_ok() {
        assert!(text.contains("/dev/pts/0"), "{text}");
        let listed: Vec<_> = text
            .lines()
            .filter(|line| line.trim().parse::<u32>().is_ok())
            .collect();
        assert_eq!(listed.len(), 1, "only its own terminal: {text}");
    }
    assert_eq!(end(process), Outcome::Exited { code: 0 });
}

#[test]
fn a_new_size_is_announced_and_can_be_asked_for() {
    let (process, terminal) =
        on_a_terminal("trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.02; done");
    expect(&terminal, "ready");
    terminal.resize(33, 111).expect("a terminal");
    expect(&terminal, "33 111");
    assert_eq!(end(process), Outcome::Exited { code: 0 });
}

#[test]
fn ctrl_c_interrupts_the_foreground() {
    let (process, mut terminal) = on_a_terminal("echo ready; exec sleep 1000");
    expect(&terminal, "ready");
    terminal.write_all(b"\x03").expect("a terminal");
    assert_eq!(end(process), Outcome::Signaled { signal: libc::SIGINT });
}

#[test]
fn ctrl_z_stops_and_sigcont_continues() {
    let (mut process, mut terminal) = on_a_terminal("echo ready; exec sleep 1000");
    expect(&terminal, "ready");
    terminal.write_all(b"\x1a").expect("a terminal");
    let mut process = within(DEADLINE, move || {
        assert_eq!(process.wait_event().expect("runs"), Event::Stopped);
        process
    });
    assert!(process.is_stopped());
    process.signal(libc::SIGCONT).expect("it is there");
    let process = within(DEADLINE, move || {
        assert_eq!(process.wait_event().expect("runs"), Event::Continued);
        process
    });
    terminal.write_all(b"\x03").expect("a terminal");
    assert_eq!(end(process), Outcome::Signaled { signal: libc::SIGINT });
}

#[test]
fn the_end_of_input_is_ctrl_d() {
    let (process, mut terminal) = on_a_terminal("echo ready; cat; exit 6");
    expect(&terminal, "ready");
    terminal.write_all(b"word\n\x04").expect("a terminal");
    expect(&terminal, "word");
    assert_eq!(end(process), Outcome::Exited { code: 6 });
}

#[test]
fn dropping_the_terminal_hangs_up() {
    let (process, terminal) = on_a_terminal("echo ready; exec sleep 1000");
    expect(&terminal, "ready");
    drop(terminal);
    assert_eq!(end(process), Outcome::Signaled { signal: libc::SIGHUP });
}

#[test]
fn two_terminals_in_one_sandbox_keep_apart() {
    let mut sandbox = Sandbox::new(&Policy::default()).expect("plans");
    let mut start = |word: &str| {
        let script = format!("echo ready-{word}; read x; echo got-$x; exit 0");
        let mut process = sandbox
            .spawn(Command::new("sh").args(["-c", &script]).pty())
            .expect("starts");
        let terminal = process.pty.take().expect("asked for");
        (process, terminal)
    };
    let (first, mut first_terminal) = start("one");
    let (second, mut second_terminal) = start("two");
    expect(&first_terminal, "ready-one");
    expect(&second_terminal, "ready-two");
    second_terminal.write_all(b"2\n").expect("a terminal");
    assert!(!expect(&second_terminal, "got-2").contains("one"));
    first_terminal.write_all(b"\x03").expect("a terminal");
    assert_eq!(end(first), Outcome::Signaled { signal: libc::SIGINT });
    assert_eq!(end(second), Outcome::Exited { code: 0 });
}

#[test]
fn job_control_works_in_a_shell_inside() {
    let (process, mut terminal) = on_a_terminal("exec sh -i");
    terminal
        .write_all(b"PS1=; set -m; sleep 1000\n")
        .expect("a terminal");
    // Echoed first, then at work.
    expect(&terminal, "sleep 1000");
    std::thread::sleep(std::time::Duration::from_millis(300));
    terminal.write_all(b"\x1a").expect("a terminal");
    expect(&terminal, "Stopped");
    terminal
        .write_all(b"kill -9 %1; wait; echo status-$((40+2))\n")
        .expect("a terminal");
    expect(&terminal, "status-42");
    // Asked twice, because a shell may mention a job that it has not seen end.
    terminal.write_all(b"exit 3\nexit 3\n").expect("a terminal");
    assert_eq!(end(process), Outcome::Exited { code: 3 });
}

#[test]
fn typing_cannot_be_faked() {
    let script = "import fcntl, termios\nfcntl.ioctl(0, termios.TIOCSTI, b'x')";
    if crate::harness::program("python3").is_none() {
        return crate::harness::skip(crate::harness::name_of_test!(), "python3 is not installed");
    }
    let mut process = Sandbox::command(&Policy::default(), "python3")
        .args(["-c", script])
        .pty()
        .spawn()
        .expect("starts");
    let terminal = process.pty.take().expect("asked for");
    expect(&terminal, "Operation not permitted");
    drop(terminal);
    assert!(!end(process).success());
}
