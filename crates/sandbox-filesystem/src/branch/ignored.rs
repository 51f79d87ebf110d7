//! What git ignores on a branch: build products and the like, one line for each directory.
//!
//! The rules are those of the view (`.gitignore` at every level), of the base's `info/exclude` and of the user
//! (`core.excludesFile`). A file that the base's index has is never ignored. What a command has ignored by writing
//! rules of its own stays on the branch, and is listed as ignored: it is not committed unseen.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use sandbox_types::{Change, ChangeKind, Ignored, NodeKind, RelPath};

use super::git::{self, Layout};
use super::stack::Stack;

/// The longest file of rules that is read.
const MAX_RULES: u64 = 1 << 20;

/// Changes, and what was folded out of them.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    pub(crate) changes: Vec<Change>,
    pub(crate) ignored: Vec<Ignored>,
}

/// Folds what git ignores. Outside of a repository nothing is ignored.
pub(crate) fn fold(changes: Vec<Change>, stack: &Stack, workspace: &Path) -> Folded {
    let Ok(Some(layout)) = git::locate(workspace) else {
        return Folded {
            changes,
            ignored: Vec::new(),
        };
    };
    let mut rules = Rules::new(stack, workspace, &layout);
    let mut tracked: Option<BTreeSet<Box<OsStr>>> = None;
    let below_top = workspace
        .strip_prefix(&layout.worktree_top)
        .unwrap_or(Path::new(""));
    let mut folded = Folded::default();
    let mut directories: BTreeMap<RelPath, Ignored> = BTreeMap::new();
    for change in changes {
        let Some(topmost) = rules.ignores(&change.path, change.node == NodeKind::Directory) else {
            folded.changes.push(change);
            continue;
        };
        // Asked once, and only where something is ignored. Where git cannot say, nothing counts as tracked.
        let tracked = tracked.get_or_insert_with(|| git::tracked(&layout).unwrap_or_default());
        let is_tracked = |path: &RelPath| tracked.contains(below_top.join(path.as_path()).as_os_str());
        let was_tracked = matches!(&change.change, ChangeKind::Renamed { from, .. } if is_tracked(from));
        if is_tracked(&change.path) || was_tracked {
            folded.changes.push(change);
            continue;
        }
        let entry = directories.entry(topmost.clone()).or_insert(Ignored {
            path: topmost,
            files: 0,
            bytes: 0,
        });
        if change.node != NodeKind::Directory {
            entry.files += 1;
            if change.change != ChangeKind::Deleted {
                entry.bytes += change.size;
            }
        }
    }
    folded.ignored = directories.into_values().collect();
    folded
}

/// The rules that hold in a working tree, read as they are needed.
struct Rules<'a> {
    stack: &'a Stack,
    workspace: &'a Path,
    /// Of directories above the workspace, the nearest first.
    above: Vec<Gitignore>,
    levels: BTreeMap<RelPath, Gitignore>,
    /// `info/exclude` and the user's.
    general: Vec<Gitignore>,
    /// Directories that are known to be ignored, or not.
    known: BTreeMap<RelPath, bool>,
}

impl<'a> Rules<'a> {
    fn new(stack: &'a Stack, workspace: &'a Path, layout: &Layout) -> Self {
        let top = &layout.worktree_top;
        let above = workspace
            .ancestors()
            .skip(1)
            .take_while(|directory| directory.starts_with(top))
            .map(|directory| parse(directory, &read(&directory.join(".gitignore"))));
        let exclude = read(&layout.common_dir.join("info/exclude"));
        let user = GitignoreBuilder::new(top).build_global().0;
        Self {
            stack,
            workspace,
            above: above.collect(),
            levels: BTreeMap::new(),
            general: vec![parse(top, &exclude), user],
            known: BTreeMap::new(),
        }
    }

    /// The topmost directory, or `path` itself, that is ignored as a whole.
    fn ignores(&mut self, path: &RelPath, is_dir: bool) -> Option<RelPath> {
        if path.as_path().iter().any(|name| name == ".git") {
            return None;
        }
        let mut prefix = RelPath::root();
        for name in path.as_path() {
            prefix = prefix.join(name).ok()?;
            let is_leaf = prefix == *path;
            let is_ignored = match self.known.get(&prefix) {
                Some(known) if !is_leaf || is_dir => *known,
                _ => {
                    let found = self.matches(&prefix, is_dir || !is_leaf);
                    if !is_leaf || is_dir {
                        self.known.insert(prefix.clone(), found);
                    }
                    found
                }
            };
            if is_ignored {
                return Some(prefix);
            }
        }
        None
    }

