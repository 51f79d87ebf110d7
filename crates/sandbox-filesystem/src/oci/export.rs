//! An overlay's upper directory → a layer.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sandbox_types::{NodeKind, RelPath};
use tar::{Builder, EntryType, Header};

use super::digest::Digest;
use super::export_error::ExportError;
use super::name::{opaque_of, whiteout_of};
use super::options::Owners;
use super::owners::Kind;
use super::sink::{Meter, Sink};
use super::stream::Compression;
use super::walk::{Item, What, walk};
use crate::backend::overlay::HeldUpper;
use crate::branch::copy::Attributes;
use crate::branch::xattr::Xattrs;
use crate::tarball::{self, Entry};

/// How a layer is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct ExportOptions {
    compression: Compression,
    owners: Owners,
}

impl ExportOptions {
    /// gzip; owners as the caller can keep them.
    pub fn new() -> Self {
        Self::default()
    }

    /// How it is compressed. By default gzip.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Where owners are kept in the directory. By default [`Owners::of_caller`].
    pub fn owners(mut self, owners: Owners) -> Self {
        self.owners = owners;
        self
    }
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self {
            compression: Compression::default(),
            owners: Owners::of_caller(),
        }
    }
}

/// A layer that was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExportedLayer {
    /// Of the layer as it was written.
    pub digest: Digest,
    /// Bytes that were written.
    pub size: u64,
    /// Of the archive in it.
    pub diff_id: Digest,
    /// What a manifest calls it.
    pub media_type: &'static str,
    /// Entries, whiteouts among them.
    pub entries: u64,
    /// Bytes that the files hold.
    pub bytes: u64,
    /// Sockets, which a layer cannot have.
    pub skipped: Vec<PathBuf>,
}

/// How far an export is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ExportProgress {
    /// Entries that are done.
    pub entries: u64,
    /// Bytes of files that are done.
    pub bytes: u64,
}

/// Writes what is in `upper`, the writable directory of an overlay that nobody has mounted, as a layer of an image to `out`:
/// a tar archive, whiteouts by name.
///
/// Equal directories (content, attributes, times of modification) give equal bytes. It is locked meanwhile, as an overlay does.
///
/// # Errors
/// [`ExportError`]; what was written then is of no use.
pub fn export_layer(
    upper: &Path,
    options: &ExportOptions,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(ExportProgress),
) -> Result<ExportedLayer, ExportError> {
    let _held = HeldUpper::take(upper, &[])?;
    let sink = Sink::new(out, options.compression).map_err(ExportError::Write)?;
    let mut export = Export {
        out: Builder::new(Meter::new(sink)),
        links: HashMap::new(),
        state: ExportProgress::default(),
        skipped: Vec::new(),
    };
    walk(upper, options.owners, &mut |item| {
        export.item(item)?;
        progress(export.state);
        Ok(())
    })?;
    let Export {
        out, state, skipped, ..
    } = export;
    let plain = out.into_inner().map_err(ExportError::Write)?;
    let diff_id = plain.passed().digest();
    let written = plain.into_inner().finish().map_err(ExportError::Write)?;
    Ok(ExportedLayer {
        digest: written.digest(),
        size: written.bytes,
        diff_id,
        media_type: options.compression.media_type(),
        entries: state.entries,
        bytes: state.bytes,
        skipped,
    })
}

struct Export<'w> {
    out: Builder<Meter<Sink<'w>>>,
    /// Where the first link of a file with several is.
    links: HashMap<(u64, u64), RelPath>,
    state: ExportProgress,
    skipped: Vec<PathBuf>,
}

