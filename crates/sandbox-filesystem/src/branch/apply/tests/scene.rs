//! A base, what a branch has made of it, and a place for commits.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, XattrFlags};
use sandbox_types::{Change, RelPath};

use super::super::super::base::BaseKnowledge;
use super::super::super::copy::{TreeOptions, tree};
use super::super::super::diff;
use super::super::super::node::Meta;
use super::super::super::progress::Progress;
use super::super::super::remove::remove_tree;
use super::super::super::stack::{LayerFormat, Stack};
use super::super::super::testing::{Picture, picture, set_mtime, set_xattr};
use super::super::*;

/// What a branch keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// A whole copy.
    Copy,
    /// An upper as overlayfs writes it.
    Upper,
}

pub(super) struct Scene {
    _places: Vec<tempfile::TempDir>,
    pub(super) base: PathBuf,
    /// What the branch shows.
    pub(super) tree: PathBuf,
    pub(super) upper: PathBuf,
    pub(super) commits: PathBuf,
}

impl Scene {
    /// An empty base in `base`, and everything else in `store`.
    pub(super) fn new_in(base: &Path, store: &Path) -> Self {
        let places = [base, store].map(|place| tempfile::tempdir_in(place).unwrap());
        let scene = Self {
            base: places[0].path().join("base"),
            tree: places[1].path().join("tree"),
            upper: places[1].path().join("upper"),
            commits: places[1].path().join("commits"),
            _places: places.into(),
        };
        fs::create_dir(&scene.base).unwrap();
        fs::create_dir(&scene.commits).unwrap();
        scene
    }

    pub(super) fn new() -> Self {
        let temporary = std::env::temp_dir();
        Self::new_in(&temporary, &temporary)
    }

    /// The branch begins.
    pub(super) fn branch(&self) {
        tree(&self.base, &self.tree, &TreeOptions::default(), &mut |_| {}).unwrap();
    }

    pub(super) fn stack(&self, kept: Kept) -> Stack {
        let layer = match kept {
            Kept::Copy => (self.tree.clone(), LayerFormat::Complete),
            Kept::Upper => {
                remove_tree(&self.upper).unwrap();
                make_upper(&self.base, &self.tree, &self.upper);
                (self.upper.clone(), LayerFormat::Overlay)
            }
        };
        Stack::open(&[layer], &self.base).unwrap()
    }

    #[expect(clippy::unused_self, reason = "reads like the others")]
    pub(super) fn changes(&self, stack: &Stack) -> Vec<Change> {
        let knowledge = BaseKnowledge {
            birth: (i64::MAX, 0),
            ..BaseKnowledge::default()
        };
        diff::changes(stack, &knowledge, &mut |_| {}).unwrap()
    }

    pub(super) fn plan(&self, kept: Kept) -> ApplyPlan {
        let stack = self.stack(kept);
        ApplyPlan::from_changes(&stack, &self.base, &self.changes(&stack)).unwrap()
    }

    pub(super) fn commit_dir(&self) -> PathBuf {
        create(&self.commits).unwrap()
    }

    /// Commits everything; where it is recorded.
    pub(super) fn commit(&self, kept: Kept) -> PathBuf {
        let commit = self.commit_dir();
        apply(&self.plan(kept), &commit, &mut |_| {}).unwrap();
        commit
    }
}

/// The pictures of two trees, without what differs after a commit by design: times of directories.
pub(super) fn same_but_times(a: &Path, b: &Path) -> (Picture, Picture) {
    (without_times(picture(a)), without_times(picture(b)))
}

/// Once in each phase lets the kernel's clock go on: what is done within one of its ticks has one time, and no ctime
/// that is taken for somebody else's change is noticed.
pub(super) fn slowly() -> impl FnMut(Progress) {
    let mut seen = Vec::new();
    move |progress| {
        if !seen.contains(&progress.phase) {
            seen.push(progress.phase);
            wait_for_the_next_tick();
        }
    }
}

fn wait_for_the_next_tick() {
    let file = tempfile::tempfile().unwrap();
    let changed = || {
        rustix::fs::fchmod(&file, rustix::fs::Mode::RUSR).unwrap();
        Meta::of(&file).unwrap().ctime
    };
    let start = changed();
    while changed() == start {
        std::thread::yield_now();
    }
}

pub(super) fn without_times(mut picture: Picture) -> Picture {
    for look in picture.values_mut() {
        if look.kind == sandbox_types::NodeKind::Directory {
            look.attributes.mtime = None;
        }
    }
    picture
}

pub(super) fn whiteout(path: &Path) {
    rustix::fs::mknodat(CWD, path, FileType::CharacterDevice, Mode::empty(), 0).unwrap();
}

/// Does what the mode of `dir` may forbid.
pub(super) fn with_permission(dir: &Path, act: impl FnOnce()) {
    let permissions = fs::metadata(dir).unwrap().permissions();
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).unwrap();
    act();
    fs::set_permissions(dir, permissions).unwrap();
}

