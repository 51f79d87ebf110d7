//! Reads blocks.

use std::io::{self, Read, Seek, SeekFrom};

use super::super::geometry::Geometry;

/// What can be checked.
pub(super) trait ReadSeek: Read + Seek {}

impl<T: Read + Seek> ReadSeek for T {}

pub(super) struct Reader<'a> {
    pub(super) inner: &'a mut dyn ReadSeek,
    pub(super) geometry: Geometry,
    /// What all checksums start with.
    pub(super) seed: u32,
}

impl Reader<'_> {
    pub(super) fn bytes(&mut self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        read(self.inner, offset, len)
    }

    pub(super) fn block(&mut self, block: u64) -> io::Result<Vec<u8>> {
        self.bytes(self.geometry.byte(block), self.geometry.block_len())
    }

    /// Whether so many blocks from `first` on are on the disk.
    pub(super) fn holds(&self, first: u64, blocks: u64) -> bool {
        first >= u64::from(self.geometry.first_data_block())
            && first
                .checked_add(blocks)
                .is_some_and(|end| end <= self.geometry.blocks)
    }
}

pub(super) fn read(from: &mut dyn ReadSeek, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    from.seek(SeekFrom::Start(offset))?;
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}
