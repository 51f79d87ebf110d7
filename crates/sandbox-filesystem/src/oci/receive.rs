//! One layer on its way into a directory.
//!
//! Entries are written as they come; what hides something beneath is written at the end, when it is known what else
//! the layer has under those names: a whiteout hides what is beneath the layer and never what is in it.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::io::Errno;
use sandbox_types::{NodeKind, OverrideStat, RelPath};
use tar::EntryType;

use super::error::LayerError;
use super::name::{Meaning, NameProblem, meaning};
use super::options::{Devices, Owners, UnpackOptions, Whiteouts};
use super::owners::Kind;
use crate::branch::copy::{Attributes, Refused};
use crate::branch::layer_writer::LayerWriter;
use crate::branch::raw::Bytes;
use crate::branch::stack::LayerFormat;
use crate::branch::xattr::Xattrs;
use crate::tarball::{self, RawEntry};

/// How much is written at once; a piece of nothing but zeros becomes a hole.
const PIECE: usize = 128 << 10;

/// What the layer did not bring, or what was not taken from it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Notes {
    /// Devices that were left out.
    pub(super) devices: u64,
    /// Extended attributes that were left out, or that could not be set.
    pub(super) attributes: u64,
    /// Directories that something is in and that are not in the layer themselves.
    pub(super) assumed: Vec<RelPath>,
    /// Everything in layers beneath is hidden.
    pub(super) hides_all: bool,
}

/// A layer being written.
pub(super) struct Receiver<'o> {
    options: &'o UnpackOptions,
    writer: LayerWriter,
    root: Root,
    directories: HashSet<RelPath>,
    assumed: BTreeSet<RelPath>,
    whiteouts: BTreeSet<RelPath>,
    opaque: BTreeSet<RelPath>,
    devices: u64,
    attributes: u64,
    hides_all: bool,
}

/// Whether the layer's own directory has been in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Root {
    Assumed,
    Seen,
}

impl<'o> Receiver<'o> {
    /// Into the empty directory `into`.
    pub(super) fn open(into: &Path, options: &'o UnpackOptions) -> Result<Self, LayerError> {
        let root = RelPath::root();
        let writer = LayerWriter::open(into, LayerFormat::Overlay).map_err(LayerError::write(&root))?;
        let mut receiver = Self {
            options,
            writer,
            root: Root::Assumed,
            directories: HashSet::new(),
            assumed: BTreeSet::new(),
            whiteouts: BTreeSet::new(),
            opaque: BTreeSet::new(),
            devices: 0,
            attributes: 0,
            hides_all: false,
        };
        receiver.assume(root)?;
        Ok(receiver)
    }

    /// Writes an entry; `written` is told how many bytes of content are.
    pub(super) fn take(
        &mut self,
        entry: &mut RawEntry<'_>,
        read: tarball::Read,
        written: &mut dyn FnMut(u64),
    ) -> Result<(), LayerError> {
        self.attributes += read.left_out;
        let found = meaning(&read.name, self.options.limits.depth);
        let refused = |problem| LayerError::Name {
            name: read.name.clone(),
            problem,
        };
        match found.map_err(refused)? {
            Meaning::Entry(path) if path.is_root() => self.own(entry, read),
            Meaning::Entry(path) => self.entry(path, entry, read, written),
            Meaning::Whiteout(path) => {
                must_be_empty(&path, entry)?;
                let is_new = self.whiteouts.insert(path.clone());
                is_new.then_some(()).ok_or(LayerError::Duplicate { path })
            }
            Meaning::Opaque(path) => {
                must_be_empty(&path, entry)?;
                let is_new = self.opaque.insert(path.clone());
                is_new.then_some(()).ok_or(LayerError::Duplicate { path })
            }
        }
    }

