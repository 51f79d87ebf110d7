//! Decides what changes when a disk grows.

use std::{collections::BTreeMap, io, ops::Range};

use zerocopy::{FromBytes, IntoBytes, little_endian::U16, little_endian::U32};

use super::{
    super::{
        device::BlockDevice,
        disk::{
            checksum::{crc32c, filesystem_seed},
            group::{BLOCK_UNINIT, GroupDescriptor, SIZE},
            index,
            superblock::{OFFSET, STATE_VALID, Superblock},
        },
        execute::superblock::set_meta_bg,
        geometry::{FLEX, Geometry, MAX_BLOCKS},
        journal::Change,
        journal::marked,
        layout::FlexLayout,
    },
    GrowError, fresh,
};

/// What changes.
#[derive(Debug)]
pub(super) struct GrowPlan {
    pub(super) old: Geometry,
    pub(super) geometry: Geometry,
    /// The new superblock, as it is at the end.
    pub(super) superblock: Superblock,
    /// Old blocks with their new content.
    pub(super) changes: Vec<Change>,
    /// Descriptors from the first one of a block on that has a new group, or whose last group changes.
    pub(super) descriptors: Vec<GroupDescriptor>,
    /// The number of that block.
    pub(super) first_descriptor_block: u32,
    pub(super) seed: u32,
}

impl GrowPlan {
    /// None if there is nothing to do.
    pub(super) fn new(
        device: &mut dyn BlockDevice,
        superblock: &Superblock,
        old: &Geometry,
        bytes: u64,
    ) -> Result<Option<Self>, GrowError> {
        if !superblock.is_sealed() || superblock.state.get() != STATE_VALID {
            return Err(GrowError::NotClean);
        }
        let Some(geometry) = larger(old, bytes)? else {
            return Ok(None);
        };
        let mut plan = Self {
            seed: filesystem_seed(&superblock.uuid),
            superblock: superblock.clone(),
            changes: Vec::new(),
            descriptors: Vec::new(),
            first_descriptor_block: (old.groups - 1) / old.descriptors_per_block(),
            old: old.clone(),
            geometry,
        };
        let mut changes = BTreeMap::new();
        plan.read_descriptors(device)?;
        let freed = plan.extend_last(device, &mut changes)?;
        let added = plan.add_groups()?;
        plan.count(freed + added);
        plan.change_descriptors(device, &mut changes)?;
        plan.change_superblocks(device, &mut changes)?;
        plan.changes = changes.into_iter().collect();
        Ok(Some(plan))
    }

    /// The groups that are new.
    pub(super) fn new_groups(&self) -> Range<u32> {
        self.old.groups..self.geometry.groups
    }

    /// The tables of new groups, by those that share them.
    pub(super) fn layouts(&self) -> impl Iterator<Item = Option<FlexLayout>> {
        let Range { start, end } = self.new_groups();
        let ends = (start..end).step_by(FLEX as usize).map(move |at| at / FLEX);
        let flexes = ends.chain((end > start).then_some(end.saturating_sub(1) / FLEX));
        let mut next = start;
        flexes.filter_map(move |flex| {
            let groups = next..(flex * FLEX + FLEX).min(end);
            next = groups.end.max(next);
            (!groups.is_empty()).then(|| FlexLayout::new(&self.geometry, groups))
        })
    }

    fn read_descriptors(&mut self, device: &mut dyn BlockDevice) -> Result<(), GrowError> {
        let places = self.old.descriptor_places(self.first_descriptor_block);
        let place = places.first().copied().unwrap_or_default();
        let block = read(device, &self.old, place)?;
        let first = self.first_descriptor_block * self.old.descriptors_per_block();
        let all = block
            .chunks_exact(SIZE)
            .filter_map(|bytes| GroupDescriptor::read_from_bytes(bytes).ok());
        self.descriptors = all.take((self.old.groups - first) as usize).collect();
        let group = self.old.groups - 1;
        let is_sound = self
            .descriptors
            .last()
            .is_some_and(|last| last.is_sealed(self.seed, group));
        if is_sound {
            Ok(())
        } else {
            Err(GrowError::Group { group })
        }
    }

    /// Gives the last old group the blocks that it lacked; tells how many.
    fn extend_last(
        &mut self,
        device: &mut dyn BlockDevice,
        changes: &mut BTreeMap<u64, Vec<u8>>,
    ) -> Result<u64, GrowError> {
        let group = self.old.groups - 1;
        let (from, to) = (self.old.group_len(group), self.geometry.group_len(group));
        let Some(last) = self.descriptors.last_mut().filter(|_| to > from) else {
            return Ok(0);
        };
        let mut counts = last.counts();
        counts.free_blocks += to - from;
        last.set_counts(counts);
        if !last.has(BLOCK_UNINIT) {
            let place = last.tables().block_bitmap;
            if place >= self.old.blocks {
                return Err(GrowError::Group { group });
            }
            let mut bitmap = read(device, &self.old, place)?;
            if crc32c(self.seed, &bitmap) != last.block_bitmap_csum() {
                return Err(GrowError::Group { group });
            }
            for bit in from..to {
                if let Some(byte) = bitmap.get_mut((bit / 8) as usize) {
                    *byte &= !(1 << (bit % 8));
                }
            }
            last.set_block_bitmap_csum(crc32c(self.seed, &bitmap));
            changes.insert(place, bitmap);
        }
        *last = last.sealed(self.seed, group);
        Ok(u64::from(to - from))
    }

