//! Reads disks by ext4-view, which has nothing in common with this crate.

use std::{collections::BTreeMap, path::Path};

use ext4_view::{Ext4, FileType};
use sandbox_types::TreeNodeKind;

use super::memory_tree::MemoryTree;

/// What another reader sees of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    kind: FileType,
    permissions: u16,
    uid: u32,
    gid: u32,
    content: Vec<u8>,
}

/// All files of an image by their path, without lost+found; content only of files of up to 4 MiB.
pub(super) fn of_image(image: &Path) -> BTreeMap<Vec<u8>, Seen> {
    let disk = Ext4::load_from_path(image).expect("ext4-view can load it");
    let mut seen = BTreeMap::new();
    let mut directories = vec![Vec::new()];
    while let Some(directory) = directories.pop() {
        let path = if directory.is_empty() {
            b"/".to_vec()
        } else {
            directory.clone()
        };
        for entry in disk.read_dir(path.as_slice()).expect("a directory") {
            let entry = entry.expect("an entry");
            let name = entry.file_name();
            if matches!(name.as_ref(), b"." | b"..") || directory.is_empty() && name.as_ref() == b"lost+found"
            {
                continue;
            }
            let path = [directory.as_slice(), b"/", name.as_ref()].concat();
            let metadata = entry.metadata().expect("metadata");
            let kind = metadata.file_type();
            let content = match kind {
                FileType::Regular if metadata.len() <= 4 << 20 => {
                    disk.read(path.as_slice()).expect("content")
                }
                FileType::Symlink => disk
                    .read_link(path.as_slice())
                    .expect("a target")
                    .as_ref()
                    .to_vec(),
                _ => Vec::new(),
            };
            if kind == FileType::Directory {
                directories.push(path.clone());
            }
            let (permissions, uid, gid) = (metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
            seen.insert(
                path,
                Seen {
                    kind,
                    permissions,
                    uid,
                    gid,
                    content,
                },
            );
        }
    }
    seen
}

/// The same of a tree.
pub(super) fn of_tree(tree: &MemoryTree) -> BTreeMap<Vec<u8>, Seen> {
    let mut seen = BTreeMap::new();
    let mut directories = vec![(Vec::new(), 0)];
    while let Some((directory, id)) = directories.pop() {
        for (name, child) in &tree.files[usize::try_from(id).expect("an id")].children {
            if directory.is_empty() && name == b"lost+found" {
                continue;
            }
            let path = [directory.as_slice(), b"/", name.as_slice()].concat();
            let file = &tree.files[usize::try_from(*child).expect("an id")];
            let (kind, content) = match file.node.kind {
                TreeNodeKind::File { len } if len <= 4 << 20 => (FileType::Regular, tree.content(*child)),
                TreeNodeKind::File { .. } => (FileType::Regular, Vec::new()),
                TreeNodeKind::Directory => (FileType::Directory, Vec::new()),
                TreeNodeKind::Symlink => (FileType::Symlink, file.target.clone()),
                TreeNodeKind::CharDevice(_) => (FileType::CharacterDevice, Vec::new()),
                TreeNodeKind::BlockDevice(_) => (FileType::BlockDevice, Vec::new()),
                TreeNodeKind::Fifo => (FileType::Fifo, Vec::new()),
                TreeNodeKind::Socket => (FileType::Socket, Vec::new()),
                other => panic!("{other:?}"),
            };
            if kind == FileType::Directory {
                directories.push((path.clone(), *child));
            }
            let node = &file.node;
            let (permissions, uid, gid) = (node.permissions, node.uid, node.gid);
            seen.insert(
                path,
                Seen {
                    kind,
                    permissions,
                    uid,
                    gid,
                    content,
                },
            );
        }
    }
    seen
}

/// Fails at the first file that differs.
#[track_caller]
pub(super) fn agree(image: &Path, tree: &MemoryTree) {
    let (image, tree) = (of_image(image), of_tree(tree));
    let names = |of: &BTreeMap<Vec<u8>, Seen>| of.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&image), names(&tree));
    for (path, seen) in &tree {
        assert!(image.get(path) == Some(seen), "{}", String::from_utf8_lossy(path));
    }
}
