//! Reads a source: everything but the content of files.

use std::{
    collections::HashMap,
    ffi::OsStr,
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use sandbox_types::{TreeEntry, TreeNode, TreeNodeId, TreeNodeKind, TreeSource};

use super::{
    Child, Content, Directory, Format, Inventory, Node, Times, Xattrs,
    convert::{blocks, device, flags_of, mode_of, times_of},
    path_of,
};
use crate::ext4::{
    disk::{
        index,
        inode::{FAST_LINK, MAX_LINKS, mode},
    },
    error::FormatError,
    geometry::MAX_BLOCKS,
};

const LOST_AND_FOUND: &[u8] = b"lost+found";
/// What lost+found has room for from the start, as mke2fs does it.
const LOST_AND_FOUND_BYTES: u32 = 16384;

/// Reads `source`, or makes an empty tree.
pub(crate) fn scan(source: Option<&dyn TreeSource>, format: &Format) -> Result<Inventory, FormatError> {
    let Some(source) = source else {
        return Ok(empty(format));
    };
    let root = source.root().map_err(|source| FormatError::Source {
        path: PathBuf::new(),
        source,
    })?;
    if root.kind != TreeNodeKind::Directory {
        return Err(FormatError::RootIsNoDirectory);
    }
    let mut scan = Scan {
        source,
        format,
        inventory: Inventory { nodes: Vec::new() },
        known: HashMap::new(),
        directories: Vec::new(),
    };
    scan.add(&root, 0, Path::new(""))?;
    while let Some((directory, path)) = scan.directories.pop() {
        scan.list(directory, &path)?;
    }
    scan.finish()
}

fn empty(format: &Format) -> Inventory {
    let mut inventory = Inventory {
        nodes: vec![made(format, 0o755, Directory::default())],
    };
    add_lost_and_found(&mut inventory, format);
    inventory
}

fn made(format: &Format, permissions: u16, directory: Directory) -> Node {
    let time = format.time;
    Node {
        source: None,
        parent: 0,
        mode: mode::DIR | permissions,
        uid: 0,
        gid: 0,
        times: Times {
            accessed: time,
            modified: time,
            changed: time,
            created: time,
        },
        flags: 0,
        links: 2,
        xattrs: Xattrs::default(),
        content: Content::Directory(directory),
    }
}

fn lost_and_found(format: &Format) -> Node {
    let blocks = LOST_AND_FOUND_BYTES / format.block_size;
    made(format, 0o700, Directory::reserved(index(u64::from(blocks))))
}

fn add_lost_and_found(inventory: &mut Inventory, format: &Format) {
    inventory.nodes.push(lost_and_found(format));
    if let Some(root) = inventory.nodes.first_mut() {
        root.links += 1;
        if let Content::Directory(directory) = &mut root.content {
            directory.children.push(Child {
                node: 1,
                name: LOST_AND_FOUND.into(),
            });
        }
    }
}

struct Scan<'a> {
    source: &'a dyn TreeSource,
    format: &'a Format,
    inventory: Inventory,
    known: HashMap<TreeNodeId, u32>,
    /// Directories that are still to be listed; the last one is next, so that a directory's files and then
    /// those below it lie close together.
    directories: Vec<(u32, PathBuf)>,
}

