//! Ctrl-C in the middle of long work: nothing is half done, and nothing is left behind.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::fingerprint::Fingerprint;
use super::project::{Project, age};

/// Attempts at catching work in its middle.
const ATTEMPTS: usize = 20;

/// A workspace that takes a while.
fn large() -> Project {
    let project = Project::new();
    for number in 0..1500 {
        let path = project.base().join(format!("many/{}/{number}", number % 30));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "content\n").unwrap();
    }
    age(&project.base());
    project
}

/// Runs it, and interrupts it as soon as `is_begun`.
fn interrupt(command: &mut Command, is_begun: impl Fn() -> bool) -> ExitStatus {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    while !is_begun() {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
    }
    let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    child.wait().unwrap()
}

/// One of several attempts is interrupted; `attempt` says whether it was, after checking what is left.
#[track_caller]
fn once(attempt: impl Fn(usize) -> bool) {
    assert!((0..ATTEMPTS).any(attempt), "it was faster {ATTEMPTS} times");
}

fn has_entries(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some())
}

#[test]
fn a_copy_that_is_interrupted_leaves_no_branch_and_no_layer() {
    let project = large();
    // So that the place is known.
    project.sh("first", "copy", "true").says(0, &[]);
    project.place.sandbox(["branch", "discard", "first"]).says(0, &[]);
    let layers = project.storage().join("layers");
    once(|number| {
        let branch = format!("--branch=x{number}");
        let args = ["run", "-q", &branch, "--branch-mode=copy", "--", "true"];
        let is_copying = || {
            let layer = fs::read_dir(&layers).into_iter().flatten().flatten().next();
            layer.is_some_and(|layer| has_entries(&layer.path().join("tree/many")))
        };
        let status = interrupt(&mut project.place.command(args), is_copying);
        if status.success() {
            project.place.sandbox(["branch", "discard", "--all"]).says(0, &[]);
            return false;
        }
        assert_eq!(status.code(), Some(130));
        assert!(!has_entries(&layers) && !has_entries(&project.storage().join("branches")));
        true
    });
}

#[test]
fn a_commit_that_is_interrupted_is_taken_back() {
    let project = large();
    let before = Fingerprint::of(&project.base()).content();
    project
        .place
        .sh(
            &["-q", "--branch=x"],
            "for f in many/*/*; do echo more >> $f; done",
        )
        .says(0, &[]);
    let commits = project.storage().join("commits");
    once(|number| {
        let place = commits.join(format!("c{}", number + 1));
        let is_begun = || place.join("slots").exists();
        let status = interrupt(&mut project.place.command(["branch", "commit", "x"]), is_begun);
        if status.success() {
            project.place.sandbox(["branch", "undo"]).says(0, &[]);
            return false;
        }
        assert_eq!(status.code(), Some(130));
        assert_eq!(Fingerprint::of(&project.base()).content(), before);
        project
            .place
            .sandbox(["branch", "recover"])
            .says(0, &["nothing was interrupted"]);
        true
    });
    project
        .place
        .sandbox(["branch", "commit", "x"])
        .says(0, &["1,500 changes"]);
}

#[test]
fn an_archive_that_is_interrupted_is_none() {
    let project = large();
    project
        .place
        .sh(
            &["-q", "--branch=x"],
            "for f in many/*/*; do echo more >> $f; done",
        )
        .says(0, &[]);
    let directory = project.place.root().join("archives");
    fs::create_dir(&directory).unwrap();
    let archive = directory.join("x.tar");
    once(|_| {
        let args = ["branch", "export", "x", "--output"].map(std::ffi::OsString::from);
        let mut command = project.place.command(args);
        let status = interrupt(command.arg(&archive), || has_entries(&directory));
        if status.success() {
            fs::remove_file(&archive).unwrap();
            return false;
        }
        assert!(!has_entries(&directory));
        true
    });
}

#[test]
fn garbage_is_not_collected_from_under_a_branch_that_is_being_made() {
    let project = large();
    project.sh("first", "copy", "true").says(0, &[]);
    let layers = project.storage().join("layers");
    let count = || fs::read_dir(&layers).into_iter().flatten().count();
    let args = [
        "run",
        "-q",
        "--branch=x",
        "--branch-mode=copy",
        "--",
        "ls",
        "many/0/0",
    ];
    let mut making = project.place.command(args).stdout(Stdio::null()).spawn().unwrap();
    while count() < 2 {
        assert!(making.try_wait().unwrap().is_none(), "it is copying");
    }
    project.place.sandbox(["branch", "gc"]).says(0, &[]);
    assert!(making.wait().unwrap().success());
}
