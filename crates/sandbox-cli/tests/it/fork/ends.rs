//! Whatever ends `sandbox fork`, nothing is left of it.

use std::fs;
use std::io::Read;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{needs, python, start};
use crate::harness::Harness;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Processes that have this word among their arguments.
fn live_with(word: &str) -> usize {
    let processes = fs::read_dir("/proc").expect("there").flatten();
    let has_it = |entry: &fs::DirEntry| {
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        words
            .split(|byte| *byte == 0)
            .any(|found| found == word.as_bytes())
    };
    processes.filter(has_it).count()
}

#[track_caller]
pub(super) fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < PATIENCE, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A number of seconds that no other test sleeps for.
fn unique(base: u32) -> String {
    format!("{}.{}", base, std::process::id())
}

/// Clones of which each starts a child in a session of its own, which sleeps so long.
fn sleepers(place: &Harness, count: &str, seconds: &str) -> Child {
    let script = format!(
        "import sandbox_fork, subprocess
sandbox_fork.ready()
subprocess.run(['setsid', 'sleep', '{seconds}'])"
    );
    let child = start(&mut python(place, &["-n", count], &script));
    let count: usize = count.parse().expect("a number");
    eventually("all of them sleep", || live_with(seconds) >= count);
    child
}

#[test]
fn ctrl_c_ends_all_clones_and_says_so() {
    needs!("python3", "setsid");
    let place = Harness::new();
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let seconds = unique(90_000 + u32::try_from(status).expect("small"));
        let mut child = sleepers(&place, "20", &seconds);
        kill_process(Pid::from_child(&child), signal).expect("it lives");
        let mut said = String::new();
        let mut stderr = child.stderr.take().expect("piped");
        stderr.read_to_string(&mut said).expect("it ends");
        assert_eq!(child.wait().expect("it ends").code(), Some(status), "{said}");
        assert_eq!(live_with(&seconds), 0);
        assert!(
            said.contains("interrupted after") && said.contains("none is left"),
            "{said}"
        );
    }
}

#[test]
fn ctrl_c_ends_a_program_that_is_not_ready_yet() {
    needs!("python3");
    let place = Harness::new();
    let seconds = unique(91_000);
    let script = format!("import os; os.execvp('sleep', ['sleep', '{seconds}'])");
    let mut child = start(&mut python(&place, &["-n", "3"], &script));
    eventually("it sleeps", || live_with(&seconds) == 1);
    kill_process(Pid::from_child(&child), Signal::INT).expect("it lives");
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    assert_eq!(live_with(&seconds), 0);
}

#[test]
fn ctrl_c_ends_a_reducer_that_goes_on_when_all_clones_have_ended() {
    needs!("python3");
    let place = Harness::new();
    let seconds = unique(94_000);
    let reducer = format!("cat > /dev/null; exec sleep {seconds}");
    let script = "import sandbox_fork; sandbox_fork.ready()";
    let mut child = start(&mut python(&place, &["-n", "3", "--reduce", &reducer], script));
    eventually("it sleeps", || live_with(&seconds) == 1);
    kill_process(Pid::from_child(&child), Signal::INT).expect("it lives");
    let mut said = String::new();
    let mut stderr = child.stderr.take().expect("piped");
    stderr.read_to_string(&mut said).expect("it ends");
    assert_eq!(child.wait().expect("it ends").code(), Some(130), "{said}");
    assert_eq!(live_with(&seconds), 0);
    assert!(said.contains("3 of 3 clones had ended"), "{said}");
}

#[test]
fn a_million_clones_run_so_many_at_once_as_there_can_be_until_they_are_interrupted() {
    needs!("python3");
    let place = Harness::new();
    let script = "import os, sandbox_fork; os.write(1, b'%d\\n' % sandbox_fork.ready()); os._exit(0)";
    let mut child = start(&mut python(
        &place,
        &["-n", "1000000", "--parallel", "50"],
        script,
    ));
    // More than one fork's worth.
    let mut some = [0; 400];
    child
        .stdout
        .as_mut()
        .expect("piped")
        .read_exact(&mut some)
        .expect("output");
    assert!(some.starts_with(b"0\n1\n2\n"));
    kill_process(Pid::from_child(&child), Signal::INT).expect("it lives");
    let mut said = String::new();
    child
        .stderr
        .as_mut()
        .expect("piped")
        .read_to_string(&mut said)
        .expect("it ends");
    assert_eq!(child.wait().expect("it ends").code(), Some(130), "{said}");
    assert!(said.contains("of 1000000 clones had ended"), "{said}");
}

#[test]
fn nothing_is_left_when_it_is_killed() {
    needs!("python3", "setsid");
    let place = Harness::new();
    let seconds = unique(92_000);
    let mut child = sleepers(&place, "20", &seconds);
    child.kill().expect("our child");
    child.wait().expect("our child");
    eventually("nothing is left", || live_with(&seconds) == 0);
}

#[test]
fn what_a_clone_has_left_running_ends_with_it() {
    needs!("python3", "setsid");
    let place = Harness::new();
    let seconds = unique(93_000);
    let script = format!(
        "import sandbox_fork, subprocess
sandbox_fork.ready()
subprocess.Popen(['setsid', 'sleep', '{seconds}'])"
    );
    let ran = super::run_python(&place, &["-n", "5", "-q"], &script);
    ran.prints("");
    assert_eq!(live_with(&seconds), 0);
}