    /// The layer's own directory.
    fn own(&mut self, entry: &RawEntry<'_>, read: tarball::Read) -> Result<(), LayerError> {
        let path = RelPath::root();
        let kind = entry.header().entry_type();
        if kind != EntryType::Directory {
            let kind = kind.as_byte();
            return Err(LayerError::Kind { path, kind });
        }
        if self.root == Root::Seen {
            return Err(LayerError::Duplicate { path });
        }
        self.root = Root::Seen;
        self.directory(path, read.attributes)
    }

    fn entry(
        &mut self,
        path: RelPath,
        entry: &mut RawEntry<'_>,
        read: tarball::Read,
        written: &mut dyn FnMut(u64),
    ) -> Result<(), LayerError> {
        self.must_be_new(&path, entry.header().entry_type())?;
        self.assume_parents(&path)?;
        match entry.header().entry_type() {
            EntryType::Directory => self.directory(path, read.attributes),
            // Some programs take that for a directory.
            EntryType::Regular | EntryType::Continuous if read.name.ends_with(b"/") => {
                let problem = NameProblem::NoName;
                Err(LayerError::Name {
                    name: read.name,
                    problem,
                })
            }
            EntryType::Regular | EntryType::Continuous => self.file(&path, entry, read.attributes, written),
            EntryType::Link => self.link(&path, read.link),
            EntryType::Symlink => self.symlink(&path, read),
            EntryType::Fifo => {
                let attributes = self.on_host(read.attributes, Kind::of(NodeKind::Fifo));
                let made = self.writer.special(&path, NodeKind::Fifo, 0, attributes);
                made.map_err(LayerError::write(&path))
            }
            EntryType::Char => self.device(&path, entry, read.attributes, NodeKind::CharDevice),
            EntryType::Block => self.device(&path, entry, read.attributes, NodeKind::BlockDevice),
            other => {
                let kind = other.as_byte();
                Err(LayerError::Kind { path, kind })
            }
        }
    }

    /// Nothing is there, or only a directory that was made for something in it.
    fn must_be_new(&self, path: &RelPath, kind: EntryType) -> Result<(), LayerError> {
        if self.directories.contains(path) {
            let is_assumed = self.assumed.contains(path) && kind == EntryType::Directory;
            let path = path.clone();
            return is_assumed.then_some(()).ok_or(LayerError::Duplicate { path });
        }
        match self.writer.meta(path).map_err(LayerError::write(path))? {
            Some(_) => Err(LayerError::Duplicate { path: path.clone() }),
            None => Ok(()),
        }
    }

    /// Makes the directories that `path` is in, where the layer has not brought them before.
    fn assume_parents(&mut self, path: &RelPath) -> Result<(), LayerError> {
        let mut missing = Vec::new();
        let mut at = path.parent();
        while let Some(parent) = at.filter(|parent| !self.directories.contains(parent)) {
            at = parent.parent();
            missing.push(parent);
        }
        for parent in missing.into_iter().rev() {
            let found = self.writer.meta(&parent).map_err(LayerError::write(&parent))?;
            if found.is_some() {
                let path = path.clone();
                return Err(LayerError::NotInDirectory { path, parent });
            }
            self.assume(parent)?;
        }
        Ok(())
    }

    /// A directory that something is in. What it is to look like is known when the layer says so later, or to
    /// whoever knows the layers beneath.
    fn assume(&mut self, path: RelPath) -> Result<(), LayerError> {
        let attributes = Attributes {
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: Some((0, 0)),
            xattrs: Xattrs::default(),
        };
        self.directory(path.clone(), attributes)?;
        self.assumed.insert(path);
        Ok(())
    }

    fn directory(&mut self, path: RelPath, attributes: Attributes) -> Result<(), LayerError> {
        let attributes = self.on_host(attributes, Kind::of(NodeKind::Directory));
        let made = self.writer.dir(&path, attributes);
        made.map_err(LayerError::write(&path))?;
        self.assumed.remove(&path);
        self.directories.insert(path);
        Ok(())
    }

