//! Ctrl-C in the middle of work on volumes: nothing is half done, and nothing is left behind.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::Harness;

/// Attempts at catching work in its middle.
const ATTEMPTS: usize = 20;
/// What a shell says of a command that Ctrl-C has ended.
const INTERRUPTED: i32 = 130;

fn volumes(place: &Harness) -> PathBuf {
    place.home().join(".local/state/sandbox/volumes")
}

fn has_entries(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some())
}

/// A volume that takes a while to copy.
fn large(place: &Harness) {
    place.sandbox(["volume", "create", "data"]).prints("data\n");
    let shown = place.sandbox(["volume", "show", "data", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown.stdout).expect("JSON");
    let data = PathBuf::from(shown["path"].as_str().expect("a path"));
    for number in 0..3000 {
        let path = data.join(format!("{}/{number}", number % 30));
        fs::create_dir_all(path.parent().expect("below")).expect("mkdir");
        fs::write(path, "content\n".repeat(50)).expect("write");
    }
}

fn interrupt(child: &Child) {
    let pid = Pid::from_raw(child.id().try_into().expect("a pid")).expect("a pid");
    kill_process(pid, Signal::INT).expect("it is there");
}

/// Runs it, and interrupts it as soon as `is_begun`; the status, and whether it was in time.
fn interrupted(mut command: Command, is_begun: impl Fn() -> bool) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("it starts");
    while !is_begun() {
        if let Some(status) = child.try_wait().expect("a child") {
            assert!(status.success(), "{status}");
            return false;
        }
    }
    interrupt(&child);
    let status = child.wait().expect("a child").code().expect("it exits");
    assert!(status == 0 || status == INTERRUPTED, "{status}");
    status == INTERRUPTED
}

/// One of several attempts is interrupted; `attempt` says whether it was, after checking what is left.
#[track_caller]
fn once(attempt: impl Fn() -> bool) {
    assert!((0..ATTEMPTS).any(|_| attempt()), "it was faster {ATTEMPTS} times");
}

fn assert_nothing_is_left(place: &Harness, found: &str) {
    assert!(!has_entries(&volumes(place).join(".pending")));
    place.sandbox(["volume", "fsck"]).prints(found);
}

#[test]
fn a_clone_and_a_snapshot_that_are_interrupted_leave_nothing() {
    let place = Harness::new();
    large(&place);
    let pending = volumes(&place).join(".pending");
    let is_begun = || has_entries(&pending);
    once(|| {
        let was = interrupted(place.command(["volume", "clone", "data", "copy"]), is_begun);
        if was && place.sandbox(["volume", "list", "-q"]).stdout == "data\n" {
            assert_nothing_is_left(&place, "1 volumes, 0 snapshots, 0 problems\n");
            return true;
        }
        place.sandbox(["volume", "rm", "copy"]).says(0, &[]);
        false
    });
    once(|| {
        let was = interrupted(place.command(["volume", "snapshot", "data", "s"]), is_begun);
        let left = place.sandbox(["volume", "snapshot", "data", "s", "--remove"]);
        if was && left.status != 0 {
            assert_nothing_is_left(&place, "1 volumes, 0 snapshots, 0 problems\n");
            return true;
        }
        false
    });
}

#[test]
fn an_export_that_is_interrupted_leaves_no_file() {
    let place = Harness::new();
    large(&place);
    once(|| {
        let command = place.command(["volume", "export", "data", "--output", "archive"]);
        let was = interrupted(command, || has_entries(&place.work()));
        let left = has_entries(&place.work());
        if was && !left {
            return true;
        }
        fs::remove_file(place.work().join("archive")).expect("it was done");
        false
    });
    assert_nothing_is_left(&place, "1 volumes, 0 snapshots, 0 problems\n");
}

#[test]
fn an_import_that_is_interrupted_leaves_no_volume_though_its_input_goes_on() {
    let place = Harness::new();
    large(&place);
    place
        .sandbox(["volume", "export", "data", "--output", "archive"])
        .says(0, &[]);
    let archive = fs::read(place.work().join("archive")).expect("an archive");
    let mut command = place.command(["volume", "import", "--name", "copy"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("piped");
    // It waits for the rest, for ever.
    stdin.write_all(&archive[..archive.len() - 20]).expect("it reads");
    let pending = volumes(&place).join(".pending");
    while !has_entries(&pending) {
        assert!(child.try_wait().expect("a child").is_none());
    }
    interrupt(&child);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(INTERRUPTED));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("taking back what was begun"), "{said}");
    drop(stdin);
    place.sandbox(["volume", "list", "-q"]).prints("data\n");
    assert_nothing_is_left(&place, "1 volumes, 0 snapshots, 0 problems\n");
}

#[test]
fn a_file_that_is_put_and_killed_leaves_nothing_of_it() {
    let place = Harness::new();
    place.sandbox(["volume", "create", "data"]).prints("data\n");
    let mut command = place.command(["volume", "put", "-", "data:/file"]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("piped");
    // More than a pipe holds: it has begun to write.
    stdin.write_all(&vec![7; 1 << 20]).expect("it reads");
    child.kill().expect("it is there");
    child.wait().expect("a child");
    drop(stdin);
    place.sandbox(["volume", "ls", "data", "--json"]).prints("[]\n");
}
