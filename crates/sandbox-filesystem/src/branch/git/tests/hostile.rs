//! A branch that was written to hurt whoever reads it: settings, hooks, references, odd files.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode};

use super::harness::{Scene, again, commit, notes, put, shown};
use crate::branch::git::GitError;

fn pipe(path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

/// A program that leaves `marker` behind when it is run.
fn trap(scene: &Scene) -> String {
    let program = scene.path("trap");
    let marker = scene.path("marker");
    let script = format!("#!/bin/sh\ntouch {}\nexec cat\n", marker.display());
    std::fs::write(&program, script).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).unwrap();
    program.display().to_string()
}

#[test]
fn nothing_that_the_branch_configures_is_run() {
    let test = "nothing_that_the_branch_configures_is_run";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    if !scene.branch_git(test, "echo two > file && git commit -qam two") {
        return;
    }
    let trap = trap(&scene);
    put(
        &scene,
        ".git/config",
        &format!(
            "[core]\n fsmonitor = {trap}\n hooksPath = hooks\n sshCommand = {trap}\n alternateRefsCommand = {trap}\n\
             pager = {trap}\n editor = {trap}\n[uploadpack]\n packObjectsHook = {trap}\n\
             [alias]\n fetch = !{trap}\n rev-list = !{trap}\n cat-file = !{trap}\n\
             [filter \"x\"]\n clean = {trap}\n smudge = {trap}\n process = {trap}\n\
             [remote \"origin\"]\n url = ext::{trap}\n uploadpack = {trap}\n\
             [extensions]\n partialClone = origin\n"
        ),
    );
    put(
        &scene,
        ".git/config.worktree",
        &format!("[core]\n fsmonitor = {trap}\n"),
    );
    put(&scene, ".git/info/attributes", "* filter=x\n");
    for hook in [
        "reference-transaction",
        "post-index-change",
        "fsmonitor-watchman",
        "post-checkout",
        "update",
    ] {
        std::fs::create_dir_all(scene.upper().join(".git/hooks")).unwrap();
        std::fs::copy(&trap, scene.upper().join(".git/hooks").join(hook)).unwrap();
    }
    let arrivals = scene.import(".git").unwrap();
    assert_eq!(
        shown(&arrivals),
        ["refs/heads/main → refs/sandbox/fix-1/main (1)"]
    );
    assert!(!scene.path("marker").exists(), "something of the branch was run");
}

#[test]
fn the_bases_own_hooks_are_not_run_either() {
    let test = "the_bases_own_hooks_are_not_run_either";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    let trap = trap(&scene);
    scene.base_git(&format!(
        "mkdir -p .git/hooks && cp {trap} .git/hooks/reference-transaction"
    ));
    put(&scene, ".git/refs/heads/new", &commit(&scene));
    std::fs::remove_file(scene.path("marker")).ok();
    scene.import(".git").unwrap();
    assert!(!scene.path("marker").exists());
    assert_eq!(
        scene.base_git("git rev-parse refs/sandbox/fix-1/new"),
        commit_of(&scene)
    );
}

fn commit_of(scene: &Scene) -> String {
    std::fs::read_to_string(scene.upper().join(".git/refs/heads/new")).unwrap()
}

#[test]
fn a_pipe_in_the_place_of_a_file_does_not_hang() {
    let test = "a_pipe_in_the_place_of_a_file_does_not_hang";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    let good = commit(&scene);
    put(&scene, ".git/refs/heads/good", &good);
    let fan_out = scene.upper().join(".git/objects/ab");
    pipe(&fan_out.join("c".repeat(38)));
    pipe(
        &scene
            .upper()
            .join(format!(".git/objects/pack/pack-{}.idx", "d".repeat(40))),
    );
    for path in [
        ".git/refs/heads/pipe",
        ".git/packed-refs",
        ".git/HEAD",
        ".git/refs/stash",
    ] {
        pipe(&scene.upper().join(path));
    }
    std::fs::create_dir_all(scene.upper().join(".git/worktrees/w")).unwrap();
    pipe(&scene.upper().join(".git/worktrees/w/HEAD"));
    let arrivals = scene.import(".git").unwrap();
    assert_eq!(
        shown(&arrivals),
        ["refs/heads/good → refs/sandbox/fix-1/good (1)"]
    );
    assert_eq!(arrivals.notes.len(), 7, "{:?}", arrivals.notes);
}

