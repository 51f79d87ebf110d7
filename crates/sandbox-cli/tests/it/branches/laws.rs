//! What holds for every tree and for whatever a command does to it, in every mode.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::fingerprint::Fingerprint;
use super::project::{modes, name_of_test};
use crate::harness::{Harness, Ran};

/// `CASES` says otherwise.
const CASES: u32 = 8;

/// Few names are better: they are met more often.
const NAMES: [&str; 5] = ["a", "b", "d", "'x y'", "\"$(printf '\\377')\""];

/// Paths of one to three names, as a shell reads them.
fn path() -> impl Strategy<Value = String> {
    let name = || proptest::sample::select(&NAMES[..]);
    prop_oneof![
        3 => name().prop_map(str::to_owned),
        3 => (name(), name()).prop_map(|(one, two)| format!("{one}/{two}")),
        1 => (name(), name(), name()).prop_map(|(one, two, three)| format!("{one}/{two}/{three}")),
    ]
}

/// One thing that a command does. What cannot be done where it is tried is left.
fn edit() -> impl Strategy<Value = String> {
    // Its owner may do everything with it: what else root may do, it may not do in a sandbox.
    let mode = proptest::sample::select(&["755", "711", "777", "700"][..]);
    prop_oneof![
        4 => (path(), 0..9_u8).prop_map(|(at, what)| format!("[ -d {at} ] || [ -p {at} ] || echo {what} > {at}")),
        2 => (path(), 0..9_u8).prop_map(|(at, what)| format!("[ ! -f {at} ] || echo {what} >> {at}")),
        4 => path().prop_map(|at| format!("mkdir {at}")),
        2 => path().prop_map(|at| format!("rm -rf {at}")),
        2 => (path(), path()).prop_map(|(from, to)| format!("[ -e {to} ] || mv {from} {to}")),
        1 => (path(), path()).prop_map(|(from, to)| format!("[ -L {from} ] || ln {from} {to}")),
        1 => (path(), 0..9_u8).prop_map(|(at, what)| format!("ln -s to-{what} {at}")),
        1 => path().prop_map(|at| format!("mkfifo {at}")),
        2 => (path(), mode).prop_map(|(at, mode)| format!("[ -L {at} ] || chmod {mode} {at}")),
        1 => (path(), 1..999_u32).prop_map(|(at, time)| format!("touch -c -h -d @{time}.5 {at}")),
    ]
}

fn script() -> impl Strategy<Value = String> {
    proptest::collection::vec(edit(), 1..25).prop_map(|edits| edits.join("\n"))
}

/// A tree is made without hard links: a write to one of two parts them in mode `kernel`, see `differences`.
fn tree() -> impl Strategy<Value = String> {
    let is_link = |edit: &String| edit.contains("|| ln ");
    let edits = proptest::collection::vec(edit().prop_filter("no link", move |edit| !is_link(edit)), 0..25);
    edits.prop_map(|edits| edits.join("\n"))
}

/// What a commit brings: not times, and of directories no sizes.
type Picture = BTreeMap<PathBuf, (u32, u64, Vec<u8>)>;

/// Only files are linked to one another by a commit.
fn picture(root: &Path) -> Picture {
    const FILE: u32 = 0o10;
    Fingerprint::of(root)
        .described()
        .map(|(path, (mode, links, content))| {
            let links = if mode >> 12 == FILE { links } else { 1 };
            let path = path.strip_prefix(root).expect("beneath").to_owned();
            (path, (mode, links, content))
        })
        .collect()
}

struct Scene {
    place: Harness,
    mode: &'static str,
    edits: String,
}

impl Scene {
    fn new(mode: &'static str, tree: &str, edits: &str) -> Self {
        let place = Harness::new();
        shell(&place.work(), tree);
        Self {
            place,
            mode,
            edits: edits.to_owned(),
        }
    }

