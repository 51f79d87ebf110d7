//! How git is run.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::branch::git::GitError;
use crate::branch::git::run::Git;

fn program(place: &Path, script: &str) -> PathBuf {
    let path = place.join("git");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_git_that_does_not_end_is_ended_with_what_it_started() {
    let place = tempfile::tempdir().unwrap();
    let pids = place.path().join("pid");
    let script = format!("sleep 1000 & echo $! > {}; wait", pids.display());
    let git = Git::fake(program(place.path(), &script), Duration::from_millis(500));
    let error = git.run(place.path(), "fetch", &[], b"").unwrap_err();
    assert!(
        matches!(error, GitError::TimedOut { command: "fetch", .. }),
        "{error}"
    );
    let pid = std::fs::read_to_string(pids).unwrap();
    // It has been killed, and is gone as soon as somebody has waited for it.
    let stat = format!("/proc/{}/stat", pid.trim());
    while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        std::thread::yield_now();
    }
}

#[test]
fn what_git_complains_of_is_in_the_error() {
    let place = tempfile::tempdir().unwrap();
    let git = Git::fake(
        program(place.path(), "echo bad >&2; exit 3"),
        Duration::from_mins(1),
    );
    let error = git.run(place.path(), "fetch", &[], b"").unwrap_err().to_string();
    assert_eq!(error, "git fetch failed (exit status: 3): bad");
}

#[test]
fn answers_larger_than_a_pipe_are_read() {
    let place = tempfile::tempdir().unwrap();
    let git = Git::fake(program(place.path(), "cat; cat"), Duration::from_mins(1));
    let input = vec![b'x'; 1 << 20];
    let answer = git
        .run(place.path(), "cat-file", &[OsStr::new("x")], &input)
        .unwrap();
    assert_eq!(answer.len(), input.len());
}

#[test]
fn git_gets_a_bound_on_memory_and_nothing_of_the_callers_own_settings() {
    let place = tempfile::tempdir().unwrap();
    let git = Git::fake(program(place.path(), "env"), Duration::from_mins(1));
    let answer = git.run(place.path(), "rev-list", &[], b"").unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(
        answer.lines().any(|line| line == "GIT_ALLOC_LIMIT=1g"),
        "{answer}"
    );
    let known = [
        "HOME",
        "XDG_CONFIG_HOME",
        "PATH",
        "TMPDIR",
        "SSL_CERT_FILE",
        "LC_ALL",
        "PWD",
        "SHLVL",
        "_",
        "OLDPWD",
    ];
    for line in answer.lines() {
        let name = line.split('=').next().unwrap();
        assert!(known.contains(&name) || name.starts_with("GIT_"), "{line}");
    }
}
