//! A workspace with branches, and the modes they can be in here.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use rustix::fs::XattrFlags;

use super::fingerprint::Fingerprint;
use crate::harness::{Harness, Ran, skipped};

/// How branches keep what differs.
pub(super) const MODES: [&str; 3] = ["kernel", "exact", "copy"];

/// Modes that work here; says why where one does not.
pub(super) fn modes(test: &str) -> Vec<&'static str> {
    static REFUSED: OnceLock<Vec<(&str, String)>> = OnceLock::new();
    let refused = REFUSED.get_or_init(|| {
        let probe = |mode| match Project::new().on("probe", mode, &["true"]) {
            Ran { status: 0, .. } => None,
            ran => Some((mode, ran.stderr.trim().to_owned())),
        };
        MODES.into_iter().filter_map(probe).collect()
    });
    for (mode, reason) in refused {
        skipped(test, &format!("mode {mode}: {reason}"));
    }
    let mut modes = MODES.to_vec();
    modes.retain(|mode| refused.iter().all(|(known, _)| known != mode));
    modes
}

/// The name of the test that the macro is used in.
macro_rules! name_of_test {
    () => {{
        fn here() {}
        let path = std::any::type_name_of_val(&here);
        let path = path.strip_suffix("::here").unwrap_or(path);
        path.split_once("::").map_or(path, |(_, name)| name)
    }};
}
pub(super) use name_of_test;

/// A directory with something of every kind in it, all of it old.
pub(super) struct Project {
    pub(super) place: Harness,
}

impl Project {
    pub(super) fn new() -> Self {
        let place = Harness::new();
        fill(&place.work());
        Self { place }
    }

    /// The workspace.
    pub(super) fn base(&self) -> PathBuf {
        self.place.work()
    }

    /// Runs a program on a branch, which is made in that mode where there is none.
    pub(super) fn on(&self, branch: &str, mode: &str, program: &[&str]) -> Ran {
        let is_there = self.layers(branch).is_some();
        let branch = format!("--branch={branch}");
        let mut args = vec!["run", "-q", &branch];
        if !is_there {
            args.extend(["--branch-mode", mode]);
        }
        args.push("--");
        self.place.sandbox([&args, program].concat())
    }

    /// The same of a shell script.
    pub(super) fn sh(&self, branch: &str, mode: &str, script: &str) -> Ran {
        self.on(branch, mode, &["sh", "-c", script])
    }

    /// The directory that a branch's own files are in.
    pub(super) fn branch(&self, name: &str) -> PathBuf {
        self.storage().join("branches").join(name)
    }

    /// Where the branches of the workspace are kept.
    pub(super) fn storage(&self) -> PathBuf {
        let workspaces = self.place.home().join(".local/state/sandbox/workspaces");
        let mut found = fs::read_dir(&workspaces).into_iter().flatten().flatten();
        found
            .next()
            .map_or_else(|| workspaces.join("none"), |entry| entry.path())
    }

    /// The directories of a branch's layers, the topmost first; none where there is no such branch.
    pub(super) fn layers(&self, branch: &str) -> Option<Vec<PathBuf>> {
        let manifest = fs::read(self.branch(branch).join("branch.json")).ok()?;
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("JSON");
        let ids = manifest["layers"].as_array().expect("a list").iter();
        let layers = self.storage().join("layers");
        Some(ids.map(|id| layers.join(id.as_str().expect("text"))).collect())
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.base())
    }
}

/// Seconds since the epoch, long ago.
const OLD: u64 = 981_158_400;

/// Puts into `dir` what programs are going to work on.
pub(super) fn fill(dir: &Path) {
    let file = |name: &str, content: &str, mode: u32| {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().expect("below")).expect("mkdir");
        fs::write(&path, content).expect("write");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
    };
    file("file", "old content\n", 0o640);
    file("dir/inner", "inner\n", 0o644);
    file("dir/sub/deep", "deep\n", 0o600);
    file("exec", "#!/bin/sh\necho executed\n", 0o755);
    file("readonly", "read only\n", 0o444);
    file("second", "second\n", 0o644);
    file("hard1", "hard\n", 0o644);
    fs::hard_link(dir.join("hard1"), dir.join("hard2")).expect("link");
    symlink("file", dir.join("link")).expect("symlink");
    symlink("nowhere", dir.join("dangling")).expect("symlink");
    fs::create_dir(dir.join("empty")).expect("mkdir");
    let sparse = File::create(dir.join("sparse")).expect("create");
    sparse.write_all_at(b"start", 0).expect("write");
    sparse.write_all_at(b"end", 8 << 20).expect("write");
    rustix::fs::setxattr(dir.join("file"), c"user.note", b"old", XattrFlags::empty()).expect("xattr");
    fs::set_permissions(dir.join("dir"), fs::Permissions::from_mode(0o2750)).expect("chmod");
    age(dir);
}

/// Makes everything in a tree old, the deepest first.
pub(super) fn age(path: &Path) {
    let metadata = path.symlink_metadata().expect("there");
    if metadata.is_symlink() {
        return;
    }
    if metadata.is_dir() {
        for entry in fs::read_dir(path).expect("readable") {
            age(&entry.expect("readable").path());
        }
    }
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(OLD);
    let times = FileTimes::new().set_accessed(time).set_modified(time);
    let file = File::open(path).expect("readable");
    file.set_times(times).expect("own file");
}
