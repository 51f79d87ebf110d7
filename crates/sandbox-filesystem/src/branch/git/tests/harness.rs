//! A base, a branch's layer over it, and git on either.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sandbox_types::BranchName;
use tempfile::TempDir;

use crate::branch::git::{Arrivals, GitError, HAND_OVER_PREFIX, Repository, import, is_installed, pending};
use crate::branch::stack::{LayerFormat, Stack};
pub(super) use crate::branch::testing::{rel, skip};

/// A directory that branches are made of, and what one branch wrote.
pub(super) struct Scene {
    place: TempDir,
}

/// The branch's name in all these tests.
pub(super) fn name() -> BranchName {
    "fix-1".parse().unwrap()
}

impl Scene {
    /// An empty base; none, and a skip, where there is no git.
    pub(super) fn new(test: &str) -> Option<Self> {
        if !is_installed() {
            skip(test, "git is not installed");
            return None;
        }
        let place = tempfile::tempdir().unwrap();
        for directory in ["home", "base", "upper", "work", "scratch"] {
            std::fs::create_dir(place.path().join(directory)).unwrap();
        }
        Some(Self { place })
    }

    /// With a repository in it that has one commit on `main`.
    pub(super) fn with_commit(test: &str) -> Option<Self> {
        let scene = Self::new(test)?;
        scene.base_git("git init -q -b main . && echo one > file && git add file && git commit -qm one");
        Some(scene)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.place.path().canonicalize().unwrap().join(name)
    }

    pub(super) fn base(&self) -> PathBuf {
        self.path("base")
    }

    pub(super) fn upper(&self) -> PathBuf {
        self.path("upper")
    }

    /// Runs a script in the base.
    pub(super) fn base_git(&self, script: &str) -> String {
        self.script_in("base", script)
    }

    pub(super) fn script_in(&self, directory: &str, script: &str) -> String {
        let mut command = Command::new("sh");
        command
            .args(["-e", "-c", script])
            .current_dir(self.path(directory));
        succeed(self.clean(&mut command))
    }

    /// Runs a script on the branch: in a mount of the layer over the base; false, and a skip, where that cannot be.
    pub(super) fn branch_git(&self, test: &str, script: &str) -> bool {
        self.mounted(test, &[("base", "upper", "work")], "base", script)
    }

    /// The same, with several overlays, each at its base's place.
    pub(super) fn mounted(
        &self,
        test: &str,
        overlays: &[(&str, &str, &str)],
        directory: &str,
        script: &str,
    ) -> bool {
        let mut whole = String::from("set -e\n");
        for (base, upper, work) in overlays {
            let [base, upper, work] = [base, upper, work].map(|name| {
                std::fs::create_dir_all(self.path(name)).unwrap();
                self.path(name).display().to_string()
            });
            whole.push_str(&format!(
                "mount -t overlay o -o userxattr,volatile,lowerdir={base},upperdir={upper},workdir={work} {base} || exit 77\n"
            ));
        }
        whole.push_str(&format!("cd {}\n{script}", self.path(directory).display()));
        let mut command = Command::new("unshare");
        command.args(["-Urm", "sh", "-c", &whole]);
        let output = self.clean(&mut command).output();
        for entry in std::fs::read_dir(self.place.path()).unwrap() {
            clear(&entry.unwrap().path());
        }
        let Ok(output) = output else {
            skip(test, "unshare(1) is not installed");
            return false;
        };
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.code() == Some(77) || (said.starts_with("unshare:") && !output.status.success()) {
            skip(test, &format!("no overlay in a user namespace: {}", said.trim()));
            return false;
        }
        assert!(output.status.success(), "{script}: {said}");
        true
    }

    fn clean<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.path("home"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs([
                ("GIT_AUTHOR_NAME", "A"),
                ("GIT_AUTHOR_EMAIL", "a@example.test"),
                ("GIT_COMMITTER_NAME", "A"),
                ("GIT_COMMITTER_EMAIL", "a@example.test"),
            ])
    }

    /// What the branch looks like.
    pub(super) fn stack(&self) -> Stack {
        Stack::open(&[(self.upper(), LayerFormat::Overlay)], &self.base()).unwrap()
    }

