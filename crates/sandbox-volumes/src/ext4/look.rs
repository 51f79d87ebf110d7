//! What a disk's superblock says of how full it is: one read, however large the disk.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sandbox_types::ByteSize;

use super::check::CheckError;
use super::disk::superblock::{Superblock, incompat};
use super::geometry::Geometry;
use super::journal::load_superblock;

/// How full a disk is, as `df` counts it where the kernel has mounted it: what its own tables and its journal take is neither free nor used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskUsage {
    /// What it can hold.
    pub capacity: ByteSize,
    /// What is in it.
    pub used: ByteSize,
    /// What `df` says is in it where fuse2fs has mounted it: its journal and the copies of its superblock are counted there.
    pub used_in_fuse2fs: ByteSize,
    /// Inodes that it can have.
    pub inodes: u64,
    /// Inodes in use; eleven of them are ext4's own.
    pub used_inodes: u64,
    /// Whether its journal has to be replayed, by a mount or by [`recover`](super::recover): until then the figures
    /// are older than what is in it.
    pub needs_recovery: bool,
    /// When the superblock was written.
    pub written: SystemTime,
}

/// Looks at the disk at `path`.
///
/// # Errors
/// Where it cannot be read, or is no ext4 that this version knows.
pub fn look(path: impl AsRef<Path>) -> Result<DiskUsage, CheckError> {
    let mut file = File::open(path)?;
    let (superblock, geometry) = load_superblock(&mut file)?;
    let overhead = u64::from(superblock.overhead_clusters.get());
    let capacity = geometry.blocks.saturating_sub(overhead);
    let used = capacity.saturating_sub(superblock.free_blocks());
    let free_inodes = u64::from(superblock.free_inodes_count.get());
    let inodes = u64::from(geometry.inodes());
    Ok(DiskUsage {
        capacity: ByteSize::from_bytes(geometry.byte(capacity)),
        used: ByteSize::from_bytes(geometry.byte(used)),
        used_in_fuse2fs: ByteSize::from_bytes(geometry.byte(used_in_fuse2fs(&geometry, &superblock))),
        inodes,
        used_inodes: inodes.saturating_sub(free_inodes),
        needs_recovery: superblock.feature_incompat.get() & incompat::RECOVER != 0,
        written: written(&superblock),
    })
}

/// Blocks, as `op_statfs` of e2fsprogs' misc/fuse2fs.c counts them: only descriptors, bitmaps and inode tables are neither
/// free nor used.
fn used_in_fuse2fs(geometry: &Geometry, superblock: &Superblock) -> u64 {
    let tables = u64::from(geometry.groups) * (u64::from(geometry.table_blocks()) + 2);
    let overhead = u64::from(geometry.descriptor_blocks()) + tables;
    geometry
        .blocks
        .saturating_sub(overhead)
        .saturating_sub(superblock.free_blocks())
}

fn written(superblock: &Superblock) -> SystemTime {
    let seconds = u64::from(superblock.wtime.get()) | u64::from(superblock.wtime_hi) << 32;
    UNIX_EPOCH + Duration::from_secs(seconds)
}