#[test]
fn names_that_would_leave_the_repository_are_not_references() {
    let test = "names_that_would_leave_the_repository_are_not_references";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    let good = commit(&scene);
    let id = good.trim();
    put(
        &scene,
        ".git/packed-refs",
        &format!(
            "{id} refs/heads/../../x\n{id} refs/heads/a\nb\n{id} /etc/passwd\n{id} refs/heads/--upload-pack=x\nrubbish\n"
        ),
    );
    put(&scene, ".git/HEAD", "ref: ../../etc/passwd\n");
    put(
        &scene,
        ".git/refs/heads/out",
        "ref: refs/heads/../../../etc/passwd\n",
    );
    put(&scene, ".git/refs/heads/circle", "ref: refs/heads/circle\n");
    put(&scene, ".git/refs/heads/bad:name", &good);
    put(&scene, ".git/refs/heads/long", &"x".repeat(10_000));
    symlink("/etc/passwd", scene.upper().join(".git/refs/heads/link")).unwrap();
    symlink("/etc", scene.upper().join(".git/refs/tags")).unwrap();
    let arrivals = scene.import(".git").unwrap();
    assert_eq!(
        shown(&arrivals),
        [
            "refs/heads/--upload-pack=x → refs/sandbox/fix-1/--upload-pack=x (1)",
            "refs/heads/a → refs/sandbox/fix-1/a (1)",
        ]
    );
    let notes = notes(&arrivals);
    for path in [
        "packed-refs",
        "HEAD",
        "refs/heads/out",
        "circle",
        "bad:name",
        "long",
        "link",
    ] {
        assert!(notes.iter().any(|note| note.contains(path)), "{path}: {notes:?}");
    }
    assert!(!scene.path("x").exists());
}

#[test]
fn a_huge_list_of_references_is_refused_or_cut() {
    let test = "a_huge_list_of_references_is_refused_or_cut";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    // Larger than is read: as if it were not there.
    std::fs::create_dir_all(scene.upper().join(".git")).unwrap();
    let packed = std::fs::File::create(scene.upper().join(".git/packed-refs")).unwrap();
    packed.set_len(1 << 40).unwrap();
    let arrivals = scene.import(".git").unwrap();
    assert_eq!(shown(&arrivals), [""; 0]);
    assert_eq!(
        notes(&arrivals),
        [".git/packed-refs is not taken for a git reference: it names neither an object nor a reference"]
    );
    let id = commit(&scene);
    let mut tags = String::new();
    for number in 0..1001 {
        writeln!(tags, "{} refs/tags/t{number}", id.trim()).unwrap();
    }
    put(&scene, ".git/packed-refs", &tags);
    let arrivals = scene.import(".git").unwrap();
    assert_eq!(notes(&arrivals), ["1001 new tags are not carried over: too many"]);
    put(&scene, ".git/packed-refs", &tags.replace("tags", "heads"));
    assert!(matches!(
        scene.import(".git"),
        Err(GitError::TooMany { limit: 1000, .. })
    ));
}

#[test]
fn a_git_directory_that_became_something_else_brings_nothing() {
    let test = "a_git_directory_that_became_something_else_brings_nothing";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    for target in ["/", "/etc/passwd"] {
        std::fs::remove_dir_all(scene.upper()).unwrap();
        std::fs::create_dir(scene.upper()).unwrap();
        symlink(target, scene.upper().join(".git")).unwrap();
        assert_eq!(shown(&scene.import(".git").unwrap()), [""; 0]);
    }
}

#[test]
fn the_environment_cannot_send_git_elsewhere() {
    let test = "the_environment_cannot_send_git_elsewhere";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    put(&scene, ".git/refs/heads/new", &commit(&scene));
    // In a process of its own: an environment is everybody's.
    if std::env::var_os("GIT_DIR").is_none() {
        let marker = scene.path("marker");
        let environment = [
            ("GIT_DIR", OsStr::new("/nonexistent")),
            ("GIT_OBJECT_DIRECTORY", OsStr::new("/nonexistent")),
            ("GIT_TRACE", marker.as_os_str()),
            ("GIT_EXEC_PATH", OsStr::new("/nonexistent")),
        ];
        again(&format!("hostile::{test}"), &environment);
        assert!(!marker.exists());
        return;
    }
    let arrivals = scene.import(".git").unwrap();
    assert_eq!(shown(&arrivals), ["refs/heads/new → refs/sandbox/fix-1/new (1)"]);
}
