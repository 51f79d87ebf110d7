//! Decides everything: the geometry, which inode and which blocks each file has. Pure.

pub(crate) mod allocate;
mod fit;
mod place;
mod sizes;

pub(crate) use place::Placed;
#[cfg(any(feature = "catalog", fuzzing))]
pub(crate) use place::tree_blocks;

use std::collections::HashMap;

use super::{
    disk::inode,
    error::FormatError,
    geometry::{Geometry, Inodes, LOG_FLEX, Misfit},
    inventory::{Format, Inventory},
    layout::FlexLayout,
    options::{Ext4FormatOptions, Size},
};
use allocate::Allocator;

/// All that is needed to write a disk.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Bytes of the device; what is behind the last block stays unused.
    pub(crate) bytes: u64,
    pub(crate) geometry: Geometry,
    pub(crate) journal: Option<Journal>,
    /// One for each node of the inventory.
    pub(crate) placed: Vec<Placed>,
    /// Everything free before this block is in use.
    pub(crate) frontier: u64,
    pub(crate) reserved_blocks: u64,
    pub(crate) free_blocks: u64,
    /// Blocks that are never a file's: superblocks, descriptors, tables, the journal.
    pub(crate) overhead: u64,
    /// Directories of each group that has any.
    pub(crate) directories: HashMap<u32, u32>,
    /// Inodes in use, from the first one on.
    pub(crate) inodes_in_use: u64,
}

#[derive(Debug)]
pub(crate) struct Journal {
    pub(crate) blocks: u32,
    pub(crate) placed: Placed,
}

/// Why a tree does not fit into so many bytes.
#[derive(Debug)]
pub(crate) enum Misplaced {
    Misfit(Misfit),
    JournalTooLarge {
        journal: u32,
        blocks: u64,
    },
    /// Blocks are missing, at least so many.
    Full(u64),
}

/// Plans a disk of the size that is asked for.
pub(crate) fn plan(
    inventory: &Inventory,
    format: &Format,
    options: &Ext4FormatOptions,
) -> Result<Plan, FormatError> {
    let inodes = sizes::needed_inodes(inventory, options)?;
    match options.size {
        Size::Bytes(bytes) => {
            let (bytes, inodes) = (bytes.bytes(), inodes.for_bytes(bytes.bytes()));
            attempt(bytes, inodes, inventory, format, options)
                .map_err(|why| why.for_user(bytes, inodes, format))
        }
        Size::Fit { headroom } => fit::plan(headroom.bytes(), inodes, inventory, format, options),
    }
}

fn attempt(
    bytes: u64,
    inodes: Inodes,
    inventory: &Inventory,
    format: &Format,
    options: &Ext4FormatOptions,
) -> Result<Plan, Misplaced> {
    let geometry =
        Geometry::new(bytes, format.block_size, inodes, format.inode_size).map_err(Misplaced::Misfit)?;
    let free = free_blocks(&geometry).ok_or(Misplaced::Misfit(Misfit::Small))?;
    let journal_blocks = sizes::journal_blocks(&geometry, options);
    if let Some(journal) =
        journal_blocks.filter(|journal| u64::from(*journal) > free.min(geometry.blocks / 2))
    {
        return Err(Misplaced::JournalTooLarge {
            journal,
            blocks: geometry.blocks,
        });
    }
    let mut allocator = Allocator::new(&geometry);
    let placed = place::all(inventory, journal_blocks, &geometry, &mut allocator);
    let Ok((journal, placed)) = placed else {
        let needed = place::at_least(inventory, journal_blocks, &geometry);
        return Err(Misplaced::Full(needed.saturating_sub(free).max(1)));
    };
    let (frontier, taken) = (allocator.frontier(), allocator.taken());
    let overhead = geometry.blocks - free + u64::from(journal_blocks.unwrap_or(0));
    Ok(Plan {
        bytes,
        journal,
        placed,
        frontier,
        reserved_blocks: geometry.blocks * u64::from(options.reserved_percent) / 100,
        free_blocks: free - taken,
        overhead,
        directories: directories(inventory, &geometry),
        inodes_in_use: inventory.inodes(),
        geometry,
    })
}

/// What is free with nothing but tables; none where there is no room for them.
pub(crate) fn free_blocks(geometry: &Geometry) -> Option<u64> {
    (0..geometry.flexes())
        .map(|flex| FlexLayout::new(geometry, geometry.flex_groups(flex)).map(|layout| layout.free()))
        .sum()
}

fn directories(inventory: &Inventory, geometry: &Geometry) -> HashMap<u32, u32> {
    let mut directories = HashMap::new();
    for (number, _) in inventory.numbered().filter(|(_, node)| node.is_directory()) {
        let (group, _) = geometry.inode_place(Inventory::inode(number));
        *directories.entry(group).or_insert(0) += 1;
    }
    directories
}

impl Plan {
    /// `s_log_groups_per_flex`.
    pub(crate) const LOG_FLEX: u8 = LOG_FLEX;

    /// Inodes in use in a group.
    pub(crate) fn used_inodes(&self, group: u32) -> u32 {
        let each = u64::from(self.geometry.inodes_per_group);
        let used = self
            .inodes_in_use
            .saturating_sub(u64::from(group) * each)
            .min(each);
        u32::try_from(used).unwrap_or(u32::MAX)
    }

    /// The inode after the last one in use.
    pub(crate) fn free_inodes(&self) -> u32 {
        let free = u64::from(self.geometry.inodes()).saturating_sub(self.inodes_in_use);
        u32::try_from(free).unwrap_or(u32::MAX)
    }

    /// The node that has an inode.
    pub(crate) const fn node_of(inode: u32) -> Option<usize> {
        match inode {
            inode::ROOT => Some(0),
            inode::FIRST.. => Some((inode - (inode::FIRST - 1)) as usize),
            _ => None,
        }
    }
}

impl Misplaced {
    fn for_user(self, bytes: u64, inodes: Inodes, format: &Format) -> FormatError {
        match self {
            Self::Misfit(Misfit::Small) => FormatError::TooSmall { bytes },
            Self::Misfit(Misfit::Large) => FormatError::TooLarge {
                bytes,
                block_size: format.block_size,
            },
            Self::Misfit(Misfit::Inodes) => FormatError::TooManyInodes {
                inodes: inodes.needed,
                bytes,
            },
            Self::JournalTooLarge { journal, blocks } => FormatError::JournalTooLarge { journal, blocks },
            Self::Full(blocks) => FormatError::NoSpace {
                missing: blocks * u64::from(format.block_size),
            },
        }
    }
}
