//! Objects of a branch that are not what they should be.

use std::os::unix::fs::symlink;

use super::harness::{Scene, commit, notes, put, shown};
use crate::branch::git::{GitError, Note};

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
fn an_object_that_is_rubbish_does_not_stop_the_others() {
    let test = "an_object_that_is_rubbish_does_not_stop_the_others";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    put(&scene, ".git/refs/heads/good", &commit(&scene));
    put(&scene, ".git/refs/heads/rubbish", &"a".repeat(40));
    put(&scene, ".git/refs/heads/empty", &"b".repeat(40));
    put(&scene, ".git/refs/heads/packed", &"c".repeat(40));
    put(&scene, &format!(".git/objects/aa/{}", "a".repeat(38)), "rubbish");
    put(&scene, &format!(".git/objects/bb/{}", "b".repeat(38)), "");
    let pack = format!(".git/objects/pack/pack-{}", "c".repeat(40));
    put(&scene, &format!("{pack}.pack"), "PACKrubbish");
    put(&scene, &format!("{pack}.idx"), "rubbish");
    let arrivals = scene.import(".git").unwrap();
    assert_eq!(
        shown(&arrivals),
        ["refs/heads/good → refs/sandbox/fix-1/good (1)"]
    );
    assert_eq!(arrivals.notes.len(), 3, "{:?}", arrivals.notes);
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
