//! How many inodes, and how large a journal: as mke2fs chooses by the size of a disk.

use super::super::{
    disk::index,
    error::FormatError,
    geometry::{Geometry, Inodes},
    inventory::Inventory,
    options::{Ext4FormatOptions, InodeCount, JournalSize},
};

/// How many inodes are needed, and how many wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    needed: u64,
    wanted: InodeCount,
}

impl Demand {
    /// Inodes for a disk of so many bytes.
    pub(super) fn for_bytes(self, bytes: u64) -> Inodes {
        let needed = self.needed;
        match self.wanted {
            InodeCount::Auto => Inodes {
                needed,
                wanted: bytes / default_ratio(bytes),
            },
            InodeCount::BytesPerInode(ratio) => Inodes {
                needed,
                wanted: bytes / u64::from(ratio),
            },
            InodeCount::Count(count) => Inodes {
                needed: needed.max(u64::from(count)),
                wanted: 0,
            },
        }
    }
}

/// Fails where the tree needs more than were asked for.
pub(super) fn needed_inodes(
    inventory: &Inventory,
    options: &Ext4FormatOptions,
) -> Result<Demand, FormatError> {
    let needed = inventory.inodes();
    match options.inodes {
        InodeCount::Count(count) if u64::from(count) < needed && inventory.nodes.len() > 2 => {
            Err(FormatError::TooFewInodes {
                needed: inventory.nodes.len() as u64,
                inodes: u64::from(count),
            })
        }
        wanted => Ok(Demand { needed, wanted }),
    }
}

fn default_ratio(bytes: u64) -> u64 {
    match bytes >> 20 {
        0..3 => 8192,
        3..512 => 4096,
        512..0x40_0000 => 16384,
        _ => 32768,
    }
}

/// Blocks of the journal; none where there is to be none.
pub(super) fn journal_blocks(geometry: &Geometry, options: &Ext4FormatOptions) -> Option<u32> {
    const KIB: u64 = 1024;
    match options.journal {
        JournalSize::None => None,
        JournalSize::Bytes(bytes) => u32::try_from(geometry.blocks_for(bytes.bytes())).ok(),
        JournalSize::Auto => {
            let steps = [2, 32, 256, 512, 4096, 8192, 16384, 32768].map(|kib| kib * KIB);
            let sizes = [
                None,
                Some(1),
                Some(4),
                Some(8),
                Some(16),
                Some(32),
                Some(64),
                Some(128),
                Some(256),
            ];
            let step = steps.iter().filter(|step| geometry.blocks >= **step).count();
            sizes
                .get(index(step as u64))
                .copied()
                .flatten()
                .map(|kib: u32| kib << 10)
        }
    }
}
