//! The judge: the same program, in a plain directory with the same content.

use std::process::Command;

use super::project::{Project, modes};
use crate::harness::{Ran, has};

/// What a program of these tests begins with.
const PRELUDE: &str = include_str!("prelude.py");

/// Prints a tree.
const LOOK: &str = include_str!("look.py");

/// Python as the sandbox shows it, which is not what a user may have put in front of it.
pub(super) const PYTHON: &str = "/usr/bin/python3";

/// Why programs in Python cannot be run.
pub(super) fn no_python() -> Option<&'static str> {
    (!std::path::Path::new(PYTHON).exists() || !has("python3")).then_some("python3 is not installed")
}

/// What a program printed, and what it left.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) printed: String,
    pub(super) tree: String,
}

/// Runs `program` in a plain directory.
pub(super) fn in_plain(program: &str) -> Left {
    let project = Project::new();
    let python = |text: &str| {
        // A command in a sandbox has no capabilities, root's neither.
        let mut command = Command::new("setpriv");
        if rustix::process::geteuid().is_root() {
            command.args(["--bounding-set=-all", "--inh-caps=-all"]);
        }
        command.args([PYTHON, "-c", text]).current_dir(project.base());
        said(&Ran::of(&mut command))
    };
    Left {
        printed: python(&format!("{PRELUDE}{program}")),
        tree: python(LOOK),
    }
}

/// Runs `program` on a branch and looks at it in a second run; nothing of it has reached the base.
pub(super) fn on_branch(mode: &str, program: &str) -> Left {
    let project = Project::new();
    let before = project.fingerprint();
    let python = |text: &str| said(&project.on("x", mode, &[PYTHON, "-c", text]));
    let printed = python(&format!("{PRELUDE}{program}"));
    before.still_holds();
    let tree = python(LOOK);
    before.still_holds();
    Left { printed, tree }
}

#[track_caller]
fn said(ran: &Ran) -> String {
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    ran.stdout.clone()
}

/// A branch in any mode prints and shows what a plain directory does, and the base is not touched.
#[track_caller]
pub(super) fn like_plain(test: &str, program: &str) {
    if let Some(reason) = no_python() {
        return crate::harness::skipped(test, reason);
    }
    let plain = in_plain(program);
    for mode in modes(test) {
        let branch = on_branch(mode, program);
        assert_eq!(branch.printed, plain.printed, "mode {mode}");
        for (branch, plain) in branch.tree.lines().zip(plain.tree.lines()) {
            assert_eq!(branch, plain, "mode {mode}");
        }
        assert_eq!(
            branch.tree.lines().count(),
            plain.tree.lines().count(),
            "mode {mode}"
        );
    }
}
