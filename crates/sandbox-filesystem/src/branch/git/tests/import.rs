//! What arrives, what does not, and the way back.

use super::harness::{Scene, assert_same, contents, name, notes, rel, shown, skip};
use crate::branch::git::{GitError, Prepared, RefMove, Repository, forget, import, pending, prepare, undo};
use crate::branch::stack::{LayerFormat, Stack};

const COMMIT: &str = "echo two > file && git commit -qam two";

#[test]
fn a_commit_arrives_and_the_base_stays_byte_for_byte() {
    let test = "a_commit_arrives_and_the_base_stays_byte_for_byte";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    if !scene.branch_git(test, COMMIT) {
        return;
    }
    let expected = ["refs/heads/main → refs/sandbox/fix-1/main (1)"];
    assert_eq!(shown(&scene.pending(".git").unwrap()), expected);
    assert_eq!(scene.sandbox_refs("base"), "", "pending writes nothing");
    let arrivals = scene.import(".git").unwrap();
    assert_eq!(shown(&arrivals), expected);
    assert_eq!(arrivals.notes, []);
    assert_eq!(scene.sandbox_refs("base"), "refs/sandbox/fix-1/main two\n");
    assert_eq!(scene.base_git("git log -1 --format=%s"), "one\n");
    assert_eq!(scene.base_git("git show refs/sandbox/fix-1/main:file"), "two\n");
}

#[test]
fn what_has_arrived_is_not_pending_again() {
    let test = "what_has_arrived_is_not_pending_again";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    if !scene.branch_git(test, COMMIT) {
        return;
    }
    scene.import(".git").unwrap();
    assert_eq!(shown(&scene.pending(".git").unwrap()), [""; 0]);
    assert_eq!(shown(&scene.import(".git").unwrap()), [""; 0]);
    assert_eq!(scene.sandbox_refs("base"), "refs/sandbox/fix-1/main two\n");
}

#[test]
fn a_rewritten_history_replaces_what_arrived_before_and_undo_brings_it_back() {
    let test = "a_rewritten_history_replaces_what_arrived_before_and_undo_brings_it_back";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    if !scene.branch_git(test, COMMIT) {
        return;
    }
    let first = scene.import(".git").unwrap();
    assert_eq!(first.moves[0].before, None);
    assert!(scene.branch_git(test, "echo 2 > file && git commit -q --amend -am amended"));
    let second = scene.import(".git").unwrap();
    assert_eq!(second.moves[0].before.as_ref(), Some(&first.moves[0].after));
    assert_eq!(scene.sandbox_refs("base"), "refs/sandbox/fix-1/main amended\n");

    let git_dir = scene.base().join(".git");
    assert!(matches!(
        undo(&git_dir, &first.moves),
        Err(GitError::Moved { .. })
    ));
    for _ in 0..2 {
        undo(&git_dir, &second.moves).unwrap();
        assert_eq!(scene.sandbox_refs("base"), "refs/sandbox/fix-1/main two\n");
    }
    undo(&git_dir, &first.moves).unwrap();
    assert_eq!(scene.sandbox_refs("base").lines().next().unwrap_or(""), "");
}

#[test]
fn a_record_of_moves_is_not_trusted_to_name_only_ours() {
    let test = "a_record_of_moves_is_not_trusted_to_name_only_ours";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    if !scene.branch_git(test, COMMIT) {
        return;
    }
    let good = scene.import(".git").unwrap().moves.remove(0);
    let git_dir = scene.base().join(".git");
    let mut head = good.clone();
    "refs/heads/main".clone_into(&mut head.name);
    let injected = RefMove {
        before: Some(format!("{}\ndelete refs/heads/main", good.after)),
        ..good.clone()
    };
    for bad in [head, injected] {
        assert!(matches!(undo(&git_dir, &[bad]), Err(GitError::NotOurs(_))));
    }
}

#[test]
fn forgetting_a_branch_removes_its_references_only() {
    let test = "forgetting_a_branch_removes_its_references_only";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    if !scene.branch_git(test, &format!("{COMMIT} && git branch other && git tag v1")) {
        return;
    }
    scene.import(".git").unwrap();
    scene.base_git("git update-ref refs/sandbox/fix-10/main HEAD && git pack-refs --all");
    let gone = forget(&scene.base().join(".git"), &name()).unwrap();
    assert_eq!(gone.len(), 3, "{gone:?}");
    assert_eq!(
        scene.base_git("git for-each-ref --format='%(refname)'"),
        "refs/heads/main\nrefs/sandbox/fix-10/main\n"
    );
}

