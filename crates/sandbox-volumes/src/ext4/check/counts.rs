//! Descriptors, bitmaps and the numbers in them.

use zerocopy::FromBytes;

use super::{Check, CheckError, CheckProblem, Counted, GroupFault, SuperblockFault};
use crate::ext4::{
    disk::{
        checksum::crc32c,
        group::{BLOCK_UNINIT, GroupDescriptor, SIZE},
        superblock::{self, MAGIC, Superblock},
    },
    execute::groups::set,
};

impl Check<'_> {
    /// Reads all descriptors, and claims the blocks of tables.
    pub(super) fn read_groups(&mut self) -> Result<(), CheckError> {
        let geometry = self.reader.geometry.clone();
        for number in 0..geometry.descriptor_blocks() {
            let Some(place) = geometry.descriptor_places(number).first().copied() else {
                continue;
            };
            let block = self.reader.block(place)?;
            let descriptors = block
                .chunks_exact(SIZE)
                .filter_map(|bytes| GroupDescriptor::read_from_bytes(bytes).ok());
            self.groups.extend(descriptors);
        }
        self.groups.truncate(geometry.groups as usize);
        self.counted = vec![Counted::default(); self.groups.len()];
        let table = u64::from(geometry.table_blocks());
        for (group, descriptor) in (0..).zip(self.groups.clone()) {
            if !descriptor.is_sealed(self.reader.seed, group) {
                self.group_fault(group, GroupFault::Checksum);
            }
            let tables = descriptor.tables();
            let base = (geometry.group_start(group), u64::from(geometry.base_meta(group)));
            let all = [
                base,
                (tables.block_bitmap, 1),
                (tables.inode_bitmap, 1),
                (tables.inode_table, table),
            ];
            for (start, blocks) in all {
                if blocks > 0 && !self.reader.holds(start, blocks) {
                    self.group_fault(group, GroupFault::OutOfRange);
                } else if self.blocks.claim(start, blocks).is_err() {
                    self.group_fault(group, GroupFault::Overlap);
                }
            }
        }
        self.read_copies()
    }

    fn read_copies(&mut self) -> Result<(), CheckError> {
        let geometry = self.reader.geometry.clone();
        for group in geometry.superblocks().filter(|group| *group > 0) {
            let at = geometry.byte(geometry.group_start(group));
            let bytes = self.reader.bytes(at, superblock::SIZE)?;
            let is_copy = Superblock::read_from_bytes(&bytes).is_ok_and(|copy| {
                copy.magic.get() == MAGIC && copy.is_sealed() && copy.uuid == self.superblock.uuid
            });
            if !is_copy {
                self.report(CheckProblem::Superblock(SuperblockFault::Copy(group)));
            }
        }
        Ok(())
    }

    /// Compares bitmaps and counts with what was found.
    pub(super) fn count(&mut self) -> Result<(), CheckError> {
        let (mut free_blocks, mut free_inodes) = (0, 0);
        for (group, descriptor) in (0..).zip(self.groups.clone()) {
            free_blocks += u64::from(self.count_blocks(group, &descriptor)?);
            let counted = self.counted.get(group as usize).copied().unwrap_or_default();
            let free = self
                .reader
                .geometry
                .inodes_per_group
                .saturating_sub(counted.inodes);
            free_inodes += u64::from(free);
            let stored = descriptor.counts();
            if stored.free_inodes != free {
                self.group_fault(
                    group,
                    GroupFault::FreeInodes {
                        stored: stored.free_inodes,
                        counted: free,
                    },
                );
            }
            if stored.directories != counted.directories {
                let (stored, counted) = (stored.directories, counted.directories);
                self.group_fault(group, GroupFault::Directories { stored, counted });
            }
            self.report.inodes += u64::from(counted.inodes);
            self.report.directories += u64::from(counted.directories);
        }
        self.report.used_blocks = self.reader.geometry.blocks.saturating_sub(free_blocks);
        let stored = self.superblock.free_blocks();
        if stored != free_blocks {
            let fault = SuperblockFault::FreeBlocks {
                stored,
                counted: free_blocks,
            };
            self.report(CheckProblem::Superblock(fault));
        }
        let stored = u64::from(self.superblock.free_inodes_count.get());
        if stored != free_inodes {
            let fault = SuperblockFault::FreeInodes {
                stored,
                counted: free_inodes,
            };
            self.report(CheckProblem::Superblock(fault));
        }
        Ok(())
    }

    /// The free blocks of a group.
    fn count_blocks(&mut self, group: u32, descriptor: &GroupDescriptor) -> Result<u32, CheckError> {
        let geometry = self.reader.geometry.clone();
        let mut used = self
            .blocks
            .of(group)
            .map_or_else(|| vec![0; geometry.block_len()], <[u8]>::to_vec);
        let len = geometry.group_len(group);
        set(&mut used, u64::from(len)..u64::from(geometry.blocks_per_group()));
        let in_use: u32 = used.iter().map(|byte| byte.count_ones()).sum();
        let free = geometry.blocks_per_group().saturating_sub(in_use);
        if descriptor.has(BLOCK_UNINIT) {
            // Such a group has nothing but its superblock, descriptors and own tables.
            let tables = descriptor.tables();
            let own = [
                (tables.block_bitmap, 1),
                (tables.inode_bitmap, 1),
                (tables.inode_table, geometry.table_blocks()),
            ];
            let range = geometry.group_start(group)..geometry.group_end(group);
            let own: u32 = own
                .iter()
                .filter(|(at, _)| range.contains(at))
                .map(|(_, blocks)| *blocks)
                .sum();
            if len.saturating_sub(free) != geometry.base_meta(group) + own {
                self.group_fault(group, GroupFault::BlockBitmap);
            }
        } else if self.reader.holds(descriptor.tables().block_bitmap, 1) {
            let stored = self.reader.block(descriptor.tables().block_bitmap)?;
            if crc32c(self.reader.seed, &stored) != descriptor.block_bitmap_csum() {
                self.group_fault(group, GroupFault::BlockBitmapChecksum);
            }
            if stored != used {
                self.group_fault(group, GroupFault::BlockBitmap);
            }
        }
        let stored = descriptor.counts().free_blocks;
        if stored != free {
            self.group_fault(
                group,
                GroupFault::FreeBlocks {
                    stored,
                    counted: free,
                },
            );
        }
        Ok(free)
    }
}
