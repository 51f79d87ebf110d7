//! Which entries go into which block of a directory.

use super::Format;
use crate::ext4::disk::{
    dirent::{self, DX_ENTRY, DX_NODE, DX_ROOT},
    hash, index,
};

/// A name in a directory.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) node: u32,
    pub(crate) name: Box<[u8]>,
}

/// A directory without `.` and `..`.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    /// In the order in which they are written.
    pub(crate) children: Vec<Child>,
    pub(crate) shape: Shape,
}

/// How the blocks of a directory are used.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Entries one after the other; of each block, the number of its first child. The first one begins with
    /// `.` and `..`.
    Linear(Vec<usize>),
    /// An index, then the leaves: of each, the hash under which it is found and its first child.
    Indexed {
        leaves: Vec<(u32, usize)>,
        /// Blocks between the root of the index and the leaves; they come after the leaves.
        nodes: usize,
    },
    /// Blocks without entries, so that lost+found need not grow when it is needed.
    Reserved(usize),
}

impl Default for Shape {
    fn default() -> Self {
        Self::Linear(vec![0])
    }
}

impl Directory {
    /// An empty one with `blocks` blocks.
    pub(super) fn reserved(blocks: usize) -> Self {
        Self {
            children: Vec::new(),
            shape: Shape::Reserved(blocks),
        }
    }

    /// Distributes names, which are sorted: into one block if they fit, else by their hash. An index has two
    /// levels at most; a directory that is too large for that has none.
    pub(crate) fn new(children: Vec<Child>, format: &Format) -> Self {
        let room = index(u64::from(format.block_size)) - dirent::TAIL;
        let linear = linear(&children, room);
        if linear.len() == 1 {
            return Self {
                children,
                shape: Shape::Linear(linear),
            };
        }
        let mut hashed: Vec<(u32, Child)> = children
            .into_iter()
            .map(|child| (hash::half_md4(format.hash_seed, &child.name), child))
            .collect();
        hashed.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| x.name.cmp(&y.name)));
        let leaves = leaves(&hashed, room);
        let children: Vec<Child> = hashed.into_iter().map(|(_, child)| child).collect();
        let shape = match nodes(leaves.len(), format.block_size) {
            Some(nodes) => Shape::Indexed { leaves, nodes },
            None => Shape::Linear(self::linear(&children, room)),
        };
        Self { children, shape }
    }

    /// Blocks of the directory.
    pub(crate) fn blocks(&self) -> u32 {
        let blocks = match &self.shape {
            Shape::Linear(leaves) => leaves.len(),
            Shape::Indexed { leaves, nodes } => 1 + leaves.len() + nodes,
            Shape::Reserved(blocks) => *blocks,
        };
        u32::try_from(blocks).unwrap_or(u32::MAX)
    }
}

/// Entries of the root of an index and of its other blocks.
pub(crate) fn index_limits(block_size: u32) -> (usize, usize) {
    let block = index(u64::from(block_size));
    ((block - DX_ROOT) / DX_ENTRY - 1, (block - DX_NODE) / DX_ENTRY - 1)
}

/// Blocks between root and leaves; none where two levels are not enough.
fn nodes(leaves: usize, block_size: u32) -> Option<usize> {
    let (root, node) = index_limits(block_size);
    if leaves <= root {
        return Some(0);
    }
    let nodes = leaves.div_ceil(node);
    (nodes <= root).then_some(nodes)
}

fn linear(children: &[Child], room: usize) -> Vec<usize> {
    let mut starts = vec![0];
    let mut used = dirent::len(1) + dirent::len(2);
    for (number, child) in children.iter().enumerate() {
        let len = dirent::len(child.name.len());
        if used + len > room {
            starts.push(number);
            used = 0;
        }
        used += len;
    }
    starts
}

/// Leaves are filled to seven eighths, so that the first new names split none of them.
fn leaves(hashed: &[(u32, Child)], room: usize) -> Vec<(u32, usize)> {
    let full = room / 8 * 7;
    let mut leaves = vec![(0, 0)];
    let (mut used, mut before) = (0, None);
    for (number, (hash, child)) in hashed.iter().enumerate() {
        let len = dirent::len(child.name.len());
        if used > 0 && used + len > full {
            // The lowest bit says that names of this hash are in the block before, too.
            let continued = u32::from(before == Some(*hash));
            leaves.push((*hash | continued, number));
            used = 0;
        }
        used += len;
        before = Some(*hash);
    }
    leaves
}
