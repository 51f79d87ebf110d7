//! Directories with an index of hashes: finding the block that a name belongs into, splitting one that is full.
//!
//! Source: Documentation/filesystems/ext4/directory.rst (hash tree directories).

use std::io;

use rustix::io::Errno;
use zerocopy::{FromBytes, IntoBytes, little_endian::U32};

use super::directory::{DirBlock, Entry};
use super::entries::{leaf_block, record_len};
use super::extents::Map;
use super::{Editor, Node, damaged};
use crate::ext4::disk::dirent::{
    CountLimit, DX_ENTRY, DX_NODE, DX_ROOT, RootInfo, index_checksum, seal_index,
};
use crate::ext4::disk::hash::half_md4;
use crate::ext4::disk::superblock::HASH_HALF_MD4;
use crate::ext4::disk::word;

/// Levels between the root of an index and the leaves, at most (without `large_dir`).
const MOST_LEVELS: u8 = 1;

/// A block of an index, and the entry in it that was followed.
#[derive(Clone, Debug)]
pub(super) struct Step {
    block: DirBlock,
    start: usize,
    entries: Vec<(u32, u32)>,
    limit: usize,
    at: usize,
}

impl Editor {
    fn hash(&self, name: &[u8]) -> u32 {
        half_md4(self.superblock.hash_seed.map(U32::get), name)
    }

