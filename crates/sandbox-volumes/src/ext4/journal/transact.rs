//! One transaction from beginning to end: whatever prefix of its writes is on the disk, it is the old state, the new
//! one, or one whose journal the kernel, e2fsck or [`recover`](super::recover) replays.

use std::io;

use zerocopy::{FromBytes, IntoBytes, little_endian::U16, little_endian::U32};

use super::{Change, JournalSuperblock, MAGIC, Place, commit, finish, prepare, write_superblock};
use crate::ext4::{
    device::BlockDevice,
    disk::superblock::{OFFSET, STATE_VALID, Superblock, compat, incompat},
    geometry::Geometry,
};

/// Blocks that change together.
#[derive(Debug)]
pub(crate) struct Transaction<'a> {
    /// The superblock as it is.
    pub(crate) old: &'a Superblock,
    /// As it will be, without a mark.
    pub(crate) new: &'a Superblock,
    /// How the disk is divided until then.
    pub(crate) geometry: &'a Geometry,
    /// Each block once.
    pub(crate) changes: &'a [Change],
    /// The bytes of the device afterwards: what a journal behind the end has taken is given back.
    pub(crate) end: u64,
}

/// Why a transaction did not come about.
#[derive(Debug)]
pub(crate) enum TransactError {
    /// The journal's superblock is damaged.
    Journal,
    /// A disk without a journal has no room behind its end.
    NoRoomForLog(io::Error),
    /// Reading or writing failed. Before the transaction counts nothing has changed; afterwards it is replayed.
    Io(io::Error),
}

impl From<io::Error> for TransactError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Transaction<'_> {
    /// Carries it out. What was written to the device before is on the disk first.
    pub(crate) fn carry_out(&self, device: &mut dyn BlockDevice) -> Result<(), TransactError> {
        let (place, mut empty) = self.journal(device)?;
        let before = marked(self.old.clone());
        if place.is_tail() {
            let states = [&before, &marked(self.new.clone())];
            empty.set_states(states.map(|state| state.clone().sealed().checksum.get()));
            write_superblock(device, &place, &empty)?;
        }
        let committed = prepare(device, &place, &empty, self.changes)?;
        device.sync()?;
        // The mark comes before the transaction counts: a mark without one means nothing.
        put_superblock(device, before)?;
        commit(device, &place, &committed)?;
        for (block, bytes) in self.changes {
            device.write_at(self.geometry.byte(*block), bytes)?;
        }
        device.sync()?;
        finish(device, &place, committed.sequence.get().wrapping_add(1))?;
        put_superblock(device, self.new.clone())?;
        if place.is_tail() {
            device.truncate(self.end).and_then(|()| device.sync())?;
        }
        Ok(())
    }

    /// The journal, which is empty: that of the disk, or one behind its end.
    fn journal(&self, device: &mut dyn BlockDevice) -> Result<(Place, JournalSuperblock), TransactError> {
        let (old, geometry) = (self.old, self.geometry);
        let place = match Place::find(device, old, geometry)? {
            Some(place) if !place.is_tail() => place,
            _ => {
                let len = Place::tail_len(geometry);
                device
                    .extend(self.end.saturating_add(len))
                    .map_err(TransactError::NoRoomForLog)?;
                let end = device.size()?;
                let place = Place::tail(geometry, end - len);
                let mut empty = JournalSuperblock::empty(geometry.block_size, place.blocks);
                empty.uuid = old.uuid;
                return Ok((place, empty));
            }
        };
        let mut bytes = [0; size_of::<JournalSuperblock>()];
        device.read_at(place.byte(0)?, &mut bytes)?;
        let journal = JournalSuperblock::read_from_bytes(&bytes).map_err(|_| TransactError::Journal)?;
        let is_usable = journal.header.magic.get() == MAGIC
            && journal.block_size.get() == geometry.block_size
            && journal.first.get() > 0
            && journal.is_sealed();
        if is_usable {
            Ok((place, journal))
        } else {
            Err(TransactError::Journal)
        }
    }
}

/// A superblock that says that something is to be replayed.
pub(crate) fn marked(mut superblock: Superblock) -> Superblock {
    if superblock.feature_compat.get() & compat::HAS_JOURNAL != 0 {
        superblock.feature_incompat |= U32::new(incompat::RECOVER);
    } else {
        superblock.state &= U16::new(!STATE_VALID);
    }
    superblock
}

fn put_superblock(device: &mut dyn BlockDevice, superblock: Superblock) -> io::Result<()> {
    device.write_at(OFFSET, superblock.sealed().as_bytes())?;
    device.sync()
}
