//! A test in a process of its own, single-threaded: the test binary runs itself with one test.
#![expect(clippy::print_stdout, reason = "a skip is announced on standard output")]

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::DEADLINE;

const VARIABLE: &str = "CONFINE_IT_OWN_PROCESS";

/// Runs `body` alone on the main thread of a new process. What it prints is shown; its failure fails.
pub(crate) fn in_own_process(name: &str, body: impl FnOnce()) {
    in_own_process_with(name, |_| {}, body);
}

fn in_own_process_with(name: &str, change: impl FnOnce(&mut Command), body: impl FnOnce()) {
    if std::env::var_os(VARIABLE).is_some_and(|value| value == name) {
        return body();
    }
    let mut command = own_process(name);
    change(&mut command);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs itself");
    let readers = [
        read_all(child.stdout.take().expect("piped")),
        read_all(child.stderr.take().expect("piped")),
    ];
    let is_success = end_of(&mut child);
    let [stdout, stderr] = readers.map(|reader| reader.join().expect("reads"));
    for line in stdout.lines().filter(|line| line.starts_with("SKIP: ")) {
        println!("{line}");
    }
    assert!(is_success, "in a process of its own:\n{stdout}{stderr}");
}

/// The command that runs the test `name` in a process of its own.
pub(crate) fn own_process(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(VARIABLE, name);
    command
}

/// The variable that names the marker of [`start_marked`].
pub(crate) const MARKER: &str = "CONFINE_IT_MARKER";

/// Starts the test `name` in a process of its own that finds `marker` in its environment, and is heard by nobody.
pub(crate) fn start_marked(name: &str, marker: &str) -> Child {
    own_process(name)
        .env(MARKER, marker)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("runs itself")
}

fn read_all(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).expect("a pipe");
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn end_of(child: &mut Child) -> bool {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("our child") {
            return status.success();
        }
        if start.elapsed() > DEADLINE {
            child.kill().expect("our child");
            child.wait().expect("our child");
            return false;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}
