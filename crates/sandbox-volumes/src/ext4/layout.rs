//! Where bitmaps and inode tables lie, and which blocks are then free.
//!
//! The tables of 64 groups (flex_bg) lie together, in front of what these groups have free. That is computed
//! anew whenever it is needed: 131,072 groups are nothing that has to be kept.

use std::ops::Range;

use super::{disk::group::Tables, geometry::Geometry};

/// The tables of consecutive groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FlexLayout {
    pub(crate) groups: Range<u32>,
    /// One for each group.
    pub(crate) tables: Vec<Tables>,
    pub(crate) segments: Vec<Segment>,
}

/// Blocks between superblocks and descriptors: first tables, then what is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) start: u64,
    /// The first block that is free.
    pub(crate) free: u64,
    pub(crate) end: u64,
}

impl FlexLayout {
    /// Puts the tables of `groups` where these groups have room; none where they have not.
    pub(crate) fn new(geometry: &Geometry, groups: Range<u32>) -> Option<Self> {
        let mut segments = segments(geometry, groups.clone());
        let mut room = segments.iter_mut();
        let mut current = room.next()?;
        let mut take = |blocks: u64| loop {
            if current.end - current.free >= blocks {
                let at = current.free;
                current.free += blocks;
                return Some(at);
            }
            current = room.next()?;
        };
        let mut tables = vec![Tables::default(); groups.len()];
        for of_group in &mut tables {
            of_group.block_bitmap = take(1)?;
        }
        for of_group in &mut tables {
            of_group.inode_bitmap = take(1)?;
        }
        for of_group in &mut tables {
            of_group.inode_table = take(u64::from(geometry.table_blocks()))?;
        }
        Some(Self {
            groups,
            tables,
            segments,
        })
    }

    /// The tables of each group.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, Tables)> + '_ {
        self.groups.clone().zip(self.tables.iter().copied())
    }

    /// Blocks that are free when nothing but tables is in use.
    pub(crate) fn free(&self) -> u64 {
        self.segments
            .iter()
            .map(|segment| segment.end - segment.free)
            .sum()
    }

    /// What is in use of a group when everything before `frontier` is, apart from its superblock and
    /// descriptors: ranges of blocks, ascending.
    pub(crate) fn used(&self, geometry: &Geometry, group: u32, frontier: u64) -> Vec<Range<u64>> {
        let (start, end) = (geometry.group_start(group), geometry.group_end(group));
        self.segments
            .iter()
            .map(|segment| {
                let used = segment.free.max(frontier.min(segment.end));
                segment.start.max(start)..used.min(end)
            })
            .filter(|range| range.start < range.end)
            .collect()
    }
}

fn segments(geometry: &Geometry, groups: Range<u32>) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    for group in groups {
        let start = geometry.group_start(group);
        let base = u64::from(geometry.base_meta(group));
        let end = geometry.group_end(group);
        match segments.last_mut() {
            Some(last) if base == 0 && last.end == start => last.end = end,
            _ => segments.push(Segment {
                start: start + base,
                free: start + base,
                end,
            }),
        }
    }
    segments
}
