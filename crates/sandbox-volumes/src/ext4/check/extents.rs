//! Extent trees.

use std::ops::Range;

use zerocopy::FromBytes;

use super::{Check, CheckError, InodeFault};
use crate::ext4::disk::{
    checksum::crc32c,
    extent::{ENTRY, Header, IN_INODE, Index, Leaf, MAGIC, MAX_LEN, Run, per_block, tail},
    inode::Inode,
};

/// The deepest tree that the kernel makes.
const MAX_DEPTH: u16 = 5;

/// Where a walk is.
struct Walk<'a> {
    inode: u32,
    seed: u32,
    each: &'a mut dyn FnMut(Run),
    /// The first logical block that may come next.
    next: u64,
    /// Whether blocks are claimed: the first time a tree is walked.
    claim: bool,
    blocks: u64,
}

impl Check<'_> {
    /// Walks a tree, claims all its blocks, and tells their number.
    pub(super) fn walk(
        &mut self,
        number: u32,
        inode: &Inode,
        seed: u32,
        each: &mut dyn FnMut(Run),
    ) -> Result<u64, CheckError> {
        let mut walk = Walk {
            inode: number,
            seed,
            each,
            next: 0,
            claim: true,
            blocks: 0,
        };
        self.node(&inode.block, IN_INODE, None, &mut walk)?;
        Ok(walk.blocks)
    }

    /// The runs of a tree that was walked already; empty where it is damaged.
    pub(super) fn runs(&mut self, number: u32, inode: &Inode, seed: u32) -> Result<Vec<Run>, CheckError> {
        let mut runs = Vec::new();
        let mut each = |run| runs.push(run);
        let mut walk = Walk {
            inode: number,
            seed,
            each: &mut each,
            next: 0,
            claim: false,
            blocks: 0,
        };
        self.node(&inode.block, IN_INODE, None, &mut walk)?;
        Ok(runs)
    }

    fn node(
        &mut self,
        node: &[u8],
        room: usize,
        depth: Option<u16>,
        walk: &mut Walk<'_>,
    ) -> Result<(), CheckError> {
        let header = Header::read_from_prefix(node)
            .ok()
            .map(|(header, _)| header)
            .filter(|header| {
                let (entries, max) = (usize::from(header.entries.get()), usize::from(header.max.get()));
                header.magic.get() == MAGIC
                    && entries <= max
                    && max <= room
                    && header.depth.get() <= MAX_DEPTH
                    && depth.is_none_or(|depth| header.depth.get() == depth && entries > 0)
            });
        let Some(header) = header else {
            self.fault(walk, InodeFault::ExtentTree);
            return Ok(());
        };
        let entries = node
            .chunks_exact(ENTRY)
            .skip(1)
            .take(usize::from(header.entries.get()));
        for entry in entries {
            if header.depth.get() == 0 {
                self.leaf(entry, walk);
            } else {
                self.child(entry, header.depth.get() - 1, walk)?;
            }
        }
        Ok(())
    }

    fn leaf(&mut self, entry: &[u8], walk: &mut Walk<'_>) {
        let Ok(leaf) = Leaf::read_from_bytes(entry) else {
            return;
        };
        let stored = u32::from(leaf.len.get());
        let len = if stored > MAX_LEN {
            stored - MAX_LEN
        } else {
            stored
        };
        let logical = u64::from(leaf.logical.get());
        let run = Run {
            logical: leaf.logical.get(),
            physical: leaf.physical(),
            len,
        };
        if len == 0 || logical < walk.next || logical + u64::from(len) > 1 << 32 {
            return self.fault(walk, InodeFault::ExtentTree);
        }
        walk.next = logical + u64::from(len);
        if self.take(run.physical..run.physical + u64::from(len), walk) {
            (walk.each)(run);
        }
    }

    fn child(&mut self, entry: &[u8], depth: u16, walk: &mut Walk<'_>) -> Result<(), CheckError> {
        let Ok(index) = Index::read_from_bytes(entry) else {
            return Ok(());
        };
        let child = index.child();
        if u64::from(index.logical.get()) < walk.next {
            self.fault(walk, InodeFault::ExtentTree);
            return Ok(());
        }
        if !self.take(child..child + 1, walk) {
            return Ok(());
        }
        let block = self.reader.block(child)?;
        let block_size = self.reader.geometry.block_size;
        let (covered, sum) = block.split_at_checked(tail(block_size)).unwrap_or_default();
        if sum.get(..4) != Some(&crc32c(walk.seed, covered).to_le_bytes()) {
            self.fault(walk, InodeFault::ExtentChecksum(child));
        }
        self.node(&block, per_block(block_size), Some(depth), walk)
    }

    /// Claims blocks. A block that something else has is not followed, so that no tree is walked twice.
    fn take(&mut self, blocks: Range<u64>, walk: &mut Walk<'_>) -> bool {
        let len = blocks.end - blocks.start;
        if !self.reader.holds(blocks.start, len) {
            self.fault(walk, InodeFault::Block(blocks.start));
            return false;
        }
        if walk.claim
            && let Err(block) = self.blocks.claim(blocks.start, len)
        {
            self.fault(walk, InodeFault::Block(block));
            return false;
        }
        walk.blocks += len;
        true
    }

    fn fault(&mut self, walk: &Walk<'_>, fault: InodeFault) {
        if walk.claim {
            self.inode_fault(walk.inode, fault);
        }
    }
}
