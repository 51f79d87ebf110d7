//! Which blocks something claims.

use std::collections::HashMap;

use super::super::{disk::index, geometry::Geometry};

/// One bit a block, for groups in which something is.
pub(super) struct Blocks {
    first: u64,
    per_group: u64,
    groups: HashMap<u32, Vec<u8>>,
}

impl Blocks {
    pub(super) fn new(geometry: &Geometry) -> Self {
        let (first, per_group) = (
            u64::from(geometry.first_data_block()),
            u64::from(geometry.blocks_per_group()),
        );
        Self {
            first,
            per_group,
            groups: HashMap::new(),
        }
    }

    /// Claims blocks that are on the disk; the first one that somebody else has is an error.
    pub(super) fn claim(&mut self, start: u64, blocks: u64) -> Result<(), u64> {
        let mut at = start;
        let end = start + blocks;
        while at < end {
            let number = at - self.first;
            let group = u32::try_from(number / self.per_group).unwrap_or(u32::MAX);
            let len = index(self.per_group / 8);
            let bitmap = self.groups.entry(group).or_insert_with(|| vec![0; len]);
            let stop = end.min(self.first + (u64::from(group) + 1) * self.per_group);
            while at < stop {
                let bit = (at - self.first) % self.per_group;
                let Some(byte) = bitmap.get_mut(index(bit / 8)) else {
                    return Err(at);
                };
                if bit.is_multiple_of(8) && stop - at >= 8 && *byte == 0 {
                    *byte = 0xFF;
                    at += 8;
                    continue;
                }
                let mask = 1 << (bit % 8);
                if *byte & mask != 0 {
                    return Err(at);
                }
                *byte |= mask;
                at += 1;
            }
        }
        Ok(())
    }

    /// The bitmap of a group; none if nothing is claimed in it.
    pub(super) fn of(&self, group: u32) -> Option<&[u8]> {
        self.groups.get(&group).map(Vec::as_slice)
    }
}
