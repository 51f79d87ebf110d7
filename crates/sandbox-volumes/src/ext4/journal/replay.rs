//! Replays what is committed in a journal, as the kernel and e2fsck do it: find the end, collect what was revoked,
//! write the rest to its place.

use std::{collections::HashMap, io};

use zerocopy::{FromBytes, big_endian::U32};

use super::{
    JournalSuperblock, MAGIC, Place,
    structures::{Commit, Header, Tag, Tag3, block, feature, tag},
};
use crate::ext4::{
    device::BlockDevice,
    disk::{checksum::crc32c, index},
};

/// A journal that is read.
struct Log<'a> {
    device: &'a mut dyn BlockDevice,
    place: &'a Place,
    first: u32,
    end: u32,
    features: u32,
    seed: u32,
    /// Blocks of the file system.
    blocks: u64,
}

/// What a pass is for.
enum Pass<'a> {
    /// Up to which transaction everything is there.
    Scan,
    /// Which blocks are not to be written, up to which transaction.
    Revoke(&'a mut HashMap<u64, u32>, u32),
    Replay(&'a HashMap<u64, u32>, u32),
}

/// A block that a transaction changes.
struct Tagged {
    block: u64,
    flags: u32,
    checksum: u32,
}

/// Writes all committed changes to their places. Returns the number that the next transaction gets.
pub(super) fn replay(
    device: &mut dyn BlockDevice,
    place: &Place,
    superblock: &JournalSuperblock,
    blocks: u64,
) -> io::Result<u32> {
    let end = superblock.max_len.get().min(place.blocks);
    let (first, start, sequence) = (
        superblock.first.get(),
        superblock.start.get(),
        superblock.sequence.get(),
    );
    if first == 0 || first >= end || !(first..end).contains(&start) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let features = superblock.feature_incompat.get();
    let mut log = Log {
        device,
        place,
        first,
        end,
        features,
        seed: crc32c(!0, &superblock.uuid),
        blocks,
    };
    let last = log.pass(start, sequence, Pass::Scan)?;
    let mut revoked = HashMap::new();
    log.pass(start, sequence, Pass::Revoke(&mut revoked, last))?;
    log.pass(start, sequence, Pass::Replay(&revoked, last))?;
    // One number is left out, so that nothing old looks like the next transaction.
    Ok(last.wrapping_add(1))
}

impl Log<'_> {
    fn read(&mut self, block: u32) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; index(u64::from(self.place.block_size))];
        self.device.read_at(self.place.byte(block)?, &mut bytes)?;
        Ok(bytes)
    }

    fn after(&self, block: u32) -> u32 {
        if block + 1 >= self.end {
            self.first
        } else {
            block + 1
        }
    }

    /// Goes through all transactions; returns the number of the first one that is not complete.
    fn pass(&mut self, start: u32, first_sequence: u32, mut pass: Pass<'_>) -> io::Result<u32> {
        let (mut at, mut sequence) = (start, first_sequence);
        // No journal is longer than itself, whatever its blocks say.
        let mut left = self.end - self.first;
        loop {
            if let Pass::Revoke(_, last) | Pass::Replay(_, last) = &pass
                && sequence == *last
            {
                return Ok(sequence);
            }
            let bytes = self.read(at)?;
            let header = Header::read_from_prefix(&bytes).map(|(header, _)| header);
            let Ok(header) = header else { return Ok(sequence) };
            if header.magic.get() != MAGIC || header.sequence.get() != sequence || left == 0 {
                return Ok(sequence);
            }
            left -= 1;
            at = self.after(at);
            match header.block_type.get() {
                block::DESCRIPTOR => {
                    if !self.has_checksum(&bytes) {
                        return Ok(sequence);
                    }
                    for tagged in self.tags(&bytes) {
                        if left == 0 {
                            return Ok(sequence);
                        }
                        if let Pass::Replay(revoked, _) = &pass {
                            self.write(at, sequence, &tagged, revoked)?;
                        }
                        left -= 1;
                        at = self.after(at);
                    }
                }
                block::REVOKE => {
                    if let Pass::Revoke(revoked, _) = &mut pass {
                        self.revoke(&bytes, sequence, revoked);
                    }
                }
                block::COMMIT if self.is_commit(&bytes) => sequence = sequence.wrapping_add(1),
                _ => return Ok(sequence),
            }
        }
    }

    fn has(&self, feature: u32) -> bool {
        self.features & feature != 0
    }

    /// Descriptors and revocations end with a checksum.
    fn has_checksum(&self, bytes: &[u8]) -> bool {
        if !self.has(feature::CSUM_V3) {
            return true;
        }
        let Some((covered, stored)) = bytes.split_last_chunk::<4>() else {
            return false;
        };
        crc32c(crc32c(self.seed, covered), &[0; 4]) == u32::from_be_bytes(*stored)
    }

    fn is_commit(&self, bytes: &[u8]) -> bool {
        if !self.has(feature::CSUM_V3) {
            return true;
        }
        let Ok((mut commit, rest)) = Commit::read_from_prefix(bytes) else {
            return false;
        };
        let [sum, ..] = &mut commit.checksums;
        let stored = std::mem::replace(sum, U32::new(0));
        crc32c(crc32c(self.seed, zerocopy::IntoBytes::as_bytes(&commit)), rest) == stored.get()
    }

    fn tags(&self, bytes: &[u8]) -> Vec<Tagged> {
        let mut tags = Vec::new();
        let end = bytes.len() - if self.has(feature::CSUM_V3) { 4 } else { 0 };
        let mut rest = bytes.get(size_of::<Header>()..end).unwrap_or_default();
        while let Some((tagged, len)) = self.tag(rest) {
            let uuid = if tagged.flags & tag::SAME_UUID == 0 { 16 } else { 0 };
            let is_last = tagged.flags & tag::LAST != 0;
            tags.push(tagged);
            rest = rest.get(len + uuid..).unwrap_or_default();
            if is_last {
                break;
            }
        }
        tags
    }

    fn tag(&self, bytes: &[u8]) -> Option<(Tagged, usize)> {
        let wide = self.has(feature::BIT64);
        let number =
            |low: U32, high: U32| u64::from(low.get()) | if wide { u64::from(high.get()) << 32 } else { 0 };
        if self.has(feature::CSUM_V3) {
            let (read, _) = Tag3::read_from_prefix(bytes).ok()?;
            let (flags, checksum) = (read.flags.get(), read.checksum.get());
            return Some((
                Tagged {
                    block: number(read.block_lo, read.block_hi),
                    flags,
                    checksum,
                },
                size_of::<Tag3>(),
            ));
        }
        let (read, rest) = Tag::read_from_prefix(bytes).ok()?;
        let (high, len) = if wide {
            (U32::read_from_prefix(rest).ok()?.0, 12)
        } else {
            (U32::new(0), 8)
        };
        let (flags, checksum) = (read.flags.get().into(), 0);
        Some((
            Tagged {
                block: number(read.block_lo, high),
                flags,
                checksum,
            },
            len,
        ))
    }

    fn revoke(&self, bytes: &[u8], sequence: u32, revoked: &mut HashMap<u64, u32>) {
        let count = bytes
            .get(12..16)
            .and_then(|count| U32::read_from_bytes(count).ok())
            .map_or(0, U32::get);
        let records = bytes.get(16..index(count.into())).unwrap_or_default();
        let width = if self.has(feature::BIT64) { 8 } else { 4 };
        for record in records.chunks_exact(width) {
            let block = record.iter().fold(0, |block, byte| block << 8 | u64::from(*byte));
            revoked.insert(block, sequence);
        }
    }

    fn write(
        &mut self,
        at: u32,
        sequence: u32,
        tagged: &Tagged,
        revoked: &HashMap<u64, u32>,
    ) -> io::Result<()> {
        let bad = || io::Error::from(io::ErrorKind::InvalidData);
        // Revoked in this transaction or a later one; numbers may wrap.
        let is_revoked = revoked
            .get(&tagged.block)
            .is_some_and(|revoked| revoked.wrapping_sub(sequence).cast_signed() >= 0);
        if is_revoked {
            return Ok(());
        }
        let mut bytes = self.read(at)?;
        let sum = crc32c(crc32c(self.seed, &sequence.to_be_bytes()), &bytes);
        if self.has(feature::CSUM_V3) && sum != tagged.checksum || tagged.block >= self.blocks {
            return Err(bad());
        }
        if tagged.flags & tag::ESCAPED != 0 {
            bytes
                .get_mut(..4)
                .ok_or_else(bad)?
                .copy_from_slice(&MAGIC.to_be_bytes());
        }
        self.device
            .write_at(tagged.block * u64::from(self.place.block_size), &bytes)
    }
}
