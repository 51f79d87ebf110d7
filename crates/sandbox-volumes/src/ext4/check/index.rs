//! Indexes of directories.

use std::collections::{HashMap, HashSet};

use zerocopy::{FromBytes, little_endian::U32};

use super::{Check, CheckError, DirectoryFault, dirents::Directory, entries::entry};
use crate::ext4::disk::{
    dirent::{CountLimit, DX_ENTRY, DX_NODE, DX_ROOT, RootInfo, index_checksum},
    extent::Run,
    hash,
    superblock::HASH_HALF_MD4,
};

/// Which names belong into which block.
pub(super) struct Index {
    seed: [u32; 4],
    /// Blocks that hold the index itself.
    internal: HashSet<u32>,
    /// Of each leaf, its lowest hash and that of the next leaf.
    leaves: HashMap<u32, (u32, u32)>,
}

impl Index {
    pub(super) fn is_internal(&self, block: u32) -> bool {
        self.internal.contains(&block)
    }

    /// Whether a name is found in this block.
    pub(super) fn holds(&self, block: u32, name: &[u8]) -> bool {
        let hash = hash::half_md4(self.seed, name);
        // The lowest bit of a boundary says that its hash is on both sides.
        self.leaves.get(&block).is_some_and(|(low, high)| {
            hash >= low & !1 && (hash < *high || high & 1 == 1 && hash == high & !1)
        })
    }
}

impl Check<'_> {
    /// Reads the index of a directory; none where it is so damaged that nothing can be said.
    pub(super) fn read_index(
        &mut self,
        directory: &Directory,
        runs: &[Run],
    ) -> Result<Option<Index>, CheckError> {
        let Some(root) = self.logical(runs, 0)? else {
            return Ok(None);
        };
        let seed = self.superblock.hash_seed.map(U32::get);
        let mut index = Index {
            seed,
            internal: HashSet::from([0]),
            leaves: HashMap::new(),
        };
        let info = root
            .get(DX_ROOT - size_of::<RootInfo>()..DX_ROOT)
            .and_then(|at| RootInfo::read_from_bytes(at).ok());
        let info = info.filter(|info| {
            (info.hash_version, info.info_length) == (HASH_HALF_MD4, 8) && info.indirect_levels <= 1
        });
        let Some(info) = info else {
            self.directory_fault(directory.inode, 0, DirectoryFault::Index);
            return Ok(None);
        };
        self.root_dots(directory, &root);
        let top = self.level(directory, 0, &root, DX_ROOT, (0, u32::MAX));
        for (block, low, high) in top {
            if info.indirect_levels == 0 {
                self.leaf_of(directory, &mut index, (block, low, high));
            } else if !index.internal.insert(block) {
                self.directory_fault(directory.inode, block, DirectoryFault::Index);
            } else if let Some(node) = self.logical(runs, block)? {
                for leaf in self.level(directory, block, &node, DX_NODE, (low, high)) {
                    self.leaf_of(directory, &mut index, leaf);
                }
            }
        }
        Ok(Some(index))
    }

    fn leaf_of(&mut self, directory: &Directory, index: &mut Index, (block, low, high): (u32, u32, u32)) {
        if index.is_internal(block) || index.leaves.insert(block, (low, high)).is_some() {
            self.directory_fault(directory.inode, block, DirectoryFault::Index);
        }
    }

    /// The root of an index looks like a block with two entries, `..` reaching to its end.
    fn root_dots(&mut self, directory: &Directory, root: &[u8]) {
        let mut at = 0;
        for count in 0..2 {
            match entry(root, at) {
                Some((header, name, len)) => {
                    self.dots(directory, count, header, name);
                    at += len;
                }
                None => return self.directory_fault(directory.inode, 0, DirectoryFault::Dots),
            }
        }
    }

    /// The children of a block of an index, each with its hashes.
    fn level(
        &mut self,
        directory: &Directory,
        number: u32,
        block: &[u8],
        start: usize,
        bounds: (u32, u32),
    ) -> Vec<(u32, u32, u32)> {
        let most = (block.len() - start) / DX_ENTRY - 1;
        let header = block
            .get(start..start + 4)
            .and_then(|at| CountLimit::read_from_bytes(at).ok());
        let counts = header.map(|header| (usize::from(header.count.get()), usize::from(header.limit.get())));
        let Some((count, limit)) =
            counts.filter(|(count, limit)| (1..=*limit).contains(count) && *limit == most)
        else {
            self.directory_fault(directory.inode, number, DirectoryFault::Index);
            return Vec::new();
        };
        let sum = index_checksum(block, start, count, limit, directory.seed);
        let stored = start + limit * DX_ENTRY + 4;
        if block.get(stored..stored + 4) != Some(&sum.to_le_bytes()) {
            self.directory_fault(directory.inode, number, DirectoryFault::Checksum);
        }
        let entries = block
            .get(start..)
            .unwrap_or_default()
            .chunks_exact(DX_ENTRY)
            .take(count);
        let mut children: Vec<(u32, u32)> = entries
            .filter_map(|bytes| <[U32; 2]>::read_from_bytes(bytes).ok())
            .map(|[hash, child]| (hash.get(), child.get() & 0x0FFF_FFFF))
            .collect();
        if let Some(first) = children.first_mut() {
            first.0 = bounds.0;
        }
        let ends = children
            .iter()
            .skip(1)
            .map(|(hash, _)| *hash)
            .chain(std::iter::once(bounds.1));
        let all: Vec<(u32, u32, u32)> = children
            .iter()
            .zip(ends)
            .map(|((low, child), high)| (*child, *low, high))
            .collect();
        if all
            .iter()
            .any(|(child, low, high)| low > high || *child >= directory.blocks)
        {
            self.directory_fault(directory.inode, number, DirectoryFault::Index);
            return Vec::new();
        }
        all
    }

    /// A logical block of a directory.
    fn logical(&mut self, runs: &[Run], number: u32) -> Result<Option<Vec<u8>>, CheckError> {
        let at = runs.partition_point(|run| run.logical.saturating_add(run.len) <= number);
        match runs.get(at).filter(|run| run.logical <= number) {
            Some(run) => Ok(Some(
                self.reader
                    .block(run.physical + u64::from(number - run.logical))?,
            )),
            None => Ok(None),
        }
    }
}
