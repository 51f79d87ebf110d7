//! A branch → an archive.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use sandbox_types::{BranchName, NodeKind, RelPath};
use tar::{Builder, EntryType};

use super::error::ExportError;
use super::name::name_of;
use super::writer::Writer;
use super::{ArchiveManifest, END, MANIFEST, OPAQUE, Over, PartManifest, Role, VERSION};
use crate::branch::copy::Attributes;
use crate::branch::node::Meta;
use crate::branch::progress::{Phase, Progress};
use crate::branch::raw::Bytes;
use crate::branch::stack::{Dir, Found, LayerFormat, Origin, Stack};
use crate::branch::walk::Walk;
use crate::tarball::Entry;

/// Which branch it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About<'a> {
    pub(crate) branch: &'a BranchName,
    /// In seconds since the epoch.
    pub(crate) created: u64,
    /// None where the workspace could not be known again.
    pub(crate) over: Option<Over>,
}

/// One directory that it is of: the workspace, or one that belongs to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) stack: &'a Stack,
    /// Where it is, whatever the stack's base is.
    pub(crate) base: &'a Path,
    pub(crate) role: Role,
}

impl Part<'_> {
    /// With a whole copy among the layers all that is seen is exported, else what differs from the base.
    fn format(&self) -> LayerFormat {
        let mut layers = self.stack.layers().iter();
        if layers.any(|layer| layer.format == LayerFormat::Complete) {
            LayerFormat::Complete
        } else {
            LayerFormat::Overlay
        }
    }
}

/// What was exported.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ExportReport {
    pub(crate) entries: u64,
    /// Bytes of the files.
    pub(crate) bytes: u64,
    /// Sockets and devices, which an archive cannot have.
    pub(crate) skipped: Vec<PathBuf>,
}

