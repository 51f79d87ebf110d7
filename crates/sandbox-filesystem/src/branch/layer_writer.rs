//! Writing entries into a layer that nobody has mounted: the result of a merge, what is imported.
//!
//! It guarantees: nothing outside the layer's root is written and no link is followed, whatever is in the layer;
//! what is there already is never overwritten, only removed when that is asked for. Attributes of directories are
//! set at the end ([`LayerWriter::finish`]), since a directory must be written to until it is filled.
//!
//! It does not sync unless it is asked to, and it is not all or nothing: the caller writes into a layer that nobody knows yet.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use sandbox_types::{NodeKind, RelPath};

use super::beneath::{Place, Root};
use super::copy::{Attributes, Copier, Reflink, Refused, set_mode, special, symlink};
use super::node::Meta;
use super::raw::Bytes;
use super::remove::remove_tree;
use super::stack::LayerFormat;
use super::xattr::{Reading, by_descriptor, escape};

const OPAQUE: &[u8] = b"user.overlay.opaque";
const WHITEOUT: &[u8] = b"user.overlay.whiteout";

/// What its owner needs of a directory to fill it.
const FILLABLE: u32 = 0o700;

/// A layer being written.
#[derive(Debug)]
pub(crate) struct LayerWriter {
    root: Root,
    format: LayerFormat,
    copier: Copier,
    /// Attributes that directories get at the end.
    directories: BTreeMap<RelPath, Attributes>,
    refused: Vec<(RelPath, Refused)>,
}

impl LayerWriter {
    /// Writes into the directory at `root`: empty, or in the format `Complete` a copy that is to be changed.
    pub(crate) fn open(root: &Path, format: LayerFormat) -> io::Result<Self> {
        Ok(Self {
            root: Root::open(root)?,
            format,
            copier: Copier::new(Reflink::Try),
            directories: BTreeMap::new(),
            refused: Vec::new(),
        })
    }

    /// How the layer is to be read.
    pub(crate) fn format(&self) -> LayerFormat {
        self.format
    }

    /// What is at `path` in the layer itself.
    pub(crate) fn meta(&self, path: &RelPath) -> io::Result<Option<Meta>> {
        self.root.meta(path)
    }

    /// Makes a directory, or takes the one that is there, the root among them, and gives it `attributes`.
    pub(crate) fn dir(&mut self, path: &RelPath, attributes: Attributes) -> io::Result<()> {
        let place = self.place(path)?;
        match rustix::fs::mkdirat(&place.parent, place.name(), Mode::from_raw_mode(FILLABLE)) {
            Ok(()) => {}
            Err(Errno::EXIST) if place.meta()?.is_some_and(|meta| meta.is_dir()) => {
                let node = place.node()?;
                set_mode(node.as_fd(), Meta::of(&node)?.mode | FILLABLE)?;
            }
            Err(errno) => return Err(errno.into()),
        }
        let attributes = self.written(attributes);
        self.directories.insert(path.clone(), attributes);
        Ok(())
    }

    /// Makes the directory at `path`, already given to [`Self::dir`], hide what is beneath it. In a whole copy,
    /// which hides everything, it means nothing.
    pub(crate) fn opaque(&mut self, path: &RelPath) -> io::Result<()> {
        if self.format == LayerFormat::Complete {
            return Ok(());
        }
        let attributes = self.directories.get_mut(path).ok_or(Errno::NOENT)?;
        let xattrs = &mut attributes.xattrs.0;
        xattrs.insert(Bytes(OPAQUE.to_vec()), Bytes(b"y".to_vec()));
        Ok(())
    }

