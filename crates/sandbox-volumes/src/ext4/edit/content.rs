//! The content of files.

use std::io;
use std::ops::Range;

use rustix::io::Errno;

use super::extents::{Map, Piece};
use super::{Editor, Node};
use crate::ext4::disk::index;

/// How much of a new file is gathered before blocks are taken for it.
const GATHERED: usize = 1 << 20;

/// A new file that is being written into blocks that nobody else gets, and of which nothing on the disk says anything
/// yet.
#[derive(Debug, Default)]
pub(crate) struct Filling {
    pieces: Vec<Piece>,
    reserved: Vec<Range<u64>>,
    next: u32,
    size: u64,
    gathered: Vec<u8>,
}

impl Editor {
    /// Fills `buffer` from `offset` on; how much there is.
    pub(crate) fn read_content(&mut self, node: &Node, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let len = (buffer.len() as u64).min(node.size().saturating_sub(offset));
        let Some(buffer) = buffer.get_mut(..index(len)) else {
            return Ok(0);
        };
        buffer.fill(0);
        let size = u64::from(self.geometry.block_size);
        for piece in self.map(node)?.pieces.iter().filter(|piece| piece.is_written) {
            let start = u64::from(piece.logical) * size;
            let end = start + u64::from(piece.len) * size;
            let (from, to) = (start.max(offset), end.min(offset + len));
            if from >= to {
                continue;
            }
            let at = self.geometry.byte(piece.physical) + (from - start);
            if let Some(part) = buffer.get_mut(index(from - offset)..index(to - offset)) {
                self.device.read_at(at, part)?;
            }
        }
        Ok(buffer.len())
    }

    /// Adds to a new file. Blocks of zeros take no space.
    ///
    /// # Errors
    /// `ENOSPC`, `EFBIG`.
    pub(crate) fn fill(&mut self, filling: &mut Filling, mut data: &[u8]) -> io::Result<()> {
        self.check_size(filling.size + data.len() as u64)?;
        filling.size += data.len() as u64;
        while !data.is_empty() {
            let room = GATHERED - filling.gathered.len();
            let (now, later) = data.split_at(room.min(data.len()));
            filling.gathered.extend_from_slice(now);
            data = later;
            if filling.gathered.len() == GATHERED {
                self.flush(filling)?;
            }
        }
        Ok(())
    }

    fn flush(&mut self, filling: &mut Filling) -> io::Result<()> {
        let mut gathered = std::mem::take(&mut filling.gathered);
        let block = self.geometry.block_len();
        gathered.resize(gathered.len().next_multiple_of(block), 0);
        let mut rest = gathered.as_slice();
        while !rest.is_empty() {
            let zeros = rest.chunks(block).take_while(|block| is_zero(block)).count();
            filling.next += u32::try_from(zeros).map_err(|_| Errno::FBIG)?;
            rest = rest.get(zeros * block..).unwrap_or_default();
            let blocks = rest.chunks(block).take_while(|block| !is_zero(block)).count();
            let (now, later) = rest.split_at(blocks * block);
            self.write_new(filling, now)?;
            rest = later;
        }
        gathered.clear();
        filling.gathered = gathered;
        Ok(())
    }

