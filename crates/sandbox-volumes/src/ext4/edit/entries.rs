//! Putting names into directories and taking them out.

use std::io;

use rustix::io::Errno;
use zerocopy::{FromBytes, IntoBytes, little_endian::U32};

use super::directory::{DirBlock, Entry, entry_at};
use super::extents::{Map, Piece};
use super::{Editor, Node, damaged};
use crate::ext4::disk::dirent::{self, DX_ENTRY, DX_ROOT, HEADER, Header, TAIL, seal_index, seal_leaf};
use crate::ext4::disk::inode::flag;
use crate::ext4::disk::word;
use crate::ext4::execute::directory::Writer;
use crate::ext4::inventory::{Child, Directory, Format, Shape};

impl Editor {
    /// Adds a name that is not there yet, with the transaction.
    pub(super) fn add_entry(&mut self, directory: &mut Node, new: &Entry) -> io::Result<()> {
        let mut map = self.directory_map(directory)?;
        let is_in = if directory.fixed.has(flag::INDEX) {
            self.add_by_index(directory, &mut map, new)?
        } else {
            self.add_linear(directory, &map, new)?
        };
        if !is_in {
            self.rebuild(directory, &mut map, new)?;
        }
        directory.touch();
        self.set_map(directory, &mut map)?;
        self.set_node(directory)
    }

