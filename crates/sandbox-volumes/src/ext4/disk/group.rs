//! Group descriptors of 64 bytes.

use zerocopy::{
    FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{U16, U32},
};

use super::{checksum::crc32c, hi16, join, join16, lo16, split};

/// Bytes of a descriptor.
pub(crate) const SIZE: usize = 64;

/// No inode of the group is in use; neither bitmap nor table need be read.
pub(crate) const INODE_UNINIT: u16 = 1;
/// The block bitmap is not on disk: in use is the group's own metadata.
pub(crate) const BLOCK_UNINIT: u16 = 2;
/// The unused rest of the inode table is zero.
pub(crate) const ITABLE_ZEROED: u16 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct GroupDescriptor {
    block_bitmap_lo: U32,
    inode_bitmap_lo: U32,
    inode_table_lo: U32,
    free_blocks_lo: U16,
    free_inodes_lo: U16,
    used_dirs_lo: U16,
    pub(crate) flags: U16,
    exclude_bitmap_lo: U32,
    block_bitmap_csum_lo: U16,
    inode_bitmap_csum_lo: U16,
    itable_unused_lo: U16,
    checksum: U16,
    block_bitmap_hi: U32,
    inode_bitmap_hi: U32,
    inode_table_hi: U32,
    free_blocks_hi: U16,
    free_inodes_hi: U16,
    used_dirs_hi: U16,
    itable_unused_hi: U16,
    exclude_bitmap_hi: U32,
    block_bitmap_csum_hi: U16,
    inode_bitmap_csum_hi: U16,
    reserved: U32,
}

const _: () = assert!(size_of::<GroupDescriptor>() == SIZE);

/// Where a group's tables are, by block number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tables {
    pub(crate) block_bitmap: u64,
    pub(crate) inode_bitmap: u64,
    pub(crate) inode_table: u64,
}

/// What is counted in a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) free_blocks: u32,
    pub(crate) free_inodes: u32,
    pub(crate) directories: u32,
    pub(crate) unused_inodes: u32,
}

impl GroupDescriptor {
    /// A descriptor without checksums.
    pub(crate) fn new(tables: Tables, counts: Counts, flags: u16) -> Self {
        let mut new = Self::new_zeroed();
        (new.block_bitmap_lo, new.block_bitmap_hi) = split(tables.block_bitmap);
        (new.inode_bitmap_lo, new.inode_bitmap_hi) = split(tables.inode_bitmap);
        (new.inode_table_lo, new.inode_table_hi) = split(tables.inode_table);
        new.flags = U16::new(flags);
        new.set_counts(counts);
        new
    }

    pub(crate) fn tables(&self) -> Tables {
        Tables {
            block_bitmap: join(self.block_bitmap_lo, self.block_bitmap_hi),
            inode_bitmap: join(self.inode_bitmap_lo, self.inode_bitmap_hi),
            inode_table: join(self.inode_table_lo, self.inode_table_hi),
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts {
            free_blocks: join16(self.free_blocks_lo, self.free_blocks_hi),
            free_inodes: join16(self.free_inodes_lo, self.free_inodes_hi),
            directories: join16(self.used_dirs_lo, self.used_dirs_hi),
            unused_inodes: join16(self.itable_unused_lo, self.itable_unused_hi),
        }
    }

    pub(crate) fn set_counts(&mut self, counts: Counts) {
        (self.free_blocks_lo, self.free_blocks_hi) = (lo16(counts.free_blocks), hi16(counts.free_blocks));
        (self.free_inodes_lo, self.free_inodes_hi) = (lo16(counts.free_inodes), hi16(counts.free_inodes));
        (self.used_dirs_lo, self.used_dirs_hi) = (lo16(counts.directories), hi16(counts.directories));
        (self.itable_unused_lo, self.itable_unused_hi) =
            (lo16(counts.unused_inodes), hi16(counts.unused_inodes));
    }

    pub(crate) fn has(&self, flag: u16) -> bool {
        self.flags.get() & flag != 0
    }

    pub(crate) fn block_bitmap_csum(&self) -> u32 {
        join16(self.block_bitmap_csum_lo, self.block_bitmap_csum_hi)
    }

    pub(crate) fn set_block_bitmap_csum(&mut self, sum: u32) {
        (self.block_bitmap_csum_lo, self.block_bitmap_csum_hi) = (lo16(sum), hi16(sum));
    }

    pub(crate) fn inode_bitmap_csum(&self) -> u32 {
        join16(self.inode_bitmap_csum_lo, self.inode_bitmap_csum_hi)
    }

    pub(crate) fn set_inode_bitmap_csum(&mut self, sum: u32) {
        (self.inode_bitmap_csum_lo, self.inode_bitmap_csum_hi) = (lo16(sum), hi16(sum));
    }

    /// With its own checksum, as it goes to disk.
    pub(crate) fn sealed(mut self, seed: u32, group: u32) -> Self {
        self.checksum = self.computed_checksum(seed, group);
        self
    }

    /// Whether the checksum is the one of the content.
    pub(crate) fn is_sealed(&self, seed: u32, group: u32) -> bool {
        self.checksum == self.computed_checksum(seed, group)
    }

    fn computed_checksum(&self, seed: u32, group: u32) -> U16 {
        let blank = Self {
            checksum: U16::new(0),
            ..*self
        };
        lo16(crc32c(crc32c(seed, &group.to_le_bytes()), blank.as_bytes()))
    }
}
