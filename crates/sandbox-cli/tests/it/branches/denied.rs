//! What is denied of a workspace is not to be had from a branch of it either.

use super::project::{Project, modes, name_of_test};

const TRY: &str = "cat dir/sub/deep; cat file; echo x > dir/sub/deep; ls dir/sub";

/// `run --branch=x FLAGS -- sh -c SCRIPT` in that mode.
fn run(project: &Project, mode: &str, flags: &[&str], script: &str) -> crate::harness::Ran {
    let start = ["run", "-q", "--branch=x", "--branch-mode", mode];
    let end = ["--", "sh", "-c", script];
    project.place.sandbox([&start, flags, &end].concat())
}

#[test]
fn a_part_of_the_workspace_that_is_denied_is_hidden_on_the_branch() {
    for mode in modes(name_of_test!()) {
        let project = Project::new();
        let before = project.fingerprint();
        let ran = run(&project, mode, &["--deny", "dir/sub", "--deny", "file"], TRY);
        assert!(
            !ran.stdout.contains("deep") && !ran.stdout.contains("old"),
            "{mode}: {ran:?}"
        );
        before.still_holds();
    }
}

#[test]
fn a_snapshot_does_not_show_what_is_denied() {
    if !modes(name_of_test!()).contains(&"kernel") {
        return;
    }
    let project = Project::new();
    let ran = run(
        &project,
        "kernel",
        &["--snapshot", "copy", "--deny", "dir/sub"],
        TRY,
    );
    assert!(!ran.stdout.contains("deep"), "{ran:?}");
    assert!(ran.stdout.contains("old content"), "{ran:?}");
}

#[test]
fn a_branch_of_a_workspace_that_is_denied_as_a_whole_does_not_start() {
    for mode in modes(name_of_test!()) {
        let project = Project::new();
        let base = project.base();
        for denied in [
            ".",
            base.to_str().unwrap(),
            base.parent().unwrap().to_str().unwrap(),
        ] {
            let ran = run(&project, mode, &["--deny", denied], "echo started");
            ran.says(125, &["lies beneath the denied", "leave out one of the two"]);
            assert_eq!(ran.stdout, "", "{mode} {denied}");
            assert!(project.layers("x").is_none(), "the branch is not left behind");
        }
    }
}

#[test]
fn what_a_branch_alone_has_can_be_denied_by_a_profile() {
    for mode in modes(name_of_test!()) {
        let project = Project::new();
        run(&project, mode, &[], "mkdir made; echo secret > made/new").says(0, &[]);
        let base = project.base();
        let profile = format!("[filesystem]\ndeny = [\"{}/made/new\"]\n", base.display());
        let profile = project.place.write("profile.toml", &profile);
        let args = ["run", "-q", "--branch=x", "--profile", profile.to_str().unwrap()];
        let ran = project
            .place
            .sandbox([&args[..], &["--", "cat", "made/new"]].concat());
        assert!(!ran.stdout.contains("secret"), "{mode}: {ran:?}");
    }
}

#[test]
fn nothing_more_can_be_denied_to_a_sandbox_that_is_joined() {
    if !modes(name_of_test!()).contains(&"kernel") {
        return;
    }
    let project = Project::new();
    let mut first = project.place.start(&["-q", "--branch=x"], "echo ready; sleep 60");
    let args = ["run", "-q", "--branch=x", "--deny", "file", "--", "cat", "file"];
    let joined = project.place.sandbox(args);
    joined.says(125, &["branch x is in use", "sandbox exec x"]);
    assert_eq!(joined.stdout, "");
    first.kill().unwrap();
    first.wait().unwrap();
}
