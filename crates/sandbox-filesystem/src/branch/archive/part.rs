//! One part of an archive on its way into a layer.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd;
use std::path::Path;

use sandbox_types::{NodeKind, RelPath};
use tar::EntryType;

use super::OPAQUE_NAME;
use super::error::ImportError;
use crate::branch::copy::Refused;
use crate::branch::layer_writer::LayerWriter;
use crate::branch::raw::Bytes;
use crate::branch::stack::LayerFormat;
use crate::tarball::{RawEntry, Read};

/// Whether the part's own directory has been in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Root {
    Missing,
    Seen,
}

/// A part being written.
#[derive(Debug)]
pub(super) struct Receiver {
    writer: LayerWriter,
    root: Root,
}

impl Receiver {
    /// Into the empty directory `into`.
    pub(super) fn open(into: &Path, format: LayerFormat) -> Result<Self, ImportError> {
        let writer = LayerWriter::open(into, format).map_err(ImportError::write(&RelPath::root()))?;
        Ok(Self {
            writer,
            root: Root::Missing,
        })
    }

    /// Writes `entry`, which is called `path`. The target of a hard link has been found to be `link`, if it is in
    /// this part.
    pub(super) fn take(
        &mut self,
        path: &RelPath,
        entry: &mut RawEntry<'_>,
        read: Read,
        link: Option<RelPath>,
    ) -> Result<(), ImportError> {
        let kind = entry.header().entry_type();
        if kind == EntryType::Directory && path.is_root() {
            return self.root(read);
        }
        self.must_be_new(path)?;
        let written = match kind {
            EntryType::Directory => self.directory(path, read),
            EntryType::Regular | EntryType::Continuous => return self.file(path, entry, read),
            EntryType::Link => return self.link(path, link, read.link),
            EntryType::Symlink if !read.link.contains(&0) => {
                self.writer.symlink(path, &Bytes(read.link), read.attributes)
            }
            EntryType::Fifo => self.writer.special(path, NodeKind::Fifo, 0, read.attributes),
            EntryType::Char if self.is_whiteout(entry)? => self.writer.whiteout(path),
            other => {
                return Err(ImportError::Kind {
                    path: path.clone(),
                    kind: other.as_byte(),
                });
            }
        };
        written.map_err(ImportError::write(path))
    }

    /// What could not be set.
    pub(super) fn finish(self) -> Result<Vec<(RelPath, Refused)>, ImportError> {
        if self.root == Root::Missing {
            return Err(ImportError::Truncated);
        }
        self.writer.finish().map_err(ImportError::write(&RelPath::root()))
    }

    fn root(&mut self, read: Read) -> Result<(), ImportError> {
        let path = RelPath::root();
        if self.root == Root::Seen {
            return Err(ImportError::Duplicate { path });
        }
        self.root = Root::Seen;
        self.directory(&path, read).map_err(ImportError::write(&path))
    }

    /// Nothing has been written there.
    fn must_be_new(&mut self, path: &RelPath) -> Result<(), ImportError> {
        let found = self.writer.meta(path).map_err(ImportError::write(path))?;
        if path.is_root() || found.is_some() {
            return Err(ImportError::Duplicate { path: path.clone() });
        }
        Ok(())
    }

    fn directory(&mut self, path: &RelPath, read: Read) -> io::Result<()> {
        let is_opaque = read.own.iter().any(|own| own.0 == OPAQUE_NAME && own.1 == b"y");
        self.writer.dir(path, read.attributes)?;
        if is_opaque {
            self.writer.opaque(path)?;
        }
        Ok(())
    }

    fn file(&mut self, path: &RelPath, entry: &mut RawEntry<'_>, read: Read) -> Result<(), ImportError> {
        let mut file = self.writer.file(path).map_err(ImportError::write(path))?;
        copy(entry, &mut file, path)?;
        let written = self.writer.complete(path, file.as_fd(), read.attributes);
        written.map_err(ImportError::write(path))
    }

    fn link(
        &mut self,
        path: &RelPath,
        existing: Option<RelPath>,
        target: Vec<u8>,
    ) -> Result<(), ImportError> {
        let meta = match &existing {
            Some(existing) => self.writer.meta(existing).map_err(ImportError::write(path))?,
            None => None,
        };
        match (existing, meta) {
            (Some(existing), Some(meta)) if meta.kind == NodeKind::File => {
                let linked = self.writer.link(&existing, path);
                linked.map_err(ImportError::write(path))
            }
            _ => Err(ImportError::Link {
                path: path.clone(),
                target,
            }),
        }
    }

    fn is_whiteout(&self, entry: &RawEntry<'_>) -> Result<bool, ImportError> {
        let header = entry.header();
        let major = header.device_major().map_err(ImportError::Read)?;
        let minor = header.device_minor().map_err(ImportError::Read)?;
        let is_overlay = self.writer.format() == LayerFormat::Overlay;
        Ok(is_overlay && (major, minor) == (Some(0), Some(0)))
    }
}

fn copy(entry: &mut RawEntry<'_>, file: &mut File, path: &RelPath) -> Result<(), ImportError> {
    let mut buffer = vec![0; 128 << 10];
    loop {
        let length = match entry.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(ImportError::Truncated),
            Err(error) => return Err(ImportError::Read(error)),
        };
        let part = buffer.get(..length).unwrap_or_default();
        if part.is_empty() {
            return Ok(());
        }
        file.write_all(part).map_err(ImportError::write(path))?;
    }
}
