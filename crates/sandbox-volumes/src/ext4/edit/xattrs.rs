//! Extended attributes: reading all of a file, and giving a new file its own.

use std::io;

use rustix::io::Errno;
use sandbox_types::TreeXattr;
use zerocopy::{FromBytes, IntoBytes, little_endian::U32};

use super::{Editor, Node, damaged};
use crate::ext4::disk::inode::{EXTRA, Inode};
use crate::ext4::disk::xattr::{
    BLOCK_HEADER, BlockHeader, ENTRY, Entry, INODE_HEADER, MAGIC, block_checksum, entry_len, join_name,
};
use crate::ext4::disk::{index, lo16, split};
use crate::ext4::execute::xattrs;
use crate::ext4::inventory::Xattrs;

impl Editor {
    /// All attributes of a file, as getxattr(2) gives them; ACLs, which the disk has in a form of its own, are left
    /// out.
    pub(crate) fn xattrs(&mut self, node: &Node) -> io::Result<Vec<TreeXattr>> {
        let mut all = Vec::new();
        let (magic, entries) = node.rest.split_at_checked(INODE_HEADER).unwrap_or_default();
        if magic == MAGIC.to_le_bytes() && has_usual_size(&node.fixed) {
            read(entries, 0, &mut all)?;
        }
        match node.fixed.file_acl() {
            0 => {}
            block => {
                let bytes = self.xattr_block(block)?;
                read(&bytes, BLOCK_HEADER, &mut all)?;
            }
        }
        Ok(all)
    }

    fn xattr_block(&mut self, block: u64) -> io::Result<Vec<u8>> {
        let bytes = self.block(block)?;
        let (header, _) = BlockHeader::read_from_prefix(&bytes).map_err(|_| damaged())?;
        let is_sound = header.magic.get() == MAGIC
            && header.blocks.get() == 1
            && block_checksum(&bytes, block, self.seed) == Some(header.checksum.get());
        if is_sound { Ok(bytes) } else { Err(damaged()) }
    }

    /// Gives a file that has none its attributes. Those that ext4 has no place for are left out where they are not the
    /// user's own.
    ///
    /// # Errors
    /// `ENOSPC` where one of the user's has no place.
    pub(super) fn set_xattrs(&mut self, node: &mut Node, all: &[TreeXattr]) -> io::Result<()> {
        let mut wanted = all.to_vec();
        let fitting = loop {
            match Xattrs::new(wanted.clone(), &self.format()) {
                Ok(fitting) => break fitting,
                Err((name, _)) if !name.starts_with(b"user.") => wanted.retain(|one| one.name != name),
                Err(_) => return Err(Errno::NOSPC.into()),
            }
        };
        node.rest.fill(0);
        xattrs::in_inode(&fitting.in_inode, &mut node.rest);
        if !fitting.in_block.is_empty() {
            let block = self.take_block()?;
            let bytes = xattrs::block(&fitting.in_block, self.geometry.block_len(), block, self.seed);
            self.set_block(block, bytes);
            let (low, high) = split(block);
            (node.fixed.file_acl_lo, node.fixed.file_acl_hi) = (low, lo16(high.get()));
        }
        Ok(())
    }

    /// Gives back the block of attributes, which several files may share.
    pub(super) fn free_xattrs(&mut self, node: &mut Node) -> io::Result<()> {
        let block = node.fixed.file_acl();
        if block == 0 {
            return Ok(());
        }
        let mut bytes = self.xattr_block(block)?;
        let (mut header, _) = BlockHeader::read_from_prefix(&bytes).map_err(|_| damaged())?;
        if header.refcount.get() > 1 {
            header.refcount -= U32::new(1);
            put_header(&mut bytes, &header)?;
            let sum = block_checksum(&bytes, block, self.seed).ok_or_else(damaged)?;
            header.checksum = U32::new(sum);
            put_header(&mut bytes, &header)?;
            self.set_block(block, bytes);
        } else {
            self.free(block..block + 1)?;
        }
        (node.fixed.file_acl_lo, node.fixed.file_acl_hi) = (U32::new(0), lo16(0));
        Ok(())
    }
}

fn has_usual_size(inode: &Inode) -> bool {
    inode.extra_isize.get() == EXTRA
}

fn put_header(bytes: &mut [u8], header: &BlockHeader) -> io::Result<()> {
    let place = bytes.get_mut(..BLOCK_HEADER).ok_or_else(damaged)?;
    place.copy_from_slice(header.as_bytes());
    Ok(())
}

/// The attributes whose entries begin at `start`; offsets of values count from the start of `area`.
fn read(area: &[u8], start: usize, all: &mut Vec<TreeXattr>) -> io::Result<()> {
    let mut at = start;
    loop {
        if area.get(at..at + 4).ok_or_else(damaged)? == [0; 4] {
            return Ok(());
        }
        let entry = area.get(at..at + ENTRY).ok_or_else(damaged)?;
        let entry = Entry::read_from_bytes(entry).map_err(|_| damaged())?;
        let name_end = at + ENTRY + usize::from(entry.name_len);
        let name = area.get(at + ENTRY..name_end).ok_or_else(damaged)?;
        let offset = usize::from(entry.value_offset.get());
        let size = index(u64::from(entry.value_size.get()));
        let end = offset.checked_add(size).ok_or_else(damaged)?;
        let value = area.get(offset..end).ok_or_else(damaged)?;
        if entry.value_inode.get() != 0 {
            return Err(Errno::OPNOTSUPP.into());
        }
        if let Some(name) = join_name(entry.name_index, name) {
            all.push(TreeXattr {
                name,
                value: value.to_vec(),
            });
        }
        at += entry_len(usize::from(entry.name_len));
    }
}