/// Writes what the layers of `parts` hold, the workspace's first, to `out`.
pub(crate) fn export(
    parts: &[Part<'_>],
    about: &About<'_>,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(Progress),
) -> Result<ExportReport, ExportError> {
    let mut archive = Writer {
        out: Builder::new(out),
        report: ExportReport::default(),
        state: Progress::start(Phase::Exporting, None, None),
        progress,
    };
    archive.plain(MANIFEST, &manifest(parts, about)?)?;
    for (number, part) in parts.iter().enumerate() {
        let mut export = Export {
            number,
            part,
            walk: Walk::new(part.stack),
            links: HashMap::new(),
            archive: &mut archive,
        };
        export.run()?;
    }
    archive.plain(END, b"")?;
    let out = archive.out.into_inner().map_err(ExportError::Write)?;
    out.flush().map_err(ExportError::Write)?;
    Ok(archive.report)
}

fn manifest(parts: &[Part<'_>], about: &About<'_>) -> Result<Vec<u8>, ExportError> {
    let parts = parts.iter().map(|part| PartManifest {
        base: Bytes(part.base.as_os_str().as_bytes().to_vec()),
        format: part.format().into(),
        role: part.role,
    });
    let manifest = ArchiveManifest {
        version: VERSION,
        branch: about.branch.clone(),
        created: about.created,
        over: about.over,
        parts: parts.collect(),
    };
    let mut text = serde_json::to_vec_pretty(&manifest).map_err(ExportError::Manifest)?;
    text.push(b'\n');
    Ok(text)
}

/// One part on its way into the archive.
struct Export<'a, 'w> {
    number: usize,
    part: &'a Part<'a>,
    walk: Walk<'a>,
    /// Where the first link of a file with several is.
    links: HashMap<(u64, u64), RelPath>,
    archive: &'a mut Writer<'w>,
}

impl Export<'_, '_> {
    fn run(&mut self) -> Result<(), ExportError> {
        let root = RelPath::root();
        let found = self.walk.find(&root).map_err(ExportError::read(&root))?;
        if let Some(found) = found {
            self.directory(&root, &found)?;
        }
        let mut left = vec![root];
        while let Some(path) = left.pop() {
            // Reached anew from the root, so that depth costs no descriptors.
            let dir = self.part.stack.dir(&path).map_err(ExportError::read(&path))?;
            if let Some(dir) = dir {
                self.inside(&dir, &mut left)?;
            }
        }
        Ok(())
    }

    /// What is in a directory; its directories are added to `left`.
    fn inside(&mut self, dir: &Dir<'_>, left: &mut Vec<RelPath>) -> Result<(), ExportError> {
        let names = dir.touched_names().map_err(ExportError::read(dir.path()))?;
        for name in names {
            let path = dir.path().join(&name).map_err(io::Error::other);
            let path = path.map_err(ExportError::read(dir.path()))?;
            let found = dir.view(&name).map_err(ExportError::read(&path))?;
            match found {
                // Nothing is seen of the base where it is hidden as a whole.
                None if dir.shows_base() => self.whiteout(&path)?,
                None
                | Some(Found {
                    origin: Origin::Base, ..
                }) => {}
                Some(found) if found.meta.is_dir() => {
                    self.directory(&path, &found)?;
                    left.push(path);
                }
                Some(found) => self.node(&path, &found)?,
            }
            self.archive.tell();
        }
        Ok(())
    }

    fn directory(&mut self, path: &RelPath, found: &Found) -> Result<(), ExportError> {
        let mut entry = self.entry(EntryType::Directory, path, &self.attributes(path, found)?);
        let dir = self.part.stack.dir(path).map_err(ExportError::read(path))?;
        if self.part.format() == LayerFormat::Overlay && dir.is_some_and(|dir| !dir.shows_base()) {
            entry.set_record(OPAQUE, b"y");
        }
        self.archive.append(entry, io::empty())
    }

    fn node(&mut self, path: &RelPath, found: &Found) -> Result<(), ExportError> {
        let meta = &found.meta;
        let kind = match meta.kind {
            NodeKind::File => EntryType::Regular,
            NodeKind::Symlink => EntryType::Symlink,
            NodeKind::Fifo => EntryType::Fifo,
            _ => {
                let place = self.part.base.join(path.as_path());
                self.archive.report.skipped.push(place);
                return Ok(());
            }
        };
        let attributes = self.attributes(path, found)?;
        if let Some(first) = self.first_link(path, meta) {
            let mut entry = self.entry(EntryType::Link, path, &attributes);
            entry.set_link(&name_of(self.number, &first));
            return self.archive.append(entry, io::empty());
        }
        let mut entry = self.entry(kind, path, &attributes);
        match meta.kind {
            NodeKind::File => self.file(path, found, entry),
            NodeKind::Symlink => {
                let target = self
                    .walk
                    .target(path, found.origin)
                    .map_err(ExportError::read(path))?;
                entry.set_link(target.as_bytes());
                self.archive.append(entry, io::empty())
            }
            _ => self.archive.append(entry, io::empty()),
        }
    }

    fn file(&mut self, path: &RelPath, found: &Found, mut entry: Entry) -> Result<(), ExportError> {
        let file = self
            .walk
            .open(path, found.origin)
            .map_err(ExportError::read(path))?;
        let size = Meta::of(&file).map_err(ExportError::read(path))?.size;
        entry.header.set_size(size);
        let mut source = Source {
            file: file.take(size),
            read: 0,
            error: None,
        };
        let appended = self.archive.append(entry, &mut source);
        if let Some(error) = source.error {
            return Err(ExportError::read(path)(error));
        }
        appended?;
        if source.read != size {
            return Err(ExportError::Changed { path: path.clone() });
        }
        self.archive.report.bytes += size;
        self.archive.state.bytes += size;
        Ok(())
    }

    fn whiteout(&mut self, path: &RelPath) -> Result<(), ExportError> {
        let attributes = Attributes {
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: None,
            xattrs: crate::branch::xattr::Xattrs::default(),
        };
        let mut entry = self.entry(EntryType::Char, path, &attributes);
        for set in [tar::Header::set_device_major, tar::Header::set_device_minor] {
            set(&mut entry.header, 0).map_err(ExportError::Write)?;
        }
        self.archive.append(entry, io::empty())
    }

    /// Where the file at `path` is already; none where this is its first link, or its only one.
    fn first_link(&mut self, path: &RelPath, meta: &Meta) -> Option<RelPath> {
        if meta.nlink < 2 || meta.kind != NodeKind::File {
            return None;
        }
        let key = (meta.dev, meta.ino);
        let first = self.links.get(&key).cloned();
        if first.is_none() {
            self.links.insert(key, path.clone());
        }
        first
    }

    fn attributes(&self, path: &RelPath, found: &Found) -> Result<Attributes, ExportError> {
        let attributes = self.walk.attributes(path, found);
        attributes.map_err(ExportError::read(path))
    }

    fn entry(&self, kind: EntryType, path: &RelPath, attributes: &Attributes) -> Entry {
        Entry::of(kind, &name_of(self.number, path), attributes)
    }
}

/// A file that is being read, told apart from the archive that is being written when something fails.
struct Source {
    file: io::Take<File>,
    read: u64,
    error: Option<io::Error>,
}

impl Read for &mut Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.file.read(buffer) {
            Ok(length) => {
                self.read += u64::try_from(length).unwrap_or(0);
                Ok(length)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
                self.error = Some(error);
                Err(errno.into())
            }
        }
    }
}
