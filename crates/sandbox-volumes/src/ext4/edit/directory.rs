//! What is in directories.

use std::io;

use rustix::io::Errno;
use zerocopy::FromBytes;

use super::extents::Map;
use super::{Editor, Node, damaged};
use crate::ext4::disk::checksum::crc32c;
use crate::ext4::disk::dirent::{self, HEADER, Header, TAIL, TAIL_TYPE};
use crate::ext4::disk::inode::flag;

/// A name in a directory, and where it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: Vec<u8>,
    pub(crate) inode: u32,
    pub(crate) file_type: u8,
}

/// A block of a directory.
#[derive(Clone, Debug)]
pub(super) struct DirBlock {
    pub(super) physical: u64,
    pub(super) bytes: Vec<u8>,
}

impl Editor {
    /// All names but `.` and `..`, in no order.
    pub(crate) fn list(&mut self, directory: &Node) -> io::Result<Vec<Entry>> {
        let map = self.directory_map(directory)?;
        let mut all = Vec::new();
        for number in 0..self.block_count(directory) {
            let block = self.directory_block(&map, number)?;
            if self.is_index(directory, number, &block.bytes) {
                continue;
            }
            let entries = self.leaf_entries(directory, &block.bytes)?.into_iter();
            let names = entries.map(|(_, entry)| entry);
            all.extend(names.filter(|entry| !matches!(entry.name.as_slice(), b"." | b"..")));
        }
        Ok(all)
    }

    /// What a name names.
    pub(crate) fn look_up(&mut self, directory: &Node, name: &[u8]) -> io::Result<Option<Entry>> {
        let map = self.directory_map(directory)?;
        Ok(self.find(directory, &map, name)?.map(|(_, _, _, entry)| entry))
    }

    /// The block that has a name: its number, itself, the byte at which the entry is, and the entry.
    pub(super) fn find(
        &mut self,
        directory: &Node,
        map: &Map,
        name: &[u8],
    ) -> io::Result<Option<(u32, DirBlock, usize, Entry)>> {
        if directory.fixed.has(flag::INDEX) && !matches!(name, b"." | b"..") {
            return self.find_by_index(directory, map, name);
        }
        for number in 0..self.block_count(directory) {
            let found = self.find_in(directory, map, number, name)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    pub(super) fn find_in(
        &mut self,
        directory: &Node,
        map: &Map,
        number: u32,
        name: &[u8],
    ) -> io::Result<Option<(u32, DirBlock, usize, Entry)>> {
        let block = self.directory_block(map, number)?;
        if self.is_index(directory, number, &block.bytes) {
            return Ok(None);
        }
        let entries = self.leaf_entries(directory, &block.bytes)?;
        let found = entries.into_iter().find(|(_, entry)| entry.name == name);
        Ok(found.map(|(at, entry)| (number, block, at, entry)))
    }

    pub(super) fn directory_map(&mut self, directory: &Node) -> io::Result<Map> {
        if !directory.is_directory() {
            return Err(Errno::NOTDIR.into());
        }
        let map = self.map(directory)?;
        let blocks: u64 = map.pieces.iter().map(|piece| u64::from(piece.len)).sum();
        let size = u64::from(self.geometry.block_size);
        // No holes, nothing unwritten, nothing behind the end.
        let is_sound = directory.size() > 0
            && directory.size().is_multiple_of(size)
            && blocks >= directory.size() / size
            && map.pieces.iter().all(|piece| piece.is_written);
        if is_sound { Ok(map) } else { Err(damaged()) }
    }

    pub(super) fn block_count(&self, directory: &Node) -> u32 {
        u32::try_from(directory.size() / u64::from(self.geometry.block_size)).unwrap_or(u32::MAX)
    }

    pub(super) fn directory_block(&mut self, map: &Map, number: u32) -> io::Result<DirBlock> {
        let at = map.pieces.partition_point(|piece| piece.end() <= number);
        let piece = map.pieces.get(at).filter(|piece| piece.logical <= number);
        let piece = piece.ok_or_else(damaged)?;
        let physical = piece.physical + u64::from(number - piece.logical);
        Ok(DirBlock {
            physical,
            bytes: self.block(physical)?,
        })
    }

    /// Whether a block is of the index and not of entries.
    pub(super) fn is_index(&self, directory: &Node, number: u32, bytes: &[u8]) -> bool {
        if !directory.fixed.has(flag::INDEX) {
            return false;
        }
        let header = Header::read_from_prefix(bytes).map(|(header, _)| header);
        let fills_all = header.is_ok_and(|header| {
            header.inode.get() == 0 && usize::from(header.rec_len.get()) == self.geometry.block_len()
        });
        number == 0 || fills_all
    }

    /// The entries of a block that name something, each with the byte at which it is. The block's checksum is right.
    pub(super) fn leaf_entries(&self, directory: &Node, bytes: &[u8]) -> io::Result<Vec<(usize, Entry)>> {
        self.check_leaf(directory, bytes)?;
        let end = bytes.len() - TAIL;
        let area = bytes.get(..end).ok_or_else(damaged)?;
        let mut entries = Vec::new();
        let mut at = 0;
        while at < end {
            let (header, name) = entry_at(area, at)?;
            if header.inode.get() != 0 {
                entries.push((
                    at,
                    Entry {
                        name: name.to_vec(),
                        inode: header.inode.get(),
                        file_type: header.file_type,
                    },
                ));
            }
            at += usize::from(header.rec_len.get());
        }
        Ok(entries)
    }

    fn check_leaf(&self, directory: &Node, bytes: &[u8]) -> io::Result<()> {
        let (entries, tail) = bytes
            .split_at_checked(bytes.len().saturating_sub(TAIL))
            .ok_or_else(damaged)?;
        let (header, sum) = tail.split_at_checked(HEADER).ok_or_else(damaged)?;
        let header = Header::read_from_bytes(header).map_err(|_| damaged())?;
        let is_tail = header.inode.get() == 0
            && usize::from(header.rec_len.get()) == TAIL
            && (header.name_len, header.file_type) == (0, TAIL_TYPE);
        if is_tail && sum == crc32c(self.seed_of(directory), entries).to_le_bytes() {
            Ok(())
        } else {
            Err(damaged())
        }
    }
}

/// The entry at `at`, with its name; it ends within the area.
pub(super) fn entry_at(area: &[u8], at: usize) -> io::Result<(Header, &[u8])> {
    let rest = area.get(at..).ok_or_else(damaged)?;
    let (header, names) = Header::read_from_prefix(rest).map_err(|_| damaged())?;
    let (len, name) = (usize::from(header.rec_len.get()), usize::from(header.name_len));
    let fits = len.is_multiple_of(4) && len >= dirent::len(name).max(dirent::len(1)) && len <= rest.len();
    if !fits {
        return Err(damaged());
    }
    Ok((header, names.get(..name).ok_or_else(damaged)?))
}
