//! kill −9 in the middle of a commit or its undo, of a branch in each mode: what is left is found, and goes either way.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::fingerprint::Fingerprint;
use super::project::{Project, age, modes, name_of_test};

const FILES: usize = 400;
/// What a command does on the branch: content, names, modes, links and whole directories.
const EDITS: &str = "for f in many/0/* many/1/*; do echo more >> $f; done; rm -r many/2; mv many/3/3 many/new; chmod 600 many/4/4
    mkdir -p new/deep; for n in 1 2 3 4 5 6 7 8 9; do echo $n > new/deep/$n; done; echo more >> hard1; rm second
    ln -s x many/5/link; rm file; mkdir file; echo in > file/in";

const COMMIT: [&str; 2] = ["commit", "x"];

/// When a process is killed: after it has made so much of what it does.
#[derive(Debug, Clone, Copy)]
enum When {
    /// Something is staged.
    Begun,
    /// The workspace has changed.
    Changing,
    /// Most of it is done.
    Late,
}

const ALL: [When; 3] = [When::Begun, When::Changing, When::Late];

struct Killed {
    project: Project,
    before: Described,
    after: Described,
}

/// What a commit and its undo bring and bring back.
type Described = Vec<(std::path::PathBuf, (u32, u64, Vec<u8>))>;

fn described(base: &Path) -> Described {
    let mut all: Vec<_> = Fingerprint::of(base).described().collect();
    all.sort();
    all
}

impl Killed {
    fn new(mode: &str) -> Self {
        let project = Project::new();
        for number in 0..FILES {
            let path = project.base().join(format!("many/{}/{number}", number % 20));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "content\n").unwrap();
        }
        age(&project.base());
        let before = described(&project.base());
        project.sh("x", mode, EDITS).says(0, &[]);
        let mut killed = Self {
            project,
            after: Vec::new(),
            before,
        };
        killed.branch(&["commit", "x"]).says(0, &[]);
        killed.after = described(&killed.project.base());
        assert_ne!(killed.before, killed.after);
        killed.branch(&["undo"]).says(0, &[]);
        assert_eq!(described(&killed.project.base()), killed.before);
        killed
    }

    fn branch(&self, args: &[&str]) -> crate::harness::Ran {
        self.project.place.sandbox([&["branch"], args].concat())
    }

    /// Kills it when it has come so far; false where it was faster.
    fn kill(&self, args: &[&str], is_time: impl Fn() -> bool) -> bool {
        let mut command: Command = self.project.place.command([&["branch"], args].concat());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        while !is_time() {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        true
    }

    /// Whether the workspace is no longer as it was, as a look at a few paths tells.
    fn has_come(&self, when: When, is_commit: bool) -> bool {
        let base = self.project.base();
        let (first, last) = (base.join("many/0/0"), base.join("new/deep/9"));
        let has_more = |path: &Path| fs::read(path).is_ok_and(|text| text.ends_with(b"more\n"));
        match when {
            When::Begun => true,
            When::Changing if is_commit => has_more(&first) || base.join("many/new").exists(),
            When::Changing => !has_more(&first) || !base.join("many/new").exists(),
            When::Late => last.exists() == is_commit && base.join("many/2").exists() != is_commit,
        }
    }

    fn is(&self, expected: &Described, what: &str) {
        let found = described(&self.project.base());
        for (one, other) in found.iter().zip(expected) {
            assert_eq!(one, other, "{what}");
        }
        assert_eq!(found.len(), expected.len(), "{what}");
    }

    /// Brings what was interrupted to an end, or takes it back; nothing else can be committed before.
    fn recover(&self, direction: &str, what: &str) {
        let listed = self.branch(&["recover"]);
        if listed.status == 0 {
            // It had not begun, or it had ended.
            return;
        }
        assert_eq!(listed.status, 3, "{what}: {listed:?}");
        let refused = self.branch(&["commit", "x"]);
        assert_ne!(refused.status, 0, "{what}: {refused:?}");
        let recovered = self.branch(&["recover", direction]);
        assert_eq!(recovered.status, 0, "{what}: {recovered:?}");
        self.branch(&["recover"]).says(0, &["nothing was interrupted"]);
    }

    /// Whether the workspace is as after the commit; it is that or as before.
    fn is_committed(&self, what: &str) -> bool {
        let is_committed = self.project.base().join("new").exists();
        self.is(if is_committed { &self.after } else { &self.before }, what);
        is_committed
    }

    /// Commits and takes back by turns, each of it killed; how often that was in its middle.
    fn go(&self, mode: &str) -> usize {
        let mut caught = 0;
        let mut committed = 1;
        for (direction, back) in [("--finish", "--roll-back"), ("--roll-back", "--finish")] {
            for when in ALL {
                committed += 1;
                let place = self.project.storage().join(format!("commits/c{committed}/slots"));
                let is_time = || place.exists() && self.has_come(when, true);
                caught += usize::from(self.kill(&COMMIT, is_time));
                let what = format!("mode {mode}, a commit killed {when:?}, {direction}");
                self.recover(direction, &what);
                if !self.is_committed(&what) {
                    self.branch(&COMMIT).says(0, &[]);
                    assert!(self.is_committed(&what));
                    // Numbers of what was taken back are not given again.
                    committed = last_commit(&self.project).max(committed);
                }
                caught += usize::from(self.kill(&["undo"], || self.has_come(when, false)));
                let what = format!("mode {mode}, an undo killed {when:?}, {back}");
                self.recover(back, &what);
                if self.is_committed(&what) {
                    self.branch(&["undo"]).says(0, &[]);
                    assert!(!self.is_committed(&what));
                }
                committed = last_commit(&self.project).max(committed);
            }
        }
        caught
    }
}

/// The highest number that a commit of the workspace has.
fn last_commit(project: &Project) -> usize {
    let commits = fs::read_dir(project.storage().join("commits"));
    let names = commits
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name());
    let numbers = names.filter_map(|name| name.to_str()?.strip_prefix('c')?.parse().ok());
    numbers.max().unwrap_or(0)
}

#[test]
fn a_commit_and_its_undo_that_are_killed_leave_one_state_or_the_other_in_every_mode() {
    for mode in modes(name_of_test!()) {
        let killed = Killed::new(mode);
        let caught = killed.go(mode);
        assert!(caught > 0, "mode {mode}: all twelve were faster");
    }
}