    /// Makes the edits on a branch.
    fn run(&self, flags: &[&str]) -> Ran {
        let flags = [&["-q", "--branch=x", "--branch-mode", self.mode], flags].concat();
        self.place.sh(&flags, &harmless(&self.edits))
    }

    fn branch(&self, words: &[&str]) -> Ran {
        self.place.sandbox([&["branch"], words].concat())
    }

    /// All that is on it, ignored or held.
    fn commit(&self) -> Ran {
        self.branch(&["commit", "x", "--accept-all", "--ignored"])
    }
}

/// Nothing of it is a failure.
fn harmless(edits: &str) -> String {
    format!("exec 2> /dev/null; umask 022\n{edits}\n:")
}

fn shell(directory: &Path, edits: &str) {
    let status = Command::new("sh")
        .args(["-c", &harmless(edits)])
        .current_dir(directory)
        .status();
    assert!(status.expect("a shell").success());
}

fn holds(test: &str, law: impl Fn(&Scene) -> Result<(), TestCaseError>) {
    let cases = std::env::var("CASES").map_or(CASES, |cases| cases.parse().expect("a number"));
    for mode in modes(test) {
        let config = Config {
            cases,
            failure_persistence: None,
            ..Config::default()
        };
        let case = |(tree, edits): (String, String)| law(&Scene::new(mode, &tree, &edits));
        if let Err(error) = TestRunner::new(config).run(&(tree(), script()), case) {
            panic!("mode {mode}: {error}");
        }
    }
}

#[test]
fn what_runs_on_a_branch_that_is_discarded_leaves_no_trace() {
    holds(name_of_test!(), |scene| {
        let before = Fingerprint::of(&scene.place.work());
        let ran = scene.run(&[]);
        prop_assert!(ran.status == 0, "{ran:?}");
        before.still_holds();
        let ran = scene.branch(&["discard", "x"]);
        prop_assert!(ran.status == 0, "{ran:?}");
        before.still_holds();
        let ran = scene.run(&["--on-success", "discard"]);
        prop_assert!(ran.status == 0, "{ran:?}");
        before.still_holds();
        let layers = scene.place.home().join(".local/state/sandbox/workspaces");
        let layers = fs::read_dir(layers).expect("kept there").flatten();
        for layers in layers.map(|place| place.path().join("layers")) {
            prop_assert!(fs::read_dir(layers).expect("a directory").next().is_none());
        }
        Ok(())
    });
}

#[test]
fn after_a_commit_of_all_nothing_differs_and_the_base_is_what_the_command_would_have_made_of_it() {
    holds(name_of_test!(), |scene| {
        let (work, plain) = (scene.place.work(), scene.place.root().join("plain"));
        let copied = Command::new("cp").arg("-a").args([&work, &plain]).status();
        prop_assert!(copied.expect("cp").success());
        shell(&plain, &scene.edits);
        let ran = scene.run(&[]);
        prop_assert!(ran.status == 0, "{ran:?}");
        let committed = scene.commit();
        prop_assert!(committed.status == 0, "{committed:?}");
        let diff = scene.branch(&["diff", "x"]);
        prop_assert!((diff.status, diff.stdout.as_str()) == (0, ""), "{diff:?}");
        prop_assert_eq!(picture(&work), picture(&plain));
        Ok(())
    });
}

#[test]
fn an_undo_after_a_commit_of_all_restores_the_base_with_its_times() {
    holds(name_of_test!(), |scene| {
        let before = Fingerprint::of(&scene.place.work()).without_changes();
        let ran = scene.run(&[]);
        prop_assert!(ran.status == 0, "{ran:?}");
        let committed = scene.commit();
        prop_assert!(committed.status == 0, "{committed:?}");
        if !committed.stderr.contains("nothing to commit") {
            let undone = scene.branch(&["undo"]);
            prop_assert!(undone.status == 0, "{undone:?}");
        }
        prop_assert_eq!(Fingerprint::of(&scene.place.work()).without_changes(), before);
        Ok(())
    });
}
