//! Blocks: reading, changing, taking and giving back.

use std::io;
use std::ops::Range;

use rustix::io::Errno;
use zerocopy::{FromBytes, IntoBytes};

use super::{Editor, damaged};
use crate::ext4::disk::checksum::crc32c;
use crate::ext4::disk::group::{BLOCK_UNINIT, GroupDescriptor, SIZE};
use crate::ext4::disk::index;
use crate::ext4::execute::groups::set;

impl Editor {
    /// A block as it is, or will be.
    pub(super) fn block(&mut self, block: u64) -> io::Result<Vec<u8>> {
        if let Some(bytes) = self.dirty.get(&block) {
            return Ok(bytes.clone());
        }
        self.check_block(block, 1)?;
        let mut bytes = vec![0; self.geometry.block_len()];
        self.device.read_at(self.geometry.byte(block), &mut bytes)?;
        Ok(bytes)
    }

    /// What a block of structures will be, with the transaction.
    pub(super) fn set_block(&mut self, block: u64, bytes: Vec<u8>) {
        self.dirty.insert(block, bytes);
    }

    /// Whether there are such blocks on the disk.
    pub(super) fn check_block(&self, block: u64, len: u64) -> io::Result<()> {
        let first = u64::from(self.geometry.first_data_block());
        let end = block.checked_add(len).ok_or_else(damaged)?;
        if block < first || end > self.geometry.blocks {
            return Err(damaged());
        }
        Ok(())
    }

    /// The descriptor of a group.
    pub(super) fn descriptor(&mut self, group: u32) -> io::Result<GroupDescriptor> {
        let (block, at) = self.descriptor_place(group)?;
        let bytes = self.block(block)?;
        let bytes = bytes.get(at..at + SIZE).ok_or_else(damaged)?;
        let descriptor = GroupDescriptor::read_from_bytes(bytes).map_err(|_| damaged())?;
        if !descriptor.is_sealed(self.seed, group) {
            return Err(damaged());
        }
        Ok(descriptor)
    }

    pub(super) fn set_descriptor(&mut self, group: u32, descriptor: GroupDescriptor) -> io::Result<()> {
        let (block, at) = self.descriptor_place(group)?;
        let mut bytes = self.block(block)?;
        let place = bytes.get_mut(at..at + SIZE).ok_or_else(damaged)?;
        place.copy_from_slice(descriptor.sealed(self.seed, group).as_bytes());
        self.set_block(block, bytes);
        Ok(())
    }

    fn descriptor_place(&self, group: u32) -> io::Result<(u64, usize)> {
        if group >= self.geometry.groups {
            return Err(damaged());
        }
        let per_block = self.geometry.descriptors_per_block();
        let places = self.geometry.descriptor_places(group / per_block);
        let block = places.first().copied().ok_or_else(damaged)?;
        Ok((block, (group % per_block) as usize * SIZE))
    }

    /// Which blocks of a group are in use. A bitmap that is not on the disk says what the group's own tables take.
    fn block_bitmap(&mut self, group: u32, descriptor: &GroupDescriptor) -> io::Result<Vec<u8>> {
        let tables = descriptor.tables();
        if !descriptor.has(BLOCK_UNINIT) {
            let bitmap = self.block(tables.block_bitmap)?;
            if crc32c(self.seed, &bitmap) != descriptor.block_bitmap_csum() {
                return Err(damaged());
            }
            return Ok(bitmap);
        }
        let geometry = &self.geometry;
        let mut bitmap = vec![0; geometry.block_len()];
        let (start, end) = (geometry.group_start(group), geometry.group_end(group));
        set(&mut bitmap, 0..u64::from(geometry.base_meta(group)));
        let table = u64::from(geometry.table_blocks());
        for (block, len) in [
            (tables.block_bitmap, 1),
            (tables.inode_bitmap, 1),
            (tables.inode_table, table),
        ] {
            let (from, to) = (block.max(start), block.saturating_add(len).min(end));
            if from < to {
                set(&mut bitmap, from - start..to - start);
            }
        }
        set(&mut bitmap, end - start..u64::from(geometry.blocks_per_group()));
        Ok(bitmap)
    }