/// Makes the upper with which overlayfs would show `tree` over `base`.
pub(super) fn make_upper(base: &Path, tree_at: &Path, upper: &Path) {
    let (old, new) = (picture(base), picture(tree_at));
    // Everything is copied, so that links are kept, and what is unchanged is removed again.
    tree(tree_at, upper, &TreeOptions::default(), &mut |_| {}).unwrap();
    let is_dir = |picture: &Picture, path: &RelPath| {
        picture
            .get(path)
            .is_some_and(|look| look.kind == sandbox_types::NodeKind::Directory)
    };
    for (path, look) in new.iter().rev() {
        let at = upper.join(path);
        let escaped = look
            .attributes
            .xattrs
            .0
            .iter()
            .filter(|(name, _)| name.0.starts_with(b"user.overlay."));
        for (name, value) in escaped {
            let inner = [b"user.overlay.overlay.", &name.0[b"user.overlay.".len()..]].concat();
            rustix::fs::removexattr(&at, name.0.as_slice()).unwrap();
            rustix::fs::setxattr(&at, inner.as_slice(), &value.0, XattrFlags::empty()).unwrap();
        }
        if is_dir(&new, path) {
            if !path.is_root() && old.contains_key(path) && !is_dir(&old, path) {
                with_permission(&at, || set_xattr(&at, "overlay.opaque", b"y"));
            }
        } else if old.get(path) == Some(look) && look.links.is_empty() {
            with_permission(at.parent().unwrap(), || fs::remove_file(&at).unwrap());
        }
    }
    for path in old.keys().filter(|path| !new.contains_key(*path)) {
        let parent = path.parent().unwrap();
        if is_dir(&new, &parent) && is_dir(&old, &parent) {
            with_permission(&upper.join(&parent), || whiteout(&upper.join(path)));
        }
    }
}

/// One of everything; what a plain user can make.
pub(super) fn furnish(dir: &Path) {
    fs::create_dir_all(dir.join("src/deep/er")).unwrap();
    fs::create_dir(dir.join("empty")).unwrap();
    fs::create_dir(dir.join("old")).unwrap();
    for (path, content) in [
        ("readme", "hello\n"),
        ("src/main", "fn main() {}\n"),
        ("src/deep/er/file", "deep"),
        ("old/a", "a"),
        ("old/b", "b"),
        ("script", "#!/bin/sh\n"),
    ] {
        fs::write(dir.join(path), content).unwrap();
    }
    fs::write(dir.join(OsStr::from_bytes(b"src/\xff\xfe")), "bytes").unwrap();
    fs::write(dir.join("n".repeat(255)), "a long name").unwrap();
    fs::hard_link(dir.join("readme"), dir.join("src/readme-link")).unwrap();
    symlink("src/main", dir.join("link")).unwrap();
    symlink("/", dir.join("src/out")).unwrap();
    rustix::fs::mknodat(CWD, dir.join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    fs::set_permissions(dir.join("script"), fs::Permissions::from_mode(0o755)).unwrap();
    set_xattr(&dir.join("script"), "kept", b"1");
    set_xattr(&dir.join("src"), "dir", b"1");
    for (index, path) in ["old", "src/deep/er", "src/deep", "src", "empty", ""]
        .iter()
        .enumerate()
    {
        set_mtime(
            &dir.join(path),
            (1_000_000_000 + i64::try_from(index).unwrap(), 123_456_789),
        );
    }
}

/// Changes one of everything that [`furnish`] made.
pub(super) fn edit(dir: &Path) {
    fs::write(dir.join("readme"), "hello, changed\n").unwrap();
    fs::remove_dir_all(dir.join("old")).unwrap();
    fs::write(dir.join("old"), "was a directory").unwrap();
    fs::remove_file(dir.join("src/main")).unwrap();
    fs::create_dir_all(dir.join("src/main/in")).unwrap();
    fs::write(dir.join("src/main/in/file"), "was a file").unwrap();
    fs::rename(dir.join("src/deep/er/file"), dir.join("moved")).unwrap();
    fs::remove_dir_all(dir.join("src/deep")).unwrap();
    fs::set_permissions(dir.join("script"), fs::Permissions::from_mode(0o640)).unwrap();
    set_xattr(&dir.join("script"), "kept", b"2");
    set_xattr(&dir.join("src"), "new", b"3");
    fs::set_permissions(dir.join("empty"), fs::Permissions::from_mode(0o1750)).unwrap();
    fs::remove_file(dir.join("link")).unwrap();
    symlink("elsewhere", dir.join("link")).unwrap();
    fs::remove_file(dir.join(OsStr::from_bytes(b"src/\xff\xfe"))).unwrap();
    fs::write(dir.join(OsStr::from_bytes(b"\xfd")), "new bytes").unwrap();
    fs::write(dir.join("m".repeat(255)), "another long name").unwrap();
    fs::write(dir.join("two"), "names").unwrap();
    fs::hard_link(dir.join("two"), dir.join("src/names")).unwrap();
    fs::remove_file(dir.join("pipe")).unwrap();
    rustix::fs::mknodat(CWD, dir.join("src/pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    fs::create_dir(dir.join("read-only")).unwrap();
    fs::write(dir.join("read-only/file"), "x").unwrap();
    set_mtime(&dir.join("read-only/file"), (-1, 1));
    set_mtime(&dir.join("link"), (1, 999_999_999));
    fs::set_permissions(dir.join("read-only"), fs::Permissions::from_mode(0o555)).unwrap();
}

impl Drop for Scene {
    /// A directory of mode 555 cannot be emptied by its owner.
    fn drop(&mut self) {
        for dir in [&self.base, &self.tree, &self.upper] {
            let _ = remove_tree(dir);
        }
    }
}
