//! A commit that fails in its middle, because somebody writes to the base just then: everything is taken back, and
//! what it has touched is no conflict afterwards.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use sandbox_filesystem::branch::{
    Branch, CommitError, CommitOptions, CreateOptions, Held, Mode, ModeChoice, Phase, Progress, Storage,
    Workspace,
};

use crate::harness::comes_true;

/// What is written within one tick of the kernel's clock before a branch is made could have been written after.
fn wait_for_the_next_tick(written: &Path) {
    let changed = |path: &Path| {
        let metadata = path.metadata().unwrap();
        (metadata.ctime(), metadata.ctime_nsec())
    };
    let written = changed(written);
    let probe = tempfile::NamedTempFile::new().unwrap();
    assert!(comes_true(|| {
        fs::write(&probe, "").unwrap();
        changed(probe.path()) > written
    }));
}

struct Scene {
    place: tempfile::TempDir,
    branch: Branch,
}

impl Scene {
    /// A branch of files `a`, `b` and `z`, prepared by `prepare` in the workspace before and by `edit` on the branch.
    fn new(prepare: impl FnOnce(&Path), edit: impl FnOnce(&Path)) -> Self {
        let place = tempfile::tempdir().unwrap();
        let base = place.path().join("base");
        fs::create_dir(&base).unwrap();
        for name in ["a", "b", "z"] {
            fs::write(base.join(name), "old\n").unwrap();
        }
        prepare(&base);
        wait_for_the_next_tick(&base.join("z"));
        let storage = Storage::At(place.path().join("state"));
        let workspace = Workspace::open_in(&base, &storage).unwrap();
        let options = CreateOptions {
            mode: ModeChoice::Only(Mode::Copy),
            ..CreateOptions::default()
        };
        let branch = workspace.create(&"x".parse().unwrap(), &options).unwrap();
        let tree = branch.working_copy().unwrap();
        for name in ["a", "b", "z"] {
            fs::write(tree.join(name), "new\n").unwrap();
        }
        edit(&tree);
        Self { place, branch }
    }

    fn base(&self, name: &str) -> String {
        fs::read_to_string(self.place.path().join("base").join(name)).unwrap()
    }

    /// Commits everything while somebody else writes to `z`, after the first step.
    fn commit_disturbed(&self) -> CommitError {
        let z = self.place.path().join("base/z");
        let mut disturb = |progress: Progress| {
            if progress.phase == Phase::Applying && progress.entries == 1 {
                fs::write(&z, "theirs\n").unwrap();
            }
        };
        let options = CommitOptions {
            held: Held::AcceptAll,
            ..CommitOptions::default()
        };
        self.branch.commit_with(&options, &mut disturb).unwrap_err()
    }

    /// What would be committed, and what stands in the way.
    fn changes(&self) -> Vec<(String, bool)> {
        let set = self.branch.diff().unwrap();
        let changes = set.changes.iter();
        changes
            .map(|change| (change.path.to_string(), change.conflict.is_some()))
            .collect()
    }
}

#[test]
fn a_commit_that_fails_in_its_middle_is_taken_back_and_can_be_made_again() {
    let scene = Scene::new(|_| {}, |_| {});
    let error = scene.commit_disturbed();
    assert!(matches!(error, CommitError::Apply { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "z: was changed in the base meanwhile; the base is as it was before"
    );
    assert_eq!(
        ["a", "b", "z"].map(|name| scene.base(name)),
        ["old\n", "old\n", "theirs\n"]
    );
    let workspace = scene.branch.workspace();
    assert!(
        !workspace
            .commits()
            .unwrap()
            .iter()
            .any(sandbox_filesystem::branch::CommitInfo::is_interrupted)
    );

    let named = |name: &str, is_conflict| (name.to_owned(), is_conflict);
    assert_eq!(
        scene.changes(),
        [named("a", false), named("b", false), named("z", true)]
    );
    fs::write(scene.place.path().join("base/z"), "new\n").unwrap();
    let commit = scene.branch.commit(&CommitOptions::default()).unwrap();
    assert_eq!(["a", "b", "z"].map(|name| scene.base(name)), ["new\n"; 3]);
    workspace.undo(commit.id, &mut |_| {}).unwrap();
    assert_eq!(
        ["a", "b", "z"].map(|name| scene.base(name)),
        ["old\n", "old\n", "new\n"]
    );
}

fn git(directory: &Path, words: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=A", "-c", "user.email=a@example.test"])
        .args(words)
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn references_that_have_arrived_leave_again_with_a_commit_that_fails() {
    if Command::new("git").arg("--version").output().is_err() {
        skip!("git is not installed");
    }
    let scene = Scene::new(
        |base| {
            git(base, &["init", "-q", "-b", "main"]);
            git(base, &["add", "."]);
            git(base, &["commit", "-q", "-m", "one"]);
        },
        |tree| drop(git(tree, &["commit", "-q", "-a", "-m", "two"])),
    );
    assert_eq!(scene.branch.diff().unwrap().git.len(), 1);
    let error = scene.commit_disturbed();
    assert!(matches!(error, CommitError::Apply { .. }), "{error}");
    let base = scene.place.path().join("base");
    assert_eq!(git(&base, &["for-each-ref", "refs/sandbox"]), "");
    assert_eq!(scene.branch.diff().unwrap().git.len(), 1, "they can arrive later");
    fs::write(base.join("z"), "old\n").unwrap();
    let options = CommitOptions {
        conflicts: sandbox_types::ConflictPolicy::Ours,
        ..CommitOptions::default()
    };
    assert_eq!(scene.branch.commit(&options).unwrap().git.len(), 1);
    assert!(git(&base, &["for-each-ref", "refs/sandbox"]).contains("refs/sandbox/x/main"));
}