    fn write_new(&mut self, filling: &mut Filling, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let range = self.reserve(self.geometry.blocks_for(data.len() as u64))?;
            filling.reserved.push(range.clone());
            let len = range.end - range.start;
            let (now, later) = data.split_at(index(self.geometry.byte(len)).min(data.len()));
            self.device.write_at(self.geometry.byte(range.start), now)?;
            let len = u32::try_from(len).map_err(|_| Errno::FBIG)?;
            filling.pieces.push(Piece {
                logical: filling.next,
                physical: range.start,
                len,
                is_written: true,
            });
            filling.next += len;
            data = later;
        }
        Ok(())
    }

    /// Makes it the content of an inode that has none, with the transaction.
    pub(super) fn settle(&mut self, node: &mut Node, filling: &mut Filling) -> io::Result<()> {
        self.flush(filling)?;
        for range in std::mem::take(&mut filling.reserved) {
            self.release(&range);
            self.claim(range)?;
        }
        let mut map = Map::default();
        map.pieces.clone_from(&filling.pieces);
        node.set_size(filling.size);
        self.set_map(node, &mut map)
    }

    /// Overwrites from `offset` on, in place; what is behind the end grows.
    pub(crate) fn overwrite(&mut self, node: &mut Node, offset: u64, data: &[u8]) -> io::Result<()> {
        let end = offset.checked_add(data.len() as u64).ok_or(Errno::FBIG)?;
        self.check_size(end)?;
        let mut map = self.map(node)?;
        let size = u64::from(self.geometry.block_size);
        let mut at = offset;
        while at < end {
            let logical = u32::try_from(at / size).map_err(|_| Errno::FBIG)?;
            let last = u32::try_from((end - 1) / size).map_err(|_| Errno::FBIG)?;
            let piece = self.writable(&mut map, logical, last, offset..end)?;
            let to = end.min((u64::from(logical) + u64::from(piece.len)) * size);
            let place = self.geometry.byte(piece.physical) + at % size;
            let part = data
                .get(index(at - offset)..index(to - offset))
                .unwrap_or_default();
            self.device.write_at(place, part)?;
            at = to;
        }
        node.set_size(node.size().max(end));
        node.touch();
        self.set_map(node, &mut map)?;
        self.set_node(node)
    }

    /// Blocks from `logical` on that can be written in place, up to `last`. New ones are zero where `covered`, in
    /// bytes of the file, will not fill them.
    fn writable(&mut self, map: &mut Map, logical: u32, last: u32, covered: Range<u64>) -> io::Result<Piece> {
        let at = map.pieces.partition_point(|piece| piece.end() <= logical);
        let found = map
            .pieces
            .get(at)
            .copied()
            .filter(|piece| piece.logical <= logical);
        let next = map.pieces.get(at).map_or(u32::MAX, |piece| piece.logical);
        let new = match found {
            Some(piece) if piece.is_written => {
                let skip = logical - piece.logical;
                return Ok(Piece {
                    logical,
                    physical: piece.physical + u64::from(skip),
                    len: (piece.len - skip).min(last - logical + 1),
                    is_written: true,
                });
            }
            Some(piece) => split(map, at, piece, logical, last),
            None => {
                let want = last.min(next - 1) - logical + 1;
                let range = self.reserve(u64::from(want))?;
                self.release(&range);
                self.claim(range.clone())?;
                let piece = Piece {
                    logical,
                    physical: range.start,
                    len: u32::try_from(range.end - range.start).map_err(|_| Errno::FBIG)?,
                    is_written: true,
                };
                map.pieces.insert(at, piece);
                piece
            }
        };
        self.clear_edges(&new, &covered)?;
        Ok(new)
    }

    /// Makes zero what of the first and the last block is not going to be written.
    fn clear_edges(&mut self, piece: &Piece, covered: &Range<u64>) -> io::Result<()> {
        let size = u64::from(self.geometry.block_size);
        let zeros = vec![0; self.geometry.block_len()];
        let start = u64::from(piece.logical) * size;
        let end = start + u64::from(piece.len) * size;
        if covered.start > start {
            self.device.write_at(self.geometry.byte(piece.physical), &zeros)?;
        }
        if covered.end < end {
            let last = piece.physical + u64::from(piece.len) - 1;
            self.device.write_at(self.geometry.byte(last), &zeros)?;
        }
        Ok(())
    }

    /// Cuts a file, or makes it longer by a hole.
    pub(crate) fn set_len(&mut self, node: &mut Node, len: u64) -> io::Result<()> {
        self.check_size(len)?;
        if len < node.size() {
            let mut map = self.map(node)?;
            self.cut(&mut map, len)?;
            self.set_map(node, &mut map)?;
        }
        node.set_size(len);
        node.touch();
        self.set_node(node)
    }

    fn cut(&mut self, map: &mut Map, len: u64) -> io::Result<()> {
        let keep = u32::try_from(self.geometry.blocks_for(len)).map_err(|_| Errno::FBIG)?;
        for piece in std::mem::take(&mut map.pieces) {
            let kept = keep.saturating_sub(piece.logical).min(piece.len);
            if kept > 0 {
                map.pieces.push(Piece { len: kept, ..piece });
            }
            if kept < piece.len {
                let start = piece.physical + u64::from(kept);
                self.free(start..piece.physical + u64::from(piece.len))?;
            }
        }
        // What is read behind the end, once the file is longer again, is zero.
        let within = len % u64::from(self.geometry.block_size);
        if let Some(last) = map
            .pieces
            .last()
            .filter(|last| within > 0 && last.is_written && last.end() == keep)
        {
            let at = self.geometry.byte(last.physical + u64::from(last.len) - 1) + within;
            let rest = vec![0; self.geometry.block_len() - index(within)];
            self.device.write_at(at, &rest)?;
        }
        Ok(())
    }

    /// Gives back all that a file has.
    pub(super) fn free_content(&mut self, node: &mut Node) -> io::Result<()> {
        let mut map = self.map(node)?;
        for piece in std::mem::take(&mut map.pieces) {
            self.free(piece.physical..piece.physical + u64::from(piece.len))?;
        }
        self.set_map(node, &mut map)
    }

    /// Block numbers within a file have 32 bits.
    fn check_size(&self, size: u64) -> io::Result<()> {
        if self.geometry.blocks_for(size) < u64::from(u32::MAX) {
            Ok(())
        } else {
            Err(Errno::FBIG.into())
        }
    }
}

/// Makes a part of a piece that was not written one that is.
fn split(map: &mut Map, at: usize, piece: Piece, logical: u32, last: u32) -> Piece {
    let skip = logical - piece.logical;
    let len = (piece.len - skip).min(last - logical + 1);
    let middle = Piece {
        logical,
        physical: piece.physical + u64::from(skip),
        len,
        is_written: true,
    };
    let before = Piece { len: skip, ..piece };
    let after = Piece {
        logical: logical + len,
        physical: middle.physical + u64::from(len),
        len: piece.len - skip - len,
        is_written: false,
    };
    let parts = [before, middle, after].into_iter().filter(|part| part.len > 0);
    map.pieces.splice(at..=at, parts);
    middle
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}
