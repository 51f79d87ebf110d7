//! An archive → layers.

use std::io;
use std::path::PathBuf;

use sandbox_types::RelPath;
use serde::Deserialize;
use tar::EntryType;

use super::error::ImportError;
use super::name::path_of;
use super::part::Receiver;
use super::{ArchiveManifest, END, MANIFEST, VERSION};
use crate::branch::copy::Refused;
use crate::branch::progress::{Phase, Progress};
use crate::branch::raw::Bytes;
use crate::tarball::{RawEntry, Read, Reader, TarError};

/// Bounds for what an archive may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Entries.
    pub(crate) entries: u64,
    /// Bytes that the files hold.
    pub(crate) bytes: u64,
    /// Bytes of names, targets and extended attributes.
    pub(crate) metadata: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 10_000_000,
            bytes: 1 << 40,
            metadata: 4 << 30,
        }
    }
}

const MANIFEST_LIMIT: u64 = 1 << 20;
/// More directories belong to no workspace.
const PARTS: usize = 64;

/// What was imported.
#[derive(Debug)]
pub(crate) struct Imported {
    pub(crate) manifest: ArchiveManifest,
    #[cfg_attr(not(test), expect(dead_code, reason = "for whoever tells how much it was"))]
    pub(crate) entries: u64,
    #[cfg_attr(not(test), expect(dead_code, reason = "for whoever tells how much it was"))]
    pub(crate) bytes: u64,
    /// Entries whose owner is another than in the archive, because only root may set it.
    pub(crate) other_owners: u64,
    /// Extended attributes that could not be set.
    pub(crate) refused: Vec<(RelPath, Bytes)>,
}

/// Writes the branch in the archive `input` into layers that nobody uses yet: `place` is told which branch it is,
/// and says into which empty directories its parts are to be written.
///
/// It guarantees: nothing outside these is written and nothing is overwritten; names have no `..` and are not
/// absolute, nothing is written through a link, hard links lead to files of the archive; whiteouts are the only
/// devices; what overlayfs keeps for itself cannot be smuggled in; an archive that was cut off is an error. After
/// an error, the directories are to be removed.
///
/// What it does not do: it lets through setuid bits and links that lead outside, for those are held back when the
/// branch is committed. A layer's directory is closed to others.
pub(crate) fn import<E: From<ImportError>>(
    input: &mut dyn io::Read,
    limits: &Limits,
    place: impl FnOnce(&ArchiveManifest) -> Result<Vec<PathBuf>, E>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Imported, E> {
    let mut reader = Reader::new(input, limits.metadata);
    let (mut first, read) = first(&mut reader)?.ok_or(ImportError::NoManifest)?;
    let manifest = manifest(&mut first, &read)?;
    let places = place(&manifest)?;
    let parts = manifest.parts.iter().zip(&places);
    let parts = parts.map(|(part, place)| Receiver::open(place, part.format.into()));
    let mut import = Import {
        parts: parts.collect::<Result<_, _>>()?,
        limits: *limits,
        state: Progress::start(Phase::Importing, None, None),
    };
    while let Some((mut entry, read)) = reader.next().map_err(ImportError::from)? {
        if read.name == END.as_bytes() {
            return Ok(import.finish(manifest)?);
        }
        import.entry(&mut entry, read)?;
        progress(import.state);
    }
    Err(ImportError::Truncated.into())
}

/// The first entry; nothing at all has none.
fn first<'e>(reader: &'e mut Reader<'_>) -> Result<Option<(RawEntry<'e>, Read)>, ImportError> {
    match reader.next() {
        Err(TarError::Truncated) => Ok(None),
        other => Ok(other?),
    }
}

/// The version of a manifest, whatever else is in it.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

fn manifest(entry: &mut RawEntry<'_>, read: &Read) -> Result<ArchiveManifest, ImportError> {
    if entry.header().entry_type() != EntryType::Regular || read.name != MANIFEST.as_bytes() {
        return Err(ImportError::NoManifest);
    }
    let text = entry.read_short(MANIFEST_LIMIT)?;
    let Versioned { version } = serde_json::from_slice(&text).map_err(ImportError::Manifest)?;
    if version > VERSION {
        return Err(ImportError::Newer { version });
    }
    let manifest: ArchiveManifest = serde_json::from_slice(&text).map_err(ImportError::Manifest)?;
    if (1..=PARTS).contains(&manifest.parts.len()) {
        Ok(manifest)
    } else {
        let error = serde::de::Error::custom(format_args!("there are 1 to {PARTS} parts"));
        Err(ImportError::Manifest(error))
    }
}

struct Import {
    parts: Vec<Receiver>,
    limits: Limits,
    state: Progress,
}

impl Import {
    fn entry(&mut self, entry: &mut RawEntry<'_>, read: Read) -> Result<(), ImportError> {
        self.state.entries += 1;
        ImportError::unless_within(self.state.entries, self.limits.entries, "entries")?;
        // A size that is too large is refused before anything is written.
        self.state.bytes = self.state.bytes.saturating_add(entry.size());
        ImportError::unless_within(self.state.bytes, self.limits.bytes, "bytes")?;
        let count = self.parts.len();
        let found = path_of(&read.name, count);
        let found = found.and_then(|(part, path)| Some((part, self.parts.get_mut(part)?, path)));
        let Some((number, part, path)) = found else {
            return Err(ImportError::Name { name: read.name });
        };
        let link = path_of(&read.link, count).filter(|(part, _)| *part == number);
        part.take(&path, entry, read, link.map(|(_, path)| path))
    }

    fn finish(self, manifest: ArchiveManifest) -> Result<Imported, ImportError> {
        let mut imported = Imported {
            manifest,
            entries: self.state.entries,
            bytes: self.state.bytes,
            other_owners: 0,
            refused: Vec::new(),
        };
        for part in self.parts {
            for (path, what) in part.finish()? {
                match what {
                    Refused::Owner => imported.other_owners += 1,
                    Refused::Xattr(name) => imported.refused.push((path, name)),
                }
            }
        }
        Ok(imported)
    }
}
