//! Extent trees: header, entries, and the checksum at the end of a block of them.

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{U16, U32},
};

use super::{checksum::crc32c, index, split, word};

/// `eh_magic`.
pub(crate) const MAGIC: u16 = 0xF30A;
/// Blocks in one extent.
pub(crate) const MAX_LEN: u32 = 32768;
/// Entries that fit into an inode.
pub(crate) const IN_INODE: usize = 4;
/// Bytes of a header and of an entry.
pub(crate) const ENTRY: usize = 12;

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct Header {
    pub(crate) magic: U16,
    pub(crate) entries: U16,
    pub(crate) max: U16,
    pub(crate) depth: U16,
    pub(crate) generation: U32,
}

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct Leaf {
    pub(crate) logical: U32,
    /// More than [`MAX_LEN`]: not written yet, [`MAX_LEN`] less.
    pub(crate) len: U16,
    pub(crate) physical_hi: U16,
    pub(crate) physical_lo: U32,
}

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct Index {
    pub(crate) logical: U32,
    pub(crate) child_lo: U32,
    pub(crate) child_hi: U16,
    pub(crate) unused: U16,
}

/// Consecutive blocks of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) logical: u32,
    pub(crate) physical: u64,
    pub(crate) len: u32,
}

impl Header {
    pub(crate) fn new(entries: usize, max: usize, depth: usize) -> Self {
        Self {
            magic: U16::new(MAGIC),
            entries: word(entries),
            max: word(max),
            depth: word(depth),
            generation: U32::new(0),
        }
    }
}

impl Leaf {
    pub(crate) fn new(run: Run) -> Self {
        let (physical_lo, high) = split(run.physical);
        Self {
            logical: U32::new(run.logical),
            len: super::lo16(run.len),
            physical_hi: super::lo16(high.get()),
            physical_lo,
        }
    }

    pub(crate) fn physical(&self) -> u64 {
        u64::from(self.physical_lo.get()) | u64::from(self.physical_hi.get()) << 32
    }
}

impl Index {
    pub(crate) fn new(logical: u32, child: u64) -> Self {
        let (child_lo, high) = split(child);
        let (child_hi, unused) = (super::lo16(high.get()), U16::new(0));
        Self {
            logical: U32::new(logical),
            child_lo,
            child_hi,
            unused,
        }
    }

    pub(crate) fn child(&self) -> u64 {
        u64::from(self.child_lo.get()) | u64::from(self.child_hi.get()) << 32
    }
}

/// Entries that fit into a block beside header and checksum.
pub(crate) fn per_block(block_size: u32) -> usize {
    (index(u64::from(block_size)) - ENTRY) / ENTRY
}

/// Where the checksum of a block is.
pub(crate) fn tail(block_size: u32) -> usize {
    ENTRY + ENTRY * per_block(block_size)
}

/// Writes the checksum of a block.
pub(crate) fn seal(block: &mut [u8], inode_seed: u32) {
    let at = tail(u32::try_from(block.len()).unwrap_or_default());
    let sum = crc32c(inode_seed, block.get(..at).unwrap_or_default());
    if let Some(place) = block.get_mut(at..at + 4) {
        place.copy_from_slice(&sum.to_le_bytes());
    }
}
