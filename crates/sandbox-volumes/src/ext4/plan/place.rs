//! Gives each file its blocks: data first, then the blocks of its extent tree, then that of its xattrs.

use super::{
    super::{
        disk::extent::{IN_INODE, Run, per_block},
        geometry::Geometry,
        inventory::{Inventory, Node},
    },
    Journal,
    allocate::{Allocator, Full},
};

/// Where a file is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) runs: Vec<Run>,
    /// Blocks of the extent tree: those of the leaves first, then level by level.
    pub(crate) tree: Vec<u64>,
    pub(crate) xattrs: Option<u64>,
}

impl Placed {
    /// Blocks that count for the file.
    pub(crate) fn blocks(&self) -> u64 {
        let data: u64 = self.runs.iter().map(|run| u64::from(run.len)).sum();
        data + self.tree.len() as u64 + u64::from(self.xattrs.is_some())
    }

    fn tree(&mut self, geometry: &Geometry, allocator: &mut Allocator<'_>) -> Result<(), Full> {
        for _ in 0..tree_blocks(self.runs.len(), geometry.block_size) {
            self.tree.push(allocator.block()?);
        }
        Ok(())
    }
}

/// Blocks that an extent tree with so many extents has beside the inode.
pub(crate) fn tree_blocks(extents: usize, block_size: u32) -> usize {
    let (mut level, mut all) = (extents, 0);
    while level > IN_INODE {
        level = level.div_ceil(per_block(block_size));
        all += level;
    }
    all
}

pub(super) fn all(
    inventory: &Inventory,
    journal_blocks: Option<u32>,
    geometry: &Geometry,
    allocator: &mut Allocator<'_>,
) -> Result<(Option<Journal>, Vec<Placed>), Full> {
    let journal = match journal_blocks {
        Some(blocks) => {
            let mut placed = Placed::default();
            allocator.runs(0, blocks, &mut placed.runs)?;
            placed.tree(geometry, allocator)?;
            Some(Journal { blocks, placed })
        }
        None => None,
    };
    let placed: Result<_, _> = inventory
        .nodes
        .iter()
        .map(|node| place(node, geometry, allocator))
        .collect();
    Ok((journal, placed?))
}

fn place(node: &Node, geometry: &Geometry, allocator: &mut Allocator<'_>) -> Result<Placed, Full> {
    let mut placed = Placed::default();
    for range in node.data(geometry) {
        allocator.runs(range.start, range.end - range.start, &mut placed.runs)?;
    }
    placed.tree(geometry, allocator)?;
    if !node.xattrs.in_block.is_empty() {
        placed.xattrs = Some(allocator.block()?);
    }
    Ok(placed)
}

/// Blocks that are needed even if no file falls into more extents than it must.
pub(super) fn at_least(inventory: &Inventory, journal_blocks: Option<u32>, geometry: &Geometry) -> u64 {
    let of = |node: &Node| {
        let data = node.data(geometry);
        let blocks: u64 = data.iter().map(|range| u64::from(range.end - range.start)).sum();
        let tree = tree_blocks(data.len(), geometry.block_size) as u64;
        blocks + tree + u64::from(!node.xattrs.in_block.is_empty())
    };
    inventory.nodes.iter().map(of).sum::<u64>() + u64::from(journal_blocks.unwrap_or(0))
}
