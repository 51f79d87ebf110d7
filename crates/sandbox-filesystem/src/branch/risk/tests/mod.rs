//! What is held back, and what is not.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use sandbox_types::{Attribute, RuleSpec};

use super::*;
use crate::branch::stack::LayerFormat;

mod git;
mod kinds;
mod linked;
mod paths;
mod rules;

/// A base and one layer over it, made by hand.
struct Fixture {
    _place: tempfile::TempDir,
    base: PathBuf,
    upper: PathBuf,
}

impl Fixture {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let [base, upper] = ["base", "upper"].map(|name| place.path().join(name));
        fs::create_dir(&base).unwrap();
        fs::create_dir(&upper).unwrap();
        Self {
            _place: place,
            base,
            upper,
        }
    }

    fn write(root: &Path, path: impl AsRef<OsStr>, content: &[u8], mode: u32) {
        let path = root.join(Path::new(&path));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn in_base(&self, path: &str, content: &str, mode: u32) {
        Self::write(&self.base, path, content.as_bytes(), mode);
    }

    fn in_branch(&self, path: &str, content: &str, mode: u32) {
        Self::write(&self.upper, path, content.as_bytes(), mode);
    }

    fn link(&self, path: &str, target: &str) {
        let path = self.upper.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    fn stack(&self) -> Stack {
        Stack::open(&[(self.upper.clone(), LayerFormat::Overlay)], &self.base).unwrap()
    }

    fn rule_by(&self, rules: &Rules, change: Change) -> Option<String> {
        let mut changes = [change];
        rules.mark(&self.stack(), &mut changes).unwrap();
        changes[0].hold.take().map(|hold| hold.rule)
    }

    fn rule(&self, change: Change) -> Option<String> {
        static BUILTIN: LazyLock<Rules> = LazyLock::new(|| Rules::builtin().unwrap());
        self.rule_by(&BUILTIN, change)
    }
}

fn change(path: impl AsRef<OsStr>, node: NodeKind, change: ChangeKind) -> Change {
    Change {
        path: RelPath::new(Path::new(&path)).unwrap(),
        node,
        change,
        size: 0,
        hold: None,
        conflict: None,
    }
}

fn added(path: impl AsRef<OsStr>) -> Change {
    change(path, NodeKind::File, ChangeKind::Added)
}

fn modified(path: &str, content: bool, attributes: &[Attribute]) -> Change {
    let attributes = attributes.to_vec();
    change(path, NodeKind::File, ChangeKind::Modified { content, attributes })
}

/// The rule that holds a new file with that name and some text in it.
fn rule_of_new_file(path: impl AsRef<OsStr>) -> Option<String> {
    let fixture = Fixture::new();
    Fixture::write(&fixture.upper, &path, b"some text\n", 0o644);
    fixture.rule(added(path))
}
