//! Extent trees, from the runs and the blocks that the plan has for them.

use zerocopy::IntoBytes;

use super::super::{
    disk::extent::{ENTRY, Header, IN_INODE, Index, Leaf, per_block, seal},
    geometry::Geometry,
    plan::Placed,
};

/// A tree: what is in `i_block`, and blocks with their numbers.
pub(crate) struct Tree {
    pub(crate) root: [u8; 60],
    pub(crate) blocks: Vec<(u64, Vec<u8>)>,
}

/// An entry of any level.
type Bytes = [u8; ENTRY];

/// Builds the tree from its leaves upwards.
pub(crate) fn tree(placed: &Placed, geometry: &Geometry, inode_seed: u32) -> Tree {
    let entry = |entry: &[u8]| Bytes::try_from(entry).unwrap_or_default();
    let mut level: Vec<(u32, Bytes)> = placed
        .runs
        .iter()
        .map(|run| (run.logical, entry(Leaf::new(*run).as_bytes())))
        .collect();
    let mut places = placed.tree.iter().copied();
    let (mut depth, mut blocks) = (0, Vec::new());
    while level.len() > IN_INODE {
        let max = per_block(geometry.block_size);
        let mut above = Vec::with_capacity(level.len() / max + 1);
        for (entries, place) in level.chunks(max).zip(&mut places) {
            let mut block = vec![0; geometry.block_len()];
            fill(&mut block, entries, max, depth);
            seal(&mut block, inode_seed);
            blocks.push((place, block));
            let first = entries.first().map_or(0, |(logical, _)| *logical);
            above.push((first, entry(Index::new(first, place).as_bytes())));
        }
        level = above;
        depth += 1;
    }
    let mut root = [0; 60];
    fill(&mut root, &level, IN_INODE, depth);
    Tree { root, blocks }
}

fn fill(node: &mut [u8], entries: &[(u32, Bytes)], max: usize, depth: usize) {
    let header = Header::new(entries.len(), max, depth);
    let all = std::iter::once(header.as_bytes()).chain(entries.iter().map(|(_, bytes)| bytes.as_slice()));
    for (place, bytes) in node.chunks_exact_mut(ENTRY).zip(all) {
        place.copy_from_slice(bytes);
    }
}
