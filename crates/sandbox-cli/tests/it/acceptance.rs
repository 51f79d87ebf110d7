//! Branches as somebody who runs agents uses them, from the first run to the last discard.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Harness, Ran, has};

/// A repository with a stub of an agent beside it.
struct Project {
    harness: Harness,
    app: PathBuf,
}

impl Project {
    fn new() -> Self {
        let harness = Harness::new();
        harness.write("work/app/src/lib.txt", "one\ntwo\nthree\n");
        harness.write("work/app/src/old.txt", "old\n");
        harness.write("work/app/.gitignore", "target/\n");
        harness.script(
            "work/app/agent",
            r#"set -e
            case "$1" in
            fix) sed -i 's/two/TWO/' src/lib.txt; rm src/old.txt; echo added > src/new.txt
                 mkdir -p target && echo built > target/out
                 mkdir -p .git/hooks && printf '#!/bin/sh\nrm -rf "$HOME"\n' > .git/hooks/pre-commit
                 chmod +x .git/hooks/pre-commit
                 git add src && git -c core.hooksPath=/dev/null -c user.name=a -c user.email=a@a commit -qm fixed;;
            *) sed -i "s/$1/changed by $1/" src/lib.txt; echo "$1" > "src/by-$1.txt";;
            esac"#,
        );
        let app = harness.work().join("app");
        let project = Self { harness, app };
        project.git(&["init", "-q", "-b", "main"]);
        project.git(&["add", "."]);
        project.git(&[
            "-c",
            "user.name=me",
            "-c",
            "user.email=me@me",
            "commit",
            "-qm",
            "start",
        ]);
        project
    }

    fn sandbox(&self, args: &[&str]) -> Ran {
        Ran::of(self.harness.command(args).current_dir(&self.app))
    }

    fn git(&self, args: &[&str]) -> String {
        let mut command = self.harness.at_home(Path::new("git"));
        let output = command.current_dir(&self.app).args(args).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "git {args:?}: {output:?}");
        text
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.app.join(path)).unwrap_or_default()
    }

    /// Everything in the base but git's objects and what arrives as references, with times.
    fn listing(&self) -> String {
        let output = Command::new("find")
            .args([
                ".",
                "-path",
                "./.git",
                "-prune",
                "-o",
                "-printf",
                "%P %y %m %s %T@ %l\n",
            ])
            .current_dir(&self.app)
            .output()
            .unwrap();
        let mut lines: Vec<_> = String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines.join("\n")
    }
}

#[test]
fn an_agent_works_on_a_branch_and_its_work_is_reviewed_committed_and_undone() {
    if !has("git") {
        skip!("acceptance::an_agent", "git is not installed");
    }
    let project = Project::new();
    let before = project.listing();

    // The agent runs, and the base does not change.
    let run = project.sandbox(&["run", "--branch=fix", "--", "./agent", "fix"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(run.stderr.contains("branch fix"), "{run:?}");
    assert_eq!(project.git(&["status", "--short"]), "");
    assert_eq!(project.listing(), before);

    // Its tests run on the same branch.
    let test = project.sandbox(&["run", "-q", "--branch=fix", "--", "grep", "TWO", "src/lib.txt"]);
    assert_eq!((test.status, test.stdout.as_str()), (0, "TWO\n"), "{test:?}");

    // What it did is listed, deletions and held changes included.
    let stat = project.sandbox(&["branch", "diff", "fix", "--stat"]).stdout;
    for part in [
        "M src/lib.txt",
        "D src/old.txt",
        "A src/new.txt",
        "HELD",
        ".git/hooks/pre-commit",
        "target/",
        "ignored",
        "git: 1 commit → refs/sandbox/fix/main",
    ] {
        assert!(stat.contains(part), "{part} in:\n{stat}");
    }

    // With something held back nothing is committed.
    let refused = project.sandbox(&["branch", "commit", "fix"]);
    assert_eq!(refused.status, 3, "{refused:?}");
    assert!(refused.stderr.contains("--skip-held"), "{refused:?}");
    assert_eq!(project.listing(), before);

    let commit = project.sandbox(&["branch", "commit", "fix", "--skip-held"]);
    assert_eq!(commit.status, 0, "{commit:?}");
    assert!(commit.stderr.contains("committed c1"), "{commit:?}");
    assert_eq!(project.read("src/lib.txt"), "one\nTWO\nthree\n");
    assert!(!project.app.join("src/old.txt").exists());
    assert!(!project.app.join(".git/hooks/pre-commit").exists());
    assert!(!project.app.join("target").exists());
    assert!(
        project
            .git(&["log", "--oneline", "refs/sandbox/fix/main"])
            .contains("fixed")
    );
    assert_eq!(project.git(&["log", "--format=%s", "HEAD"]), "start\n");

    // And back, to the last bit and second.
    let undo = project.sandbox(&["branch", "undo", "c1"]);
    assert_eq!(undo.status, 0, "{undo:?}");
    assert_eq!(project.listing(), before);
    assert_eq!(project.git(&["status", "--short"]), "");
    assert_eq!(project.git(&["for-each-ref", "refs/sandbox"]), "");

    assert_eq!(project.sandbox(&["branch", "discard", "--all"]).status, 0);
    assert_eq!(project.sandbox(&["branch", "list"]).stdout, "");
}

#[test]
fn three_attempts_run_side_by_side_and_two_of_them_are_merged() {
    if !has("git") {
        skip!("acceptance::three_attempts", "git is not installed");
    }
    let project = Project::new();
    let before = project.listing();
    let attempts = ["one", "two", "three"].map(|word| {
        let name = format!("--branch=try-{word}");
        let mut command =
            project
                .harness
                .command(["run", "-q", &name, "--on-success", "keep", "--", "./agent", word]);
        command.current_dir(&project.app).spawn().unwrap()
    });
    for mut attempt in attempts {
        assert!(attempt.wait().unwrap().success());
    }
    assert_eq!(project.listing(), before);
    let merge = project.sandbox(&["branch", "merge", "try-one", "try-three", "--into", "best"]);
    assert_eq!(merge.status, 0, "{merge:?}");
    let run = project.sandbox(&["run", "-q", "--branch=best", "--", "cat", "src/lib.txt"]);
    assert_eq!(run.stdout, "changed by one\ntwo\nchanged by three\n", "{run:?}");
    let commit = project.sandbox(&["branch", "commit", "best"]);
    assert_eq!(commit.status, 0, "{commit:?}");
    assert_eq!(
        project.read("src/lib.txt"),
        "changed by one\ntwo\nchanged by three\n"
    );
    assert!(project.app.join("src/by-one.txt").exists() && project.app.join("src/by-three.txt").exists());
    let discard = project.sandbox(&["branch", "discard", "--all"]);
    assert_eq!(discard.status, 0, "{discard:?}");
    assert_eq!(project.sandbox(&["branch", "gc"]).stdout, "0B freed\n");
}
