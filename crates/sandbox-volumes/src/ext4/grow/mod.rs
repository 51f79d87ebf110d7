//! Makes a disk larger while nobody uses it.
//!
//! What is new is written where nobody looks yet; the few old blocks that change are one transaction of the
//! journal. Whatever prefix of the writes is on the disk, it is the old file system, the new one, or one whose
//! journal the kernel, e2fsck, [`recover`](super::recover) or the next [`grow`] replays.

mod error;
mod fresh;
mod plan;

pub use error::GrowError;

use std::{fs::OpenOptions, path::Path};

use sandbox_types::ByteSize;
use zerocopy::FromBytes;

use super::{
    device::BlockDevice,
    disk::superblock::{OFFSET, Superblock},
    journal::{TransactError, Transaction, load_superblock, recover_device},
};
use plan::GrowPlan;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GrowReport {
    /// Blocks before.
    pub old_blocks: u64,
    /// Blocks now. The same as before where a larger disk would only have got a group that is not worth having.
    pub new_blocks: u64,
}

/// Grows the disk at `path` to `size`, which is rounded down to whole blocks; the file grows with it. Nobody may
/// have the disk mounted. What an earlier call or a crash has left in the journal is replayed first.
///
/// Errors leave the disk as it was, or so that a second call completes it.
pub fn grow(path: impl AsRef<Path>, size: ByteSize) -> Result<GrowReport, GrowError> {
    let path = path.as_ref();
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|source| GrowError::Open {
            path: path.to_owned(),
            source,
        })?;
    grow_device(&mut file, size)
}

/// As [`grow`], on a device.
pub fn grow_device(device: &mut dyn BlockDevice, size: ByteSize) -> Result<GrowReport, GrowError> {
    recover_device(device)?;
    let (superblock, geometry) = load_superblock(device)?;
    let old_blocks = geometry.blocks;
    let Some(plan) = GrowPlan::new(device, &superblock, &geometry, size.bytes())? else {
        if size.bytes() >= geometry.byte(geometry.blocks) {
            device.extend(size.bytes()).map_err(GrowError::Write)?;
        }
        return Ok(GrowReport {
            old_blocks,
            new_blocks: old_blocks,
        });
    };
    carry_out(device, &superblock, &plan, size.bytes())?;
    Ok(GrowReport {
        old_blocks,
        new_blocks: plan.geometry.blocks,
    })
}

fn carry_out(
    device: &mut dyn BlockDevice,
    old: &Superblock,
    plan: &GrowPlan,
    size: u64,
) -> Result<(), GrowError> {
    let had = device.size().map_err(GrowError::Write)?;
    let result = new_part(device, plan, size).and_then(|()| old_part(device, old, plan, size));
    if result.is_err() && !is_committed(device, old) {
        // The old file system is as it was; so is the file, as far as that is possible.
        device.truncate(had).map_err(GrowError::Write)?;
    }
    result
}

fn is_committed(device: &mut dyn BlockDevice, old: &Superblock) -> bool {
    let mut bytes = [0; size_of::<Superblock>()];
    let now = device
        .read_at(OFFSET, &mut bytes)
        .ok()
        .and_then(|()| Superblock::read_from_bytes(&bytes).ok());
    now.is_none_or(|now| now != *old)
}

/// Writes what nobody looks at yet.
fn new_part(device: &mut dyn BlockDevice, plan: &GrowPlan, size: u64) -> Result<(), GrowError> {
    device.extend(size).map_err(GrowError::Write)?;
    let start = plan.geometry.byte(plan.old.blocks);
    let len = plan.geometry.byte(plan.geometry.blocks) - start;
    device.zero(start, len).map_err(GrowError::Write)?;
    fresh::write(device, plan).map_err(GrowError::Write)?;
    device.sync().map_err(GrowError::Write)
}

/// Changes the old blocks, by a transaction.
fn old_part(
    device: &mut dyn BlockDevice,
    old: &Superblock,
    plan: &GrowPlan,
    size: u64,
) -> Result<(), GrowError> {
    let transaction = Transaction {
        old,
        new: &plan.superblock,
        geometry: &plan.old,
        changes: &plan.changes,
        end: size,
    };
    transaction.carry_out(device).map_err(|error| match error {
        TransactError::Journal => GrowError::Journal,
        TransactError::NoRoomForLog(source) => GrowError::NoRoomForLog(source),
        TransactError::Io(source) => GrowError::Write(source),
    })
}