    /// Finds blocks that are free, and keeps them from being given to anybody else: as many in one piece as there are
    /// near the goal, and at most `want`. Nothing on the disk says so until [`Self::claim`].
    ///
    /// # Errors
    /// `ENOSPC`.
    pub(crate) fn reserve(&mut self, want: u64) -> io::Result<Range<u64>> {
        let groups = self.geometry.groups;
        let per_group = u64::from(self.geometry.blocks_per_group());
        let first_block = u64::from(self.geometry.first_data_block());
        let first = u32::try_from(self.goal.saturating_sub(first_block) / per_group).unwrap_or(0) % groups;
        for step in 0..groups {
            let group = (first + step) % groups;
            let descriptor = self.descriptor(group)?;
            if descriptor.counts().free_blocks == 0 {
                continue;
            }
            let goal = if step == 0 { self.goal } else { 0 };
            if let Some(found) = self.find_free(group, &descriptor, goal, want)? {
                self.goal = found.end;
                self.pinned.push(found.clone());
                return Ok(found);
            }
        }
        Err(Errno::NOSPC.into())
    }

    fn find_free(
        &mut self,
        group: u32,
        descriptor: &GroupDescriptor,
        goal: u64,
        want: u64,
    ) -> io::Result<Option<Range<u64>>> {
        let mut bitmap = self.block_bitmap(group, descriptor)?;
        let (start, end) = (self.geometry.group_start(group), self.geometry.group_end(group));
        for taken in self.pinned.iter().chain(&self.freed) {
            let (from, to) = (taken.start.max(start), taken.end.min(end));
            if from < to {
                set(&mut bitmap, from - start..to - start);
            }
        }
        let len = end - start;
        let from = goal.saturating_sub(start).min(len);
        let found = longest_run(&bitmap, from..len, want);
        let enough = |run: &Range<u64>| run.end - run.start >= want.min(16);
        let found = match found {
            Some(run) if enough(&run) => Some(run),
            near => longest_run(&bitmap, 0..len, want).or(near),
        };
        Ok(found.map(|run| start + run.start..start + run.end))
    }

    /// Blocks that were reserved are not wanted, or are claimed now.
    pub(crate) fn release(&mut self, range: &Range<u64>) {
        if let Some(at) = self.pinned.iter().position(|pinned| pinned == range) {
            self.pinned.swap_remove(at);
        }
    }

    /// Says on the disk, with the transaction, that blocks are in use.
    pub(super) fn claim(&mut self, range: Range<u64>) -> io::Result<()> {
        self.mark(range, Mark::Used)
    }

    /// Takes one block for structures.
    pub(super) fn take_block(&mut self) -> io::Result<u64> {
        let range = self.reserve(1)?;
        self.release(&range);
        self.claim(range.clone())?;
        Ok(range.start)
    }

    /// Says, with the transaction, that blocks are free. Until then nobody gets them.
    pub(super) fn free(&mut self, range: Range<u64>) -> io::Result<()> {
        self.check_block(range.start, range.end.saturating_sub(range.start))?;
        let stale: Vec<u64> = self.dirty.range(range.clone()).map(|(block, _)| *block).collect();
        for block in stale {
            self.dirty.remove(&block);
        }
        self.freed.push(range.clone());
        self.mark(range, Mark::Free)
    }

    fn mark(&mut self, range: Range<u64>, mark: Mark) -> io::Result<()> {
        let first = u64::from(self.geometry.first_data_block());
        let per_group = u64::from(self.geometry.blocks_per_group());
        let mut at = range.start;
        while at < range.end {
            let group = u32::try_from(at.saturating_sub(first) / per_group).map_err(|_| damaged())?;
            let end = range.end.min(self.geometry.group_end(group));
            if end <= at {
                return Err(damaged());
            }
            self.mark_in_group(group, at..end, mark)?;
            at = end;
        }
        Ok(())
    }

