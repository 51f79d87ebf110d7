//! Hard links of the workspace on a branch in mode `exact`: names of one file stay that, in later runs, in every mode,
//! and in what is committed.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::project::{Project, modes, name_of_test};
use crate::harness::Ran;

/// `hard1` and `hard2` of the workspace are one file.
fn with_links(test: &str) -> Option<Project> {
    modes(test).contains(&"exact").then(Project::new)
}

fn branch(project: &Project, args: &[&str]) -> Ran {
    project.place.sandbox([&["branch"], args].concat())
}

/// What the two names show, and how many there are of the file.
const LOOK: &str = "cat hard1 hard2 | tr '\\n' ' '; stat -c %h hard1; [ hard1 -ef hard2 ] && echo one";

#[test]
fn a_write_by_one_name_is_seen_by_the_other_in_the_next_run_whatever_its_mode() {
    for second in ["exact", "kernel"] {
        let Some(project) = with_links(name_of_test!()) else {
            return;
        };
        if !modes(name_of_test!()).contains(&second) {
            return;
        }
        let before = project.fingerprint();
        project.sh("x", "exact", "echo more >> hard1").says(0, &[]);
        let args = [
            "run",
            "-q",
            "--branch=x",
            "--branch-mode",
            second,
            "--",
            "sh",
            "-c",
            LOOK,
        ];
        let ran = project.place.sandbox(args);
        ran.prints("hard more hard more 2\none\n");
        assert_eq!(branch(&project, &["show", "x"]).stdout.matches(second).count(), 1);
        before.still_holds();
    }
}

#[test]
fn both_names_are_changed_and_committed_as_one_file_and_taken_back() {
    let Some(project) = with_links(name_of_test!()) else {
        return;
    };
    let base = project.base();
    let numbers = || ["hard1", "hard2"].map(|name| fs::metadata(base.join(name)).unwrap().ino());
    project
        .sh("x", "exact", "echo more >> hard2; rm second")
        .says(0, &[]);
    let diff = branch(&project, &["diff", "x", "--name-only"]);
    assert_eq!(diff.stdout, "hard1\nhard2\nsecond\n", "{diff:?}");
    branch(&project, &["commit", "x"]).says(0, &["3 changes"]);
    assert_eq!(fs::read_to_string(base.join("hard1")).unwrap(), "hard\nmore\n");
    assert_eq!(numbers()[0], numbers()[1]);
    assert_eq!(branch(&project, &["diff", "x"]).stdout, "");
    branch(&project, &["undo"]).says(0, &[]);
    assert_eq!(fs::read_to_string(base.join("hard2")).unwrap(), "hard\n");
    assert_eq!(numbers()[0], numbers()[1]);
}

#[test]
fn a_branch_of_the_branch_sees_what_was_written_by_the_other_name() {
    let Some(project) = with_links(name_of_test!()) else {
        return;
    };
    project.sh("x", "exact", "echo more >> hard1").says(0, &[]);
    let from = |name: &str, script: &str| {
        let name = format!("--branch={name}");
        project.place.sh(&["-q", &name, "--from=x"], script)
    };
    from("y", LOOK).prints("hard more hard more 2\none\n");
    from("z", "echo third >> hard2").says(0, &[]);
    let ran = project.place.sh(&["-q", "--branch=z"], LOOK);
    ran.prints("hard more third hard more third 2\none\n");
    let ran = project.place.sh(&["-q", "--branch=x"], LOOK);
    ran.prints("hard more hard more 2\none\n");
}

#[test]
fn a_run_that_is_killed_loses_no_name() {
    for then in ["run", "diff", "from"] {
        let Some(project) = with_links(name_of_test!()) else {
            return;
        };
        let script = "echo more >> hard1; echo ready; sleep 60";
        let mut child = project
            .place
            .start(&["-q", "--branch=x", "--branch-mode=exact"], script);
        child.kill().unwrap();
        child.wait().unwrap();
        let look = || match then {
            "run" => project.place.sh(&["-q", "--branch=x"], LOOK),
            "from" => project.place.sh(&["-q", "--branch=y", "--from=x"], LOOK),
            _ => branch(&project, &["diff", "x", "--name-only"]),
        };
        // Its init may be about to notice.
        let is_free = |ran: &Ran| !ran.stderr.contains("in use");
        let ran = (0..200).map(|_| look()).find(is_free).unwrap();
        ran.prints(if then == "diff" {
            "hard1\nhard2\n"
        } else {
            "hard more hard more 2\none\n"
        });
    }
}

#[test]
fn a_live_branch_says_that_there_may_be_more_names() {
    let Some(project) = with_links(name_of_test!()) else {
        return;
    };
    let script = "echo more >> hard1; echo ready; sleep 60";
    let mut child = project
        .place
        .start(&["-q", "--branch=x", "--branch-mode=exact"], script);
    let names = branch(&project, &["diff", "x", "--name-only"]).stdout;
    let diff = branch(&project, &["diff", "x"]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(names, "hard1\n");
    let said = format!("{}{}", diff.stdout, diff.stderr);
    assert!(
        said.contains("other names of files with several names are listed when the run has ended"),
        "{said}"
    );
}

#[test]
fn a_name_that_is_deleted_or_moved_is_no_longer_one() {
    let Some(project) = with_links(name_of_test!()) else {
        return;
    };
    let script = "echo more >> hard1; mv hard2 dir/moved; ln hard1 third; rm hard1";
    project.sh("x", "exact", script).says(0, &[]);
    let ran = project
        .place
        .sh(&["-q", "--branch=x"], "stat -c '%n %h' third dir/moved; ls");
    assert!(ran.stdout.starts_with("third 2\ndir/moved 2\n"), "{ran:?}");
    assert!(!ran.stdout.contains("hard"), "{ran:?}");
    branch(&project, &["commit", "x"]).says(0, &[]);
    let numbers = ["third", "dir/moved"].map(|name| fs::metadata(project.base().join(name)).unwrap().ino());
    assert_eq!(numbers[0], numbers[1]);
}
