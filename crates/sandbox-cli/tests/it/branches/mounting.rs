//! How a branch is mounted, by how many, and what is left when that ends badly.

use std::fs;

use super::mounts::nothing_goes_wrong;
use super::project::{Project, modes, name_of_test};

#[test]
fn what_was_deleted_stays_deleted_when_the_run_is_killed() {
    for mode in modes(name_of_test!()) {
        let project = Project::new();
        let before = project.fingerprint();
        let mode = format!("--branch-mode={mode}");
        let script = "rm file; mv exec second; rm -r dir; echo ready; sleep 60";
        let mut child = project.place.start(&["-q", "--branch=x", &mode], script);
        child.kill().unwrap();
        child.wait().unwrap();
        let look = || project.place.sh(&["-q", "--branch=x"], "ls");
        // Its init may be about to notice.
        let ran = (0..200)
            .map(|_| look())
            .find(|ran| !ran.stderr.contains("in use"))
            .unwrap();
        let left: Vec<_> = ran.stdout.lines().collect();
        assert_eq!(
            left,
            [
                "dangling", "empty", "hard1", "hard2", "link", "readonly", "second", "sparse"
            ],
            "{ran:?}"
        );
        before.still_holds();
        project.place.sandbox(["branch", "discard", "x"]).says(0, &[]);
        assert_eq!(fs::read_dir(project.storage().join("layers")).unwrap().count(), 0);
    }
}

#[test]
fn runs_on_one_branch_at_the_same_time_share_one_mount() {
    for mode in modes(name_of_test!()) {
        let project = Project::new();
        project.sh("x", mode, "true").says(0, &[]);
        let runs: Vec<_> = (0..6)
            .map(|number| {
                let script = format!("echo {number} >> log");
                let args = ["run", "-q", "--branch=x", "--", "sh", "-c", &script];
                project.place.command(args).spawn().unwrap()
            })
            .collect();
        for mut run in runs {
            assert!(run.wait().unwrap().success(), "mode {mode}");
        }
        let log = project.sh("x", mode, "sort log").stdout;
        assert_eq!(log, "0\n1\n2\n3\n4\n5\n", "mode {mode}");
    }
}

#[test]
fn runs_that_make_one_branch_at_the_same_time_share_it() {
    let project = Project::new();
    let run = |number: u32| {
        let script = format!("echo {number} >> log");
        let args = ["run", "-q", "--branch=new", "--", "sh", "-c", &script];
        project.place.command(args).spawn().unwrap()
    };
    let runs: Vec<_> = (0..6).map(run).collect();
    for mut run in runs {
        assert!(run.wait().unwrap().success());
    }
    let log = project
        .place
        .sandbox(["run", "-q", "--branch=new", "--", "sort", "log"]);
    assert_eq!(log.stdout, "0\n1\n2\n3\n4\n5\n", "{log:?}");
    // Who wants a new one is told that it is there.
    let words = ["run", "--branch=new", "--snapshot=copy", "--", "true"];
    project
        .place
        .sandbox(words)
        .says(125, &["has a branch new already"]);
}

/// A mount that is not makes its end wait for everybody's data.
#[test]
fn an_overlay_is_mounted_volatile() {
    if !modes(name_of_test!()).contains(&"kernel") {
        return;
    }
    let project = Project::new();
    let ran = project.sh("x", "kernel", "grep ' overlay ' /proc/self/mountinfo");
    let options = ran.stdout.split_whitespace().last().unwrap_or_default();
    let has = |option: &str| options.split(',').any(|one| one == option);
    // As it is called until Linux 6.17, and since.
    let is_volatile = has("volatile") || has("fsync=volatile");
    assert!(is_volatile && has("userxattr"), "{ran:?}");
}

#[test]
fn branches_that_are_kept_inside_the_workspace_are_not_a_part_of_it() {
    for mode in modes(name_of_test!()) {
        let project = Project::new();
        let storage = "--storage=inside";
        let run = |script: &str| {
            let mode = format!("--branch-mode={mode}");
            let is_new = !project.base().join("inside").exists();
            let flags = ["-q", "--branch=x", storage, &mode];
            project
                .place
                .sh(if is_new { &flags } else { &flags[..3] }, script)
        };
        run("true").says(0, &[]);
        let ran = run("echo more >> file; find . | grep -e layers -e upper -e branch.json");
        assert_eq!(ran.stdout, "", "{mode} {ran:?}");
        let diff = project
            .place
            .sandbox(["branch", "diff", "x", storage, "--name-only"]);
        assert_eq!(diff.stdout, "file\n", "{mode} {diff:?}");
        project
            .place
            .sandbox(["branch", "commit", "x", storage])
            .says(0, &["1 change"]);
        project
            .place
            .sandbox(["branch", "discard", "x", storage])
            .says(0, &[]);
    }
}

#[test]
fn what_a_mount_has_left_can_be_removed_by_who_has_made_it() {
    nothing_goes_wrong(
        name_of_test!(),
        r#"
        W=$PWD; ST=$DISK/state; mkdir d
        on x 'mkdir -m 0 closed; chmod 0 d; echo x > f; chmod 0 f' || wrong run
        branch discard x 2> said || wrong "$(cat said)"
        [ -z "$(ls -A "$ST"/*/layers "$ST"/*/branches | grep -v :)" ] || wrong "$(ls -AR "$ST")""#,
    );
}