    pub(super) fn pending(&self, git_dir: &str) -> Result<Arrivals, GitError> {
        let stack = self.stack();
        pending(
            &Repository::in_workspace(&stack, stack.base_path(), rel(git_dir)),
            &name(),
            &self.path("scratch"),
        )
    }

    /// Imports, and sees to it that nothing of the base's repository has changed but objects and our references.
    pub(super) fn import(&self, git_dir: &str) -> Result<Arrivals, GitError> {
        let before = contents(&self.base());
        let stack = self.stack();
        let arrivals = import(
            &Repository::in_workspace(&stack, stack.base_path(), rel(git_dir)),
            &name(),
            &self.path("scratch"),
        );
        assert_same(&before, &contents(&self.base()));
        let left: Vec<_> = std::fs::read_dir(self.path("scratch")).unwrap().collect();
        assert!(left.is_empty(), "{HAND_OVER_PREFIX}… was left behind");
        arrivals
    }

    /// References of the base beneath `refs/sandbox`, with their subjects.
    pub(super) fn sandbox_refs(&self, directory: &str) -> String {
        let format = "git for-each-ref --format='%(refname) %(subject)' refs/sandbox && git fsck --strict --no-dangling 2>&1";
        self.script_in(directory, format)
    }
}

/// Runs one test again, in a process with another environment.
pub(super) fn again(test: &str, environment: &[(&str, &OsStr)]) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("branch::git::tests::{test}")])
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// A commit that is in the base's repository, but of no reference: as text for a reference.
pub(super) fn commit(scene: &Scene) -> String {
    scene.base_git("git commit-tree -m loose HEAD^{tree}")
}

/// Puts a file into the branch's layer.
pub(super) fn put(scene: &Scene, path: &str, content: &str) {
    let path = scene.upper().join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// `from → to (commits)` of what has arrived.
pub(super) fn shown(arrivals: &Arrivals) -> Vec<String> {
    let refs = arrivals.refs.iter();
    refs.map(|one| format!("{} → {} ({})", one.from, one.to, one.commits))
        .collect()
}

pub(super) fn notes(arrivals: &Arrivals) -> Vec<String> {
    arrivals.notes.iter().map(ToString::to_string).collect()
}

/// Removes what overlayfs leaves in its work directory: the mark of a volatile mount, which forbids the next one, in
/// directories that their owner cannot enter.
fn clear(work: &Path) {
    for inner in ["work", "work/incompat", "work/incompat/volatile"] {
        let inner = work.join(inner);
        if inner.exists() {
            std::fs::set_permissions(&inner, std::fs::Permissions::from_mode(0o700)).unwrap();
        }
    }
    if work.join("work").exists() {
        std::fs::remove_dir_all(work.join("work")).unwrap();
    }
}

fn succeed(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    assert!(
        status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&stderr)
    );
    String::from_utf8(stdout).unwrap()
}

type Contents = BTreeMap<PathBuf, (u32, i64, i64, Vec<u8>)>;

/// Everything beneath `directory` but objects and what is ours, with modes and times. Of directories only the mode:
/// git makes locks in them.
pub(super) fn contents(directory: &Path) -> Contents {
    let mut contents = Contents::new();
    walk(directory, directory, &mut contents);
    contents
}

fn walk(root: &Path, directory: &Path, contents: &mut Contents) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("objects") || path.ends_with("refs/sandbox") {
            continue;
        }
        let meta = std::fs::symlink_metadata(&path).unwrap();
        let relative = path.strip_prefix(root).unwrap().to_owned();
        if meta.is_dir() {
            contents.insert(relative, (meta.mode(), 0, 0, Vec::new()));
            walk(root, &path, contents);
        } else {
            let content = if meta.is_symlink() {
                std::fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec()
            } else {
                std::fs::read(&path).unwrap()
            };
            let entry = (meta.mode(), meta.mtime(), meta.mtime_nsec(), content);
            contents.insert(relative, entry);
        }
    }
}

pub(super) fn assert_same(before: &Contents, after: &Contents) {
    let differs: Vec<&PathBuf> = before
        .keys()
        .chain(after.keys())
        .filter(|path| before.get(*path) != after.get(*path))
        .collect();
    assert!(differs.is_empty(), "the base has changed: {differs:?}");
}
