//! Every kind of repository, alone in its workspace.

use std::ffi::OsStr;

use super::harness::{Scene, again, notes, shown, skip};
use crate::branch::git::{GitError, locate};

const COMMIT: &str = "echo two > file && git add . && git commit -qm two";
const MAIN: &str = "refs/heads/main → refs/sandbox/fix-1/main (1)";

/// One commit on the branch of a base that `prepare` has made.
fn check(test: &str, prepare: &str, script: &str, expected: &[&str]) {
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    scene.base_git(prepare);
    if !scene.branch_git(test, script) {
        return;
    }
    assert_eq!(shown(&scene.import(".git").unwrap()), expected);
    assert!(!scene.sandbox_refs("base").contains("error"));
}

#[test]
fn packed_references_of_the_base_and_of_the_branch_are_read() {
    check(
        "packed_references_of_the_base_and_of_the_branch_are_read",
        "git branch a/b && git tag -am t v1 && git pack-refs --all",
        &format!("{COMMIT} && git branch c && git branch -qD a/b && git pack-refs --all --prune"),
        &["refs/heads/c → refs/sandbox/fix-1/c (1)", MAIN],
    );
}

#[test]
fn a_branch_that_collected_its_garbage_has_packs_only() {
    check(
        "a_branch_that_collected_its_garbage_has_packs_only",
        "echo x > x && git add . && git commit -qm x && git repack -adq",
        &format!(
            "{COMMIT} && git gc -q --prune=now --aggressive && git multi-pack-index write && git commit-graph write"
        ),
        &[MAIN],
    );
}

#[test]
fn an_unborn_branch_gets_its_first_commit() {
    let test = "an_unborn_branch_gets_its_first_commit";
    let Some(scene) = Scene::new(test) else { return };
    scene.base_git("git init -q -b main .");
    if !scene.branch_git(test, COMMIT) {
        return;
    }
    assert_eq!(shown(&scene.import(".git").unwrap()), [MAIN]);
    let refs = scene.sandbox_refs("base");
    assert!(refs.starts_with("refs/sandbox/fix-1/main two\n"), "{refs}");
    assert_eq!(
        scene.base_git("git symbolic-ref HEAD && git branch --list"),
        "refs/heads/main\n"
    );
}

#[test]
fn a_detached_head_arrives_where_nothing_else_has_its_commits() {
    check(
        "a_detached_head_arrives_where_nothing_else_has_its_commits",
        "git branch other",
        &format!("git checkout -q --detach && {COMMIT}"),
        &["HEAD → refs/sandbox/fix-1/HEAD (1)"],
    );
    check(
        "a_detached_head_arrives_where_nothing_else_has_its_commits",
        "true",
        &format!("{COMMIT} && git checkout -q --detach"),
        &[MAIN],
    );
}

#[test]
fn names_with_slashes_keep_them() {
    check(
        "names_with_slashes_keep_them",
        "true",
        &format!("git checkout -qb feature/deep/er && {COMMIT} && git branch HEAD-ache"),
        &[
            "refs/heads/HEAD-ache → refs/sandbox/fix-1/HEAD-ache (1)",
            "refs/heads/feature/deep/er → refs/sandbox/fix-1/feature/deep/er (1)",
        ],
    );
}

#[test]
fn symbolic_references_stand_for_what_they_lead_to() {
    check(
        "symbolic_references_stand_for_what_they_lead_to",
        "true",
        &format!("git symbolic-ref refs/heads/alias refs/heads/main && {COMMIT}"),
        &["refs/heads/alias → refs/sandbox/fix-1/alias (1)", MAIN],
    );
}

#[test]
fn a_lock_left_behind_is_noted_and_harms_nobody() {
    let test = "a_lock_left_behind_is_noted_and_harms_nobody";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    if !scene.branch_git(
        test,
        &format!("{COMMIT} && touch .git/index.lock .git/refs/heads/main.lock"),
    ) {
        return;
    }
    let arrivals = scene.import(".git").unwrap();
    assert_eq!(shown(&arrivals), [MAIN]);
    assert_eq!(
        notes(&arrivals),
        [".git/index.lock was left behind by git; it stays on the branch"]
    );
    assert_eq!(scene.base_git("git status --short"), "");
}

#[test]
fn a_sha256_repository_is_read_as_one() {
    let test = "a_sha256_repository_is_read_as_one";
    let Some(scene) = Scene::new(test) else { return };
    scene.base_git("git init -q -b main --object-format=sha256 . && git commit -q --allow-empty -m one");
    if !scene.branch_git(test, COMMIT) {
        return;
    }
    let arrivals = scene.import(".git").unwrap();
    assert_eq!(shown(&arrivals), [MAIN]);
    assert_eq!(arrivals.refs[0].id.len(), 64);
    assert_eq!(scene.sandbox_refs("base"), "refs/sandbox/fix-1/main two\n");
}

