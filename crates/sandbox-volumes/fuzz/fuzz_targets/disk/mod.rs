//! The disk that targets damage.

use std::{
    io::{self, Cursor},
    sync::OnceLock,
};

use sandbox_types::{
    ByteSize, TreeEntry, TreeFlags, TreeNode, TreeNodeId, TreeNodeKind, TreeSource, TreeTime, TreeXattr,
};
use sandbox_volumes::ext4::{Ext4FormatOptions, Size, Source, write};

pub const BYTES: u64 = 3 << 20;

/// A directory of 200 files with xattrs, holes and links.
struct Tree;

fn node(id: u64, kind: TreeNodeKind) -> TreeNode {
    let time = TreeTime { seconds: 1, nanoseconds: 2 };
    TreeNode {
        id: TreeNodeId(id),
        kind,
        permissions: 0o755,
        uid: 0,
        gid: 0,
        accessed: time,
        modified: time,
        changed: time,
        created: None,
        flags: TreeFlags::default(),
    }
}

impl TreeSource for Tree {
    fn root(&self) -> io::Result<TreeNode> {
        Ok(node(0, TreeNodeKind::Directory))
    }
    fn list(&self, directory: TreeNodeId) -> io::Result<Vec<TreeEntry>> {
        if directory.0 != 0 {
            return Ok(Vec::new());
        }
        let kind = |id| match id % 5 {
            0 => TreeNodeKind::Directory,
            1 => TreeNodeKind::Symlink,
            2 => TreeNodeKind::Fifo,
            _ => TreeNodeKind::File { len: 100_000 },
        };
        Ok((1..200)
            .map(|id| TreeEntry { name: format!("a name of some length {id}").into_bytes(), node: node(id, kind(id)) })
            .collect())
    }
    fn target(&self, link: TreeNodeId) -> io::Result<Vec<u8>> {
        Ok(vec![b'x'; if link.0 % 2 == 0 { 10 } else { 100 }])
    }
    fn xattrs(&self, node: TreeNodeId) -> io::Result<Vec<TreeXattr>> {
        let value = vec![7; if node.0 % 7 == 0 { 300 } else { 3 }];
        Ok(vec![TreeXattr { name: b"user.x".to_vec(), value }])
    }
    fn data(&self, _: TreeNodeId, _: u64) -> io::Result<Vec<std::ops::Range<u64>>> {
        Ok((0..6).map(|at| at * 8192..at * 8192 + 1).collect())
    }
    fn read_at(&self, _: TreeNodeId, _: u64, buffer: &mut [u8]) -> io::Result<usize> {
        buffer.fill(1);
        Ok(buffer.len())
    }
}

/// A disk that has a little of everything.
pub fn disk() -> &'static [u8] {
    static DISK: OnceLock<Vec<u8>> = OnceLock::new();
    DISK.get_or_init(|| {
        let size = Size::Bytes(ByteSize::from_bytes(BYTES));
        let time = TreeTime { seconds: 1, nanoseconds: 0 };
        let options = Ext4FormatOptions::builder(size).uuid([9; 16]).time(time).build().unwrap();
        let mut device = Cursor::new(Vec::new());
        write(&mut device, Source::Tree(&Tree), &options).unwrap();
        device.into_inner()
    })
}

/// The disk, changed: four bytes a change, three of place and one of what is there then. Most of the metadata is at the
/// start, where all of it is unless `everywhere`.
pub fn damaged(changes: &[u8], everywhere: bool) -> Vec<u8> {
    let mut disk = disk().to_vec();
    let within = if everywhere { disk.len() } else { 1 << 18 };
    for change in changes.chunks_exact(4) {
        let at = u32::from_le_bytes([change[0], change[1], change[2], 0]) as usize;
        disk[at % within] = change[3];
    }
    disk
}
