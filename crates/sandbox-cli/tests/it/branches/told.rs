//! What becomes of a branch is said, and as it is.

use std::fs;

use super::project::{Project, modes, name_of_test};

#[test]
fn a_branch_that_is_merged_with_itself_is_named_as_that() {
    let project = Project::new();
    project.sh("c", "copy", "echo new > new").says(0, &[]);
    let merged = project
        .place
        .sandbox(["branch", "merge", "c", "c", "--into", "d"]);
    merged.says(1, &["branch c is named twice"]);
    assert!(!merged.stderr.contains("in use"), "{merged:?}");
}

#[test]
fn a_commit_of_gits_files_where_git_is_not_installed_says_how_they_are_taken() {
    let project = Project::new();
    project
        .sh(
            "x",
            "copy",
            "mkdir -p inner/.git && echo text > inner/.git/description",
        )
        .says(0, &[]);
    let args = ["branch", "commit", "x", "--accept-all"];
    let nothing = project.place.root().join("nothing");
    let commit = crate::harness::Ran::of(project.place.command(args).env("PATH", nothing));
    commit.says(
        0,
        &["git is not installed: its files are treated like any others"],
    );
}

#[test]
fn a_branch_that_is_dropped_because_the_command_failed_is_named() {
    let project = Project::new();
    for (flag, script) in [("--on-failure", "false"), ("--on-success", "true")] {
        let run = |more: &[&str]| {
            let flags = [&["--branch=x", flag, "discard"], more].concat();
            project.place.sh(&flags, script)
        };
        let ran = run(&[]);
        assert!(ran.stderr.contains("branch x is discarded"), "{ran:?}");
        let quiet = run(&["-q"]);
        assert_eq!(quiet.stderr, "", "{quiet:?}");
        assert_eq!(project.layers("x"), None);
    }
}

#[test]
fn what_is_dropped_with_a_branch_after_a_commit_of_a_part_is_counted() {
    let project = Project::new();
    project
        .sh("x", "copy", "echo new > a; echo new > b; rm second")
        .says(0, &[]);
    let committed = project.place.sandbox(["branch", "commit", "x", "a", "--discard"]);
    committed.says(0, &["dropped without being committed: 1 added, 1 deleted"]);
    project.sh("y", "copy", "echo new > c").says(0, &[]);
    let all = project.place.sandbox(["branch", "commit", "y", "--discard"]);
    all.says(0, &["discarded y"]);
    assert!(!all.stderr.contains("dropped"), "{all:?}");
}

#[test]
fn one_change_is_one() {
    let project = Project::new();
    project.sh("x", "copy", "echo new > a").says(0, &[]);
    project
        .place
        .sandbox(["branch", "commit", "x"])
        .says(0, &["(1 change)"]);
    project
        .place
        .sandbox(["branch", "undo"])
        .says(0, &["(1 change of x)"]);
    let shown = project.place.sandbox(["branch", "show", "x"]);
    assert!(shown.stdout.contains("1 change, "), "{shown:?}");
}

#[test]
fn commits_stay_with_a_branch_that_is_renamed_and_not_with_its_name() {
    let project = Project::new();
    project.sh("old", "copy", "echo new > a").says(0, &[]);
    project.place.sandbox(["branch", "commit", "old"]).says(0, &[]);
    project
        .place
        .sandbox(["branch", "rename", "old", "new"])
        .says(0, &[]);
    let show = |name| project.place.sandbox(["branch", "show", name]).stdout;
    assert!(show("new").contains("c1 "), "{}", show("new"));
    project.sh("old", "copy", "true").says(0, &[]);
    assert!(!show("old").contains("c1 "), "{}", show("old"));
    project.place.sandbox(["branch", "undo"]).says(0, &["of new"]);
}

#[test]
fn a_workspace_in_the_place_of_another_is_noticed_and_nothing_in_it_is_overwritten_unseen() {
    for mode in modes(name_of_test!()) {
        let project = Project::new();
        let (base, other) = (project.base(), project.place.root().join("other"));
        fs::create_dir(&other).unwrap();
        fs::write(other.join("file"), "theirs\n").unwrap();
        fs::write(other.join("second"), "theirs\n").unwrap();
        project
            .sh("x", mode, "echo ours > file; rm second; echo new > added")
            .says(0, &[]);
        fs::rename(&base, project.place.root().join("first")).unwrap();
        fs::rename(&other, &base).unwrap();
        let diff = project.place.sandbox(["branch", "diff", "x"]);
        assert!(diff.stdout.contains("another directory"), "{mode}: {diff:?}");
        let commit = project.place.sandbox(["branch", "commit", "x"]);
        commit.says(3, &["CONFLICT file", "CONFLICT second"]);
        assert_eq!(fs::read(base.join("file")).unwrap(), b"theirs\n", "{mode}");
        let forced = project
            .place
            .sandbox(["branch", "commit", "x", "--on-conflict", "theirs"]);
        forced.says(0, &["committed"]);
        assert_eq!(fs::read(base.join("added")).unwrap(), b"new\n", "{mode}");
        assert_eq!(fs::read(base.join("second")).unwrap(), b"theirs\n", "{mode}");
    }
}
