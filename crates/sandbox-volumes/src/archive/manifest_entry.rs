//! The first entry, which says what the rest is.

use std::io::Read;
use std::path::Path;

use super::error::ArchiveError;
use super::{DIGEST, MANIFEST};
use crate::error::VolumeError;
use crate::manifest::Manifest;

/// How large a manifest, and a checksum, may be.
const LARGEST: u64 = 1 << 20;
const BLOCK: usize = 512;

/// Reads the first entry. What follows can be read as a tar of its own.
pub(super) fn read(archive: &mut impl Read) -> Result<Manifest, ArchiveError> {
    let mut header = tar::Header::new_old();
    // What is no zstd at all is told by the decompressor.
    archive
        .read_exact(header.as_mut_bytes())
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => ArchiveError::CutOff,
            _ => ArchiveError::Foreign("it is no zstd"),
        })?;
    let is_sound = header.cksum().is_ok_and(|sum| sum == checksum(&header));
    let is_named = header.path_bytes().as_ref() == MANIFEST.as_bytes();
    if !is_sound || !is_named || header.entry_type() != tar::EntryType::Regular {
        return Err(ArchiveError::Foreign("it does not begin with volume.json"));
    }
    let size = header.size().map_err(ArchiveError::reading)?;
    if size > LARGEST {
        return Err(ArchiveError::Foreign("its volume.json is too large"));
    }
    let padded = size.next_multiple_of(BLOCK as u64);
    let mut bytes = vec![0; usize::try_from(padded).unwrap_or(usize::MAX)];
    archive.read_exact(&mut bytes).map_err(ArchiveError::reading)?;
    bytes.truncate(usize::try_from(size).unwrap_or(usize::MAX));
    let manifest = Manifest::parse(&bytes, Path::new(MANIFEST)).map_err(VolumeError::from)?;
    if manifest.snapshot.is_some() {
        return Err(ArchiveError::Foreign("it is of a snapshot"));
    }
    Ok(manifest)
}

/// The sum of all bytes, those of the sum itself taken as spaces.
fn checksum(header: &tar::Header) -> u32 {
    let bytes = header.as_bytes();
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    let (head, rest) = bytes.split_at(148);
    let (_, tail) = rest.split_at(8);
    sum(head) + 8 * u32::from(b' ') + sum(tail)
}

/// Reads the last entry, the checksum.
pub(super) fn read_digest(entry: &mut impl Read) -> Result<String, ArchiveError> {
    let mut text = String::new();
    let read = entry.take(LARGEST).read_to_string(&mut text);
    read.map_err(|_| ArchiveError::Refused {
        path: DIGEST.into(),
        why: "no checksum",
    })?;
    Ok(text.trim_end().to_owned())
}
