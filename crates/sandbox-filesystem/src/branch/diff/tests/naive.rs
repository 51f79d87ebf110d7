//! Two trees compared in the plainest way: both are read whole, and every path is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use sandbox_types::{Attribute, Change, ChangeKind, NodeKind};

#[derive(Debug, PartialEq)]
struct Node {
    kind: &'static str,
    mode: u32,
    owner: (u32, u32),
    time: (i64, i64),
    content: Vec<u8>,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    held: u64,
}

/// What has to be done to `old` to get `new`, as lines; nothing is taken for a rename.
pub(super) fn compare(old: &Path, new: &Path) -> BTreeSet<String> {
    let (old, new) = (read(old), read(new));
    let mut lines = BTreeSet::new();
    for path in old.keys().chain(new.keys()) {
        let what = match (old.get(path), new.get(path)) {
            (None, Some(new)) => format!("A {} {}", new.kind, new.held),
            (Some(old), None) => format!("D {} {}", old.kind, old.held),
            (Some(old), Some(new)) if old.kind != new.kind => {
                format!("T {} from {} {}", new.kind, old.kind, new.held)
            }
            (Some(old), Some(new)) => match modified(old, new) {
                Some(what) => format!("M {} {what} {}", new.kind, new.held),
                None => continue,
            },
            (None, None) => unreachable!(),
        };
        lines.insert(format!("{} {what}", path.escape_ascii()));
    }
    lines
}

/// The same lines of a change set; a rename is what was added and what was deleted.
pub(super) fn lines_of(changes: &[Change], base: &Path) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for change in changes {
        let path = change.path.as_bytes().escape_ascii();
        let (kind, held) = (name(change.node), change.size);
        let what = match &change.change {
            ChangeKind::Added => format!("A {kind} {held}"),
            ChangeKind::Deleted => format!("D {kind} {held}"),
            ChangeKind::TypeChanged { from } => format!("T {kind} from {} {held}", name(*from)),
            ChangeKind::Modified { content, attributes } => {
                format!("M {kind} {content} {attributes:?} {held}")
            }
            ChangeKind::Renamed { from, content } => {
                let original = fs::symlink_metadata(base.join(from.as_path())).unwrap();
                assert!(*content || original.len() == held, "{change:?}");
                let from = from.as_bytes().escape_ascii();
                lines.insert(format!("{from} D {kind} {}", original.len()));
                format!("A {kind} {held}")
            }
            other => panic!("{other:?}"),
        };
        assert!(lines.insert(format!("{path} {what}")), "{path} is there twice");
    }
    lines
}

pub(super) fn xattrs(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0; 65_536];
    let length = rustix::fs::llistxattr(path, names.as_mut_slice()).unwrap_or(0);
    let mut found = BTreeMap::new();
    for name in names[..length].split(|byte| *byte == 0) {
        if name.starts_with(b"user.") {
            let mut value = vec![0; 65_536];
            let length = rustix::fs::lgetxattr(path, name, value.as_mut_slice()).unwrap();
            value.truncate(length);
            found.insert(name.to_vec(), value);
        }
    }
    found
}

fn modified(old: &Node, new: &Node) -> Option<String> {
    let attributes = [
        (Attribute::Mode, old.mode != new.mode),
        (Attribute::Owner, old.owner != new.owner),
        (Attribute::Time, old.time != new.time),
        (Attribute::Xattrs, old.xattrs != new.xattrs),
    ];
    let differing = attributes
        .into_iter()
        .filter_map(|(attribute, differs)| differs.then_some(attribute));
    let differing: Vec<_> = differing.collect();
    let content = old.content != new.content;
    (content || !differing.is_empty()).then(|| format!("{content} {differing:?}"))
}

fn read(root: &Path) -> BTreeMap<Vec<u8>, Node> {
    let mut nodes = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let kind = meta.file_type();
            let (kind, content, held) = if kind.is_dir() {
                pending.push(path.clone());
                ("dir", Vec::new(), 0)
            } else if kind.is_symlink() {
                let target = fs::read_link(&path).unwrap();
                ("link", target.as_os_str().as_bytes().to_vec(), meta.len())
            } else if kind.is_fifo() {
                ("fifo", Vec::new(), 0)
            } else {
                ("file", fs::read(&path).unwrap(), meta.len())
            };
            let is_timed = kind != "dir";
            let node = Node {
                kind,
                mode: if kind == "link" { 0 } else { meta.mode() },
                owner: (meta.uid(), meta.gid()),
                time: if is_timed {
                    (meta.mtime(), meta.mtime_nsec())
                } else {
                    (0, 0)
                },
                content,
                xattrs: xattrs(&path),
                held,
            };
            let relative = path.strip_prefix(root).unwrap();
            nodes.insert(relative.as_os_str().as_bytes().to_vec(), node);
        }
    }
    nodes
}

fn name(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::Directory => "dir",
        NodeKind::Symlink => "link",
        NodeKind::Fifo => "fifo",
        NodeKind::File => "file",
        other => panic!("{other:?}"),
    }
}
