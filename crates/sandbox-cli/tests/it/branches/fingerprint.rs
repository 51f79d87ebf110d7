//! All that can be told of a tree from outside, so that any touch of it shows.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Every entry of a tree by its path.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(BTreeMap<PathBuf, Entry>);

/// The time of the last change of an inode shows what nothing else does.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    inode: u64,
    mode: u32,
    owner: (u32, u32),
    links: u64,
    size: u64,
    blocks: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    content: Vec<u8>,
    attributes: BTreeMap<String, Vec<u8>>,
}

impl Fingerprint {
    pub(super) fn of(root: &Path) -> Self {
        let mut entries = BTreeMap::new();
        let mut left = vec![root.to_owned()];
        while let Some(path) = left.pop() {
            let entry = Entry::of(&path);
            if path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
                let inside = fs::read_dir(&path).expect("readable");
                left.extend(inside.map(|entry| entry.expect("readable").path()));
            }
            entries.insert(path, entry);
        }
        Self(entries)
    }

    /// What can be read of it: a path and its content each.
    pub(super) fn content(self) -> BTreeMap<PathBuf, Vec<u8>> {
        let entries = self.0.into_iter();
        entries.map(|(path, entry)| (path, entry.content)).collect()
    }

    /// Of each path its mode, how many links a file has, and its content.
    pub(super) fn described(self) -> impl Iterator<Item = (PathBuf, (u32, u64, Vec<u8>))> {
        self.0.into_iter().map(|(path, entry)| {
            let links = if entry.is_directory() { 0 } else { entry.links };
            (path, (entry.mode, links, entry.content))
        })
    }

    /// The same, whatever has been done to get there: inodes may be others, and a directory another size.
    pub(super) fn without_changes(mut self) -> Self {
        for entry in self.0.values_mut() {
            entry.changed = (0, 0);
            entry.inode = 0;
            if entry.is_directory() {
                (entry.size, entry.blocks) = (0, 0);
            }
        }
        self
    }

    /// Nothing has happened to the tree since.
    #[track_caller]
    pub(super) fn still_holds(&self) {
        let root = self.0.keys().next().expect("the root");
        let now = Self::of(root);
        for (path, entry) in &self.0 {
            assert_eq!(now.0.get(path), Some(entry), "{}", path.display());
        }
        let new: Vec<_> = now.0.keys().filter(|path| !self.0.contains_key(*path)).collect();
        assert!(new.is_empty(), "{new:?}");
    }
}

impl Entry {
    fn is_directory(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }

    fn of(path: &Path) -> Self {
        let metadata = path.symlink_metadata().expect("there");
        let kind = metadata.file_type();
        let content = if kind.is_file() {
            fs::read(path).expect("readable")
        } else if kind.is_symlink() {
            fs::read_link(path)
                .expect("a link")
                .into_os_string()
                .into_encoded_bytes()
        } else {
            Vec::new()
        };
        Self {
            inode: metadata.ino(),
            mode: metadata.mode(),
            owner: (metadata.uid(), metadata.gid()),
            links: metadata.nlink(),
            size: metadata.size(),
            blocks: metadata.blocks(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            content,
            attributes: attributes(path),
        }
    }
}

fn attributes(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut names = vec![0; 4096];
    let length = rustix::fs::llistxattr(path, &mut names).unwrap_or(0);
    let names = String::from_utf8_lossy(&names[..length]).into_owned();
    let mut found = BTreeMap::new();
    for name in names.split_terminator('\0') {
        let mut value = vec![0; 4096];
        let length = rustix::fs::lgetxattr(path, name, &mut value).expect("readable");
        value.truncate(length);
        found.insert(name.to_owned(), value);
    }
    found
}
