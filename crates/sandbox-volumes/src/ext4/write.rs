//! A disk from nothing: scan, plan, execute.

use std::time::{SystemTime, UNIX_EPOCH};

use sandbox_types::{ByteSize, TreeSource, TreeTime};

use super::{
    device::BlockDevice,
    disk::checksum::crc32c,
    error::FormatError,
    execute::execute,
    inventory::{Content, Format, Inventory, scan},
    options::{Ext4FormatOptions, default_block_size},
    plan::{Plan, plan},
};

/// What a disk is filled with.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// Nothing but lost+found.
    Empty,
    /// All files of a tree.
    Tree(&'a dyn TreeSource),
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FormatReport {
    /// Bytes of the image.
    pub size: ByteSize,
    /// Bytes of a block.
    pub block_size: u32,
    /// Blocks of the file system; fewer than fit into `size` where the rest was not worth a group.
    pub blocks: u64,
    /// Blocks that are free, the reserved ones included.
    pub free_blocks: u64,
    /// Blocks that only root can use.
    pub reserved_blocks: u64,
    /// Blocks of the journal; 0 without one.
    pub journal_blocks: u32,
    /// Inodes.
    pub inodes: u32,
    /// Inodes that are free.
    pub free_inodes: u32,
    /// Directories, root and lost+found included.
    pub directories: u64,
    /// What is no directory.
    pub files: u64,
    /// The file system's UUID.
    pub uuid: [u8; 16],
}

/// Makes `device` an ext4 disk, and syncs it. What was on it is lost, also when this fails.
///
/// Everything is decided before the first byte is written. With a UUID and a time in the options, equal options
/// and an equal tree give equal bytes.
///
/// ```
/// use sandbox_types::SizeExt;
/// use sandbox_volumes::ext4::{self, Ext4FormatOptions, Size, Source};
///
/// let options = Ext4FormatOptions::builder(Size::Bytes(1.mib())).build()?;
/// let mut memory = std::io::Cursor::new(Vec::new());
/// let report = ext4::write(&mut memory, Source::Empty, &options)?;
/// assert_eq!(report.size, 1.mib());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write(
    device: &mut dyn BlockDevice,
    source: Source<'_>,
    options: &Ext4FormatOptions,
) -> Result<FormatReport, FormatError> {
    let source = match source {
        Source::Empty => None,
        Source::Tree(tree) => Some(tree),
    };
    let format = format(options)?;
    let inventory = scan(source, &format)?;
    let plan = plan(&inventory, &format, options)?;
    execute(device, &plan, &inventory, &format, options, source)?;
    Ok(report(&plan, &inventory, &format))
}

/// What options leave open is settled once, here: the rest is a function of it.
fn format(options: &Ext4FormatOptions) -> Result<Format, FormatError> {
    let uuid = match options.uuid {
        Some(uuid) => uuid,
        None => random_uuid()?,
    };
    let seed = options.hash_seed.map_or_else(
        || [0, 1, 2, 3].map(|word: u32| crc32c(word, &uuid)),
        |seed| [0, 4, 8, 12].map(|at| word(&seed, at)),
    );
    Ok(Format {
        block_size: options
            .block_size
            .unwrap_or_else(|| default_block_size(options.size)),
        inode_size: options.inode_size,
        uuid,
        hash_seed: seed,
        time: options.time.unwrap_or_else(now),
    })
}

fn word(seed: &[u8; 16], at: usize) -> u32 {
    let bytes = seed.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    u32::from_le_bytes(bytes.unwrap_or_default())
}

fn now() -> TreeTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(0);
    TreeTime {
        seconds,
        nanoseconds: since.subsec_nanos(),
    }
}

/// Version 4 of RFC 9562.
fn random_uuid() -> Result<[u8; 16], FormatError> {
    let mut uuid = [0; 16];
    rustix::rand::getrandom(&mut uuid, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| FormatError::Write(error.into()))?;
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut uuid;
    *version = *version & 0x0F | 0x40;
    *variant = *variant & 0x3F | 0x80;
    Ok(uuid)
}

fn report(plan: &Plan, inventory: &Inventory, format: &Format) -> FormatReport {
    let directories = inventory
        .nodes
        .iter()
        .filter(|node| matches!(node.content, Content::Directory(_)))
        .count();
    FormatReport {
        size: ByteSize::from_bytes(plan.bytes),
        block_size: format.block_size,
        blocks: plan.geometry.blocks,
        free_blocks: plan.free_blocks,
        reserved_blocks: plan.reserved_blocks,
        journal_blocks: plan.journal.as_ref().map_or(0, |journal| journal.blocks),
        inodes: plan.geometry.inodes(),
        free_inodes: plan.free_inodes(),
        directories: directories as u64,
        files: (inventory.nodes.len() - directories) as u64,
        uuid: format.uuid,
    }
}
