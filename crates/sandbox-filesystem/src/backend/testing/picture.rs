//! All that is in a tree, to be compared.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::fs::{Context, DynFileSystem, XattrReply};
use crate::tree::Tree;

/// Each path and what is there.
pub(in crate::backend) type Picture = BTreeMap<PathBuf, Node>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::backend) struct Node {
    mode: u32,
    owner: (u32, u32),
    /// Of files, or the target of a link.
    content: Vec<u8>,
    mtime: Option<(i64, i64)>,
    color: Option<Vec<u8>>,
}

/// Of a directory of the host.
pub(in crate::backend) fn picture(root: &Path) -> Picture {
    let mut all = Picture::new();
    walk(root, Path::new(""), &mut all);
    all
}

fn walk(root: &Path, below: &Path, all: &mut Picture) {
    for entry in fs::read_dir(root.join(below)).unwrap() {
        let path = below.join(entry.unwrap().file_name());
        let full = root.join(&path);
        let metadata = fs::symlink_metadata(&full).unwrap();
        assert!(
            !metadata.file_type().is_char_device(),
            "{}: a ghost",
            path.display()
        );
        let content = if metadata.is_file() {
            fs::read(&full).unwrap()
        } else if metadata.is_symlink() {
            fs::read_link(&full).unwrap().into_os_string().as_bytes().to_vec()
        } else {
            Vec::new()
        };
        let node = Node {
            mode: metadata.mode(),
            owner: (metadata.uid(), metadata.gid()),
            content,
            mtime: metadata
                .is_file()
                .then(|| (metadata.mtime(), metadata.mtime_nsec())),
            color: color(&full, &metadata),
        };
        all.insert(path.clone(), node);
        if metadata.is_dir() {
            walk(root, &path, all);
        }
    }
}

fn color(path: &Path, metadata: &fs::Metadata) -> Option<Vec<u8>> {
    if !metadata.is_file() && !metadata.is_dir() {
        return None;
    }
    let mut value = [0; 64];
    let length = rustix::fs::getxattr(path, "user.t", &mut value[..]).ok()?;
    Some(value[..length].to_vec())
}

/// Of a directory of a backend.
pub(in crate::backend) fn of_backend(fs: &dyn DynFileSystem, root: &str) -> Picture {
    let tree = Tree::new(fs, Context::new(0, 0));
    let mut all = Picture::new();
    walk_backend(fs, &tree, Path::new(root), Path::new(""), &mut all);
    all
}

fn walk_backend(fs: &dyn DynFileSystem, tree: &Tree<'_>, root: &Path, below: &Path, all: &mut Picture) {
    for entry in tree.list(root.join(below)).unwrap() {
        let path = below.join(&entry.name);
        let full = root.join(&path);
        let attr = tree.stat(&full).unwrap();
        let kind = attr.mode & libc::S_IFMT;
        assert_eq!(u32::from(entry.kind) << 12, kind, "{}", full.display());
        let content = match kind {
            libc::S_IFREG => tree.read(&full).unwrap(),
            libc::S_IFLNK => tree.readlink(&full).unwrap(),
            _ => Vec::new(),
        };
        let mtime = (attr.mtime.seconds, i64::from(attr.mtime.nanoseconds));
        let node = Node {
            mode: attr.mode,
            owner: (attr.uid, attr.gid),
            content,
            mtime: (kind == libc::S_IFREG).then_some(mtime),
            color: backend_color(fs, &full),
        };
        all.insert(path.clone(), node);
        if kind == libc::S_IFDIR {
            walk_backend(fs, tree, root, &path, all);
        }
    }
}

fn backend_color(fs: &dyn DynFileSystem, path: &Path) -> Option<Vec<u8>> {
    let ctx = Context::new(0, 0);
    let mut ino = crate::fs::ROOT_INO;
    for name in path {
        let found = fs.lookup(&ctx, ino, name).unwrap().ino;
        if ino != crate::fs::ROOT_INO {
            fs.forget(ino, 1);
        }
        ino = found;
    }
    let value = fs.getxattr(&ctx, ino, OsStr::new("user.t"), 64);
    fs.forget(ino, 1);
    match value {
        Ok(XattrReply::Data(value)) => Some(value),
        _ => None,
    }
}

/// Says where two differ. Times of the oracle are others.
pub(in crate::backend) fn assert_same(expected: &Picture, found: &Picture, what: &str) {
    let paths: std::collections::BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    let mut differences = Vec::new();
    for path in paths {
        let (mut one, mut other) = (expected.get(path).cloned(), found.get(path).cloned());
        if what.contains("restart") {
            for node in [&mut one, &mut other].into_iter().flatten() {
                node.mtime = None;
            }
        }
        if one != other {
            differences.push(format!("{}:\n    {one:?}\n    {other:?}", path.display()));
        }
    }
    assert!(differences.is_empty(), "{what}:\n{}", differences.join("\n"));
}

pub(in crate::backend) fn without_times(picture: &mut Picture) {
    for node in picture.values_mut() {
        node.mtime = None;
    }
}

pub(in crate::backend) fn content<'a>(picture: &'a Picture, path: &str) -> Option<&'a [u8]> {
    picture.get(Path::new(path)).map(|node| node.content.as_slice())
}

pub(in crate::backend) fn set_content(picture: &mut Picture, path: &str, content: &[u8]) {
    if let Some(node) = picture.get_mut(Path::new(path)) {
        node.content = content.to_vec();
    }
}