    /// Describes the new groups; tells how many free blocks they have.
    fn add_groups(&mut self) -> Result<u64, GrowError> {
        let mut free = 0;
        let mut new = Vec::new();
        for layout in self.layouts() {
            let layout = layout.ok_or(GrowError::TooLarge {
                bytes: self.geometry.byte(self.geometry.blocks),
            })?;
            for (group, tables) in layout.iter() {
                let descriptor = fresh::describe_new(self, &layout, group, tables).descriptor;
                free += u64::from(descriptor.counts().free_blocks);
                new.push(descriptor);
            }
        }
        self.descriptors.extend(new);
        Ok(free)
    }

    fn count(&mut self, freed: u64) {
        let (old, new) = (self.old.blocks, self.geometry.blocks);
        let superblock = &mut self.superblock;
        superblock.set_blocks(new);
        superblock.set_free_blocks(superblock.free_blocks() + freed);
        let reserved = u128::from(superblock.reserved_blocks()) * u128::from(new) / u128::from(old.max(1));
        superblock.set_reserved_blocks(u64::try_from(reserved).unwrap_or(0));
        let inodes = self.geometry.inodes() - self.old.inodes();
        superblock.inodes_count += U32::new(inodes);
        superblock.free_inodes_count += U32::new(inodes);
        if superblock.overhead_clusters.get() > 0 {
            let overhead = u32::try_from(new - old - freed).unwrap_or(0);
            superblock.overhead_clusters += U32::new(overhead);
        }
        set_meta_bg(superblock, &self.geometry);
    }

    fn change_descriptors(
        &self,
        device: &mut dyn BlockDevice,
        changes: &mut BTreeMap<u64, Vec<u8>>,
    ) -> Result<(), GrowError> {
        let content = self.descriptor_block(self.first_descriptor_block);
        for place in self.geometry.descriptor_places(self.first_descriptor_block) {
            if place < self.old.blocks {
                // What is behind the descriptors of old groups is whatever it was, and is overwritten.
                let mut block = read(device, &self.old, place)?;
                block.iter_mut().zip(&content).for_each(|(to, from)| *to = *from);
                changes.insert(place, block);
            }
        }
        Ok(())
    }

    /// The content of a block of descriptors.
    pub(super) fn descriptor_block(&self, number: u32) -> Vec<u8> {
        let per_block = self.geometry.descriptors_per_block() as usize;
        let skip = (number - self.first_descriptor_block) as usize * per_block;
        let mut block: Vec<u8> = self
            .descriptors
            .iter()
            .skip(skip)
            .take(per_block)
            .flat_map(|one| one.as_bytes().to_vec())
            .collect();
        block.resize(self.geometry.block_len(), 0);
        block
    }

    /// The first one is marked: its transaction is not yet finished when it is written.
    fn change_superblocks(
        &self,
        device: &mut dyn BlockDevice,
        changes: &mut BTreeMap<u64, Vec<u8>>,
    ) -> Result<(), GrowError> {
        for group in self.old.superblocks() {
            let (at, new) = if group == 0 {
                (OFFSET, marked(self.superblock.clone()))
            } else {
                let mut copy = self.superblock.clone();
                copy.block_group_nr = U16::new((group & 0xFFFF) as u16);
                (self.old.byte(self.old.group_start(group)), copy)
            };
            let (block, within) = (
                at / u64::from(self.old.block_size),
                at % u64::from(self.old.block_size),
            );
            let mut content = read(device, &self.old, block)?;
            let start = index(within);
            if let Some(place) = content.get_mut(start..start + size_of::<Superblock>()) {
                place.copy_from_slice(new.sealed().as_bytes());
            }
            changes.insert(block, content);
        }
        Ok(())
    }
}

/// The geometry of a larger disk; none where it would be the same.
fn larger(old: &Geometry, bytes: u64) -> Result<Option<Geometry>, GrowError> {
    let mut new = old.clone();
    new.blocks = bytes / u64::from(old.block_size);
    if new.blocks < old.blocks {
        return Err(GrowError::Smaller {
            bytes,
            now: old.byte(old.blocks),
        });
    }
    if new.blocks > MAX_BLOCKS {
        return Err(GrowError::TooLarge { bytes });
    }
    let groups = (new.blocks - u64::from(new.first_data_block())).div_ceil(u64::from(new.blocks_per_group()));
    new.groups = u32::try_from(groups).map_err(|_| GrowError::TooLarge { bytes })?;
    if new.groups > old.groups
        && let Some(tail) = new.useless_tail()
    {
        new.blocks -= u64::from(tail);
        new.groups -= 1;
    }
    if u64::from(new.groups) * u64::from(new.inodes_per_group) > u64::from(u32::MAX) {
        return Err(GrowError::TooLarge { bytes });
    }
    Ok((new.blocks > old.blocks).then_some(new))
}

fn read(device: &mut dyn BlockDevice, geometry: &Geometry, block: u64) -> Result<Vec<u8>, GrowError> {
    let mut bytes = vec![0; geometry.block_len()];
    let read: io::Result<()> = device.read_at(geometry.byte(block), &mut bytes);
    read.map_err(GrowError::Write)?;
    Ok(bytes)
}
