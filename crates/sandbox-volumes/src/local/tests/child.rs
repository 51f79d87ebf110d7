//! Doing something in a process of its own, so that it can be killed.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// What the child is to do, as a variable of its environment: `ACTION HOME`.
pub(super) const TASK: &str = "SANDBOX_TEST_VOLUMES_TASK";

/// What this process is to do, if it is a child.
pub(super) fn task() -> Option<(String, String)> {
    let task = std::env::var(TASK).ok()?;
    let (action, home) = task.split_once(' ').unwrap();
    Some((action.to_owned(), home.to_owned()))
}

/// A child that does `action` in the test `test` of this crate.
pub(super) fn child(test: &str, action: &str, home: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(TASK, format!("{action} {}", home.to_str().unwrap()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Whether it was killed; else it must have done what it should.
pub(super) fn was_killed(child: Child) -> bool {
    let output = child.wait_with_output().unwrap();
    let was_killed = output.status.signal() == Some(9);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(was_killed || output.status.success(), "{said}");
    was_killed
}

/// Waits until the child says a word.
pub(super) fn await_word(child: &mut Child, word: &[u8]) {
    let (mut seen, mut byte) = (Vec::new(), [0]);
    let out = child.stdout.as_mut().unwrap();
    while !seen.ends_with(word) {
        assert_ne!(
            out.read(&mut byte).unwrap(),
            0,
            "{}",
            String::from_utf8_lossy(&seen)
        );
        seen.extend(byte);
    }
}