    fn file(
        &mut self,
        path: &RelPath,
        entry: &mut RawEntry<'_>,
        attributes: Attributes,
        written: &mut dyn FnMut(u64),
    ) -> Result<(), LayerError> {
        let attributes = self.on_host(attributes, Kind::of(NodeKind::File));
        let file = self.writer.file(path).map_err(LayerError::write(path))?;
        fill(&file, entry, path, written)?;
        let completed = self.writer.complete(path, file.as_fd(), attributes);
        completed.map_err(LayerError::write(path))
    }

    fn symlink(&mut self, path: &RelPath, read: tarball::Read) -> Result<(), LayerError> {
        let target = read.link;
        if target.is_empty() || target.contains(&0) {
            let path = path.clone();
            return Err(LayerError::Link { path, target });
        }
        let attributes = self.on_host(read.attributes, Kind::of(NodeKind::Symlink));
        let made = self.writer.symlink(path, &Bytes(target), attributes);
        made.map_err(LayerError::write(path))
    }

    /// Another name of a file that the layer has brought before.
    fn link(&mut self, path: &RelPath, target: Vec<u8>) -> Result<(), LayerError> {
        let existing = match meaning(&target, self.options.limits.depth) {
            Ok(Meaning::Entry(existing)) if !self.directories.contains(&existing) => existing,
            _ => {
                let path = path.clone();
                return Err(LayerError::Link { path, target });
            }
        };
        let meta = self.writer.meta(&existing).map_err(LayerError::write(path))?;
        if meta.is_none_or(|meta| meta.is_dir()) {
            let path = path.clone();
            return Err(LayerError::Link { path, target });
        }
        let linked = self.writer.link(&existing, path);
        linked.map_err(LayerError::write(path))
    }

    fn device(
        &mut self,
        path: &RelPath,
        entry: &RawEntry<'_>,
        attributes: Attributes,
        node: NodeKind,
    ) -> Result<(), LayerError> {
        let number = |number: io::Result<Option<u32>>| number.ok().flatten().unwrap_or(0);
        let major = number(entry.header().device_major());
        let minor = number(entry.header().device_minor());
        // This one would be a whiteout.
        let is_whiteout = node == NodeKind::CharDevice && (major, minor) == (0, 0);
        match self.options.devices {
            Devices::Skip => self.devices += 1,
            Devices::Keep if !is_whiteout => {
                return self.kept_device(path, attributes, Kind { node, major, minor });
            }
            Devices::Refuse | Devices::Keep => {
                return Err(LayerError::Device {
                    path: path.clone(),
                    kind: if node == NodeKind::CharDevice { 'c' } else { 'b' },
                    major,
                    minor,
                });
            }
        }
        Ok(())
    }

    fn kept_device(&mut self, path: &RelPath, attributes: Attributes, kind: Kind) -> Result<(), LayerError> {
        let attributes = self.on_host(attributes, kind);
        let made = match self.options.owners {
            Owners::Real => {
                let rdev = rustix::fs::makedev(kind.major, kind.minor);
                self.writer.special(path, kind.node, rdev, attributes)
            }
            Owners::Virtual => self
                .writer
                .file(path)
                .and_then(|file| self.writer.complete(path, file.as_fd(), attributes)),
        };
        made.map_err(LayerError::write(path))
    }

    fn on_host(&mut self, attributes: Attributes, kind: Kind) -> Attributes {
        let (attributes, is_forged) = self.options.owners.on_host(attributes, kind);
        self.attributes += u64::from(is_forged);
        attributes
    }

    /// Writes what hides something beneath, and the attributes of directories.
    pub(super) fn finish(mut self) -> Result<Notes, LayerError> {
        self.must_be_no_image()?;
        for path in std::mem::take(&mut self.whiteouts) {
            self.hide(&path)?;
        }
        for path in std::mem::take(&mut self.opaque) {
            self.assume_with_parents(&path)?;
            self.hide_beneath(&path)?;
        }
        let root = RelPath::root();
        let refused = self.writer.finish().map_err(LayerError::write(&root))?;
        let mut notes = Notes {
            devices: self.devices,
            attributes: self.attributes,
            hides_all: self.hides_all,
            assumed: self.assumed.into_iter().collect(),
        };
        for (path, what) in refused {
            match what {
                Refused::Owner => return Err(LayerError::Owner { path }),
                Refused::Xattr(name) if name.0 == OverrideStat::CONTAINERS.as_bytes() => {
                    let name = name.0;
                    return Err(LayerError::Attribute { path, name });
                }
                Refused::Xattr(_) => notes.attributes += 1,
            }
        }
        Ok(notes)
    }

