//! A workspace that was moved keeps its branches.

use std::fs;
use std::path::Path;

use super::project::{Project, fill};
use crate::harness::{Harness, Ran};

fn at(place: &Harness, directory: &Path, args: &[&str]) -> Ran {
    Ran::of(place.command(args).current_dir(directory))
}

/// A workspace with branch `x` that was then moved.
fn moved() -> (Harness, std::path::PathBuf, std::path::PathBuf) {
    let place = Harness::new();
    let (old, new) = (place.work().join("app"), place.work().join("elsewhere"));
    fs::create_dir(&old).unwrap();
    fill(&old);
    at(
        &place,
        &old,
        &["run", "-q", "--branch=x", "--", "sh", "-c", "echo more >> file"],
    )
    .says(0, &[]);
    fs::rename(&old, &new).unwrap();
    (place, old, new)
}

#[test]
fn branches_follow_a_workspace_that_was_moved() {
    let (place, old, new) = moved();
    let listed = at(&place, &new, &["branch", "list"]);
    listed.says(0, &["its branches have followed it", old.to_str().unwrap()]);
    assert!(listed.stdout.starts_with("x "), "{listed:?}");
    assert_eq!(at(&place, &new, &["branch", "diff", "x"]).stdout, "M file\n");
    let ran = at(&place, &new, &["run", "-q", "--branch=x", "--", "cat", "file"]);
    ran.prints("old content\nmore\n");
    at(&place, &new, &["branch", "commit", "x"]).says(0, &["1 change"]);
    assert!(fs::read_to_string(new.join("file")).unwrap().ends_with("more\n"));
    // It is said once.
    assert_eq!(at(&place, &new, &["branch", "list"]).stderr, "");
}

#[test]
fn branches_beside_a_workspace_follow_it_too() {
    let place = Harness::new();
    let (old, new) = (place.work().join("app"), place.work().join("elsewhere"));
    fs::create_dir(&old).unwrap();
    fill(&old);
    let beside = ["run", "-q", "--branch=x", "--storage=beside", "--", "rm", "file"];
    at(&place, &old, &beside).says(0, &[]);
    fs::rename(&old, &new).unwrap();
    assert_eq!(at(&place, &new, &["branch", "diff", "x"]).stdout, "D file\n");
    assert!(place.work().join(".elsewhere.sandbox").is_dir());
    assert!(!place.work().join(".app.sandbox").exists());
}

#[test]
fn a_workspace_all_branches_of_which_were_dropped_gets_new_ones() {
    let project = Project::new();
    for storage in ["--storage=beside", "--storage=state"] {
        let run = |name: &str, flags: &[&str]| {
            let branch = format!("--branch={name}");
            let words = [&["run", "-q", &branch][..], flags, &["--", "true"]].concat();
            project.place.sandbox(words)
        };
        run("x", &[storage]).says(0, &[]);
        project
            .place
            .sandbox(["branch", "discard", "--all", storage])
            .says(0, &["discarded x"]);
        assert_eq!(project.place.sandbox(["branch", "list"]).status, 0);
        let ran = run("y", &[]);
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{storage}");
        project
            .place
            .sandbox(["branch", "discard", "--all"])
            .says(0, &["discarded y"]);
    }
}

#[test]
fn branches_follow_one_directory_where_others_had_the_same_names_before() {
    let place = Harness::new();
    let (old, new) = (place.work().join("app"), place.work().join("elsewhere"));
    let run = ["run", "-q", "--branch=x", "--", "true"];
    for directory in [&old, &new] {
        fs::create_dir(directory).unwrap();
        at(&place, directory, &run).says(0, &[]);
        at(&place, directory, &["branch", "discard", "x"]).says(0, &[]);
        fs::rename(directory, directory.with_extension("away")).unwrap();
    }
    fs::create_dir(&old).unwrap();
    at(&place, &old, &run).says(0, &[]);
    fs::rename(&old, &new).unwrap();
    let listed = at(&place, &new, &["branch", "list"]);
    listed.says(0, &["its branches have followed it"]);
    assert!(listed.stdout.starts_with("x "), "{listed:?}");
}

#[test]
fn a_copy_of_a_workspace_does_not_take_its_branches() {
    let (place, old, new) = moved();
    fs::rename(&new, &old).unwrap();
    let copy = place.work().join("copy");
    fs::create_dir(&copy).unwrap();
    fill(&copy);
    fs::remove_dir_all(&old).unwrap();
    assert_eq!(at(&place, &copy, &["branch", "list"]).stdout, "");
    let all = at(&place, &copy, &["branch", "list", "--all"]);
    assert!(all.stdout.contains("(gone)"), "{all:?}");
    all.says(0, &["sandbox branch attach"]);
}

#[test]
fn branches_are_attached_to_a_workspace_that_was_restored() {
    let (place, old, new) = moved();
    fs::remove_dir_all(&new).unwrap();
    fs::create_dir(&new).unwrap();
    fill(&new);
    let old = old.to_str().unwrap();
    at(&place, &new, &["branch", "attach", "/no/such"]).says(1, &["there are no branches of /no/such"]);
    at(&place, &new, &["branch", "attach", old]).says(0, &["1 branch of"]);
    assert!(
        at(&place, &new, &["branch", "diff", "x"])
            .stdout
            .starts_with("M file")
    );
}

#[test]
fn a_workspace_that_is_there_keeps_its_branches() {
    let (place, old, new) = moved();
    fs::rename(&new, &old).unwrap();
    fs::create_dir(&new).unwrap();
    let attached = at(&place, &new, &["branch", "attach", old.to_str().unwrap()]);
    attached.says(1, &["is still there"]);
    assert!(at(&place, &old, &["branch", "list"]).stdout.starts_with("x "));
}

#[test]
fn branches_of_a_workspace_that_is_gone_can_be_dropped_and_nothing_else() {
    let (place, old, new) = moved();
    fs::remove_dir_all(&new).unwrap();
    let old = old.to_str().unwrap();
    let run = ["run", "--branch=x", "--workspace", old, "--", "true"];
    at(&place, &place.work(), &run).says(
        125,
        &["is not there; its branches are kept", "sandbox branch attach"],
    );
    let list = at(&place, &place.work(), &["branch", "list", "--workspace", old]);
    assert!(list.stdout.starts_with("x "), "{list:?}");
    let discard = ["branch", "discard", "--all", "--workspace", old];
    at(&place, &place.work(), &discard).says(0, &["discarded x"]);
    assert_eq!(at(&place, &place.work(), &["branch", "list", "--all"]).stdout, "");
}

#[test]
fn branches_in_use_do_not_follow_until_they_are_free() {
    let project = Project::new();
    let mut child = project.place.start(&["-q", "--branch=x"], "echo ready; sleep 60");
    let new = project.place.root().join("elsewhere");
    fs::rename(project.base(), &new).unwrap();
    let listed = at(&project.place, &new, &["branch", "list"]);
    child.kill().unwrap();
    child.wait().unwrap();
    listed.says(1, &["branch x is in use"]);
    fs::rename(&new, project.base()).unwrap();
    let diff = at(&project.place, &project.base(), &["branch", "diff", "x"]);
    assert_eq!((diff.status, diff.stdout.as_str()), (0, ""));
}