    pub(super) fn find_by_index(
        &mut self,
        directory: &Node,
        map: &Map,
        name: &[u8],
    ) -> io::Result<Option<(u32, DirBlock, usize, Entry)>> {
        let hash = self.hash(name);
        let steps = self.descend(directory, map, hash)?;
        let Some(leaf) = leaf_of(&steps) else {
            return Err(damaged());
        };
        if let Some(found) = self.find_in(directory, map, leaf, name)? {
            return Ok(Some(found));
        }
        if !continues(&steps, hash) {
            return Ok(None);
        }
        // Names of one hash in several blocks: rare enough to look at all of them.
        for number in 1..self.block_count(directory) {
            let found = self.find_in(directory, map, number, name)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// From the root of the index to the block of entries where a hash belongs.
    fn descend(&mut self, directory: &Node, map: &Map, hash: u32) -> io::Result<Vec<Step>> {
        let root = self.directory_block(map, 0)?;
        let info = root
            .bytes
            .get(DX_ROOT - size_of::<RootInfo>()..DX_ROOT)
            .and_then(|bytes| RootInfo::read_from_bytes(bytes).ok())
            .ok_or_else(damaged)?;
        if info.info_length != 8 || info.indirect_levels > MOST_LEVELS {
            return Err(damaged());
        }
        // Made while the disk was set to another hash than it is now: names would be looked for in the wrong place.
        if info.hash_version != HASH_HALF_MD4 {
            return Err(Errno::OPNOTSUPP.into());
        }
        let mut steps = vec![self.step(directory, root, DX_ROOT, hash)?];
        for _ in 0..info.indirect_levels {
            let next = leaf_of(&steps).ok_or_else(damaged)?;
            let block = self.directory_block(map, next)?;
            if !self.is_index(directory, next, &block.bytes) {
                return Err(damaged());
            }
            steps.push(self.step(directory, block, DX_NODE, hash)?);
        }
        Ok(steps)
    }

    fn step(&self, directory: &Node, block: DirBlock, start: usize, hash: u32) -> io::Result<Step> {
        let counts = block.bytes.get(start..start + size_of::<CountLimit>());
        let counts = counts
            .and_then(|bytes| CountLimit::read_from_bytes(bytes).ok())
            .ok_or_else(damaged)?;
        let (count, limit) = (usize::from(counts.count.get()), usize::from(counts.limit.get()));
        let most = (block.bytes.len() - start) / DX_ENTRY - 1;
        if limit != most || !(1..=limit).contains(&count) {
            return Err(damaged());
        }
        let sum = index_checksum(&block.bytes, start, count, limit, self.seed_of(directory));
        let stored = start + limit * DX_ENTRY + 4;
        if block.bytes.get(stored..stored + 4) != Some(&sum.to_le_bytes()) {
            return Err(damaged());
        }
        let raw = block
            .bytes
            .get(start..)
            .unwrap_or_default()
            .chunks_exact(DX_ENTRY);
        let mut entries: Vec<(u32, u32)> = raw
            .take(count)
            .filter_map(|bytes| <[U32; 2]>::read_from_bytes(bytes).ok())
            .map(|[hash, child]| (hash.get(), child.get() & 0x0FFF_FFFF))
            .collect();
        if let Some(first) = entries.first_mut() {
            first.0 = 0;
        }
        if !entries.is_sorted_by_key(|(hash, _)| *hash) {
            return Err(damaged());
        }
        let at = entries.partition_point(|(low, _)| *low <= hash).saturating_sub(1);
        Ok(Step {
            block,
            start,
            entries,
            limit,
            at,
        })
    }

    /// Puts an entry into a directory with an index; false where the index has to be made anew for it.
    pub(super) fn add_by_index(
        &mut self,
        directory: &mut Node,
        map: &mut Map,
        new: &Entry,
    ) -> io::Result<bool> {
        let hash = self.hash(&new.name);
        let mut steps = self.descend(directory, map, hash)?;
        let leaf = leaf_of(&steps).ok_or_else(damaged)?;
        let block = self.directory_block(map, leaf)?;
        if self.put_into_leaf(directory, &block, new)? {
            return Ok(true);
        }
        let Some(mut last) = steps.pop() else {
            return Err(damaged());
        };
        if last.entries.len() == last.limit {
            return Ok(false);
        }
        let mut entries: Vec<(u32, Entry)> = self
            .leaf_entries(directory, &block.bytes)?
            .into_iter()
            .map(|(_, entry)| (self.hash(&entry.name), entry))
            .collect();
        entries.push((hash, new.clone()));
        entries.sort_by(|one, other| one.0.cmp(&other.0).then_with(|| one.1.name.cmp(&other.1.name)));
        let Some(middle) = middle(&entries, self.geometry.leaf_room()) else {
            return Ok(false);
        };
        let upper = entries.split_off(middle);
        let first_hash = upper.first().map_or(0, |(hash, _)| *hash);
        // The lowest bit says that names of this hash are in the block before, too.
        let continued = u32::from(entries.last().is_some_and(|(hash, _)| *hash == first_hash));
        let number = self.block_count(directory);
        let physical = self.append_block(directory, map)?;
        self.put_leaf(directory, block.physical, &entries)?;
        self.put_leaf(directory, physical, &upper)?;
        last.entries.insert(last.at + 1, (first_hash | continued, number));
        self.put_step(directory, last)?;
        Ok(true)
    }

    fn put_leaf(&mut self, directory: &Node, physical: u64, entries: &[(u32, Entry)]) -> io::Result<()> {
        let entries: Vec<&Entry> = entries.iter().map(|(_, entry)| entry).collect();
        let block = leaf_block(&entries, self.geometry.block_len(), self.seed_of(directory))?;
        self.set_block(physical, block);
        Ok(())
    }

    fn put_step(&mut self, directory: &Node, step: Step) -> io::Result<()> {
        let mut bytes = step.block.bytes;
        let count = step.entries.len();
        for (number, (hash, child)) in step.entries.into_iter().enumerate() {
            let at = step.start + number * DX_ENTRY;
            let place = bytes.get_mut(at..at + DX_ENTRY).ok_or_else(damaged)?;
            place.copy_from_slice([U32::new(hash), U32::new(child)].as_bytes());
        }
        let counts = CountLimit {
            limit: word(step.limit),
            count: word(count),
        };
        let place = bytes.get_mut(step.start..step.start + size_of::<CountLimit>());
        place.ok_or_else(damaged)?.copy_from_slice(counts.as_bytes());
        seal_index(&mut bytes, step.start, count, step.limit, self.seed_of(directory));
        self.set_block(step.block.physical, bytes);
        Ok(())
    }
}

fn leaf_of(steps: &[Step]) -> Option<u32> {
    let last = steps.last()?;
    last.entries.get(last.at).map(|(_, child)| *child)
}

/// Whether names of this hash can be in the next block as well.
fn continues(steps: &[Step], hash: u32) -> bool {
    steps.iter().any(|step| {
        let next = step.entries.get(step.at + 1);
        next.is_some_and(|(low, _)| *low & 1 == 1 && *low & !1 == hash)
    })
}

/// Where two blocks of entries part, each about half of the bytes; none where that does not fit.
fn middle(entries: &[(u32, Entry)], room: usize) -> Option<usize> {
    let lens: Vec<usize> = entries.iter().map(|(_, entry)| record_len(&entry.name)).collect();
    let all: usize = lens.iter().sum();
    let (mut at, mut used) = (0, 0);
    for len in &lens {
        if used + len > all / 2 {
            break;
        }
        used += len;
        at += 1;
    }
    let at = at.max(1);
    let lower: usize = lens.iter().take(at).sum();
    (at < entries.len() && lower <= room && all - lower <= room).then_some(at)
}
