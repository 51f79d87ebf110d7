//! Makes a disk larger while nobody uses it.
//!
//! What is new is written where nobody looks yet; the few old blocks that change are one transaction of the
//! journal. Whatever prefix of the writes is on the disk, it is the old file system, the new one, or one whose
//! journal the kernel, e2fsck, [`recover`](super::recover) or the next [`grow`] replays.

mod error;
mod fresh;
mod plan;

pub use error::GrowError;

use std::{fs::OpenOptions, io, path::Path};

use sandbox_types::ByteSize;
use zerocopy::{FromBytes, IntoBytes};

use super::{
    device::BlockDevice,
    disk::superblock::{OFFSET, Superblock},
    geometry::Geometry,
    journal::{self, JournalSuperblock, Place, load_superblock, recover_device},
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
    let (place, mut empty) = journal_of(device, old, &plan.old, size)?;
    let before = plan::marked(old.clone());
    if place.is_tail() {
        let states = [&before, &plan::marked(plan.superblock.clone())];
        empty.set_states(states.map(|state| state.clone().sealed().checksum.get()));
        journal::write_superblock(device, &place, &empty).map_err(GrowError::Write)?;
    }
    let committed = journal::prepare(device, &place, &empty, &plan.changes).map_err(GrowError::Write)?;
    device.sync().map_err(GrowError::Write)?;
    // The mark comes before the transaction counts: a mark without one means nothing.
    put_superblock(device, before).map_err(GrowError::Write)?;
    journal::commit(device, &place, &committed).map_err(GrowError::Write)?;
    for (block, bytes) in &plan.changes {
        device
            .write_at(plan.geometry.byte(*block), bytes)
            .map_err(GrowError::Write)?;
    }
    device.sync().map_err(GrowError::Write)?;
    journal::finish(device, &place, committed.sequence.get().wrapping_add(1)).map_err(GrowError::Write)?;
    put_superblock(device, plan.superblock.clone()).map_err(GrowError::Write)?;
    if place.is_tail() {
        device
            .truncate(size)
            .and_then(|()| device.sync())
            .map_err(GrowError::Write)?;
    }
    Ok(())
}

fn put_superblock(device: &mut dyn BlockDevice, superblock: Superblock) -> io::Result<()> {
    device.write_at(OFFSET, superblock.sealed().as_bytes())?;
    device.sync()
}

/// The journal, which is empty: that of the disk, or one behind its new end.
fn journal_of(
    device: &mut dyn BlockDevice,
    old: &Superblock,
    geometry: &Geometry,
    size: u64,
) -> Result<(Place, JournalSuperblock), GrowError> {
    let place = match Place::find(device, old, geometry).map_err(GrowError::Write)? {
        Some(place) if !place.is_tail() => place,
        _ => {
            let len = Place::tail_len(geometry);
            device
                .extend(size.saturating_add(len))
                .map_err(GrowError::NoRoomForLog)?;
            let end = device.size().map_err(GrowError::Write)?;
            let place = Place::tail(geometry, end - len);
            let mut empty = JournalSuperblock::empty(geometry.block_size, place.blocks);
            empty.uuid = old.uuid;
            return Ok((place, empty));
        }
    };
    let mut bytes = [0; size_of::<JournalSuperblock>()];
    let at = place.byte(0).map_err(GrowError::Write)?;
    device.read_at(at, &mut bytes).map_err(GrowError::Write)?;
    let journal = JournalSuperblock::read_from_bytes(&bytes).map_err(|_| GrowError::Journal)?;
    let is_usable = journal.header.magic.get() == journal::MAGIC
        && journal.block_size.get() == geometry.block_size
        && journal.first.get() > 0
        && journal.is_sealed();
    if is_usable {
        Ok((place, journal))
    } else {
        Err(GrowError::Journal)
    }
}