#[test]
fn a_repository_with_reftables_is_refused_by_name() {
    let test = "a_repository_with_reftables_is_refused_by_name";
    let Some(scene) = Scene::new(test) else { return };
    scene.base_git("git init -q -b main . && git config core.repositoryformatversion 1");
    scene.base_git("git config extensions.refStorage reftable");
    let error = scene.pending(".git").unwrap_err();
    assert!(
        matches!(&error, GitError::RefFormat { format, .. } if format == "reftable"),
        "{error}"
    );
    assert!(error.hint().is_some());
}

#[test]
fn a_working_tree_that_is_gone_is_not_needed() {
    let test = "a_working_tree_that_is_gone_is_not_needed";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    if !scene.branch_git(test, COMMIT) {
        return;
    }
    // As of a submodule that is not checked out at present.
    scene.base_git("git config core.worktree ../gone");
    assert_eq!(shown(&scene.import(".git").unwrap()), [MAIN]);
}

#[test]
fn a_shallow_clone_stays_shallow() {
    let test = "a_shallow_clone_stays_shallow";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    scene.base_git("git commit -q --allow-empty -m 2 && mv .git ../origin.git && rm file");
    scene.base_git("git clone -q --depth 1 file://$PWD/../origin.git .");
    if !scene.branch_git(test, COMMIT) {
        return;
    }
    // No reference of the base's leads to where its history ends any more.
    scene.base_git(
        "git commit -q --amend -m other && git remote set-head origin -d && git remote remove origin",
    );
    let expected = ["refs/heads/main → refs/sandbox/fix-1/main (2)"];
    assert_eq!(shown(&scene.import(".git").unwrap()), expected);
    assert_eq!(scene.sandbox_refs("base"), "refs/sandbox/fix-1/main two\n");
}

#[test]
fn a_partial_clone_needs_nothing_from_its_origin() {
    let test = "a_partial_clone_needs_nothing_from_its_origin";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    scene.base_git("echo old > gone && git add . && git commit -qm 2 && git rm -q gone && git commit -qm 3");
    scene.base_git("git config uploadpack.allowFilter true && mv .git ../origin.git && rm file");
    scene.base_git(
        "git clone -q --filter=blob:none file://$PWD/../origin.git . && mv ../origin.git ../away.git",
    );
    if !scene.branch_git(test, COMMIT) {
        return;
    }
    assert_eq!(shown(&scene.import(".git").unwrap()), [MAIN]);
    assert_eq!(scene.base_git("git show refs/sandbox/fix-1/main:file"), "two\n");
}

#[test]
fn objects_that_the_base_borrows_are_found() {
    let test = "objects_that_the_base_borrows_are_found";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    scene.base_git("mv .git ../first.git && rm file && git clone -q -s ../first.git ../second.git --bare");
    scene.base_git("git clone -q -s ../second.git . && git config core.worktree $PWD");
    if !scene.branch_git(test, COMMIT) {
        return;
    }
    assert_eq!(shown(&scene.import(".git").unwrap()), [MAIN]);
    assert_eq!(scene.sandbox_refs("base"), "refs/sandbox/fix-1/main two\n");
    let layout = locate(&scene.base()).unwrap().unwrap();
    let expected = ["first.git/objects", "second.git/objects"].map(|name| scene.path(name));
    assert_eq!(layout.alternates, expected);
}

#[test]
fn a_repository_that_belongs_to_somebody_else_is_not_obeyed() {
    let test = "a_repository_that_belongs_to_somebody_else_is_not_obeyed";
    if !rustix::process::geteuid().is_root() {
        return skip(test, "only root can give files away");
    }
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    if !scene.branch_git(test, COMMIT) {
        return;
    }
    // In a process of its own where it is declared safe: the home directory is in the environment.
    scene.base_git("chown 12345 .git");
    if std::env::var_os("SANDBOX_TEST_SAFE").is_some() {
        assert_eq!(shown(&scene.import(".git").unwrap()), [MAIN]);
        return;
    }
    let error = scene.pending(".git").unwrap_err();
    assert!(
        matches!(error, GitError::ForeignOwner { owner: 12345, .. }),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("safe.directory"));
    scene.base_git("git config --global safe.directory '*'");
    let home = scene.path("home");
    let environment = [("HOME", home.as_os_str()), ("SANDBOX_TEST_SAFE", OsStr::new("1"))];
    again(&format!("kinds::{test}"), &environment);
}
