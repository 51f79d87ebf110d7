//! A tree in memory: whatever a test needs, root or not.

use std::{collections::BTreeMap, io, ops::Range};

use sandbox_types::{
    TreeEntry, TreeFlags, TreeNode, TreeNodeId, TreeNodeKind, TreeSource, TreeTime, TreeXattr,
};

/// A file. Children and data are kept beside what the trait wants.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) node: TreeNode,
    pub(crate) children: BTreeMap<Vec<u8>, u64>,
    pub(crate) xattrs: Vec<TreeXattr>,
    pub(crate) target: Vec<u8>,
    /// Bytes at offsets; the rest are holes.
    pub(crate) data: Vec<(u64, Vec<u8>)>,
}

#[derive(Clone, Debug)]
pub(crate) struct MemoryTree {
    pub(crate) files: Vec<File>,
}

pub(crate) const ROOT: u64 = 0;

impl MemoryTree {
    pub(crate) fn new() -> Self {
        let mut tree = Self { files: Vec::new() };
        tree.put(TreeNodeKind::Directory);
        tree
    }

    fn put(&mut self, kind: TreeNodeKind) -> u64 {
        let id = self.files.len() as u64;
        let step = i64::try_from(id).expect("few files");
        let time = |offset: i64| TreeTime {
            seconds: 1_600_000_000 + step + offset,
            nanoseconds: 123_456_789,
        };
        let node = TreeNode {
            id: TreeNodeId(id),
            kind,
            permissions: if kind == TreeNodeKind::Directory {
                0o755
            } else {
                0o640
            },
            uid: 0,
            gid: 0,
            accessed: time(1),
            modified: time(2),
            changed: time(3),
            created: Some(time(0)),
            flags: TreeFlags::default(),
        };
        let children = BTreeMap::new();
        self.files.push(File {
            node,
            children,
            xattrs: Vec::new(),
            target: Vec::new(),
            data: Vec::new(),
        });
        id
    }

    pub(crate) fn link(&mut self, parent: u64, name: &[u8], id: u64) {
        self.files[parent as usize].children.insert(name.to_vec(), id);
    }

    pub(crate) fn add(&mut self, parent: u64, name: &[u8], kind: TreeNodeKind) -> u64 {
        let id = self.put(kind);
        self.link(parent, name, id);
        id
    }

    pub(crate) fn directory(&mut self, parent: u64, name: &[u8]) -> u64 {
        self.add(parent, name, TreeNodeKind::Directory)
    }

    pub(crate) fn file(&mut self, parent: u64, name: &[u8], content: &[u8]) -> u64 {
        self.sparse(parent, name, content.len() as u64, vec![(0, content.to_vec())])
    }

    pub(crate) fn sparse(&mut self, parent: u64, name: &[u8], len: u64, data: Vec<(u64, Vec<u8>)>) -> u64 {
        let id = self.add(parent, name, TreeNodeKind::File { len });
        self.files[id as usize].data = data.into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect();
        id
    }

    pub(crate) fn symlink(&mut self, parent: u64, name: &[u8], target: &[u8]) -> u64 {
        let id = self.add(parent, name, TreeNodeKind::Symlink);
        self.files[id as usize].target = target.to_vec();
        id
    }

    pub(crate) fn xattr(&mut self, id: u64, name: &str, value: &[u8]) {
        let one = TreeXattr {
            name: name.as_bytes().to_vec(),
            value: value.to_vec(),
        };
        self.files[id as usize].xattrs.push(one);
    }

    pub(crate) fn node(&mut self, id: u64) -> &mut TreeNode {
        &mut self.files[id as usize].node
    }

    /// All that a file reads as.
    pub(crate) fn content(&self, id: u64) -> Vec<u8> {
        let TreeNodeKind::File { len } = self.files[id as usize].node.kind else {
            return Vec::new();
        };
        let mut content = vec![0; usize::try_from(len).expect("it fits")];
        self.read_at(TreeNodeId(id), 0, &mut content).expect("memory");
        content
    }

    fn get(&self, id: TreeNodeId) -> &File {
        &self.files[usize::try_from(id.0).expect("an id")]
    }
}

impl TreeSource for MemoryTree {
    fn root(&self) -> io::Result<TreeNode> {
        Ok(self.files[0].node.clone())
    }

    fn list(&self, directory: TreeNodeId) -> io::Result<Vec<TreeEntry>> {
        let children = &self.get(directory).children;
        let entry = |(name, id): (&Vec<u8>, &u64)| TreeEntry {
            name: name.clone(),
            node: self.files[usize::try_from(*id).expect("an id")].node.clone(),
        };
        // Not in the order of names, as a host's directory is not.
        Ok(children.iter().rev().map(entry).collect())
    }

    fn target(&self, link: TreeNodeId) -> io::Result<Vec<u8>> {
        Ok(self.get(link).target.clone())
    }

    fn xattrs(&self, node: TreeNodeId) -> io::Result<Vec<TreeXattr>> {
        Ok(self.get(node).xattrs.clone())
    }

    fn data(&self, file: TreeNodeId, _: u64) -> io::Result<Vec<Range<u64>>> {
        Ok(self
            .get(file)
            .data
            .iter()
            .map(|(at, bytes)| *at..at + bytes.len() as u64)
            .collect())
    }

    fn read_at(&self, file: TreeNodeId, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let file = self.get(file);
        let TreeNodeKind::File { len } = file.node.kind else {
            return Ok(0);
        };
        let wanted = usize::try_from(len.saturating_sub(offset))
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        buffer[..wanted].fill(0);
        for (at, bytes) in &file.data {
            let (start, end) = (
                offset.max(*at),
                (offset + wanted as u64).min(at + bytes.len() as u64),
            );
            if start < end {
                let from = &bytes[(start - at) as usize..(end - at) as usize];
                buffer[(start - offset) as usize..(end - offset) as usize].copy_from_slice(from);
            }
        }
        Ok(wanted)
    }
}
