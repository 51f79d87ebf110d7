//! On a terminal: job control, resizing, and the terminal as before afterwards.
//!
//! Each test is a script of a job-control shell on a terminal of its own; the test types and reads.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::harness::{Harness, binary};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Session {
    master: File,
    child: Child,
    seen: String,
    _place: Harness,
}

impl Session {
    /// Runs a script of `sh` as the leader of a session on a new terminal. `$S` is the program.
    pub(crate) fn new(script: &str) -> Self {
        let place = Harness::new();
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).expect("a terminal");
        grantpt(&master).expect("grantpt");
        unlockpt(&master).expect("unlockpt");
        let slave = ioctl_tiocgptpeer(&master, flags).expect("its other side");
        let stream = || Stdio::from(slave.try_clone().expect("dup"));
        let mut command: Command = place.at_home("setsid".as_ref());
        command
            .args(["--ctty", "--wait", "sh", "-c", &format!("set -m\n{script}")])
            .env("S", binary());
        let child = command
            .stdin(stream())
            .stdout(stream())
            .stderr(stream())
            .spawn()
            .expect("setsid of util-linux");
        Self {
            master: master.into(),
            child,
            seen: String::new(),
            _place: place,
        }
    }

    pub(crate) fn type_in(&mut self, keys: &[u8]) {
        self.master.write_all(keys).expect("the terminal takes it");
    }

    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&self.master, size).expect("resize");
    }

    /// Reads until `text` has come, which is then behind us.
    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str) {
        let start = Instant::now();
        loop {
            if let Some(at) = self.seen.find(text) {
                self.seen.drain(..at + text.len());
                return;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "{text:?} did not come; {:?}",
                self.seen
            );
            let mut fds = [PollFd::new(&self.master, PollFlags::IN)];
            let tick = Timespec {
                tv_sec: 1,
                tv_nsec: 0,
            };
            if poll(&mut fds, Some(&tick)).expect("poll") > 0 {
                let mut buffer = [0; 4096];
                let count = self.master.read(&mut buffer).unwrap_or(0);
                assert!(count > 0, "it ended before {text:?}; {:?}", self.seen);
                self.seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Its terminal hangs up with us; the leader is ours to reap.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn a_command_that_has_the_terminal_for_its_output_cannot_read_what_is_typed() {
    if !crate::harness::has("python3") {
        skip!(
            "a_command_that_has_the_terminal_for_its_output_cannot_read_what_is_typed",
            "no python3"
        );
    }
    let script = r#"
        for stream in 1 2; do
            $S run -q -- python3 -c '
import os, sys
stream = int(sys.argv[1])
print("terminal", os.isatty(stream), file=sys.stderr, flush=True)
for attempt in (lambda: os.read(stream, 1),
                lambda: os.read(os.open("/proc/self/fd/%d" % stream, os.O_RDONLY), 1),
                lambda: os.read(os.open("/dev/tty", os.O_RDONLY), 1)):
    try:
        print("stolen", attempt(), file=sys.stderr)
    except OSError as error:
        print("refused", error.strerror, file=sys.stderr)
' $stream < /dev/null
        done
        echo end"#;
    let mut session = Session::new(script);
    session.type_in(b"secret\n");
    for _ in 0..2 {
        session.expect("terminal True");
        for _ in 0..3 {
            session.expect("refused");
        }
    }
    session.expect("end");
}

#[test]
fn a_command_on_a_terminal_has_one_of_its_own() {
    let mut session =
        Session::new("\"$S\" run -- sh -c 'test -t 0 && test -t 1 && test -t 2 && tty'; echo status $?");
    session.expect("/dev/pts/0\r\n");
    session.expect("status 0");
}

#[test]
fn a_redirected_stream_stays_redirected() {
    let mut session =
        Session::new("\"$S\" run -- sh -c 'test -t 1 || echo no terminal' > out; cat out; rm out");
    session.expect("no terminal");
}

#[test]
fn interactive_makes_a_terminal_where_there_is_none() {
    let place = Harness::new();
    let ran = place.sandbox([
        "run",
        "-i",
        "--",
        "sh",
        "-c",
        "test -t 0 && test -t 1 && echo yes",
    ]);
    assert_eq!((ran.status, ran.stdout.as_str()), (0, "yes\r\n"), "{ran:?}");
}

#[test]
fn the_end_of_piped_input_is_the_end_of_the_terminal_s() {
    let place = Harness::new();
    let mut command = place.command([
        "run",
        "-i",
        "--",
        "sh",
        "-c",
        "stty -echo; echo ready; cat; echo end",
    ]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    child
        .stdin
        .take()
        .expect("piped")
        .write_all(b"no newline")
        .expect("written");
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && text.contains("no newline") && text.contains("end"),
        "{text:?}"
    );
}

#[test]
fn the_size_is_the_caller_s_and_follows_it() {
    let script = "trap 'stty size' WINCH; echo ready; stty size; while :; do sleep 0.02; done";
    let mut session = Session::new(&format!("stty rows 33 cols 99; \"$S\" run -- sh -c \"{script}\""));
    session.expect("ready");
    session.expect("33 99");
    session.resize(20, 50);
    session.expect("20 50");
}

#[test]
fn ctrl_c_interrupts_the_command_and_the_terminal_is_as_before() {
    let mut session = Session::new(
        "before=$(stty -g); \"$S\" run -- sh -c 'echo ready; exec sleep 1000'; echo status $?
         test \"$before\" = \"$(stty -g)\" && echo restored",
    );
    session.expect("ready");
    session.type_in(b"\x03");
    session.expect("status 130");
    session.expect("restored");
}

#[test]
fn ctrl_z_stops_the_sandbox_as_a_job_and_fg_continues_it() {
    let mut session = Session::new(
        "before=$(stty -g)
         \"$S\" run -- sh -c 'echo ready; read line; echo got $line; exit 7'; echo first $?
         jobs -p > pid; read pid < pid; rm pid
         echo state $(cut -d ' ' -f 3 /proc/$pid/stat)
         test \"$before\" = \"$(stty -g)\" && echo restored
         fg; echo second $?
         test \"$before\" = \"$(stty -g)\" && echo again",
    );
    session.expect("ready");
    session.type_in(b"\x1a");
    session.expect("first 148");
    session.expect("state T");
    session.expect("restored");
    session.type_in(b"hello\r");
    session.expect("got hello");
    session.expect("second 7");
    session.expect("again");
}

#[test]
fn a_limit_leaves_the_terminal_as_before() {
    let mut session = Session::new(
        "before=$(stty -g); \"$S\" run --wall-time 100ms -- sleep 1000; echo limit $?
         test \"$before\" = \"$(stty -g)\" && echo restored",
    );
    session.expect("limit 124");
    session.expect("restored");
}

#[test]
fn a_terminal_that_goes_away_ends_the_command() {
    let mut session = Session::new("\"$S\" run -- sh -c 'echo ready; exec sleep 1000'");
    session.expect("ready");
    drop(std::mem::replace(
        &mut session.master,
        File::open("/dev/null").expect("null"),
    ));
    let start = Instant::now();
    while session.child.try_wait().expect("wait").is_none() {
        assert!(start.elapsed() < PATIENCE, "it hangs");
        std::thread::yield_now();
    }
}
