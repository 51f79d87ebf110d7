//! statfs.

use super::filesystem::MemFs;
use super::inode::INODE_COST;
use super::name::NAME_MAX;
use super::space::PAGE;
use crate::fs::StatFs;

impl MemFs {
    /// What is free can be filled with data to the last byte, by files that are there.
    pub(super) fn usage(&self) -> StatFs {
        let free = self.space.free();
        let block = u32::try_from(PAGE).unwrap_or(4096);
        StatFs {
            blocks: self.space.capacity() / PAGE,
            blocks_free: free / PAGE,
            blocks_available: free / PAGE,
            files: self.space.max_inodes(),
            files_free: self.space.free_inodes().min(free / INODE_COST),
            block_size: block,
            name_max: u32::try_from(NAME_MAX).unwrap_or(255),
            fragment_size: block,
        }
    }
}
