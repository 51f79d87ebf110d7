//! Writes one transaction into an empty journal.

use std::io;

use zerocopy::{FromBytes, FromZeros, IntoBytes, big_endian::U32};

use super::{
    Change, JournalSuperblock, MAGIC, Place,
    structures::{Commit, Header, Tag3, block, feature, tag},
};
use crate::ext4::{device::BlockDevice, disk::checksum::crc32c};

/// Writes a transaction, of which nothing is believed before [`commit`]. Returns the journal's superblock with
/// which it is committed.
pub(crate) fn prepare(
    device: &mut dyn BlockDevice,
    place: &Place,
    superblock: &JournalSuperblock,
    changes: &[Change],
) -> io::Result<JournalSuperblock> {
    let seed = crc32c(!0, &superblock.uuid);
    let sequence = superblock.sequence.get().max(1);
    let first = superblock.first.get();
    let per_descriptor =
        (super::super::disk::index(u64::from(place.block_size)) - 12 - 16 - 4) / size_of::<Tag3>();
    let needed = changes.len() + changes.len().div_ceil(per_descriptor) + 1;
    let room = place.blocks.min(superblock.max_len.get()).saturating_sub(first);
    if needed as u64 > u64::from(room) {
        return Err(io::ErrorKind::StorageFull.into());
    }
    let mut at = first;
    let mut put = |bytes: &[u8]| {
        device.write_at(place.byte(at)?, bytes)?;
        at += 1;
        io::Result::Ok(())
    };
    for part in changes.chunks(per_descriptor) {
        let escaped: Vec<(Vec<u8>, bool)> = part.iter().map(|(_, bytes)| escape(bytes)).collect();
        put(&descriptor(place, seed, sequence, part, &escaped))?;
        escaped.iter().try_for_each(|(bytes, _)| put(bytes))?;
    }
    put(&commit_block(place, seed, sequence))?;
    let mut committed = superblock.clone();
    committed.start = U32::new(first);
    committed.sequence = U32::new(sequence);
    committed.feature_incompat |= U32::new(feature::CSUM_V3 | feature::BIT64);
    // crc32c.
    committed.checksum_type = 4;
    Ok(committed.sealed())
}

/// Writes the superblock of a journal; not yet safe from a crash.
pub(crate) fn write_superblock(
    device: &mut dyn BlockDevice,
    place: &Place,
    superblock: &JournalSuperblock,
) -> io::Result<()> {
    device.write_at(place.byte(0)?, superblock.clone().sealed().as_bytes())
}

/// Makes a prepared transaction count: one write of 1024 bytes.
pub(crate) fn commit(
    device: &mut dyn BlockDevice,
    place: &Place,
    prepared: &JournalSuperblock,
) -> io::Result<()> {
    device.write_at(place.byte(0)?, prepared.as_bytes())?;
    device.sync()
}

/// Makes the journal empty again; the next transaction has another number.
pub(crate) fn finish(device: &mut dyn BlockDevice, place: &Place, next: u32) -> io::Result<()> {
    let mut bytes = [0; size_of::<JournalSuperblock>()];
    device.read_at(place.byte(0)?, &mut bytes)?;
    let mut empty = JournalSuperblock::read_from_bytes(&bytes).map_err(|_| io::ErrorKind::InvalidData)?;
    empty.start = U32::new(0);
    empty.sequence = U32::new(next);
    device.write_at(place.byte(0)?, empty.sealed().as_bytes())?;
    device.sync()
}

/// A block that begins with the journal's magic number must not look like one of the journal's own.
fn escape(bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut copy = bytes.to_vec();
    match copy.get_mut(..4) {
        Some(start) if start == MAGIC.to_be_bytes() => {
            start.fill(0);
            (copy, true)
        }
        _ => (copy, false),
    }
}

fn descriptor(
    place: &Place,
    seed: u32,
    sequence: u32,
    part: &[Change],
    escaped: &[(Vec<u8>, bool)],
) -> Vec<u8> {
    let mut bytes = Header::new(block::DESCRIPTOR, sequence).as_bytes().to_vec();
    let tag_seed = crc32c(seed, &sequence.to_be_bytes());
    for (number, ((at, _), (content, is_escaped))) in part.iter().zip(escaped).enumerate() {
        let flags = if *is_escaped { tag::ESCAPED } else { 0 }
            | if number > 0 { tag::SAME_UUID } else { 0 }
            | if number + 1 == part.len() { tag::LAST } else { 0 };
        let new = Tag3 {
            block_lo: U32::new((at & 0xFFFF_FFFF) as u32),
            flags: U32::new(flags),
            block_hi: U32::new((at >> 32) as u32),
            checksum: U32::new(crc32c(tag_seed, content)),
        };
        bytes.extend_from_slice(new.as_bytes());
        if number == 0 {
            bytes.extend_from_slice(&[0; 16]);
        }
    }
    bytes.resize(super::super::disk::index(u64::from(place.block_size)), 0);
    let sum = crc32c(seed, &bytes);
    if let Some(tail) = bytes.last_chunk_mut() {
        *tail = sum.to_be_bytes();
    }
    bytes
}

fn commit_block(place: &Place, seed: u32, sequence: u32) -> Vec<u8> {
    let mut commit = Commit::new_zeroed();
    commit.header = Header::new(block::COMMIT, sequence);
    let mut bytes = commit.as_bytes().to_vec();
    bytes.resize(super::super::disk::index(u64::from(place.block_size)), 0);
    let [sum, ..] = &mut commit.checksums;
    *sum = U32::new(crc32c(seed, &bytes));
    bytes
        .iter_mut()
        .zip(commit.as_bytes())
        .for_each(|(to, from)| *to = *from);
    bytes
}