    /// Archives of images, of which every tool makes some, are archives as well. No system has these at its root.
    fn must_be_no_image(&self) -> Result<(), LayerError> {
        if self.has_all(&["oci-layout", "index.json", "blobs"])? {
            return Err(LayerError::Images { sign: "oci-layout" });
        }
        if self.has_all(&["manifest.json", "repositories"])? {
            let sign = "manifest.json";
            return Err(LayerError::Images { sign });
        }
        Ok(())
    }

    fn has_all(&self, names: &[&str]) -> Result<bool, LayerError> {
        for name in names {
            let path = RelPath::new(name).unwrap_or_default();
            let found = self.writer.meta(&path).map_err(LayerError::write(&path))?;
            if found.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn hide(&mut self, path: &RelPath) -> Result<(), LayerError> {
        if self.directories.contains(path) {
            return self.hide_beneath(path);
        }
        self.assume_parents(path)?;
        let is_hidden = path.parent().is_some_and(|parent| self.opaque.contains(&parent));
        let found = self.writer.meta(path).map_err(LayerError::write(path))?;
        if found.is_some() || is_hidden {
            return Ok(());
        }
        let as_attribute = |receiver: &mut Self| receiver.writer.whiteout_as_attribute(path);
        let hidden = match self.options.whiteouts {
            Whiteouts::Attribute => as_attribute(self),
            Whiteouts::Device => match self.writer.whiteout(path) {
                Err(error) if is_refused(&error) => as_attribute(self),
                other => other,
            },
        };
        hidden.map_err(LayerError::write(path))
    }

    fn hide_beneath(&mut self, path: &RelPath) -> Result<(), LayerError> {
        self.hides_all |= path.is_root();
        self.writer.opaque(path).map_err(LayerError::write(path))
    }

    fn assume_with_parents(&mut self, path: &RelPath) -> Result<(), LayerError> {
        if self.directories.contains(path) {
            return Ok(());
        }
        self.must_be_new(path, EntryType::Directory)?;
        self.assume_parents(path)?;
        self.assume(path.clone())
    }
}

/// Whoever runs us does not let us make devices, or the file system has none.
fn is_refused(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::PERM | Errno::NOSYS | Errno::OPNOTSUPP | Errno::ACCESS)
    )
}

fn must_be_empty(path: &RelPath, entry: &RawEntry<'_>) -> Result<(), LayerError> {
    let is_file = entry.header().entry_type() == EntryType::Regular;
    let path = path.clone();
    (is_file && entry.size() == 0)
        .then_some(())
        .ok_or(LayerError::Whiteout { path })
}

/// Copies the content of an entry; what is nothing but zeros stays a hole.
fn fill(
    file: &File,
    entry: &mut RawEntry<'_>,
    path: &RelPath,
    written: &mut dyn FnMut(u64),
) -> Result<(), LayerError> {
    let mut buffer = vec![0; PIECE.min(usize::try_from(entry.size()).unwrap_or(PIECE))];
    let mut at = 0;
    let mut end = 0;
    while at < entry.size() {
        let length = match entry.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other.map_err(LayerError::reading)?,
        };
        let piece = buffer.get(..length).unwrap_or_default();
        if piece.is_empty() {
            return Err(LayerError::Truncated);
        }
        if piece.iter().any(|byte| *byte != 0) {
            file.write_all_at(piece, at).map_err(LayerError::write(path))?;
            end = at + length as u64;
        }
        at += length as u64;
        written(length as u64);
    }
    if end < at {
        file.set_len(at).map_err(LayerError::write(path))?;
    }
    Ok(())
}
