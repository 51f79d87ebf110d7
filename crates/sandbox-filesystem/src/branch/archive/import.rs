//! An archive → a layer.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use sandbox_types::{NodeKind, RelPath};
use serde::Deserialize;
use tar::{Archive, EntryType};

use super::entry::Read;
use super::error::ImportError;
use super::reader::{RawEntry, Reader, read_short};
use super::{ArchiveManifest, END, MANIFEST, UPPER, VERSION};
use crate::branch::copy::Refused;
use crate::branch::layer_writer::LayerWriter;
use crate::branch::progress::{Phase, Progress};
use crate::branch::raw::Bytes;
use crate::branch::stack::LayerFormat;

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

/// What was imported.
#[derive(Debug)]
pub(crate) struct Imported {
    pub(crate) manifest: ArchiveManifest,
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    /// Entries whose owner is another than in the archive, because only root may set it.
    pub(crate) other_owners: u64,
    /// Extended attributes that could not be set.
    pub(crate) refused: Vec<(RelPath, Bytes)>,
}

/// Writes the branch in the archive `input` into the empty directory `into`, a layer that nobody uses yet.
///
/// It guarantees: nothing outside `into` is written and nothing is overwritten; names have no `..` and are not
/// absolute, nothing is written through a link, hard links lead to files of the archive; whiteouts are the only
/// devices; what overlayfs keeps for itself cannot be smuggled in; an archive that was cut off is an error. After
/// an error, the directory is to be removed.
///
/// What it does not do: it lets through setuid bits and links that lead outside, for those are held back when the
/// branch is committed. A layer's directory is closed to others.
pub(crate) fn import(
    input: &mut dyn io::Read,
    into: &Path,
    limits: &Limits,
    progress: &mut dyn FnMut(Progress),
) -> Result<Imported, ImportError> {
    let mut archive = Archive::new(input);
    let mut reader = Reader::new(archive.entries().map_err(ImportError::Read)?, limits.metadata);
    let (mut first, read) = reader.next()?.ok_or(ImportError::NoManifest)?;
    let manifest = manifest(&mut first, &read)?;
    let root = RelPath::root();
    let writer = LayerWriter::open(into, manifest.format.into()).map_err(ImportError::write(&root))?;
    let mut import = Import {
        writer,
        limits: *limits,
        has_root: HasRoot::NotYet,
        state: Progress::start(Phase::Importing, None, None),
    };
    while let Some((mut entry, read)) = reader.next()? {
        if read.name == END.as_bytes() {
            return import.finish(manifest);
        }
        import.entry(&mut entry, read)?;
        progress(import.state);
    }
    Err(ImportError::Truncated)
}

/// The version of a manifest, whatever else is in it.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

fn manifest(entry: &mut RawEntry<'_, '_>, read: &Read) -> Result<ArchiveManifest, ImportError> {
    if entry.header().entry_type() != EntryType::Regular || read.name != MANIFEST.as_bytes() {
        return Err(ImportError::NoManifest);
    }
    let text = read_short(entry, MANIFEST_LIMIT)?;
    let Versioned { version } = serde_json::from_slice(&text).map_err(ImportError::Manifest)?;
    if version > VERSION {
        return Err(ImportError::Newer { version });
    }
    serde_json::from_slice(&text).map_err(ImportError::Manifest)
}

/// Whether the root of the layer has been in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HasRoot {
    NotYet,
    Yes,
}

struct Import {
    writer: LayerWriter,
    limits: Limits,
    has_root: HasRoot,
    state: Progress,
}

impl Import {
    fn entry(&mut self, entry: &mut RawEntry<'_, '_>, read: Read) -> Result<(), ImportError> {
        self.state.entries += 1;
        ImportError::unless_within(self.state.entries, self.limits.entries, "entries")?;
        let path = path_of(&read.name).ok_or_else(|| ImportError::Name {
            name: read.name.clone(),
        })?;
        let kind = entry.header().entry_type();
        if kind != EntryType::Directory || !path.is_root() {
            self.must_be_new(&path)?;
        }
        match kind {
            EntryType::Directory => self.directory(&path, read),
            EntryType::Regular | EntryType::Continuous => self.file(&path, entry, read),
            EntryType::Link => self.link(&path, &read.link),
            EntryType::Symlink if !read.link.contains(&0) => {
                let target = Bytes(read.link);
                let written = self.writer.symlink(&path, &target, read.attributes);
                written.map_err(ImportError::write(&path))
            }
            EntryType::Fifo => {
                let written = self.writer.special(&path, NodeKind::Fifo, 0, read.attributes);
                written.map_err(ImportError::write(&path))
            }
            EntryType::Char if self.is_whiteout(entry)? => {
                self.writer.whiteout(&path).map_err(ImportError::write(&path))
            }
            other => Err(ImportError::Kind {
                path,
                kind: other.as_byte(),
            }),
        }
    }

