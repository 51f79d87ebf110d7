//! A tree as ext4 sees it: nodes in the order in which they get inodes and blocks, without any block number.

mod convert;
mod directory;
mod path;
mod scan;
mod xattrs;

pub(crate) use directory::{Child, Directory, Shape, index_limits};
pub(crate) use path::path_of;
pub(crate) use scan::scan;
pub(crate) use xattrs::{DiskXattr, Xattrs};

use std::ops::Range;

use sandbox_types::{TreeNodeId, TreeTime};

use super::{disk::inode, geometry::Geometry};

/// What must be known of a disk before its geometry is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    pub(crate) block_size: u32,
    pub(crate) inode_size: u32,
    pub(crate) uuid: [u8; 16],
    pub(crate) hash_seed: [u32; 4],
    pub(crate) time: TreeTime,
}

/// A tree. The first node is the root; the second lost+found, where there is one that is a directory.
#[derive(Debug)]
pub(crate) struct Inventory {
    pub(crate) nodes: Vec<Node>,
}

/// A file. Its number in the inventory decides its inode.
#[derive(Debug)]
pub(crate) struct Node {
    /// None for what the source does not have.
    pub(crate) source: Option<TreeNodeId>,
    /// The directory in which it was found first.
    pub(crate) parent: u32,
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) times: Times,
    pub(crate) flags: u32,
    pub(crate) links: u32,
    pub(crate) xattrs: Xattrs,
    pub(crate) content: Content,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) accessed: TreeTime,
    pub(crate) modified: TreeTime,
    pub(crate) changed: TreeTime,
    pub(crate) created: TreeTime,
}

#[derive(Debug)]
pub(crate) enum Content {
    /// Nothing beyond the inode: a FIFO or a socket.
    None,
    /// A device, as `i_block` has it.
    Device([u32; 2]),
    /// The target of a link that fits into the inode.
    FastLink(Vec<u8>),
    /// The target of a link that gets a block.
    SlowLink(Vec<u8>),
    File {
        len: u64,
        /// Blocks with data, ascending and apart from one another.
        data: Vec<Range<u32>>,
    },
    Directory(Directory),
}

impl Inventory {
    /// The inode of a node.
    pub(crate) const fn inode(node: u32) -> u32 {
        if node == 0 {
            inode::ROOT
        } else {
            inode::FIRST - 1 + node
        }
    }

    /// Inodes in use, the reserved ones included; they are the first ones.
    pub(crate) fn inodes(&self) -> u64 {
        u64::from(inode::FIRST) - 2 + self.nodes.len() as u64
    }

    /// Nodes with their numbers.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (u32, &Node)> {
        (0..).zip(&self.nodes)
    }
}

impl Node {
    /// The blocks of the file that are somewhere on the disk.
    pub(crate) fn data(&self, geometry: &Geometry) -> Vec<Range<u32>> {
        match &self.content {
            Content::File { data, .. } => data.clone(),
            Content::SlowLink(_) => std::iter::once(0..1).collect(),
            Content::Directory(directory) => std::iter::once(0..directory.blocks()).collect(),
            Content::None | Content::Device(_) | Content::FastLink(_) => Vec::new(),
        }
        .into_iter()
        .filter(|range| range.end > range.start && geometry.block_size > 0)
        .collect()
    }

    /// `i_size`.
    pub(crate) fn size(&self, geometry: &Geometry) -> u64 {
        match &self.content {
            Content::File { len, .. } => *len,
            Content::FastLink(target) | Content::SlowLink(target) => target.len() as u64,
            Content::Directory(directory) => geometry.byte(u64::from(directory.blocks())),
            Content::None | Content::Device(_) => 0,
        }
    }

    pub(crate) fn is_directory(&self) -> bool {
        matches!(self.content, Content::Directory(_))
    }
}