#[test]
fn two_branches_that_both_committed_are_both_kept() {
    let test = "two_branches_that_both_committed_are_both_kept";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    for (branch, upper) in [("A", "upper-a"), ("B", "upper-b")] {
        let script = format!("echo {branch} > file && git commit -qam {branch}");
        if !scene.mounted(
            test,
            &[("base", upper, &format!("work-{branch}"))],
            "base",
            &script,
        ) {
            return;
        }
        let layers = [(scene.path(upper), LayerFormat::Overlay)];
        let stack = Stack::open(&layers, &scene.base()).unwrap();
        let repository = Repository::in_workspace(&stack, stack.base_path(), rel(".git"));
        import(&repository, &branch.parse().unwrap(), &scene.path("scratch")).unwrap();
    }
    assert_eq!(
        scene.sandbox_refs("base"),
        "refs/sandbox/A/main A\nrefs/sandbox/B/main B\n"
    );
}

#[test]
fn commits_of_a_branch_of_a_branch_arrive_together() {
    let test = "commits_of_a_branch_of_a_branch_arrive_together";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    if !scene.branch_git(test, COMMIT) {
        return;
    }
    // The kernel takes the parent's layer as a lower one: here the parent's view is mounted, and a second one above.
    let [base, low] = ["base", "upper"].map(|name| scene.path(name).display().to_string());
    let [top, work] = ["top", "work-top"].map(|name| {
        std::fs::create_dir(scene.path(name)).unwrap();
        scene.path(name).display().to_string()
    });
    let script = format!(
        "mount -t overlay o -o userxattr,volatile,lowerdir={low}:{base},upperdir={top},workdir={work} {base}\n\
         cd {base} && git commit -q --allow-empty -m three && git gc -q --prune=now"
    );
    assert!(scene.mounted(test, &[], "base", &script));
    let layers = ["top", "upper"].map(|name| (scene.path(name), LayerFormat::Overlay));
    let stack = Stack::open(&layers, &scene.base()).unwrap();
    let repository = Repository::in_workspace(&stack, stack.base_path(), rel(".git"));
    let arrivals = import(&repository, &name(), &scene.path("scratch")).unwrap();
    assert_eq!(
        shown(&arrivals),
        ["refs/heads/main → refs/sandbox/fix-1/main (2)"]
    );
    assert_eq!(scene.sandbox_refs("base"), "refs/sandbox/fix-1/main three\n");
}

#[test]
fn a_whole_copy_is_compared_with_the_base() {
    let test = "a_whole_copy_is_compared_with_the_base";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    scene.base_git(&format!("cp -a . ../tree && cd ../tree && {COMMIT}"));
    // The base moves on where the branch did nothing.
    scene.base_git(
        "git branch other && cp -a . ../tree2 && git checkout -q other && git commit -qm more --allow-empty",
    );
    for (tree, expected) in [
        ("tree", &["refs/heads/main → refs/sandbox/fix-1/main (1)"][..]),
        ("tree2", &[]),
    ] {
        let layers = [(scene.path(tree), LayerFormat::Complete)];
        let stack = Stack::open(&layers, &scene.base()).unwrap();
        let repository = Repository::in_workspace(&stack, stack.base_path(), rel(".git"));
        let arrivals = pending(&repository, &name(), &scene.path("scratch")).unwrap();
        assert_eq!(shown(&arrivals), expected);
    }
}

#[test]
fn objects_on_another_file_system_are_copied() {
    let test = "objects_on_another_file_system_are_copied";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else {
        return skip(test, "/dev/shm cannot be written to");
    };
    if !scene.branch_git(test, COMMIT) {
        return;
    }
    let stack = scene.stack();
    let repository = Repository::in_workspace(&stack, stack.base_path(), rel(".git"));
    let arrivals = import(&repository, &name(), elsewhere.path()).unwrap();
    assert_eq!(shown(&arrivals).len(), 1);
    assert_eq!(scene.sandbox_refs("base"), "refs/sandbox/fix-1/main two\n");
}