    /// Nothing has been written there.
    fn must_be_new(&mut self, path: &RelPath) -> Result<(), ImportError> {
        let is_there = self
            .writer
            .meta(path)
            .map_err(ImportError::write(path))?
            .is_some();
        if path.is_root() || is_there {
            return Err(ImportError::Duplicate { path: path.clone() });
        }
        Ok(())
    }

    fn directory(&mut self, path: &RelPath, read: Read) -> Result<(), ImportError> {
        if path.is_root() {
            if self.has_root == HasRoot::Yes {
                return Err(ImportError::Duplicate { path: path.clone() });
            }
            self.has_root = HasRoot::Yes;
        }
        let is_opaque = read.is_opaque;
        let written = self.writer.dir(path, read.attributes).and_then(|()| {
            if is_opaque {
                self.writer.opaque(path)
            } else {
                Ok(())
            }
        });
        written.map_err(ImportError::write(path))
    }

    fn file(&mut self, path: &RelPath, entry: &mut RawEntry<'_, '_>, read: Read) -> Result<(), ImportError> {
        let size = entry.size();
        let total = self.state.bytes.saturating_add(size);
        ImportError::unless_within(total, self.limits.bytes, "bytes")?;
        let mut file = self.writer.file(path).map_err(ImportError::write(path))?;
        copy(entry, &mut file, size, path)?;
        self.state.bytes = total;
        let written = self.writer.complete(path, file.as_fd(), read.attributes);
        written.map_err(ImportError::write(path))
    }

    fn link(&mut self, path: &RelPath, target: &[u8]) -> Result<(), ImportError> {
        let refused = || ImportError::Link {
            path: path.clone(),
            target: target.to_vec(),
        };
        let existing = path_of(target).ok_or_else(refused)?;
        let meta = self.writer.meta(&existing).map_err(ImportError::write(path))?;
        if meta.is_none_or(|meta| meta.kind != NodeKind::File) {
            return Err(refused());
        }
        self.writer
            .link(&existing, path)
            .map_err(ImportError::write(path))
    }

    fn is_whiteout(&self, entry: &RawEntry<'_, '_>) -> Result<bool, ImportError> {
        let header = entry.header();
        let major = header.device_major().map_err(ImportError::Read)?;
        let minor = header.device_minor().map_err(ImportError::Read)?;
        let is_overlay = self.writer.format() == LayerFormat::Overlay;
        Ok(is_overlay && (major, minor) == (Some(0), Some(0)))
    }

    fn finish(self, manifest: ArchiveManifest) -> Result<Imported, ImportError> {
        if self.has_root == HasRoot::NotYet {
            return Err(ImportError::Truncated);
        }
        let mut imported = Imported {
            manifest,
            entries: self.state.entries,
            bytes: self.state.bytes,
            other_owners: 0,
            refused: Vec::new(),
        };
        let root = RelPath::root();
        for (path, what) in self.writer.finish().map_err(ImportError::write(&root))? {
            match what {
                Refused::Owner => imported.other_owners += 1,
                Refused::Xattr(name) => imported.refused.push((path, name)),
            }
        }
        Ok(imported)
    }
}

/// The path in the layer that an entry of the archive is called after; none where it is not one.
fn path_of(name: &[u8]) -> Option<RelPath> {
    let inner = name.strip_prefix(UPPER.as_bytes())?;
    let path = match inner {
        b"" | b"/" => b"",
        _ => inner.strip_prefix(b"/")?,
    };
    // Two slashes would be an absolute path.
    RelPath::new(OsStr::from_bytes(path)).ok()
}

fn copy(entry: &mut RawEntry<'_, '_>, file: &mut File, size: u64, path: &RelPath) -> Result<(), ImportError> {
    let mut buffer = vec![0; 128 << 10];
    let mut left = size;
    loop {
        let length = match entry.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(ImportError::Read(error)),
        };
        let part = buffer.get(..length).unwrap_or_default();
        if part.is_empty() {
            break;
        }
        file.write_all(part).map_err(ImportError::write(path))?;
        left = left.saturating_sub(u64::try_from(length).unwrap_or(0));
    }
    if left == 0 {
        Ok(())
    } else {
        Err(ImportError::Truncated)
    }
}
