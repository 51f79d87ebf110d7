//! Inodes: which are in use, taking one and giving it back.

use std::io;

use rustix::io::Errno;
use zerocopy::little_endian::U16;

use super::blocks::{Mark, change_bit};
use super::{Editor, damaged};
use crate::ext4::disk::checksum::crc32c;
use crate::ext4::disk::group::{GroupDescriptor, INODE_UNINIT};
use crate::ext4::disk::index;
use crate::ext4::disk::inode::FIRST;
use crate::ext4::execute::groups::{inode_bits, set};

impl Editor {
    fn inode_bitmap(&mut self, descriptor: &GroupDescriptor) -> io::Result<Vec<u8>> {
        if descriptor.has(INODE_UNINIT) {
            let mut bitmap = vec![0; self.geometry.block_len()];
            let all = u64::from(self.geometry.block_size) * 8;
            set(&mut bitmap, u64::from(self.geometry.inodes_per_group)..all);
            return Ok(bitmap);
        }
        let bitmap = self.block(descriptor.tables().inode_bitmap)?;
        if crc32c(self.seed, inode_bits(&self.geometry, &bitmap)) != descriptor.inode_bitmap_csum() {
            return Err(damaged());
        }
        Ok(bitmap)
    }

    /// Takes an inode near `beside`.
    ///
    /// # Errors
    /// `ENOSPC`.
    pub(super) fn take_inode(&mut self, beside: u32, is_directory: bool) -> io::Result<u32> {
        let (first, _) = self.geometry.inode_place(beside);
        let groups = self.geometry.groups;
        for step in 0..groups {
            let group = (first + step) % groups;
            let descriptor = self.descriptor(group)?;
            if descriptor.counts().free_inodes == 0 {
                continue;
            }
            let bitmap = self.inode_bitmap(&descriptor)?;
            if let Some(bit) = self.free_inode_in(group, &bitmap) {
                self.mark_inode(group, bit, is_directory, Mark::Used)?;
                return Ok(group * self.geometry.inodes_per_group + bit + 1);
            }
        }
        Err(Errno::NOSPC.into())
    }

    /// Reserved ones are nobody's.
    fn free_inode_in(&self, group: u32, bitmap: &[u8]) -> Option<u32> {
        let from = if group == 0 { FIRST - 1 } else { 0 };
        (from..self.geometry.inodes_per_group).find(|bit| {
            bitmap
                .get(index(u64::from(bit / 8)))
                .is_some_and(|byte| byte & (1 << (bit % 8)) == 0)
        })
    }

    /// Gives an inode back.
    pub(super) fn give_inode(&mut self, inode: u32, is_directory: bool) -> io::Result<()> {
        let (group, _) = self.geometry.inode_place(inode);
        let bit = (inode - 1) % self.geometry.inodes_per_group;
        self.mark_inode(group, bit, is_directory, Mark::Free)
    }

    fn mark_inode(&mut self, group: u32, bit: u32, is_directory: bool, mark: Mark) -> io::Result<()> {
        let mut descriptor = self.descriptor(group)?;
        let mut bitmap = self.inode_bitmap(&descriptor)?;
        change_bit(&mut bitmap, u64::from(bit), mark)?;
        let mut counts = descriptor.counts();
        let directories = u32::from(is_directory);
        let changed = match mark {
            Mark::Used => (
                counts.free_inodes.checked_sub(1),
                counts.directories.checked_add(directories),
            ),
            Mark::Free => (
                counts.free_inodes.checked_add(1),
                counts.directories.checked_sub(directories),
            ),
        };
        counts.free_inodes = changed.0.ok_or_else(damaged)?;
        counts.directories = changed.1.ok_or_else(damaged)?;
        // How many at the end of the table were never used.
        let never = self.geometry.inodes_per_group.saturating_sub(bit + 1);
        if mark == Mark::Used {
            counts.unused_inodes = counts.unused_inodes.min(never);
        }
        descriptor.set_counts(counts);
        descriptor.flags = U16::new(descriptor.flags.get() & !INODE_UNINIT);
        let sum = crc32c(self.seed, inode_bits(&self.geometry, &bitmap));
        descriptor.set_inode_bitmap_csum(sum);
        self.set_block(descriptor.tables().inode_bitmap, bitmap);
        self.set_descriptor(group, descriptor)?;
        self.free_inodes += if mark == Mark::Used { -1 } else { 1 };
        Ok(())
    }
}
