//! What git ignores on a branch: build products and the like, one line for each directory.
//!
//! The rules are those of the view (`.gitignore` at every level), of the base's `info/exclude` and of the user
//! (`core.excludesFile`). A file that the base's index has is never ignored. What a command has ignored by writing
//! rules of its own stays on the branch, and is listed as ignored: it is not committed unseen.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use sandbox_types::{Change, ChangeKind, Ignored, NodeKind, RelPath};

use super::git::{self, Layout};
use super::stack::Stack;
use super::walk::Walk;

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
    walk: Walk<'a>,
    workspace: &'a Path,
    /// Of directories above the workspace, the nearest first.
    above: Vec<Gitignore>,
    /// `info/exclude` and the user's.
    general: Vec<Gitignore>,
    /// Those of the directories in it that have any.
    own: Vec<Own>,
    /// Directories that were looked at: what is in them costs no look at what they are in.
    known: HashMap<RelPath, Level>,
}

/// The rules that a directory has.
struct Own {
    rules: Gitignore,
    /// Those of the nearest directory around it that has any.
    around: Option<usize>,
}

/// What is known of a directory.
#[derive(Debug, Clone)]
enum Level {
    /// It is ignored as a whole, with that directory.
    Ignored(RelPath),
    /// It is not; those rules are the nearest.
    Seen(Option<usize>),
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
            walk: Walk::new(stack),
            workspace,
            above: above.collect(),
            general: vec![parse(top, &exclude), user],
            own: Vec::new(),
            known: HashMap::new(),
        }
    }

    /// The topmost directory, or `path` itself, that is ignored as a whole.
    fn ignores(&mut self, path: &RelPath, is_dir: bool) -> Option<RelPath> {
        if path.as_path().iter().any(|name| name == ".git") {
            return None;
        }
        let level = if is_dir {
            self.level(path)
        } else {
            self.level(&path.parent()?)
        };
        match level {
            Level::Ignored(topmost) => Some(topmost),
            Level::Seen(nearest) if !is_dir && self.matches(path, false, nearest) => Some(path.clone()),
            Level::Seen(_) => None,
        }
    }

    /// What holds in `directory`: found from the nearest directory around it that is known, downwards.
    fn level(&mut self, directory: &RelPath) -> Level {
        let mut unknown = Vec::new();
        let mut at = Some(directory.clone());
        let mut level = Level::Seen(None);
        while let Some(path) = at {
            if let Some(known) = self.known.get(&path) {
                level = known.clone();
                break;
            }
            at = path.parent();
            unknown.push(path);
        }
        for path in unknown.into_iter().rev() {
            if let Level::Seen(around) = level {
                level = if !path.is_root() && self.matches(&path, true, around) {
                    Level::Ignored(path.clone())
                } else {
                    Level::Seen(self.load(&path, around))
                };
            }
            self.known.insert(path, level.clone());
        }
        level
    }

    /// Whether `path` is ignored, where `nearest` are the nearest rules: the nearest that says something decides
    /// (gitignore(5)).
    fn matches(&self, path: &RelPath, is_dir: bool, mut nearest: Option<usize>) -> bool {
        let place = self.workspace.join(path.as_path());
        let own = std::iter::from_fn(|| {
            let own = self.own.get(nearest?)?;
            nearest = own.around;
            Some(&own.rules)
        });
        let found = own
            .chain(&self.above)
            .chain(&self.general)
            .map(|rules| rules.matched(&place, is_dir))
            .find(|found| !found.is_none());
        found.is_some_and(|found| found.is_ignore())
    }

    /// The nearest rules in `directory`: its own, if it has any.
    fn load(&mut self, directory: &RelPath, around: Option<usize>) -> Option<usize> {
        let text = self.text_in(directory).unwrap_or_default();
        let rules = parse(&self.workspace.join(directory.as_path()), &text);
        if rules.is_empty() {
            return around;
        }
        self.own.push(Own { rules, around });
        self.own.len().checked_sub(1)
    }

    /// A file that cannot be read says nothing.
    fn text_in(&self, directory: &RelPath) -> Option<Vec<u8>> {
        let path = directory.join(".gitignore").ok()?;
        let found = self.walk.find(&path).ok()??;
        let file = self.walk.open(&path, found.origin).ok()?;
        let mut text = Vec::new();
        file.take(MAX_RULES).read_to_end(&mut text).ok()?;
        Some(text)
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

    #[test]
    fn rules_hold_from_top_to_bottom_of_a_tree_that_is_nested_deeply() {
        let place = tempfile::tempdir().unwrap();
        let base = place.path().canonicalize().unwrap().join("base");
        let upper = place.path().join("upper");
        for (path, text) in [(".git/HEAD", ""), (".gitignore", "*.log\n")] {
            let path = base.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        for directory in [".git/objects", ".git/refs"] {
            std::fs::create_dir_all(base.join(directory)).unwrap();
        }
        let deep = |depth| "d/".repeat(depth);
        std::fs::create_dir_all(upper.join(deep(600))).unwrap();
        std::fs::write(upper.join(deep(300)).join(".gitignore"), "!kept.log\n/e/\n").unwrap();
        let stack = Stack::open(&[(upper, LayerFormat::Overlay)], &base).unwrap();
        let mut changes: Vec<_> = (1..=600)
            .flat_map(|depth| {
                ["a", "x.log", "kept.log"].map(|name| change(&format!("{}{name}", deep(depth))))
            })
            .collect();
        changes.push(change(&format!("{}e/f/g", deep(300))));
        let folded = fold(changes, &stack, &base);
        let ignored: Vec<_> = folded.ignored.iter().map(|one| one.path.to_string()).collect();
        let is_ignored = |path: String| ignored.contains(&path);
        for depth in 1..=600 {
            assert!(is_ignored(format!("{}x.log", deep(depth))), "{depth}");
            assert_eq!(
                is_ignored(format!("{}kept.log", deep(depth))),
                depth < 300,
                "{depth}"
            );
        }
        assert!(is_ignored(format!("{}e", deep(300))));
        assert_eq!(folded.changes.len(), 600 + 301);
    }
}
