//! Extended attributes, in an inode and in a block.

use zerocopy::{FromZeros, IntoBytes, little_endian::U32};

use super::super::{
    disk::{
        word,
        xattr::{
            BLOCK_HEADER, BlockHeader, ENTRY, Entry, INODE_HEADER, MAGIC, block_checksum, block_hash,
            entry_hash, entry_len, value_len,
        },
    },
    inventory::DiskXattr,
};

/// Fills what is behind the fixed part of an inode.
pub(crate) fn in_inode(xattrs: &[DiskXattr], room: &mut [u8]) {
    if xattrs.is_empty() {
        return;
    }
    let Some((magic, entries)) = room.split_at_mut_checked(INODE_HEADER) else {
        return;
    };
    magic.copy_from_slice(&MAGIC.to_le_bytes());
    // Offsets count from the first entry; the inode's checksum covers all, so there are no hashes.
    put(xattrs, entries, 0, |_, _| 0);
}

/// Fills a block that will be at block number `at`.
pub(crate) fn block(xattrs: &[DiskXattr], len: usize, at: u64, seed: u32) -> Vec<u8> {
    let mut block = vec![0; len];
    put(xattrs, &mut block, BLOCK_HEADER, entry_hash);
    let mut header = BlockHeader::new_zeroed();
    (header.magic, header.refcount, header.blocks) = (U32::new(MAGIC), U32::new(1), U32::new(1));
    header.hash = U32::new(block_hash(
        xattrs.iter().map(|one| entry_hash(&one.name, &one.value)),
    ));
    write(&mut block, 0, header.as_bytes());
    if let Some(sum) = block_checksum(&block, at, seed) {
        header.checksum = U32::new(sum);
        write(&mut block, 0, header.as_bytes());
    }
    block
}

/// Entries from `start` on, values from the end backwards.
fn put(xattrs: &[DiskXattr], area: &mut [u8], start: usize, hash: impl Fn(&[u8], &[u8]) -> u32) {
    let (mut at, mut end) = (start, area.len());
    for one in xattrs {
        let mut entry = Entry::new_zeroed();
        entry.name_len = u8::try_from(one.name.len()).unwrap_or(u8::MAX);
        entry.name_index = one.prefix;
        entry.value_size = U32::new(u32::try_from(one.value.len()).unwrap_or(u32::MAX));
        entry.hash = U32::new(hash(&one.name, &one.value));
        if !one.value.is_empty() {
            end -= value_len(one.value.len());
            entry.value_offset = word(end);
            write(area, end, &one.value);
        }
        write(area, at, entry.as_bytes());
        write(area, at + ENTRY, &one.name);
        at += entry_len(one.name.len());
    }
}

fn write(area: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = area.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}