    /// Makes an empty regular file, to be filled and then given to [`Self::complete`].
    pub(crate) fn file(&mut self, path: &RelPath) -> io::Result<File> {
        let place = self.place(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        Ok(rustix::fs::openat(&place.parent, place.name(), flags, mode)?.into())
    }

    /// Makes a regular file with the content of `source`, of which `meta` is known.
    pub(crate) fn copy(
        &mut self,
        path: &RelPath,
        source: &File,
        meta: &Meta,
        attributes: Attributes,
    ) -> io::Result<()> {
        let file = self.file(path)?;
        self.copier.copy(source, &file, &meta.shape(), &mut |_| {})?;
        self.complete(path, file.as_fd(), attributes)
    }

    /// Makes a symbolic link.
    pub(crate) fn symlink(
        &mut self,
        path: &RelPath,
        target: &Bytes,
        attributes: Attributes,
    ) -> io::Result<()> {
        let place = self.place(path)?;
        let node = symlink(place.parent.as_fd(), place.name(), target)?;
        self.complete(path, node.as_fd(), attributes)
    }

    /// Makes a pipe, a socket or a device; not the one that would be a whiteout.
    pub(crate) fn special(
        &mut self,
        path: &RelPath,
        kind: NodeKind,
        rdev: u64,
        attributes: Attributes,
    ) -> io::Result<()> {
        if kind == NodeKind::CharDevice && rdev == 0 {
            return Err(Errno::INVAL.into());
        }
        let place = self.place(path)?;
        let node = special(place.parent.as_fd(), place.name(), kind, rdev)?;
        self.complete(path, node.as_fd(), attributes)
    }

    /// Makes `path` another name of what is at `existing`, which is no directory.
    pub(crate) fn link(&mut self, existing: &RelPath, path: &RelPath) -> io::Result<()> {
        let existing = self.root.place(existing)?;
        let place = self.place(path)?;
        let flags = AtFlags::empty();
        rustix::fs::linkat(
            &existing.parent,
            existing.name(),
            &place.parent,
            place.name(),
            flags,
        )?;
        Ok(())
    }

    /// Makes `path` a path where nothing is, whatever is beneath the layer.
    pub(crate) fn whiteout(&mut self, path: &RelPath) -> io::Result<()> {
        self.clear(path)?;
        if self.format == LayerFormat::Complete {
            return Ok(());
        }
        let place = self.place(path)?;
        let kind = rustix::fs::FileType::CharacterDevice;
        match rustix::fs::mknodat(&place.parent, place.name(), kind, Mode::empty(), 0) {
            // As overlayfs answers; where it is, branches are in mode `exact`.
            Err(Errno::PERM) => self.whiteout_as_attribute(path),
            result => Ok(result?),
        }
    }

    /// The same as an attribute, where devices cannot be made. The kernel reads such a whiteout in lower layers only.
    pub(crate) fn whiteout_as_attribute(&mut self, path: &RelPath) -> io::Result<()> {
        let parent = path.parent().unwrap_or_default();
        if let Some(attributes) = self.directories.get_mut(&parent) {
            let marks = attributes.xattrs.0.entry(Bytes(OPAQUE.to_vec()));
            marks.or_insert_with(|| Bytes(b"x".to_vec()));
        } else {
            let place = self.place(path)?;
            let parent = by_descriptor(place.parent.as_fd());
            match rustix::fs::setxattr(parent, OPAQUE, b"x", rustix::fs::XattrFlags::CREATE) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        let file = self.file(path)?;
        let flags = rustix::fs::XattrFlags::empty();
        Ok(rustix::fs::fsetxattr(file, WHITEOUT, b"y", flags)?)
    }

    /// Removes what the layer has at `path`, with everything in it.
    pub(crate) fn clear(&mut self, path: &RelPath) -> io::Result<()> {
        let Some(meta) = self.root.meta(path)? else {
            return Ok(());
        };
        let place = self.place(path)?;
        if meta.is_dir() {
            self.directories.retain(|known, _| !known.is_beneath(path));
            remove_tree(&Path::new(&by_descriptor(place.parent.as_fd())).join(place.name()))
        } else {
            Ok(rustix::fs::unlinkat(
                &place.parent,
                place.name(),
                AtFlags::empty(),
            )?)
        }
    }

    /// Gives what is at `path`, open as `node`, its attributes.
    pub(crate) fn complete(
        &mut self,
        path: &RelPath,
        node: BorrowedFd<'_>,
        attributes: Attributes,
    ) -> io::Result<()> {
        let refused = self.written(attributes).put(node)?;
        self.refused
            .extend(refused.into_iter().map(|what| (path.clone(), what)));
        Ok(())
    }

    /// Puts the regular file at `path`, and its name, on the disk.
    pub(crate) fn sync(&mut self, path: &RelPath) -> io::Result<()> {
        self.root.file(path)?.sync_all()?;
        let parent = self.root.list_dir(&path.parent().unwrap_or_default())?;
        Ok(rustix::fs::fsync(parent)?)
    }

    /// Sets the attributes of directories; what could not be set on which path.
    pub(crate) fn finish(mut self) -> io::Result<Vec<(RelPath, Refused)>> {
        // What is inside first: the mode of a directory can forbid to reach it.
        for (path, attributes) in self.directories.iter().rev() {
            let dir = self.root.dir(path)?;
            let refused = attributes.put(dir.as_fd())?;
            if is_without_opaque(attributes, &refused) {
                return Err(Errno::NOTSUP.into());
            }
            self.refused
                .extend(refused.into_iter().map(|what| (path.clone(), what)));
        }
        Ok(self.refused)
    }

    /// Where `path` is, in a directory that can be written to until the end.
    fn place(&mut self, path: &RelPath) -> io::Result<Place> {
        let place = self.root.place(path)?;
        let parent = path.parent().unwrap_or_default();
        let meta = Meta::of(&place.parent)?;
        if meta.mode & FILLABLE != FILLABLE {
            let attributes = Attributes::read(place.parent.as_fd(), &meta, Reading::Exact)?;
            set_mode(place.parent.as_fd(), meta.mode | FILLABLE)?;
            self.directories.entry(parent).or_insert(attributes);
        }
        Ok(place)
    }

    /// `attributes` as they are written down in this layer.
    fn written(&self, attributes: Attributes) -> Attributes {
        let xattrs = escape(attributes.xattrs, self.format);
        Attributes { xattrs, ..attributes }
    }
}

/// A file system without `user.*` attributes cannot hold a layer that needs one.
fn is_without_opaque(attributes: &Attributes, refused: &[Refused]) -> bool {
    let name = Bytes(OPAQUE.to_vec());
    attributes.xattrs.0.contains_key(&name) && refused.contains(&Refused::Xattr(name))
}