impl Export<'_> {
    fn item(&mut self, item: &Item<'_>) -> Result<(), ExportError> {
        match item.what {
            What::Directory { is_opaque } => {
                let name = [name_of(item.path), b"/"].concat();
                self.append(
                    Entry::of(EntryType::Directory, &name, &item.attributes),
                    io::empty(),
                )?;
                if is_opaque {
                    self.mark(&opaque_of(item.path))?;
                }
                Ok(())
            }
            What::Whiteout => {
                let name = whiteout_of(item.path);
                let name = name.ok_or_else(|| ExportError::TooLong {
                    path: item.path.clone(),
                })?;
                self.mark(&name)
            }
            What::Other(kind) if kind.node == NodeKind::Socket => {
                self.skipped.push(item.path.as_path().to_owned());
                Ok(())
            }
            What::Other(kind) => self.node(item, kind),
        }
    }

    /// An empty file that says something by its name.
    fn mark(&mut self, name: &[u8]) -> Result<(), ExportError> {
        let attributes = Attributes {
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: Some((0, 0)),
            xattrs: Xattrs::default(),
        };
        self.append(Entry::of(EntryType::Regular, name, &attributes), io::empty())
    }

    fn node(&mut self, item: &Item<'_>, kind: Kind) -> Result<(), ExportError> {
        if let Some(first) = self.first_link(item) {
            let mut entry = Entry::of(EntryType::Link, item.path.as_bytes(), &item.attributes);
            entry.set_link(first.as_bytes());
            return self.append(entry, io::empty());
        }
        let of = |kind| Entry::of(kind, item.path.as_bytes(), &item.attributes);
        match kind.node {
            NodeKind::File => self.file(item, of(EntryType::Regular)),
            NodeKind::Symlink => {
                let target = item.target().map_err(ExportError::read(item.path))?;
                let mut entry = of(EntryType::Symlink);
                entry.set_link(target.as_bytes());
                self.append(entry, io::empty())
            }
            NodeKind::CharDevice => self.device(of(EntryType::Char), kind),
            NodeKind::BlockDevice => self.device(of(EntryType::Block), kind),
            _ => self.append(of(EntryType::Fifo), io::empty()),
        }
    }

    fn device(&mut self, mut entry: Entry, kind: Kind) -> Result<(), ExportError> {
        let set = |header: &mut Header| {
            header.set_device_major(kind.major)?;
            header.set_device_minor(kind.minor)
        };
        set(&mut entry.header).map_err(ExportError::Write)?;
        self.append(entry, io::empty())
    }

    fn file(&mut self, item: &Item<'_>, mut entry: Entry) -> Result<(), ExportError> {
        let file = item.open().map_err(ExportError::read(item.path))?;
        let size = item.meta.size;
        entry.header.set_size(size);
        let mut source = Source {
            file: file.take(size),
            left: size,
            error: None,
        };
        let appended = self.append(entry, &mut source);
        if let Some(source) = source.error {
            return Err(ExportError::read(item.path)(source));
        }
        appended?;
        if source.left != 0 {
            return Err(ExportError::Changed {
                path: item.path.clone(),
            });
        }
        self.state.bytes += size;
        Ok(())
    }

    /// Where the file is already; none where this is its first link, or its only one.
    fn first_link(&mut self, item: &Item<'_>) -> Option<RelPath> {
        if item.meta.nlink < 2 {
            return None;
        }
        let key = (item.meta.dev, item.meta.ino);
        let first = self.links.get(&key).cloned();
        if first.is_none() {
            self.links.insert(key, item.path.clone());
        }
        first
    }

    fn append(&mut self, entry: Entry, content: impl Read) -> Result<(), ExportError> {
        self.state.entries += 1;
        tarball::append(&mut self.out, entry, content).map_err(ExportError::Write)
    }
}

/// The layer's own directory is `./`.
fn name_of(path: &RelPath) -> &[u8] {
    if path.is_root() { b"." } else { path.as_bytes() }
}

/// A file that is being read, told apart from the layer that is being written when something fails.
struct Source {
    file: io::Take<File>,
    left: u64,
    error: Option<io::Error>,
}

impl Read for &mut Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.file.read(buffer) {
            Ok(length) => {
                self.left = self.left.saturating_sub(length as u64);
                Ok(length)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                self.error = Some(error);
                Err(kind.into())
            }
        }
    }
}
