//! One entry of one of the trees that are compared.

use std::ffi::{CStr, OsStr};
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::Mode;
use sandbox_types::RelPath;

use super::super::beneath::node_at;
use super::super::node::Meta;
use super::super::stack::LayerFormat;
use super::super::stack::access::{self, Lent};
use super::super::xattr::{self, Reading};
use super::DiffError;

/// One of the trees that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What the branch has above its base.
    Branch,
    /// What the branch was made of.
    Base,
    /// The base as it is now, where the branch was made of a copy of it.
    Live,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Branch => "the branch",
            Self::Base => "the base",
            Self::Live => "the base as it is now",
        })
    }
}

/// Something that could not be read.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) side: Side,
    pub(super) source: io::Error,
}

impl Failure {
    pub(super) fn at(self, path: RelPath) -> DiffError {
        DiffError::Read {
            path,
            side: self.side,
            source: self.source,
        }
    }
}

/// An entry of a directory that is held open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) dir: BorrowedFd<'a>,
    pub(super) name: &'a OsStr,
    pub(super) meta: Meta,
    pub(super) side: Side,
    /// How its extended attributes are to be read.
    pub(super) reading: Reading,
}

impl Entry<'_> {
    /// Whether it is part of a whole copy.
    pub(super) fn is_in_copy(&self) -> bool {
        self.reading == Reading::Layer(LayerFormat::Complete)
    }

    pub(super) fn failure(&self, source: impl Into<io::Error>) -> Failure {
        Failure {
            side: self.side,
            source: source.into(),
        }
    }

    /// Opens it for reading; only what is in a layer lends itself the permission.
    pub(super) fn open(&self) -> io::Result<File> {
        match self.side {
            Side::Branch => access::open_layer_file(self.dir, self.name),
            Side::Base | Side::Live => access::open_file(self.dir, self.name),
        }
    }

    /// What the link leads to.
    pub(super) fn target(&self) -> io::Result<Vec<u8>> {
        let target = rustix::fs::readlinkat(self.dir, self.name, Vec::new())?;
        Ok(target.into_bytes())
    }

    /// Its extended attributes.
    pub(super) fn xattrs(&self) -> io::Result<xattr::Readable> {
        let node = node_at(self.dir, self.name)?;
        let readable = xattr::read_permitted(node.as_fd(), self.reading)?;
        if !readable.hidden.is_empty()
            && let Some(_lent) = self.lend()?
        {
            return xattr::read_permitted(node.as_fd(), self.reading);
        }
        Ok(readable)
    }

    /// One extended attribute by the name that it has on the disk; none where there is none.
    pub(super) fn raw_xattr(&self, name: &CStr) -> io::Result<Option<Vec<u8>>> {
        let node = node_at(self.dir, self.name)?;
        let _lent = if Mode::from_raw_mode(self.meta.mode).contains(Mode::RUSR) {
            None
        } else {
            self.lend()?
        };
        xattr::raw(node.as_fd(), name)
    }

    fn lend(&self) -> io::Result<Option<Lent>> {
        match self.side {
            Side::Branch => Lent::grant(self.dir, self.name, Mode::RUSR),
            Side::Base | Side::Live => Ok(None),
        }
    }
}
