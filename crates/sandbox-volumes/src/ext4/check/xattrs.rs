//! Extended attributes.

use zerocopy::FromBytes;

use super::{Check, CheckError, InodeFault};
use crate::ext4::disk::{
    index,
    inode::{EXTRA, Inode},
    xattr::{BLOCK_HEADER, BlockHeader, ENTRY, Entry, INODE_HEADER, MAGIC, block_checksum, entry_len},
};

impl Check<'_> {
    pub(super) fn read_xattrs(&mut self, number: u32, inode: &Inode, rest: &[u8]) -> Result<(), CheckError> {
        // What is behind the fixed part belongs to xattrs if their magic number is there.
        let (magic, entries) = rest.split_at_checked(INODE_HEADER).unwrap_or_default();
        let has_some = magic == MAGIC.to_le_bytes() && inode.extra_isize.get() == EXTRA;
        if has_some && !are_sound(entries, 0) {
            self.inode_fault(number, InodeFault::Xattrs);
        }
        match inode.file_acl() {
            0 => Ok(()),
            block => self.read_xattr_block(number, block),
        }
    }

    fn read_xattr_block(&mut self, number: u32, block: u64) -> Result<(), CheckError> {
        if let Some((refcount, used)) = self.xattr_blocks.get_mut(&block) {
            *used += 1;
            if used > refcount {
                self.inode_fault(number, InodeFault::Xattrs);
            }
            return Ok(());
        }
        if !self.reader.holds(block, 1) || self.blocks.claim(block, 1).is_err() {
            self.inode_fault(number, InodeFault::Block(block));
            return Ok(());
        }
        let bytes = self.reader.block(block)?;
        let Ok((header, _)) = BlockHeader::read_from_prefix(&bytes) else {
            return Ok(());
        };
        self.xattr_blocks.insert(block, (header.refcount.get(), 1));
        if block_checksum(&bytes, block, self.reader.seed) != Some(header.checksum.get()) {
            self.inode_fault(number, InodeFault::XattrChecksum);
        }
        if header.magic.get() != MAGIC || header.blocks.get() != 1 || !are_sound(&bytes, BLOCK_HEADER) {
            self.inode_fault(number, InodeFault::Xattrs);
        }
        Ok(())
    }
}

/// Whether entries from `start` on end within `area`, and their values lie behind them.
fn are_sound(area: &[u8], start: usize) -> bool {
    let (mut at, mut lowest) = (start, area.len());
    loop {
        match area.get(at..at + 4) {
            Some([0, 0, 0, 0]) => return at + 4 <= lowest,
            Some(_) => {}
            None => return false,
        }
        let Some(Ok(entry)) = area.get(at..at + ENTRY).map(Entry::read_from_bytes) else {
            return false;
        };
        let (offset, size) = (
            usize::from(entry.value_offset.get()),
            index(u64::from(entry.value_size.get())),
        );
        let fits = offset.checked_add(size).is_some_and(|end| end <= area.len());
        if !fits || entry.value_inode.get() != 0 {
            return false;
        }
        if size > 0 {
            lowest = lowest.min(offset);
        }
        at += entry_len(usize::from(entry.name_len));
    }
}
