//! Carries a plan out: bitmaps, descriptors and copies of the superblock, inodes, contents, the superblock. Decides nothing.

mod content;
pub(crate) mod directory;
pub(crate) mod extents;
pub(crate) mod groups;
mod inodes;
mod sink;
pub(crate) mod superblock;
pub(crate) mod xattrs;

use std::{io, path::PathBuf};

use sandbox_types::TreeSource;

use super::{
    device::BlockDevice,
    disk::checksum,
    error::FormatError,
    inventory::{Format, Inventory, path_of},
    options::Ext4FormatOptions,
    plan::Plan,
};
use sink::Sink;

/// What is written, and from what.
pub(crate) struct Job<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) inventory: &'a Inventory,
    pub(crate) format: &'a Format,
    pub(crate) options: &'a Ext4FormatOptions,
    pub(crate) source: Option<&'a dyn TreeSource>,
    /// What all checksums start with.
    pub(crate) seed: u32,
}

/// Writes a whole disk and syncs it.
pub(crate) fn execute(
    device: &mut dyn BlockDevice,
    plan: &Plan,
    inventory: &Inventory,
    format: &Format,
    options: &Ext4FormatOptions,
    source: Option<&dyn TreeSource>,
) -> Result<(), FormatError> {
    let seed = checksum::filesystem_seed(&format.uuid);
    let job = Job {
        plan,
        inventory,
        format,
        options,
        source,
        seed,
    };
    device.reset(plan.bytes).map_err(FormatError::Write)?;
    let mut sink = Sink::new(device);
    let superblock = superblock::new(&job);
    groups::write(&job, &superblock, &mut sink).map_err(FormatError::Write)?;
    inodes::write(&job, &mut sink).map_err(FormatError::Write)?;
    content::write(&job, &mut sink)?;
    superblock::write(&superblock, &mut sink).map_err(FormatError::Write)?;
    sink.flush().map_err(FormatError::Write)?;
    device.sync().map_err(FormatError::Write)
}

impl Job<'_> {
    fn path(&self, node: u32) -> PathBuf {
        path_of(self.inventory, node)
    }

    /// What the checksums of an inode start with; generations are 0.
    fn inode_seed(&self, inode: u32) -> u32 {
        checksum::inode_seed(self.seed, inode, 0)
    }

    fn put(&self, sink: &mut Sink<'_>, block: u64, data: &[u8]) -> io::Result<()> {
        sink.put(self.plan.geometry.byte(block), data)
    }
}