impl Scan<'_> {
    fn list(&mut self, directory: u32, path: &Path) -> Result<(), FormatError> {
        let Some(id) = self
            .inventory
            .nodes
            .get(directory as usize)
            .and_then(|node| node.source)
        else {
            return Ok(());
        };
        let mut entries = self.source.list(id).map_err(|source| unreadable(path, source))?;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        check_names(&entries, path)?;
        let keep = if directory == 0 {
            self.first_of_root(&mut entries)?
        } else {
            None
        };
        let mut children: Vec<Child> = Vec::with_capacity(entries.len() + 1);
        children.extend(keep);
        let below = self.directories.len();
        for entry in entries {
            let node = self.link(&entry, directory, path)?;
            children.push(Child {
                node,
                name: entry.name.into(),
            });
        }
        if let Some(new) = self.directories.get_mut(below..) {
            new.reverse();
        }
        children.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(node) = self.inventory.nodes.get_mut(directory as usize) {
            node.content = Content::Directory(Directory::new(children, self.format));
        }
        Ok(())
    }

    /// lost+found comes first, because it has the first inode: the source's, or a new one. A file of this name
    /// is left what it is.
    fn first_of_root(&mut self, entries: &mut Vec<TreeEntry>) -> Result<Option<Child>, FormatError> {
        match entries.iter().position(|entry| entry.name == LOST_AND_FOUND) {
            Some(at)
                if entries
                    .get(at)
                    .is_some_and(|entry| entry.node.kind == TreeNodeKind::Directory) =>
            {
                let entry = entries.remove(at);
                let node = self.link(&entry, 0, Path::new(""))?;
                Ok(Some(Child {
                    node,
                    name: LOST_AND_FOUND.into(),
                }))
            }
            Some(_) => Ok(None),
            None => {
                self.inventory.nodes.push(lost_and_found(self.format));
                if let Some(root) = self.inventory.nodes.first_mut() {
                    root.links += 1;
                }
                Ok(Some(Child {
                    node: 1,
                    name: LOST_AND_FOUND.into(),
                }))
            }
        }
    }

    /// The node that an entry names: one that is known already, or a new one.
    fn link(&mut self, entry: &TreeEntry, parent: u32, directory: &Path) -> Result<u32, FormatError> {
        let path = || directory.join(OsStr::from_bytes(&entry.name));
        if let Some(known) = self.known.get(&entry.node.id) {
            let node = self.inventory.nodes.get_mut(*known as usize);
            match node {
                Some(node) if !node.is_directory() && Some(node.mode) == mode_of(&entry.node) => {
                    node.links += 1;
                }
                _ => return Err(FormatError::LinkedDirectory { path: path() }),
            }
            return Ok(*known);
        }
        let number = self.add(&entry.node, parent, &path())?;
        if entry.node.kind == TreeNodeKind::Directory
            && let Some(node) = self.inventory.nodes.get_mut(parent as usize)
        {
            node.links += 1;
        }
        Ok(number)
    }

    fn add(&mut self, node: &TreeNode, parent: u32, path: &Path) -> Result<u32, FormatError> {
        let number = u32::try_from(self.inventory.nodes.len())
            .ok()
            .filter(|number| *number < u32::MAX - 16);
        let Some(number) = number else {
            let inodes = self.inventory.inodes();
            return Err(FormatError::TooManyInodes { inodes, bytes: 0 });
        };
        let is_directory = node.kind == TreeNodeKind::Directory;
        let Some(mode) = mode_of(node) else {
            return Err(unreadable(path, io::ErrorKind::Unsupported.into()));
        };
        let new = Node {
            source: Some(node.id),
            parent,
            mode,
            uid: node.uid,
            gid: node.gid,
            times: times_of(node),
            flags: flags_of(node.flags),
            links: 1 + u32::from(is_directory),
            xattrs: self.xattrs(node.id, path)?,
            content: self.content(node, path)?,
        };
        self.inventory.nodes.push(new);
        self.known.insert(node.id, number);
        if is_directory {
            self.directories.push((number, path.to_owned()));
        }
        Ok(number)
    }

    fn xattrs(&self, id: TreeNodeId, path: &Path) -> Result<Xattrs, FormatError> {
        let all = self
            .source
            .xattrs(id)
            .map_err(|source| unreadable(path, source))?;
        Xattrs::new(all, self.format).map_err(|(name, reason)| FormatError::Xattr {
            path: path.to_owned(),
            name: String::from_utf8_lossy(&name).into_owned(),
            reason,
        })
    }

    fn content(&self, node: &TreeNode, path: &Path) -> Result<Content, FormatError> {
        match node.kind {
            TreeNodeKind::File { len } => self.file(node.id, len, path),
            TreeNodeKind::Directory => Ok(Content::Directory(Directory::default())),
            TreeNodeKind::Symlink => self.symlink(node.id, path),
            TreeNodeKind::CharDevice(number) | TreeNodeKind::BlockDevice(number) => device(number)
                .map(Content::Device)
                .ok_or_else(|| FormatError::Device {
                    path: path.to_owned(),
                    major: number.major,
                    minor: number.minor,
                }),
            _ => Ok(Content::None),
        }
    }

    fn file(&self, id: TreeNodeId, len: u64, path: &Path) -> Result<Content, FormatError> {
        if len > MAX_BLOCKS * u64::from(self.format.block_size) {
            return Err(FormatError::FileTooLarge {
                path: path.to_owned(),
                len,
            });
        }
        let ranges = self
            .source
            .data(id, len)
            .map_err(|source| unreadable(path, source))?;
        Ok(Content::File {
            len,
            data: blocks(&ranges, len, self.format.block_size),
        })
    }

    fn symlink(&self, id: TreeNodeId, path: &Path) -> Result<Content, FormatError> {
        let target = self
            .source
            .target(id)
            .map_err(|source| unreadable(path, source))?;
        // The kernel wants room for a NUL after it.
        let most = index(u64::from(self.format.block_size)) - 1;
        if target.is_empty() || target.len() > most || target.contains(&0) {
            return Err(FormatError::LinkTarget {
                path: path.to_owned(),
                len: target.len(),
                most,
            });
        }
        Ok(if target.len() < FAST_LINK {
            Content::FastLink(target)
        } else {
            Content::SlowLink(target)
        })
    }

    fn finish(self) -> Result<Inventory, FormatError> {
        let inventory = self.inventory;
        let many = inventory
            .numbered()
            .find(|(_, node)| !node.is_directory() && node.links > MAX_LINKS);
        match many {
            Some((number, node)) => Err(FormatError::TooManyLinks {
                path: path_of(&inventory, number),
                links: node.links,
            }),
            None => Ok(inventory),
        }
    }
}

/// Entries are sorted.
fn check_names(entries: &[TreeEntry], directory: &Path) -> Result<(), FormatError> {
    let mut before: &[u8] = b"";
    for TreeEntry { name, .. } in entries {
        let is_bad = !(1..=255).contains(&name.len())
            || name.iter().any(|byte| matches!(byte, 0 | b'/'))
            || matches!(name.as_slice(), b"." | b"..")
            || name == before;
        if is_bad {
            return Err(FormatError::Name {
                path: directory.join(OsStr::from_bytes(name)),
            });
        }
        before = name;
    }
    Ok(())
}

fn unreadable(path: &Path, source: io::Error) -> FormatError {
    FormatError::Source {
        path: path.to_owned(),
        source,
    }
}
