//! A base and branches of it, made by hand.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use sandbox_types::{BaseChange, BranchName, ConflictPolicy, NodeKind};

use super::super::*;
use crate::branch::base::BaseKnowledge;
use crate::branch::copy::{TreeOptions, symlink_target, tree};
use crate::branch::diff::changes;
use crate::branch::stack::{Dir, LayerFormat};

/// What is seen at a path: kind and mode, and content or target.
pub(super) type Seen = BTreeMap<RelPath, (NodeKind, u32, Vec<u8>)>;

pub(super) struct World {
    place: tempfile::TempDir,
    names: Vec<BranchName>,
    merges: usize,
    conflict: Option<(RelPath, BaseChange)>,
}

impl World {
    pub(super) fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("base")).unwrap();
        Self {
            place,
            names: Vec::new(),
            merges: 0,
            conflict: None,
        }
    }

    pub(super) fn base(&self) -> PathBuf {
        self.place.path().join("base")
    }

    /// A new branch, as a whole copy of the base that can be changed like any directory.
    pub(super) fn branch(&mut self, name: &str) -> PathBuf {
        let path = self.place.path().join(name);
        tree(&self.base(), &path, &TreeOptions::default(), &mut |_| {}).unwrap();
        self.names.push(name.parse().unwrap());
        path
    }

    fn stack_at(&self, layer: &Path, format: LayerFormat) -> Stack {
        Stack::open(&[(layer.to_owned(), format)], &self.base()).unwrap()
    }

    /// Lets every branch see that the base has changed at `path`.
    pub(super) fn set_conflict(&mut self, path: &str, conflict: BaseChange) {
        self.conflict = Some((RelPath::new(path).unwrap(), conflict));
    }

    /// Merges the branches of these names.
    pub(super) fn merge_these(&mut self, names: &[&str], policies: &Policies) -> Merge {
        self.merge_into(names, policies, LayerFormat::Overlay)
    }

    /// Merges them into a layer of this format.
    pub(super) fn merge_into(&mut self, names: &[&str], policies: &Policies, format: LayerFormat) -> Merge {
        let stacks: Vec<Stack> = names
            .iter()
            .map(|name| self.stack_at(&self.place.path().join(name), LayerFormat::Complete))
            .collect();
        let mut changed: Vec<Vec<Change>> = stacks.iter().map(changes_of).collect();
        for change in changed.iter_mut().flatten() {
            let conflict = self.conflict.as_ref().filter(|(path, _)| *path == change.path);
            change.conflict = conflict.map(|(_, conflict)| *conflict);
        }
        let names: Vec<BranchName> = names.iter().map(|name| name.parse().unwrap()).collect();
        let sides: Vec<Side<'_>> = names
            .iter()
            .zip(&stacks)
            .zip(&changed)
            .map(|((name, stack), changes)| Side { name, stack, changes })
            .collect();
        self.merges += 1;
        let layer = self.place.path().join(format!("merge-{}", self.merges));
        match format {
            LayerFormat::Overlay => fs::create_dir(&layer).unwrap(),
            LayerFormat::Complete => {
                tree(&self.base(), &layer, &TreeOptions::default(), &mut |_| {}).unwrap();
            }
        }
        let base = Stack::open(&[], &self.base()).unwrap();
        let common = Common {
            stack: &base,
            changes: &[],
        };
        let writer = LayerWriter::open(&layer, format).unwrap();
        let report = merge(&common, &sides, writer, policies, &mut |_| {}).unwrap();
        let stack = self.stack_at(&layer, format);
        let is_unwritten = fs::read_dir(&layer).unwrap().next().is_none();
        Merge {
            report,
            seen: seen(&stack),
            is_unwritten,
            layer,
        }
    }

    /// Merges all branches.
    pub(super) fn merge(&mut self, policy: ConflictPolicy) -> Merge {
        let names: Vec<String> = self.names.iter().map(ToString::to_string).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.merge_these(&names, &Policies::all(policy))
    }
}

/// What came of a merge.
pub(super) struct Merge {
    pub(super) report: MergeReport,
    pub(super) seen: Seen,
    pub(super) is_unwritten: bool,
    pub(super) layer: PathBuf,
}

impl Merge {
    /// Files and links as `path=content`, directories as `path/`.
    pub(super) fn lines(&self) -> Vec<String> {
        let line = |(path, (kind, _, content)): (&RelPath, &(NodeKind, u32, Vec<u8>))| {
            let content = String::from_utf8_lossy(content);
            match kind {
                NodeKind::Directory => format!("{path}/"),
                NodeKind::Symlink => format!("{path}->{content}"),
                _ => format!("{path}={content}"),
            }
        };
        self.seen.iter().map(line).collect()
    }

    /// Conflicts as `path kind outcome`.
    pub(super) fn conflicts(&self) -> Vec<String> {
        let line = |conflict: &MergeConflict| {
            let outcome = match &conflict.outcome {
                ConflictOutcome::Unsettled { why } => format!("unsettled: {why}"),
                ConflictOutcome::Taken { branch } => format!("of {branch}"),
                ConflictOutcome::Copies { paths } => {
                    let paths: Vec<_> = paths.iter().map(ToString::to_string).collect();
                    format!("copies {}", paths.join(" "))
                }
                other => format!("{other:?}"),
            };
            format!("{} {:?} {outcome}", conflict.path, conflict.kind)
        };
        self.report.conflicts.iter().map(line).collect()
    }

    /// Permission bits.
    pub(super) fn mode(&self, path: &str) -> u32 {
        self.seen[&RelPath::new(path).unwrap()].1
    }
}

/// The changes of a branch that is newer than anything in the base.
pub(super) fn changes_of(stack: &Stack) -> Vec<Change> {
    let knowledge = BaseKnowledge {
        birth: (i64::MAX, 0),
        ..BaseKnowledge::default()
    };
    changes(stack, &knowledge, &mut |_| {}).unwrap()
}

/// The merged view of a stack.
pub(super) fn seen(stack: &Stack) -> Seen {
    let mut seen = Seen::new();
    look(&stack.root().unwrap(), &mut seen);
    seen
}

fn look(dir: &Dir<'_>, seen: &mut Seen) {
    for (name, found) in dir.entries().unwrap() {
        let mut content = Vec::new();
        match found.meta.kind {
            NodeKind::File => {
                let mut file = dir.open_file(&name, found.origin).unwrap();
                file.read_to_end(&mut content).unwrap();
            }
            NodeKind::Symlink => {
                content = symlink_target(dir.holder(found.origin).unwrap(), Path::new(&name))
                    .unwrap()
                    .0;
            }
            NodeKind::Directory => look(&dir.enter(&name).unwrap().unwrap(), seen),
            _ => {}
        }
        let path = dir.path().join(&name).unwrap();
        seen.insert(path, (found.meta.kind, found.meta.mode, content));
    }
}

/// What is in a plain directory.
pub(super) fn seen_in(dir: &Path) -> Seen {
    seen(&Stack::open(&[], dir).unwrap())
}

pub(super) fn write(dir: &Path, path: &str, content: &str) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

pub(super) fn link(dir: &Path, path: &str, target: &str) {
    symlink(target, dir.join(path)).unwrap();
}

pub(super) fn inode(layer: &Path, path: &str) -> u64 {
    fs::symlink_metadata(layer.join(path)).unwrap().ino()
}
