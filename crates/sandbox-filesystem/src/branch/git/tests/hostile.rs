//! A branch that was written to hurt whoever reads it.

use std::fmt::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode};

use super::harness::{Scene, notes, shown};
use crate::branch::git::{GitError, Note};

/// A commit that is in the base's repository, but of no reference: as text for a reference.
fn commit(scene: &Scene) -> String {
    scene.base_git("git commit-tree -m loose HEAD^{tree}")
}

fn put(scene: &Scene, path: &str, content: &str) {
    let path = scene.upper().join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

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
fn an_objects_directory_that_is_a_link_is_not_followed() {
    let test = "an_objects_directory_that_is_a_link_is_not_followed";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    // Somebody's private repository, which the branch knows a commit of.
    std::fs::create_dir(scene.path("private")).unwrap();
    let secret = scene.script_in(
        "private",
        "git init -q . && git commit -q --allow-empty -m secret && git rev-parse HEAD",
    );
    for objects in ["/", &scene.path("private/.git/objects").display().to_string()] {
        std::fs::remove_dir_all(scene.upper()).unwrap();
        put(&scene, ".git/refs/heads/stolen", &secret);
        symlink(objects, scene.upper().join(".git/objects")).unwrap();
        let arrivals = scene.import(".git").unwrap();
        assert_eq!(shown(&arrivals), [""; 0]);
        assert_eq!(
            notes(&arrivals),
            [
                ".git/objects cannot be read as git's; it is left out",
                "refs/heads/stolen is not carried over: it needs objects that neither the branch nor the base has",
            ]
        );
    }
    // The same by a directory of loose objects, by single objects, and by a list of alternates.
    std::fs::remove_dir_all(scene.upper()).unwrap();
    put(&scene, ".git/refs/heads/stolen", &secret);
    let (fan_out, rest) = secret.trim().split_at(2);
    let private = scene.path("private/.git/objects");
    put(
        &scene,
        ".git/objects/info/alternates",
        &format!("{}\n", private.display()),
    );
    symlink(
        private.join(fan_out),
        scene.upper().join(".git/objects").join(fan_out),
    )
    .unwrap();
    assert_eq!(shown(&scene.import(".git").unwrap()), [""; 0]);
    std::fs::remove_file(scene.upper().join(".git/objects").join(fan_out)).unwrap();
    std::fs::create_dir(scene.upper().join(".git/objects").join(fan_out)).unwrap();
    symlink(
        private.join(fan_out).join(rest),
        scene.upper().join(".git/objects").join(fan_out).join(rest),
    )
    .unwrap();
    let arrivals = scene.import(".git").unwrap();
    assert_eq!(shown(&arrivals), [""; 0]);
    assert!(
        notes(&arrivals)
            .iter()
            .any(|note| note.contains("info/alternates is not heeded")),
        "{:?}",
        arrivals.notes
    );
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
fn a_malformed_object_is_refused_by_fsck_and_nothing_arrives() {
    let test = "a_malformed_object_is_refused_by_fsck_and_nothing_arrives";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    // A tree with an entry `.git`, which would write a hook on checkout.
    let script = "\
        echo two > file && git commit -qam two && git branch fine && \
        blob=$(echo evil | git hash-object -w --stdin) && bytes=$(echo $blob | sed 's/../\\\\x&/g') && \
        tree=$(/usr/bin/printf \"100644 .git\\0$bytes\" | git hash-object -w -t tree --literally --stdin) && \
        git update-ref refs/heads/evil $(git commit-tree -p HEAD -m evil $tree)";
    if !scene.branch_git(test, script) {
        return;
    }
    let error = scene.import(".git").unwrap_err();
    let GitError::Failed {
        command: "fetch",
        stderr,
        ..
    } = &error
    else {
        panic!("{error}");
    };
    assert!(stderr.contains("hasDotgit"), "{stderr}");
    assert!(error.hint().is_some());
    assert_eq!(scene.sandbox_refs("base"), "");
}

#[test]
fn an_object_that_is_not_what_its_name_says_is_refused() {
    let test = "an_object_that_is_not_what_its_name_says_is_refused";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    if !scene.branch_git(test, "echo two > file && git commit -qam two") {
        return;
    }
    // The new blob is replaced by another one, in its own format.
    let other = scene.base_git("echo evil | git hash-object -w --stdin");
    let wanted = scene.base_git("echo two | git hash-object --stdin");
    let at = |id: &str| format!(".git/objects/{}/{}", &id[..2], id[2..].trim());
    let target = scene.upper().join(at(&wanted));
    std::fs::remove_file(&target).unwrap();
    std::fs::copy(scene.base().join(at(&other)), target).unwrap();
    assert!(scene.import(".git").is_err());
    assert_eq!(scene.sandbox_refs("base"), "");
}

#[test]
fn a_reference_to_what_nobody_has_does_not_stop_the_others() {
    let test = "a_reference_to_what_nobody_has_does_not_stop_the_others";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    put(&scene, ".git/refs/heads/good", &commit(&scene));
    put(&scene, ".git/refs/heads/missing", &"a".repeat(40));
    let blob = scene.base_git("git rev-parse HEAD:file");
    put(&scene, ".git/refs/heads/blob", &blob);
    let arrivals = scene.import(".git").unwrap();
    assert_eq!(
        shown(&arrivals),
        ["refs/heads/good → refs/sandbox/fix-1/good (1)"]
    );
    let kind = "blob".to_owned();
    let expected = [
        Note::NotACommit {
            reference: "refs/heads/blob".to_owned(),
            kind,
        },
        Note::Incomplete {
            reference: "refs/heads/missing".to_owned(),
        },
    ];
    assert_eq!(arrivals.notes, expected);
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
    let trap = trap(&scene);
    // In a process of its own: an environment is everybody's.
    let child = "branch::git::tests::hostile::the_environment_cannot_send_git_elsewhere";
    if std::env::var_os("GIT_DIR").is_none() {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", child])
            .env("GIT_DIR", "/nonexistent")
            .env("GIT_OBJECT_DIRECTORY", "/nonexistent")
            .env("GIT_EXTERNAL_DIFF", &trap)
            .env("GIT_TRACE", scene.path("marker"))
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "core.fsmonitor")
            .env("GIT_CONFIG_VALUE_0", &trap)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
        assert!(!scene.path("marker").exists());
        return;
    }
    let arrivals = scene.import(".git").unwrap();
    assert_eq!(shown(&arrivals), ["refs/heads/new → refs/sandbox/fix-1/new (1)"]);
}
