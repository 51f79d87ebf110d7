//! Which blocks a file has: its extent tree, read and written whole.

use std::io;

use rustix::io::Errno;
use zerocopy::{FromBytes, little_endian::U32};

use super::{Editor, Node, damaged};
use crate::ext4::disk::checksum::crc32c;
use crate::ext4::disk::extent::{ENTRY, Header, IN_INODE, Index, Leaf, MAGIC, MAX_LEN, Run, per_block, tail};
use crate::ext4::disk::inode::flag;
use crate::ext4::execute::extents::tree;
use crate::ext4::plan::{Placed, tree_blocks};

/// The deepest tree that the kernel makes.
const MAX_DEPTH: u16 = 5;

/// Consecutive blocks of a file, and whether they were written: what was not reads as zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) logical: u32,
    pub(crate) physical: u64,
    pub(crate) len: u32,
    pub(crate) is_written: bool,
}

impl Piece {
    pub(crate) fn end(&self) -> u32 {
        self.logical.saturating_add(self.len)
    }
}

/// All pieces of a file, and the blocks of its tree.
#[derive(Clone, Debug, Default)]
pub(crate) struct Map {
    pub(crate) pieces: Vec<Piece>,
    tree: Vec<u64>,
}

impl Editor {
    /// Where a file is.
    pub(crate) fn map(&mut self, node: &Node) -> io::Result<Map> {
        if !node.fixed.has(flag::EXTENTS) {
            // Blocks in the old form; a file without any is empty.
            return if node.fixed.sectors() == 0 {
                Ok(Map::default())
            } else {
                Err(Errno::OPNOTSUPP.into())
            };
        }
        let mut map = Map::default();
        let seed = self.seed_of(node);
        self.level(&node.fixed.block, IN_INODE, None, seed, &mut map)?;
        Ok(map)
    }

    fn level(
        &mut self,
        bytes: &[u8],
        room: usize,
        depth: Option<u16>,
        seed: u32,
        map: &mut Map,
    ) -> io::Result<()> {
        let (header, _) = Header::read_from_prefix(bytes).map_err(|_| damaged())?;
        let (entries, level) = (usize::from(header.entries.get()), header.depth.get());
        let is_sound = header.magic.get() == MAGIC
            && entries <= room
            && level <= MAX_DEPTH
            && depth.is_none_or(|depth| depth == level && entries > 0);
        if !is_sound {
            return Err(damaged());
        }
        for entry in bytes.chunks_exact(ENTRY).skip(1).take(entries) {
            if level == 0 {
                self.piece(entry, map)?;
            } else {
                let child = Index::read_from_bytes(entry).map_err(|_| damaged())?.child();
                let block = self.tree_block(child, seed)?;
                // Each block of a tree has what no other has, so there is no way round in a circle.
                if map.tree.len() as u64 > self.geometry.blocks {
                    return Err(damaged());
                }
                map.tree.push(child);
                self.level(
                    &block,
                    per_block(self.geometry.block_size),
                    Some(level - 1),
                    seed,
                    map,
                )?;
            }
        }
        Ok(())
    }

    fn tree_block(&mut self, block: u64, seed: u32) -> io::Result<Vec<u8>> {
        let bytes = self.block(block)?;
        let (covered, sum) = bytes
            .split_at_checked(tail(self.geometry.block_size))
            .ok_or_else(damaged)?;
        if sum.get(..4) != Some(&crc32c(seed, covered).to_le_bytes()) {
            return Err(damaged());
        }
        Ok(bytes)
    }

    fn piece(&self, entry: &[u8], map: &mut Map) -> io::Result<()> {
        let leaf = Leaf::read_from_bytes(entry).map_err(|_| damaged())?;
        let stored = u32::from(leaf.len.get());
        let is_written = stored <= MAX_LEN;
        let len = if is_written { stored } else { stored - MAX_LEN };
        let piece = Piece {
            logical: leaf.logical.get(),
            physical: leaf.physical(),
            len,
            is_written,
        };
        let follows = map.pieces.last().is_none_or(|last| last.end() <= piece.logical);
        if len == 0 || !follows || piece.logical.checked_add(len).is_none() {
            return Err(damaged());
        }
        self.check_block(piece.physical, u64::from(len))?;
        map.pieces.push(piece);
        Ok(())
    }

    /// Writes where a file is into its inode and the blocks of its tree, with the transaction, and how many blocks it
    /// has.
    pub(super) fn set_map(&mut self, node: &mut Node, map: &mut Map) -> io::Result<()> {
        let runs = joined(&map.pieces);
        let wanted = tree_blocks(runs.len(), self.geometry.block_size);
        while map.tree.len() > wanted {
            if let Some(block) = map.tree.pop() {
                self.free(block..block + 1)?;
            }
        }
        while map.tree.len() < wanted {
            let block = self.take_block()?;
            map.tree.push(block);
        }
        let placed = Placed {
            runs,
            tree: map.tree.clone(),
            xattrs: None,
        };
        let built = tree(&placed, &self.geometry, self.seed_of(node));
        for (block, bytes) in built.blocks {
            self.set_block(block, bytes);
        }
        node.fixed.block = built.root;
        node.fixed.flags |= U32::new(flag::EXTENTS);
        let data: u64 = map.pieces.iter().map(|piece| u64::from(piece.len)).sum();
        let all = data + map.tree.len() as u64 + u64::from(node.fixed.file_acl() != 0);
        node.set_sectors(self.geometry.byte(all) / 512);
        Ok(())
    }
}

/// As extents: as few as there can be. One that was not written says so in its length.
fn joined(pieces: &[Piece]) -> Vec<Run> {
    let mut runs: Vec<Piece> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        // An extent that was not written has one block less at most.
        let most = if piece.is_written { MAX_LEN } else { MAX_LEN - 1 };
        let mut rest = *piece;
        if let Some(last) = runs.last_mut()
            && last.is_written == rest.is_written
            && last.end() == rest.logical
            && last.physical + u64::from(last.len) == rest.physical
        {
            let more = rest.len.min(most - last.len);
            last.len += more;
            rest.logical += more;
            rest.physical += u64::from(more);
            rest.len -= more;
        }
        while rest.len > 0 {
            let len = rest.len.min(most);
            runs.push(Piece { len, ..rest });
            rest.logical += len;
            rest.physical += u64::from(len);
            rest.len -= len;
        }
    }
    let run = |piece: Piece| Run {
        logical: piece.logical,
        physical: piece.physical,
        len: piece.len + if piece.is_written { 0 } else { MAX_LEN },
    };
    runs.into_iter().map(run).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbors_become_one_extent_and_long_ones_several() {
        let piece = |logical, physical, len, is_written| Piece {
            logical,
            physical,
            len,
            is_written,
        };
        let runs = joined(&[
            piece(0, 100, 10, true),
            piece(10, 110, 5, true),
            piece(15, 115, 5, false),
            piece(30, 1000, 40000, true),
        ]);
        let found: Vec<_> = runs
            .iter()
            .map(|run| (run.logical, run.physical, run.len))
            .collect();
        assert_eq!(
            found,
            [
                (0, 100, 15),
                (15, 115, 5 + MAX_LEN),
                (30, 1000, 32768),
                (32798, 33768, 7232)
            ]
        );
    }
}
