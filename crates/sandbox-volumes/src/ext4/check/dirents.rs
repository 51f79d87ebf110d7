//! All directories: their blocks, in the order in which they are used.

use zerocopy::FromBytes;

use super::{Check, CheckError, DirectoryFault, index::Index};
use crate::ext4::disk::{
    checksum::inode_seed,
    extent::Run,
    inode::{Inode, flag, mode},
};

/// The directory that is read.
pub(super) struct Directory {
    pub(super) inode: u32,
    pub(super) seed: u32,
    /// Logical blocks, without an end.
    pub(super) blocks: u32,
}

impl Check<'_> {
    pub(super) fn read_directories(&mut self) -> Result<(), CheckError> {
        let is_directory = |mode: u16| mode & mode::TYPE == mode::DIR;
        let mut all: Vec<u32> = self
            .inodes
            .iter()
            .filter(|(_, known)| is_directory(known.mode))
            .map(|(inode, _)| *inode)
            .collect();
        all.sort_unstable();
        all.into_iter().try_for_each(|inode| self.read_directory(inode))
    }

    fn read_directory(&mut self, number: u32) -> Result<(), CheckError> {
        let geometry = self.reader.geometry.clone();
        let (group, at) = geometry.inode_place(number);
        let Some(descriptor) = self.groups.get(group as usize) else {
            return Ok(());
        };
        let place = geometry.byte(descriptor.tables().inode_table) + at;
        let bytes = self.reader.bytes(place, size_of::<Inode>())?;
        let Ok(inode) = Inode::read_from_bytes(&bytes) else {
            return Ok(());
        };
        if !inode.has(flag::EXTENTS) || inode.has(flag::INLINE_DATA) {
            return Ok(());
        }
        let seed = inode_seed(self.reader.seed, number, inode.generation.get());
        let runs = self.runs(number, &inode, seed)?;
        let blocks = runs.last().map_or(0, |run| run.logical.saturating_add(run.len));
        let directory = Directory {
            inode: number,
            seed,
            blocks,
        };
        let mut index = None;
        if inode.has(flag::INDEX) {
            index = self.read_index(&directory, &runs)?;
        }
        self.read_blocks(&directory, &runs, index.as_ref())
    }

    fn read_blocks(
        &mut self,
        directory: &Directory,
        runs: &[Run],
        index: Option<&Index>,
    ) -> Result<(), CheckError> {
        let mut next = 0;
        for run in runs {
            if run.logical != next {
                self.directory_fault(directory.inode, next, DirectoryFault::Hole);
            }
            for step in 0..run.len {
                let logical = run.logical + step;
                if index.is_some_and(|index| index.is_internal(logical)) {
                    continue;
                }
                let block = self.reader.block(run.physical + u64::from(step))?;
                self.read_entries(directory, logical, &block, index);
            }
            next = run.logical.saturating_add(run.len);
        }
        Ok(())
    }
}
