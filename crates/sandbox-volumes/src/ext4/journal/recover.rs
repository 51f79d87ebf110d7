//! Brings a disk to the state that its journal says.

use std::{
    fs::OpenOptions,
    io,
    path::{Path, PathBuf},
};

use zerocopy::{FromBytes, IntoBytes, little_endian::U16, little_endian::U32};

use super::{JournalSuperblock, MAGIC, Place, log::finish, replay::replay, structures::feature};
use crate::ext4::{
    check::{CheckError, features, geometry},
    device::BlockDevice,
    disk::superblock::{self, OFFSET, STATE_VALID, Superblock, incompat},
    geometry::Geometry,
};

/// Why a journal was not replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// The image cannot be opened.
    #[error("open {path}", path = .path.display())]
    Open {
        /// The image.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// No ext4, or one with features that this version does not know.
    #[error("the disk is not one that can be recovered")]
    Disk(#[from] CheckError),
    /// The journal's own superblock is damaged.
    #[error("the journal is damaged: e2fsck may mend it")]
    Journal,
    /// The journal uses what this version does not know, such as fast commits.
    #[error("features {features:#x} of the journal are not supported: mount the disk, or run e2fsck")]
    Unsupported {
        /// Those that are not known.
        features: u32,
    },
    /// Reading or writing failed, or a block of the journal is damaged.
    #[error("replay the journal")]
    Replay(#[source] io::Error),
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovered {
    /// Nothing was to be done.
    Clean,
    /// What the journal says is done.
    Replayed,
}

/// Replays the journal of the disk at `path`, where that is needed: after a crash of whoever had it mounted, or of
/// [`grow`](crate::ext4::grow). Nobody else may have the disk open.
///
/// Safe to repeat after a crash. Files that were removed while they were open are left to the next mount or e2fsck.
pub fn recover(path: impl AsRef<Path>) -> Result<Recovered, RecoverError> {
    let path = path.as_ref();
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|source| RecoverError::Open {
            path: path.to_owned(),
            source,
        })?;
    recover_device(&mut file)
}

/// As [`recover`], on a device.
pub fn recover_device(device: &mut dyn BlockDevice) -> Result<Recovered, RecoverError> {
    let (superblock, geometry) = load_superblock(device)?;
    let Some(place) = Place::find(device, &superblock, &geometry).map_err(RecoverError::Replay)? else {
        return Ok(Recovered::Clean);
    };
    let journal = load_journal(device, &place)?;
    match journal {
        Some(journal) if place.is_tail() => recover_from_tail(device, &place, &journal, &superblock),
        None if place.is_tail() => Ok(Recovered::Clean),
        _ if superblock.feature_incompat.get() & incompat::RECOVER == 0 => Ok(Recovered::Clean),
        None => Err(RecoverError::Journal),
        Some(journal) => {
            if journal.start.get() != 0 {
                replay_and_finish(device, &place, &journal)?;
            }
            unmark(device).map_err(RecoverError::Replay)?;
            Ok(Recovered::Replayed)
        }
    }
}

/// What lies behind a disk is believed if it is of this disk and nobody has used the disk since; it is removed
/// in any case.
fn recover_from_tail(
    device: &mut dyn BlockDevice,
    place: &Place,
    journal: &JournalSuperblock,
    superblock: &Superblock,
) -> Result<Recovered, RecoverError> {
    if journal.uuid != superblock.uuid || !journal.is_sealed() {
        return Ok(Recovered::Clean);
    }
    let is_current = superblock.is_sealed() && journal.leads_from(superblock.checksum.get());
    if is_current {
        if journal.start.get() != 0 {
            replay_and_finish(device, place, journal)?;
        }
        unmark(device).map_err(RecoverError::Replay)?;
    }
    drop_tail(device)?;
    Ok(if is_current {
        Recovered::Replayed
    } else {
        Recovered::Clean
    })
}

fn replay_and_finish(
    device: &mut dyn BlockDevice,
    place: &Place,
    journal: &JournalSuperblock,
) -> Result<(), RecoverError> {
    let unknown = journal.feature_incompat.get() & !feature::KNOWN;
    if unknown != 0 {
        return Err(RecoverError::Unsupported { features: unknown });
    }
    if !journal.is_sealed() {
        return Err(RecoverError::Journal);
    }
    let size = device.size().map_err(RecoverError::Replay)?;
    let blocks = size / u64::from(place.block_size);
    let next = replay(device, place, journal, blocks).map_err(RecoverError::Replay)?;
    device.sync().map_err(RecoverError::Replay)?;
    finish(device, place, next).map_err(RecoverError::Replay)
}

fn load_journal(
    device: &mut dyn BlockDevice,
    place: &Place,
) -> Result<Option<JournalSuperblock>, RecoverError> {
    let mut bytes = [0; size_of::<JournalSuperblock>()];
    let at = place.byte(0).map_err(RecoverError::Replay)?;
    device.read_at(at, &mut bytes).map_err(RecoverError::Replay)?;
    let journal = JournalSuperblock::read_from_bytes(&bytes).ok();
    Ok(journal.filter(|journal| {
        journal.header.magic.get() == MAGIC && journal.block_size.get() == place.block_size
    }))
}

/// The superblock of a disk that this version can handle.
pub(crate) fn load_superblock(device: &mut dyn BlockDevice) -> Result<(Superblock, Geometry), CheckError> {
    let size = device.size()?;
    if size < OFFSET + superblock::SIZE as u64 {
        return Err(CheckError::NotExt4);
    }
    let mut bytes = [0; superblock::SIZE];
    device.read_at(OFFSET, &mut bytes)?;
    let superblock = Superblock::read_from_bytes(&bytes).map_err(|_| CheckError::NotExt4)?;
    if superblock.magic.get() != superblock::MAGIC {
        return Err(CheckError::NotExt4);
    }
    features(&superblock)?;
    let geometry = geometry(&superblock)?;
    if geometry.byte(geometry.blocks) > size {
        return Err(CheckError::Superblock {
            field: "s_blocks_count",
            value: geometry.blocks,
        });
    }
    Ok((superblock, geometry))
}

/// Says that the journal is empty.
fn unmark(device: &mut dyn BlockDevice) -> io::Result<()> {
    let mut bytes = [0; superblock::SIZE];
    device.read_at(OFFSET, &mut bytes)?;
    let mut superblock = Superblock::read_from_bytes(&bytes).map_err(|_| io::ErrorKind::InvalidData)?;
    superblock.feature_incompat &= U32::new(!incompat::RECOVER);
    superblock.state |= U16::new(STATE_VALID);
    device.write_at(OFFSET, superblock.sealed().as_bytes())?;
    device.sync()
}

fn drop_tail(device: &mut dyn BlockDevice) -> Result<(), RecoverError> {
    let (_, geometry) = load_superblock(device)?;
    let size = device.size().map_err(RecoverError::Replay)?;
    let end = size
        .saturating_sub(Place::tail_len(&geometry))
        .max(geometry.byte(geometry.blocks));
    device
        .truncate(end)
        .and_then(|()| device.sync())
        .map_err(RecoverError::Replay)
}
