//! From a size to blocks, groups and descriptors: arithmetic only.

use super::disk::{dirent, group, index};

/// Groups whose tables lie together: 2 to this power. As many as a block of descriptors describes, where blocks have 4 KiB,
/// so that this block, the bitmaps and the tables follow one another.
pub(crate) const LOG_FLEX: u8 = 6;
/// [`LOG_FLEX`] as a number.
pub(crate) const FLEX: u32 = 1 << LOG_FLEX;
/// The most blocks: block numbers of extents have 48 bits, but a file of 2^32 blocks is what hosts cannot hold.
pub(crate) const MAX_BLOCKS: u64 = u32::MAX as u64;
/// Free blocks that make a last group worth having.
const WORTH: u32 = 50;
/// The fewest inodes of a group: the reserved ones and a few.
const MIN_INODES: u64 = 16;

/// Bytes of a descriptor.
const DESCRIPTOR: u32 = 64;
const _: () = assert!(group::SIZE == 64);

/// How a file system is divided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) block_size: u32,
    pub(crate) blocks: u64,
    pub(crate) groups: u32,
    pub(crate) inodes_per_group: u32,
    pub(crate) inode_size: u32,
    /// Descriptor blocks before this one follow each superblock; all others are where their groups are.
    pub(crate) first_meta_bg: u32,
}

/// How many inodes there are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inodes {
    /// Fewer are an error.
    pub(crate) needed: u64,
    /// As many as bitmaps can count, if that is fewer.
    pub(crate) wanted: u64,
}

/// Why there is no geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// Not even one group with its tables.
    Small,
    /// More blocks than [`MAX_BLOCKS`].
    Large,
    /// More inodes than bitmaps of one block can count.
    Inodes,
}

impl Geometry {
    /// Divides `bytes` so that there are about `inodes.wanted` inodes and at least `inodes.needed`. A last group
    /// that would have hardly more than its own tables is left out.
    pub(crate) fn new(bytes: u64, block_size: u32, inodes: Inodes, inode_size: u32) -> Result<Self, Misfit> {
        let blocks = bytes / u64::from(block_size);
        if blocks > MAX_BLOCKS {
            return Err(Misfit::Large);
        }
        let whole = Self {
            block_size,
            blocks,
            groups: 0,
            inodes_per_group: 0,
            inode_size,
            first_meta_bg: 1,
        };
        whole.divided(inodes)
    }

    fn divided(mut self, inodes: Inodes) -> Result<Self, Misfit> {
        let first = u64::from(self.first_data_block());
        loop {
            let groups = self
                .blocks
                .saturating_sub(first)
                .div_ceil(u64::from(self.blocks_per_group()));
            self.groups = u32::try_from(groups).map_err(|_| Misfit::Large)?;
            if self.groups == 0 {
                return Err(Misfit::Small);
            }
            self.inodes_per_group = self.inodes_for(inodes)?;
            let Some(rest) = self.useless_tail() else {
                return Ok(self);
            };
            if self.groups == 1 {
                return Err(Misfit::Small);
            }
            self.blocks -= u64::from(rest);
        }
    }

    /// Inodes of each group: whole blocks of the table, whole bytes of the bitmap.
    fn inodes_for(&self, inodes: Inodes) -> Result<u32, Misfit> {
        let unit = u64::from(self.block_size / self.inode_size).max(8);
        let groups = u64::from(self.groups);
        let each = inodes
            .wanted
            .max(inodes.needed)
            .div_ceil(groups)
            .max(MIN_INODES)
            .next_multiple_of(unit);
        let most = u64::from(self.block_size * 8).min(u64::from(u32::MAX) / groups / unit * unit);
        let each = each.min(most);
        if each * groups < inodes.needed.max(MIN_INODES) {
            return Err(Misfit::Inodes);
        }
        u32::try_from(each).map_err(|_| Misfit::Inodes)
    }

    /// The blocks of a last group that is not worth having.
    pub(crate) fn useless_tail(&self) -> Option<u32> {
        let last = self.groups.saturating_sub(1);
        let len = self.group_len(last);
        let needed = self.base_meta(last) + 2 + self.table_blocks() + WORTH;
        (len < self.blocks_per_group() && len < needed).then_some(len)
    }

    pub(crate) const fn first_data_block(&self) -> u32 {
        (self.block_size == 1024) as u32
    }

    pub(crate) const fn blocks_per_group(&self) -> u32 {
        self.block_size * 8
    }

    /// Blocks of an inode table.
    pub(crate) fn table_blocks(&self) -> u32 {
        let bytes = u64::from(self.inodes_per_group) * u64::from(self.inode_size);
        u32::try_from(bytes.div_ceil(u64::from(self.block_size))).unwrap_or(u32::MAX)
    }

    pub(crate) fn inodes(&self) -> u32 {
        self.inodes_per_group * self.groups
    }

    pub(crate) fn group_start(&self, group: u32) -> u64 {
        u64::from(self.first_data_block()) + u64::from(group) * u64::from(self.blocks_per_group())
    }

    pub(crate) fn group_end(&self, group: u32) -> u64 {
        (self.group_start(group) + u64::from(self.blocks_per_group())).min(self.blocks)
    }

    pub(crate) fn group_len(&self, group: u32) -> u32 {
        let len = self.group_end(group).saturating_sub(self.group_start(group));
        u32::try_from(len).unwrap_or(u32::MAX)
    }