#[test]
fn what_is_prepared_is_known_before_it_arrives() {
    let test = "what_is_prepared_is_known_before_it_arrives";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    if !scene.branch_git(test, COMMIT) {
        return;
    }
    let stack = scene.stack();
    let repository = Repository::in_workspace(&stack, stack.base_path(), rel(".git"));
    let prepared: Prepared = prepare(&repository, &name(), &scene.path("scratch")).unwrap();
    let known = prepared.arrivals().clone();
    assert_eq!(scene.sandbox_refs("base"), "");
    assert_eq!(prepared.import().unwrap(), known);
    undo(&repository.base_dir(), &known.moves).unwrap();
    assert_eq!(scene.base_git("git for-each-ref refs/sandbox"), "");
}

#[test]
fn a_branch_of_a_snapshot_brings_what_the_base_has_dropped_since() {
    let test = "a_branch_of_a_snapshot_brings_what_the_base_has_dropped_since";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    scene.base_git("cp -a . ../snapshot");
    if !scene.mounted(test, &[("snapshot", "upper", "work")], "snapshot", COMMIT) {
        return;
    }
    scene.base_git(
        "git commit -q --amend -m other && git reflog expire --expire=now --all && git gc -q --prune=now",
    );
    let before = contents(&scene.path("snapshot"));
    let layers = [(scene.upper(), LayerFormat::Overlay)];
    let stack = Stack::open(&layers, &scene.path("snapshot")).unwrap();
    let repository = Repository::in_workspace(&stack, &scene.base(), rel(".git"));
    let arrivals = import(&repository, &name(), &scene.path("scratch")).unwrap();
    assert_eq!(
        shown(&arrivals),
        ["refs/heads/main → refs/sandbox/fix-1/main (2)"]
    );
    assert_eq!(scene.sandbox_refs("base"), "refs/sandbox/fix-1/main two\n");
    assert_eq!(scene.sandbox_refs("snapshot"), "");
    assert_same(&before, &contents(&scene.path("snapshot")));
}

#[test]
fn a_reference_that_is_in_the_way_is_named() {
    let test = "a_reference_that_is_in_the_way_is_named";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    scene.base_git("git update-ref refs/sandbox/fix-1/main/old HEAD");
    if !scene.branch_git(test, &format!("{COMMIT} && git branch fine")) {
        return;
    }
    let arrivals = scene.import(".git").unwrap();
    assert_eq!(
        shown(&arrivals),
        ["refs/heads/fine → refs/sandbox/fix-1/fine (1)"]
    );
    assert!(
        notes(&arrivals)[0].contains("git update-ref -d refs/sandbox/fix-1/main/old"),
        "{:?}",
        arrivals.notes
    );
}

#[test]
fn a_head_that_was_set_back_brings_nothing() {
    let test = "a_head_that_was_set_back_brings_nothing";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    scene.base_git(COMMIT);
    if !scene.branch_git(
        test,
        "git reset -q --hard HEAD~1 && git checkout -q --detach main",
    ) {
        return;
    }
    assert_eq!(shown(&scene.import(".git").unwrap()), [""; 0]);
}

#[test]
fn a_stash_stays_on_the_branch_and_is_mentioned() {
    let test = "a_stash_stays_on_the_branch_and_is_mentioned";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    if !scene.branch_git(test, "echo x > file && git stash -q") {
        return;
    }
    let arrivals = scene.import(".git").unwrap();
    assert_eq!(shown(&arrivals), [""; 0]);
    assert_eq!(notes(&arrivals), ["a git stash was made; it stays on the branch"]);
}

#[test]
fn new_and_moved_tags_arrive_beside_the_heads() {
    let test = "new_and_moved_tags_arrive_beside_the_heads";
    let Some(scene) = Scene::with_commit(test) else {
        return;
    };
    scene.base_git("git tag same && git tag moved");
    let script = format!(
        "{COMMIT} && git tag -f moved >/dev/null && git tag -am note annotated && \
         git tag tree HEAD^{{tree}} && git branch tags/odd"
    );
    if !scene.branch_git(test, &script) {
        return;
    }
    assert_eq!(
        shown(&scene.import(".git").unwrap()),
        [
            "refs/heads/main → refs/sandbox/fix-1/main (1)",
            "refs/heads/tags/odd → refs/sandbox/fix-1/heads/tags/odd (1)",
            "refs/tags/annotated → refs/sandbox/fix-1/tags/annotated (1)",
            "refs/tags/moved → refs/sandbox/fix-1/tags/moved (1)",
            "refs/tags/tree → refs/sandbox/fix-1/tags/tree (0)",
        ]
    );
    assert_eq!(scene.base_git("git tag"), "moved\nsame\n");
}