    fn mark_in_group(&mut self, group: u32, range: Range<u64>, mark: Mark) -> io::Result<()> {
        let mut descriptor = self.descriptor(group)?;
        let mut bitmap = self.block_bitmap(group, &descriptor)?;
        let start = self.geometry.group_start(group);
        for block in range.clone() {
            change_bit(&mut bitmap, block - start, mark)?;
        }
        let len = range.end - range.start;
        let mut counts = descriptor.counts();
        let change = u32::try_from(len).map_err(|_| damaged())?;
        counts.free_blocks = match mark {
            Mark::Used => counts.free_blocks.checked_sub(change),
            Mark::Free => counts.free_blocks.checked_add(change),
        }
        .ok_or_else(damaged)?;
        descriptor.set_counts(counts);
        descriptor.flags = zerocopy::little_endian::U16::new(descriptor.flags.get() & !BLOCK_UNINIT);
        descriptor.set_block_bitmap_csum(crc32c(self.seed, &bitmap));
        self.set_block(descriptor.tables().block_bitmap, bitmap);
        self.set_descriptor(group, descriptor)?;
        let signed = i64::from(change);
        self.free_blocks += if mark == Mark::Used { -signed } else { signed };
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Used,
    Free,
}

/// Changes a bit that has to be the other way round: what is in use is not given away twice.
pub(super) fn change_bit(bitmap: &mut [u8], bit: u64, mark: Mark) -> io::Result<()> {
    let byte = bitmap.get_mut(index(bit / 8)).ok_or_else(damaged)?;
    let mask = 1 << (bit % 8);
    let is_used = *byte & mask != 0;
    if is_used == (mark == Mark::Used) {
        return Err(damaged());
    }
    *byte ^= mask;
    Ok(())
}

/// The first run of zeros that is as long as wanted, cut to that; otherwise the longest.
fn longest_run(bitmap: &[u8], within: Range<u64>, want: u64) -> Option<Range<u64>> {
    let mut best: Range<u64> = 0..0;
    let mut at = within.start;
    while at < within.end {
        match bitmap.get(index(at / 8)) {
            Some(0xFF) if at.is_multiple_of(8) => at += 8,
            Some(byte) if byte & (1 << (at % 8)) == 0 => {
                let end = run_end(bitmap, at, within.end.min(at.saturating_add(want)));
                if end - at > best.end - best.start {
                    best = at..end;
                }
                if end - at >= want {
                    return Some(best);
                }
                at = end + 1;
            }
            Some(_) => at += 1,
            None => break,
        }
    }
    (best.start < best.end).then_some(best)
}

fn run_end(bitmap: &[u8], from: u64, most: u64) -> u64 {
    let mut at = from;
    while at < most {
        match bitmap.get(index(at / 8)) {
            Some(0) if at.is_multiple_of(8) && at + 8 <= most => at += 8,
            Some(byte) if byte & (1 << (at % 8)) == 0 => at += 1,
            _ => break,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_the_first_that_is_long_enough_else_the_longest() {
        // Free: 3..5, 8..24, 30..32.
        let mut bitmap = [0xFF_u8; 4];
        for bit in (3..5).chain(8..24).chain(30..32) {
            change_bit(&mut bitmap, bit, Mark::Free).unwrap();
        }
        assert_eq!(longest_run(&bitmap, 0..32, 2), Some(3..5));
        assert_eq!(longest_run(&bitmap, 0..32, 10), Some(8..18));
        assert_eq!(longest_run(&bitmap, 0..32, 100), Some(8..24));
        assert_eq!(longest_run(&bitmap, 25..32, 5), Some(30..32));
        assert_eq!(longest_run(&bitmap, 24..30, 1), None);
        assert!(change_bit(&mut bitmap, 3, Mark::Free).is_err());
    }
}
