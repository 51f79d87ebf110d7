//! Bitmaps and descriptors.

use std::{collections::BTreeMap, io, ops::Range};

use zerocopy::IntoBytes;

use super::{
    super::{
        disk::{
            checksum::crc32c,
            group::{BLOCK_UNINIT, Counts, GroupDescriptor, INODE_UNINIT, ITABLE_ZEROED},
            index,
            superblock::Superblock,
        },
        geometry::{Geometry, has_superblock},
        layout::FlexLayout,
    },
    Job, Sink, superblock,
};

/// What is in use in a group.
pub(crate) struct Use {
    /// Ranges of blocks beyond superblock and descriptors.
    pub(crate) blocks: Vec<Range<u64>>,
    pub(crate) inodes: u32,
    pub(crate) directories: u32,
}

/// A descriptor, and the bitmaps that have to be written.
pub(crate) struct Described {
    pub(crate) descriptor: GroupDescriptor,
    pub(crate) block_bitmap: Option<Vec<u8>>,
    pub(crate) inode_bitmap: Option<Vec<u8>>,
}

/// Blocks by their numbers, so that they are written in that order.
type Blocks = BTreeMap<u64, Vec<u8>>;

/// Writes bitmaps, descriptors and copies of the superblock, those of the groups that share tables at once.
pub(super) fn write(job: &Job<'_>, superblock: &Superblock, sink: &mut Sink<'_>) -> io::Result<()> {
    let geometry = &job.plan.geometry;
    let mut descriptors = Vec::new();
    for flex in 0..geometry.flexes() {
        let mut blocks = Blocks::new();
        let layout =
            FlexLayout::new(geometry, geometry.flex_groups(flex)).ok_or(io::ErrorKind::InvalidInput)?;
        for (group, tables) in layout.iter() {
            let used = Use {
                blocks: layout.used(geometry, group, job.plan.frontier),
                inodes: job.plan.used_inodes(group),
                directories: job.plan.directories.get(&group).copied().unwrap_or(0),
            };
            let described = describe(geometry, group, tables, &used, job.seed);
            blocks.extend(described.block_bitmap.map(|bitmap| (tables.block_bitmap, bitmap)));
            blocks.extend(described.inode_bitmap.map(|bitmap| (tables.inode_bitmap, bitmap)));
            descriptors.extend_from_slice(described.descriptor.as_bytes());
            put_descriptors(geometry, group, &mut descriptors, &mut blocks);
            put_superblock(geometry, group, superblock, &mut blocks)?;
        }
        for (block, bytes) in blocks {
            job.put(sink, block, &bytes)?;
        }
    }
    Ok(())
}

/// Puts a block of descriptors, once `group` completes it, where its copies are.
fn put_descriptors(geometry: &Geometry, group: u32, descriptors: &mut Vec<u8>, blocks: &mut Blocks) {
    let is_whole = descriptors.len() == geometry.block_len() || group + 1 == geometry.groups;
    if is_whole {
        let number = group / geometry.descriptors_per_block();
        let places = geometry.descriptor_places(number);
        blocks.extend(places.into_iter().map(|place| (place, descriptors.clone())));
        descriptors.clear();
    }
}

/// Puts the copy of the superblock that belongs into `group`, if any does. The superblock itself is written last.
fn put_superblock(
    geometry: &Geometry,
    group: u32,
    superblock: &Superblock,
    blocks: &mut Blocks,
) -> io::Result<()> {
    if group == 0 || !has_superblock(group) {
        return Ok(());
    }
    superblock::copy(superblock, geometry, group, |_, bytes| {
        let mut block = bytes.to_vec();
        block.resize(geometry.block_len(), 0);
        blocks.insert(geometry.group_start(group), block);
        Ok(())
    })
}

/// Describes a group: what is not in use at all is not written.
pub(crate) fn describe(
    geometry: &Geometry,
    group: u32,
    tables: super::super::disk::group::Tables,
    used: &Use,
    seed: u32,
) -> Described {
    let in_use: u64 = used.blocks.iter().map(|range| range.end - range.start).sum();
    let is_last = group + 1 == geometry.groups;
    // The last group's bitmap says where the disk ends.
    let block_uninit = in_use == 0 && !is_last;
    let inode_uninit = used.inodes == 0;
    let flags = ITABLE_ZEROED
        | if block_uninit { BLOCK_UNINIT } else { 0 }
        | if inode_uninit { INODE_UNINIT } else { 0 };
    let room = u64::from(geometry.group_len(group) - geometry.base_meta(group));
    let free_inodes = geometry.inodes_per_group - used.inodes;
    let counts = Counts {
        free_blocks: u32::try_from(room - in_use).unwrap_or(u32::MAX),
        free_inodes,
        directories: used.directories,
        unused_inodes: free_inodes,
    };
    let mut descriptor = GroupDescriptor::new(tables, counts, flags);
    let block_bitmap = (!block_uninit).then(|| block_bitmap(geometry, group, &used.blocks));
    let inode_bitmap = (!inode_uninit).then(|| inode_bitmap(geometry, used.inodes));
    if let Some(bitmap) = &block_bitmap {
        descriptor.set_block_bitmap_csum(crc32c(seed, bitmap));
    }
    if let Some(bitmap) = &inode_bitmap {
        descriptor.set_inode_bitmap_csum(crc32c(seed, inode_bits(geometry, bitmap)));
    }
    Described {
        descriptor: descriptor.sealed(seed, group),
        block_bitmap,
        inode_bitmap,
    }
}

/// The part of an inode bitmap that its checksum is of.
pub(crate) fn inode_bits<'a>(geometry: &Geometry, bitmap: &'a [u8]) -> &'a [u8] {
    bitmap
        .get(..index(u64::from(geometry.inodes_per_group / 8)))
        .unwrap_or(bitmap)
}

fn block_bitmap(geometry: &Geometry, group: u32, used: &[Range<u64>]) -> Vec<u8> {
    let mut bitmap = vec![0; geometry.block_len()];
    let start = geometry.group_start(group);
    set(&mut bitmap, 0..u64::from(geometry.base_meta(group)));
    for range in used {
        set(&mut bitmap, range.start - start..range.end - start);
    }
    let end = u64::from(geometry.group_len(group));
    set(&mut bitmap, end..u64::from(geometry.blocks_per_group()));
    bitmap
}

fn inode_bitmap(geometry: &Geometry, used: u32) -> Vec<u8> {
    let mut bitmap = vec![0; geometry.block_len()];
    set(&mut bitmap, 0..u64::from(used));
    let all = u64::from(geometry.block_size) * 8;
    set(&mut bitmap, u64::from(geometry.inodes_per_group)..all);
    bitmap
}

/// Sets bits.
pub(crate) fn set(bitmap: &mut [u8], bits: Range<u64>) {
    let (first, last) = (bits.start.next_multiple_of(8), bits.end / 8 * 8);
    if first >= last {
        bits.for_each(|bit| set_one(bitmap, bit));
        return;
    }
    (bits.start..first).for_each(|bit| set_one(bitmap, bit));
    if let Some(whole) = bitmap.get_mut(index(first / 8)..index(last / 8)) {
        whole.fill(0xFF);
    }
    (last..bits.end).for_each(|bit| set_one(bitmap, bit));
}

fn set_one(bitmap: &mut [u8], bit: u64) {
    if let Some(byte) = bitmap.get_mut(index(bit / 8)) {
        *byte |= 1 << (bit % 8);
    }
}
