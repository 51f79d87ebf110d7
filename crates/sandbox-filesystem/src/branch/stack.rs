//! The merged view of a branch's layers and its base, read without mounting anything.
//!
//! It guarantees: resolution never leaves a layer's root and never follows a link, whatever a command has
//! left there, also while the branch is mounted and being written. It does not write, but for one thing: a
//! directory or file of a layer that its owner may not read is made readable for as long as it is open
//! (see [`access`]).
//!
//! Format: overlayfs under `userxattr` (Documentation/filesystems/overlayfs.rst): a whiteout is the character
//! device 0/0, an opaque directory has `user.overlay.opaque` = `y`. A layer that is a whole copy hides
//! everything beneath it, and in it both mean nothing.

pub(crate) mod access;
mod dir;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use sandbox_types::RelPath;

use super::node::Meta;
use super::xattr::Reading;
use access::Opened;
pub(crate) use dir::{Dir, names};

/// How a layer is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LayerFormat {
    /// What differs, as overlayfs writes it.
    Overlay,
    /// A whole copy.
    Complete,
}

/// One layer above the base.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) path: PathBuf,
    pub(crate) format: LayerFormat,
    root: Opened,
}

/// Layers, the topmost first, over a base.
#[derive(Debug)]
pub(crate) struct Stack {
    layers: Vec<Layer>,
    base_path: PathBuf,
    base: OwnedFd,
    excluded: BTreeSet<RelPath>,
}

/// Where in the stack something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// In the layer of that index, 0 is the topmost.
    Layer(usize),
    /// In the base.
    Base,
}

/// An entry of the merged view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) meta: Meta,
    pub(crate) origin: Origin,
}

impl Stack {
    /// Opens `layers`, the topmost first, over `base`.
    pub(crate) fn open(layers: &[(PathBuf, LayerFormat)], base: &Path) -> io::Result<Self> {
        let layers = layers.iter().map(|(path, format)| {
            Ok(Layer {
                root: access::open_layer_root(path)?,
                path: path.clone(),
                format: *format,
            })
        });
        Ok(Self {
            layers: layers.collect::<io::Result<_>>()?,
            base_path: base.to_owned(),
            base: access::open_root(base)?,
            excluded: BTreeSet::new(),
        })
    }

    /// Leaves out what is at these paths, in the layers and in the base.
    pub(crate) fn exclude(mut self, paths: impl IntoIterator<Item = RelPath>) -> Self {
        self.excluded.extend(paths);
        self
    }

    /// The layers, the topmost first.
    pub(crate) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Where the base is.
    pub(crate) fn base_path(&self) -> &Path {
        &self.base_path
    }

    /// The base's root.
    pub(crate) fn base(&self) -> BorrowedFd<'_> {
        self.base.as_fd()
    }

    /// The root of the merged view.
    pub(crate) fn root(&self) -> io::Result<Dir<'_>> {
        Dir::root(self)
    }

    /// The merged directory at `path`; none where there is none.
    pub(crate) fn dir(&self, path: &RelPath) -> io::Result<Option<Dir<'_>>> {
        Ok(self.place(path)?.filter(Dir::exists))
    }

    /// The directory at `path`, of the merged view, of the base, or of both; none where it is in neither.
    pub(crate) fn place(&self, path: &RelPath) -> io::Result<Option<Dir<'_>>> {
        let mut dir = self.root()?;
        for name in path.as_path() {
            match dir.enter(name)? {
                Some(next) => dir = next,
                None => return Ok(None),
            }
        }
        Ok(Some(dir))
    }

    /// What is at `path`, other than the root; none where there is nothing.
    pub(crate) fn find(&self, path: &RelPath) -> io::Result<Option<Found>> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return Ok(None);
        };
        match self.dir(&parent)? {
            Some(dir) => dir.view(name),
            None => Ok(None),
        }
    }

    /// Opens the regular file at `path` for reading.
    pub(crate) fn open_file(&self, path: &RelPath) -> io::Result<File> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return Err(Errno::ISDIR.into());
        };
        let dir = self.dir(&parent)?.ok_or(Errno::NOENT)?;
        let found = dir.view(name)?.ok_or(Errno::NOENT)?;
        dir.open_file(name, found.origin)
    }

    /// How extended attributes are to be read there.
    pub(crate) fn reading(&self, origin: Origin) -> Reading {
        match origin {
            Origin::Layer(index) => self.format(index).map_or(Reading::Exact, Reading::Layer),
            Origin::Base => Reading::Exact,
        }
    }

    fn format(&self, index: usize) -> Option<LayerFormat> {
        self.layers.get(index).map(|layer| layer.format)
    }
}
