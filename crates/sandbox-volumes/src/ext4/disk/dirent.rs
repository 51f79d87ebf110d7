//! Directory entries, the ends of directory blocks, and the headers of an index.

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{U16, U32},
};

use super::{checksum::crc32c, inode::mode};

/// Bytes before the name.
pub(crate) const HEADER: usize = 8;
/// Bytes at the end of a block of entries.
pub(crate) const TAIL: usize = 12;
/// `det_reserved_ft`.
pub(crate) const TAIL_TYPE: u8 = 0xDE;
/// Bytes of an index root before its entries.
pub(crate) const DX_ROOT: usize = 32;
/// Bytes of an index node before its entries.
pub(crate) const DX_NODE: usize = 8;
/// Bytes of an entry of an index, and of the checksum at its end.
pub(crate) const DX_ENTRY: usize = 8;

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct Header {
    pub(crate) inode: U32,
    pub(crate) rec_len: U16,
    pub(crate) name_len: u8,
    pub(crate) file_type: u8,
}

/// `struct dx_root_info`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct RootInfo {
    pub(crate) reserved_zero: U32,
    pub(crate) hash_version: u8,
    pub(crate) info_length: u8,
    pub(crate) indirect_levels: u8,
    pub(crate) unused_flags: u8,
}

/// Where the first entry of an index would have its hash.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct CountLimit {
    pub(crate) limit: U16,
    pub(crate) count: U16,
}

/// Bytes of an entry with a name of `name` bytes.
pub(crate) const fn len(name: usize) -> usize {
    (HEADER + name).next_multiple_of(4)
}

/// The type that an entry says for a file of `mode`.
pub(crate) const fn file_type(file_mode: u16) -> u8 {
    match file_mode & mode::TYPE {
        mode::FILE => 1,
        mode::DIR => 2,
        mode::CHAR => 3,
        mode::BLOCK => 4,
        mode::FIFO => 5,
        mode::SOCKET => 6,
        mode::LINK => 7,
        _ => 0,
    }
}

/// Writes the end of a block of entries, with its checksum.
pub(crate) fn seal_leaf(block: &mut [u8], inode_seed: u32) {
    let at = block.len().saturating_sub(TAIL);
    let sum = crc32c(inode_seed, block.get(..at).unwrap_or_default());
    let header = Header {
        inode: U32::new(0),
        rec_len: super::word(TAIL),
        name_len: 0,
        file_type: TAIL_TYPE,
    };
    if let Some((place, end)) = block
        .get_mut(at..)
        .and_then(|tail| tail.split_at_mut_checked(HEADER))
    {
        place.copy_from_slice(header.as_bytes());
        end.copy_from_slice(&sum.to_le_bytes());
    }
}

/// The checksum of an index whose entries start at `start`: over what is in use, and the reserved word of the
/// tail behind the last entry that there may be.
pub(crate) fn index_checksum(block: &[u8], start: usize, count: usize, limit: usize, seed: u32) -> u32 {
    let used = block.get(..start + count * DX_ENTRY).unwrap_or_default();
    let tail = start + limit * DX_ENTRY;
    let reserved = block.get(tail..tail + 4).unwrap_or_default();
    crc32c(crc32c(crc32c(seed, used), reserved), &[0; 4])
}

/// Writes the checksum of an index.
pub(crate) fn seal_index(block: &mut [u8], start: usize, count: usize, limit: usize, seed: u32) {
    let sum = index_checksum(block, start, count, limit, seed);
    let tail = start + limit * DX_ENTRY;
    if let Some(place) = block.get_mut(tail + 4..tail + 8) {
        place.copy_from_slice(&sum.to_le_bytes());
    }
}