    /// The nearest rule that says something decides (gitignore(5)).
    fn matches(&mut self, path: &RelPath, is_dir: bool) -> bool {
        let place = self.workspace.join(path.as_path());
        let mut level = path.parent();
        while let Some(directory) = level {
            self.load(&directory);
            let rules = self.levels.get(&directory);
            match rules.map_or(Match::None, |rules| rules.matched(&place, is_dir)) {
                Match::None => level = directory.parent(),
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
            }
        }
        for rules in self.above.iter().chain(&self.general) {
            match rules.matched(&place, is_dir) {
                Match::None => {}
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
            }
        }
        false
    }

    fn load(&mut self, directory: &RelPath) {
        if self.levels.contains_key(directory) {
            return;
        }
        let mut text = Vec::new();
        if let Some(file) = directory
            .join(".gitignore")
            .ok()
            .and_then(|path| self.stack.open_file(&path).ok())
        {
            // A file that cannot be read says nothing.
            if file.take(MAX_RULES).read_to_end(&mut text).is_err() {
                text.clear();
            }
        }
        let rules = parse(&self.workspace.join(directory.as_path()), &text);
        self.levels.insert(directory.clone(), rules);
    }
}

fn read(path: &PathBuf) -> Vec<u8> {
    let mut text = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MAX_RULES).read_to_end(&mut text));
    if read.is_err() {
        text.clear();
    }
    text
}

/// Rules that hold beneath `directory`. Lines that are no rules are left out, as git does.
fn parse(directory: &Path, text: &[u8]) -> Gitignore {
    let mut builder = GitignoreBuilder::new(directory);
    for line in String::from_utf8_lossy(text).lines() {
        if let Err(error) = builder.add_line(None, line) {
            tracing::debug!(%error, line, "not a rule");
        }
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::branch::stack::LayerFormat;

    fn change(path: &str) -> Change {
        Change {
            path: RelPath::new(path).unwrap(),
            node: NodeKind::File,
            change: ChangeKind::Added,
            size: 10,
            hold: None,
            conflict: None,
        }
    }

    #[test]
    fn ignored_directories_are_one_line_and_what_git_tracks_is_not_ignored() {
        if !git::is_installed() {
            eprintln!("SKIP: ignored: git is not installed");
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let base = place.path().canonicalize().unwrap().join("base");
        let upper = place.path().join("upper");
        std::fs::create_dir_all(base.join("sub")).unwrap();
        std::fs::create_dir_all(upper.join("sub")).unwrap();
        std::fs::write(base.join(".gitignore"), "target/\n*.log\n").unwrap();
        std::fs::write(base.join("kept.log"), "").unwrap();
        std::fs::write(upper.join("sub/.gitignore"), "!wanted.log\n/local\n").unwrap();
        for args in [&["init", "-q"][..], &["add", "-f", "kept.log"]] {
            let status = std::process::Command::new("git")
                .arg("-C")
                .arg(&base)
                .args(args)
                .status();
            assert!(status.unwrap().success());
        }
        let stack = Stack::open(&[(upper, LayerFormat::Overlay)], &base).unwrap();
        let changes = [
            "target/a",
            "target/deep/b",
            "x.log",
            "kept.log",
            "sub/wanted.log",
            "sub/local",
            "local",
        ];
        let folded = fold(changes.map(change).to_vec(), &stack, &base);
        let left: Vec<_> = folded
            .changes
            .iter()
            .map(|change| change.path.to_string())
            .collect();
        assert_eq!(left, ["kept.log", "sub/wanted.log", "local"]);
        let ignored: Vec<_> = folded
            .ignored
            .iter()
            .map(|ignored| (ignored.path.to_string(), ignored.files, ignored.bytes))
            .collect();
        let expected = [("sub/local", 1, 10), ("target", 2, 20), ("x.log", 1, 10)];
        assert_eq!(
            ignored,
            expected.map(|(path, files, bytes)| (path.to_owned(), files, bytes))
        );
    }
}
