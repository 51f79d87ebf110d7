//! One pass through the free blocks.

use super::super::{
    disk::extent::{MAX_LEN, Run},
    geometry::Geometry,
    layout::FlexLayout,
};

/// No block is left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Full;

/// Hands out free blocks in ascending order. Everything free before [`Self::frontier`] is in use.
pub(crate) struct Allocator<'a> {
    geometry: &'a Geometry,
    flex: u32,
    /// Free ranges of the current flex group, the next one last.
    free: Vec<(u64, u64)>,
    frontier: u64,
    taken: u64,
}

impl<'a> Allocator<'a> {
    pub(crate) fn new(geometry: &'a Geometry) -> Self {
        Self {
            geometry,
            flex: 0,
            free: Vec::new(),
            frontier: 0,
            taken: 0,
        }
    }

    pub(crate) fn frontier(&self) -> u64 {
        self.frontier
    }

    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// One block.
    pub(crate) fn block(&mut self) -> Result<u64, Full> {
        self.next(1).map(|(at, _)| at)
    }

    /// `len` blocks, which become those of a file from `logical` on.
    pub(crate) fn runs(&mut self, mut logical: u32, mut len: u32, runs: &mut Vec<Run>) -> Result<(), Full> {
        while len > 0 {
            let (physical, got) = self.next(len.min(MAX_LEN))?;
            match runs.last_mut() {
                Some(last) if last.precedes(logical, physical) && last.len + got <= MAX_LEN => {
                    last.len += got;
                }
                _ => runs.push(Run {
                    logical,
                    physical,
                    len: got,
                }),
            }
            logical += got;
            len -= got;
        }
        Ok(())
    }

    /// Up to `most` consecutive blocks.
    fn next(&mut self, most: u32) -> Result<(u64, u32), Full> {
        loop {
            if let Some((start, end)) = self.free.last_mut() {
                let got = u32::try_from(*end - *start).unwrap_or(u32::MAX).min(most);
                let at = *start;
                *start += u64::from(got);
                if start == end {
                    self.free.pop();
                }
                self.frontier = at + u64::from(got);
                self.taken += u64::from(got);
                return Ok((at, got));
            }
            self.refill()?;
        }
    }

    fn refill(&mut self) -> Result<(), Full> {
        if self.flex >= self.geometry.flexes() {
            return Err(Full);
        }
        let groups = self.geometry.flex_groups(self.flex);
        let layout = FlexLayout::new(self.geometry, groups).ok_or(Full)?;
        self.flex += 1;
        let free = layout
            .segments
            .iter()
            .rev()
            .filter(|segment| segment.free < segment.end);
        self.free = free.map(|segment| (segment.free, segment.end)).collect();
        Ok(())
    }
}

impl Run {
    fn precedes(&self, logical: u32, physical: u64) -> bool {
        self.logical + self.len == logical && self.physical + u64::from(self.len) == physical
    }
}