    pub(crate) const fn descriptors_per_block(&self) -> u32 {
        self.block_size / DESCRIPTOR
    }

    /// Blocks of one copy of all descriptors.
    pub(crate) const fn descriptor_blocks(&self) -> u32 {
        self.groups.div_ceil(self.descriptors_per_block())
    }

    /// Whether there are descriptors that lie with their groups.
    pub(crate) const fn meta_bg(&self) -> bool {
        self.descriptor_blocks() > self.first_meta_bg
    }

    /// Blocks at the start of a group that hold a superblock and descriptors.
    pub(crate) fn base_meta(&self, group: u32) -> u32 {
        let superblock = u32::from(has_superblock(group));
        let per_block = self.descriptors_per_block();
        if group / per_block < self.first_meta_bg {
            superblock * (1 + self.first_meta_bg.min(self.descriptor_blocks()))
        } else {
            let place = group % per_block;
            superblock + u32::from(place <= 1 || place == per_block - 1)
        }
    }

    /// Where the copies of descriptor block `number` are.
    pub(crate) fn descriptor_places(&self, number: u32) -> Vec<u64> {
        let per_block = self.descriptors_per_block();
        if number < self.first_meta_bg {
            let groups = 0..self.groups.min(self.first_meta_bg * per_block);
            return groups
                .filter(|group| has_superblock(*group))
                .map(|group| self.group_start(group) + 1 + u64::from(number))
                .collect();
        }
        let first = number * per_block;
        [first, first + 1, first + per_block - 1]
            .into_iter()
            .filter(|group| *group < self.groups)
            .map(|group| self.group_start(group) + u64::from(has_superblock(group)))
            .collect()
    }

    /// The groups that hold a superblock.
    pub(crate) fn superblocks(&self) -> impl Iterator<Item = u32> + use<> {
        (0..self.groups).filter(|group| has_superblock(*group))
    }

    /// Where an inode is: its group, and the byte in the group's table.
    pub(crate) fn inode_place(&self, inode: u32) -> (u32, u64) {
        let number = inode.saturating_sub(1);
        let within = number % self.inodes_per_group.max(1);
        (
            number / self.inodes_per_group.max(1),
            u64::from(within) * u64::from(self.inode_size),
        )
    }

    /// The byte at which a block starts.
    pub(crate) fn byte(&self, block: u64) -> u64 {
        block * u64::from(self.block_size)
    }

    /// Bytes of a block, as a length.
    pub(crate) fn block_len(&self) -> usize {
        index(u64::from(self.block_size))
    }

    /// Blocks that hold `bytes`.
    pub(crate) fn blocks_for(&self, bytes: u64) -> u64 {
        bytes.div_ceil(u64::from(self.block_size))
    }

    /// Bytes of entries that fit into a directory block.
    pub(crate) fn leaf_room(&self) -> usize {
        self.block_len() - dirent::TAIL
    }

    /// Groups that share tables: number `flex` of them.
    pub(crate) fn flex_groups(&self, flex: u32) -> std::ops::Range<u32> {
        let first = flex * FLEX;
        first..(first + FLEX).min(self.groups)
    }

    /// How many of [`Self::flex_groups`] there are.
    pub(crate) const fn flexes(&self) -> u32 {
        self.groups.div_ceil(FLEX)
    }
}

/// Whether a group has a superblock (`sparse_super`): 0, 1 and the powers of 3, 5 and 7.
pub(crate) fn has_superblock(group: u32) -> bool {
    group <= 1 || [3, 5, 7].into_iter().any(|base| is_power(group, base))
}

fn is_power(mut number: u32, base: u32) -> bool {
    while number.is_multiple_of(base) {
        number /= base;
    }
    number == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn geometry(bytes: u64, wanted: u64) -> Result<Geometry, Misfit> {
        Geometry::new(bytes, 4096, Inodes { needed: 11, wanted }, 256)
    }

    #[test]
    fn superblocks_are_at_powers_of_three_five_and_seven() {
        let with: Vec<u32> = (0..130).filter(|group| has_superblock(*group)).collect();
        assert_eq!(with, [0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125]);
    }

    #[test]
    fn a_last_group_without_room_for_its_tables_is_left_out() {
        for (mib, blocks, groups) in [(129, 32768, 1), (160, 40960, 2)] {
            let geometry = geometry(mib * MIB, 33024).expect("a geometry");
            assert_eq!((geometry.blocks, geometry.groups), (blocks, groups));
        }
    }

    #[test]
    fn the_largest_has_all_its_groups_and_one_block_more_is_refused() {
        let bytes = (16 << 40) - 4096;
        let largest = geometry(bytes, bytes / 65536).expect("a geometry");
        assert_eq!((largest.blocks, largest.groups), (u64::from(u32::MAX), 131_072));
        assert_eq!(geometry(16 << 40, 1), Err(Misfit::Large));
    }

    #[test]
    fn descriptors_beyond_the_first_block_lie_with_their_groups() {
        let geometry = geometry(100 << 30, 6_553_600).expect("a geometry");
        assert!(geometry.meta_bg());
        assert_eq!(geometry.descriptor_places(0).first(), Some(&1));
        let places = geometry.descriptor_places(1);
        assert_eq!(places, [64, 65, 127].map(|group| group * 32768));
        assert_eq!(
            (
                geometry.base_meta(64),
                geometry.base_meta(66),
                geometry.base_meta(81)
            ),
            (1, 0, 1)
        );
    }
}