    fn add_linear(&mut self, directory: &Node, map: &Map, new: &Entry) -> io::Result<bool> {
        for number in 0..self.block_count(directory) {
            let block = self.directory_block(map, number)?;
            if self.put_into_leaf(directory, &block, new)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Puts an entry where there is room between others; false where there is none.
    pub(super) fn put_into_leaf(
        &mut self,
        directory: &Node,
        block: &DirBlock,
        new: &Entry,
    ) -> io::Result<bool> {
        // What is damaged is not written to.
        self.leaf_entries(directory, &block.bytes)?;
        let mut bytes = block.bytes.clone();
        let end = bytes.len() - TAIL;
        let needed = record_len(&new.name);
        let mut at = 0;
        while at < end {
            let (header, name) = entry_at(bytes.get(..end).ok_or_else(damaged)?, at)?;
            let len = usize::from(header.rec_len.get());
            let used = if header.inode.get() == 0 {
                0
            } else {
                record_len(name)
            };
            if len - used >= needed {
                if used > 0 {
                    set_len(&mut bytes, at, used)?;
                }
                put(&mut bytes, at + used, len - used, new)?;
                seal_leaf(&mut bytes, self.seed_of(directory));
                self.set_block(block.physical, bytes);
                return Ok(true);
            }
            at += len;
        }
        Ok(false)
    }

    /// Takes a name out, with the transaction; what it named.
    pub(super) fn remove_entry(&mut self, directory: &mut Node, name: &[u8]) -> io::Result<Entry> {
        let map = self.directory_map(directory)?;
        let found = self.find(directory, &map, name)?;
        let (_, block, at, entry) = found.ok_or(Errno::NOENT)?;
        let mut bytes = block.bytes;
        let end = bytes.len() - TAIL;
        let (mut before, mut next) = (None, 0);
        while next < at {
            before = Some(next);
            let (header, _) = entry_at(bytes.get(..end).ok_or_else(damaged)?, next)?;
            next += usize::from(header.rec_len.get());
        }
        let (header, _) = entry_at(bytes.get(..end).ok_or_else(damaged)?, at)?;
        let len = usize::from(header.rec_len.get());
        if let Some(before) = before {
            set_len(&mut bytes, before, at + len - before)?;
        } else {
            change_header(&mut bytes, at, |header| header.inode = U32::new(0))?;
        }
        seal_leaf(&mut bytes, self.seed_of(directory));
        self.set_block(block.physical, bytes);
        directory.touch();
        self.set_node(directory)?;
        Ok(entry)
    }

    /// Makes a name that is there name something else, with the transaction.
    pub(super) fn replace_entry(&mut self, directory: &mut Node, new: &Entry) -> io::Result<()> {
        let map = self.directory_map(directory)?;
        let found = self.find(directory, &map, &new.name)?;
        let (_, block, at, _) = found.ok_or(Errno::NOENT)?;
        let mut bytes = block.bytes;
        change_header(&mut bytes, at, |header| {
            header.inode = U32::new(new.inode);
            header.file_type = new.file_type;
        })?;
        seal_leaf(&mut bytes, self.seed_of(directory));
        self.set_block(block.physical, bytes);
        directory.touch();
        self.set_node(directory)
    }

    /// What `..` of a directory names.
    pub(super) fn parent_of(&mut self, directory: &Node) -> io::Result<u32> {
        let map = self.directory_map(directory)?;
        let block = self.directory_block(&map, 0)?;
        let (dot, _) = entry_at(&block.bytes, 0)?;
        let (dots, name) = entry_at(&block.bytes, usize::from(dot.rec_len.get()))?;
        if name == b".." {
            Ok(dots.inode.get())
        } else {
            Err(damaged())
        }
    }

    /// Makes `..` of a directory name another one.
    pub(super) fn set_parent(&mut self, directory: &Node, parent: u32) -> io::Result<()> {
        let map = self.directory_map(directory)?;
        let block = self.directory_block(&map, 0)?;
        let mut bytes = block.bytes;
        let (dot, _) = entry_at(&bytes, 0)?;
        let at = usize::from(dot.rec_len.get());
        change_header(&mut bytes, at, |header| header.inode = U32::new(parent))?;
        let seed = self.seed_of(directory);
        if directory.fixed.has(flag::INDEX) {
            let limit = (bytes.len() - DX_ROOT) / DX_ENTRY - 1;
            let count = bytes.get(DX_ROOT + 2..DX_ROOT + 4).ok_or_else(damaged)?;
            let count = count.try_into().map(u16::from_le_bytes).map_err(|_| damaged())?;
            seal_index(&mut bytes, DX_ROOT, usize::from(count).min(limit), limit, seed);
        } else {
            seal_leaf(&mut bytes, seed);
        }
        self.set_block(block.physical, bytes);
        Ok(())
    }

    /// The first block of a directory with nothing in it.
    pub(super) fn first_block(&self, directory: &Node, parent: u32) -> io::Result<Vec<u8>> {
        let dots = [(b".".to_vec(), directory.number), (b"..".to_vec(), parent)];
        let dots = dots.map(|(name, inode)| Entry {
            name,
            inode,
            file_type: 2,
        });
        let [dot, parent] = &dots;
        leaf_block(&[dot, parent], self.geometry.block_len(), self.seed_of(directory))
    }

    /// One more block at the end of a directory, of which the caller says what is in it.
    pub(super) fn append_block(&mut self, directory: &mut Node, map: &mut Map) -> io::Result<u64> {
        let physical = self.take_block()?;
        let logical = self.block_count(directory);
        map.pieces.push(Piece {
            logical,
            physical,
            len: 1,
            is_written: true,
        });
        directory.set_size(directory.size() + u64::from(self.geometry.block_size));
        Ok(physical)
    }

    /// Gives back the blocks at the end that an index would not lead to.
    fn shorten(&mut self, directory: &mut Node, map: &mut Map, blocks: u32) -> io::Result<()> {
        while self.block_count(directory) > blocks {
            let last = map.pieces.last_mut().ok_or_else(damaged)?;
            last.len -= 1;
            let block = last.physical + u64::from(last.len);
            if last.len == 0 {
                map.pieces.pop();
            }
            self.free(block..block + 1)?;
            directory.set_size(directory.size() - u64::from(self.geometry.block_size));
        }
        Ok(())
    }

    /// Distributes all names anew, with one more: by their hash where they do not fit into one block.
    fn rebuild(&mut self, directory: &mut Node, map: &mut Map, new: &Entry) -> io::Result<()> {
        let mut all = self.list(directory)?;
        let parent = self.parent_of(directory)?;
        all.push(new.clone());
        all.sort_by(|one, other| one.name.cmp(&other.name));
        let children = (0..).zip(&all).map(|(node, entry)| Child {
            node,
            name: entry.name.clone().into(),
        });
        let layout = Directory::new(children.collect(), &self.format());
        while self.block_count(directory) < layout.blocks() {
            self.append_block(directory, map)?;
        }
        let resolve = |node: u32| {
            let entry = all.get(node as usize);
            entry.map_or((0, 0), |entry| (entry.inode, entry.file_type))
        };
        let blocks: Vec<Vec<u8>> = {
            let writer = Writer {
                geometry: &self.geometry,
                resolve: &resolve,
                directory: &layout,
                inode: directory.number,
                parent,
                inode_seed: self.seed_of(directory),
            };
            (0..layout.blocks() as usize)
                .map(|number| writer.block(number))
                .collect()
        };
        self.shorten(directory, map, layout.blocks())?;
        for (number, bytes) in (0..).zip(blocks) {
            let place = self.directory_block(map, number)?.physical;
            self.set_block(place, bytes);
        }
        directory.fixed.flags = U32::new(match layout.shape {
            Shape::Indexed { .. } => directory.fixed.flags.get() | flag::INDEX,
            _ => directory.fixed.flags.get() & !flag::INDEX,
        });
        Ok(())
    }

    pub(super) fn format(&self) -> Format {
        Format {
            block_size: self.geometry.block_size,
            inode_size: self.geometry.inode_size,
            uuid: self.superblock.uuid,
            hash_seed: self.superblock.hash_seed.map(U32::get),
            time: super::node::now(),
        }
    }
}

/// Bytes of an entry.
pub(super) fn record_len(name: &[u8]) -> usize {
    dirent::len(name.len())
}

/// A block of entries; the last one reaches to the tail.
pub(super) fn leaf_block(entries: &[&Entry], len: usize, seed: u32) -> io::Result<Vec<u8>> {
    let mut block = vec![0; len];
    let end = len - TAIL;
    let nothing = Entry {
        name: Vec::new(),
        inode: 0,
        file_type: 0,
    };
    let mut at = 0;
    for (number, entry) in entries.iter().enumerate() {
        let is_last = number + 1 == entries.len();
        let len = if is_last {
            end - at
        } else {
            record_len(&entry.name)
        };
        put(&mut block, at, len, entry)?;
        at += len;
    }
    if entries.is_empty() {
        put(&mut block, 0, end, &nothing)?;
    }
    seal_leaf(&mut block, seed);
    Ok(block)
}

fn put(block: &mut [u8], at: usize, len: usize, entry: &Entry) -> io::Result<()> {
    let header = Header {
        inode: U32::new(entry.inode),
        rec_len: word(len),
        name_len: u8::try_from(entry.name.len()).map_err(|_| Errno::NAMETOOLONG)?,
        file_type: entry.file_type,
    };
    let place = block.get_mut(at..at + len).ok_or_else(damaged)?;
    let (head, rest) = place.split_at_mut_checked(HEADER).ok_or_else(damaged)?;
    head.copy_from_slice(header.as_bytes());
    let name = rest.get_mut(..entry.name.len()).ok_or_else(damaged)?;
    name.copy_from_slice(&entry.name);
    Ok(())
}

fn set_len(block: &mut [u8], at: usize, len: usize) -> io::Result<()> {
    change_header(block, at, |header| header.rec_len = word(len))
}

fn change_header(block: &mut [u8], at: usize, change: impl FnOnce(&mut Header)) -> io::Result<()> {
    let place = block.get_mut(at..at + HEADER).ok_or_else(damaged)?;
    let header = Header::mut_from_bytes(place).map_err(|_| damaged())?;
    change(header);
    Ok(())
}
