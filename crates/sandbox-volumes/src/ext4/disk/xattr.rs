//! Extended attributes: entries within an inode or in a block of their own, and POSIX ACLs in disk form.

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{U16, U32},
};

use super::checksum::crc32c;

/// `h_magic`, of a block and of the part of an inode.
pub(crate) const MAGIC: u32 = 0xEA02_0000;
/// Bytes before the entries of a block.
pub(crate) const BLOCK_HEADER: usize = 32;
/// Bytes before the entries in an inode.
pub(crate) const INODE_HEADER: usize = 4;
/// Bytes of an entry before its name, and of the end of all.
pub(crate) const ENTRY: usize = 16;
/// Bytes of zeros after the last entry.
pub(crate) const END: usize = 4;

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct BlockHeader {
    pub(crate) magic: U32,
    pub(crate) refcount: U32,
    pub(crate) blocks: U32,
    pub(crate) hash: U32,
    pub(crate) checksum: U32,
    pub(crate) reserved: [U32; 3],
}

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct Entry {
    pub(crate) name_len: u8,
    pub(crate) name_index: u8,
    pub(crate) value_offset: U16,
    pub(crate) value_inode: U32,
    pub(crate) value_size: U32,
    pub(crate) hash: U32,
}

/// Prefixes by their number. Longer ones first.
const PREFIXES: [(u8, &[u8]); 6] = [
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (1, b"user."),
    (4, b"trusted."),
    (6, b"security."),
    (7, b"system."),
];

/// Splits a name into the number of its prefix and the rest; none where ext4 has no number for it.
pub(crate) fn split_name(name: &[u8]) -> Option<(u8, &[u8])> {
    PREFIXES.iter().find_map(|(number, prefix)| {
        let rest = name.strip_prefix(*prefix)?;
        let whole = matches!(number, 2 | 3);
        (whole == rest.is_empty()).then_some((*number, rest))
    })
}

/// The opposite of [`split_name`]; none for a number that is not known, and for ACLs, whose values have another form
/// here than elsewhere.
#[cfg(any(feature = "catalog", fuzzing))]
pub(crate) fn join_name(number: u8, rest: &[u8]) -> Option<Vec<u8>> {
    let (_, prefix) = PREFIXES
        .iter()
        .find(|(known, _)| *known == number && !matches!(known, 2 | 3))?;
    Some([prefix, rest].concat())
}

/// Bytes of an entry with its name.
pub(crate) const fn entry_len(name: usize) -> usize {
    ENTRY + name.next_multiple_of(4)
}

/// Bytes of a value with its padding.
pub(crate) const fn value_len(value: usize) -> usize {
    value.next_multiple_of(4)
}

/// `e_hash` of an entry in a block.
pub(crate) fn entry_hash(name: &[u8], value: &[u8]) -> u32 {
    let of_name = name
        .iter()
        .fold(0_u32, |hash, byte| hash.rotate_left(5) ^ u32::from(*byte));
    value.chunks(4).fold(of_name, |hash, bytes| {
        let mut word = [0; 4];
        word.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        hash.rotate_left(16) ^ u32::from_le_bytes(word)
    })
}

/// `h_hash` of a block, from the hashes of its entries.
pub(crate) fn block_hash(entries: impl IntoIterator<Item = u32>) -> u32 {
    entries
        .into_iter()
        .fold(0, |hash: u32, entry| hash.rotate_left(16) ^ entry)
}

/// The checksum of a block at block number `at`.
pub(crate) fn block_checksum(block: &[u8], at: u64, seed: u32) -> Option<u32> {
    let (header, rest) = BlockHeader::read_from_prefix(block).ok()?;
    let blank = BlockHeader {
        checksum: U32::new(0),
        ..header
    };
    let seed = crc32c(seed, &at.to_le_bytes());
    Some(crc32c(crc32c(seed, blank.as_bytes()), rest))
}

/// A POSIX ACL as ext4 keeps it, from the form that getxattr(2) has (version 2, eight bytes an entry); none
/// where the value is no ACL.
pub(crate) fn disk_acl(value: &[u8]) -> Option<Vec<u8>> {
    let entries = value.strip_prefix(&2_u32.to_le_bytes())?;
    let mut disk = 1_u32.to_le_bytes().to_vec();
    for entry in entries.chunks(8) {
        let (tag_and_permissions, id) = entry.split_at_checked(4).filter(|(_, id)| id.len() == 4)?;
        let tag = u16::from_le_bytes([*tag_and_permissions.first()?, *tag_and_permissions.get(1)?]);
        disk.extend_from_slice(tag_and_permissions);
        match tag {
            // ACL_USER and ACL_GROUP name somebody.
            0x02 | 0x08 => disk.extend_from_slice(id),
            0x01 | 0x04 | 0x10 | 0x20 => {}
            _ => return None,
        }
    }
    Some(disk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_the_prefix_that_has_a_number() {
        assert_eq!(split_name(b"user.x"), Some((1, &b"x"[..])));
        assert_eq!(split_name(b"system.posix_acl_access"), Some((2, &b""[..])));
        assert_eq!(split_name(b"security.capability"), Some((6, &b"capability"[..])));
        assert_eq!(split_name(b"user."), None);
        assert_eq!(split_name(b"btrfs.compression"), None);
    }
}
