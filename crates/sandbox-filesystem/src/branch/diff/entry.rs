//! One entry of one of the trees that are compared.

use std::cell::OnceCell;
use std::ffi::{CStr, OsStr};
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use sandbox_types::{NodeKind, RelPath};

use super::super::beneath::node_at;
use super::super::node::Meta;
use super::super::stack::LayerFormat;
use super::super::stack::access::Lent;
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

/// An entry of a directory that is held open; it is opened itself when it is first asked for more.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) dir: BorrowedFd<'a>,
    pub(super) name: &'a OsStr,
    pub(super) meta: Meta,
    pub(super) side: Side,
    /// How its extended attributes are to be read.
    reading: Reading,
    node: OnceCell<Node>,
}

/// An entry that was opened.
#[derive(Debug)]
struct Node {
    /// Open for reading where that can be, else only named (O_PATH).
    file: File,
    is_readable: bool,
    /// Dropped last: attributes are asked for with the permissions that the file has then.
    _lent: Option<Lent>,
}

impl<'a> Entry<'a> {
    pub(super) fn new(
        dir: BorrowedFd<'a>,
        name: &'a OsStr,
        meta: Meta,
        side: Side,
        reading: Reading,
    ) -> Self {
        Self {
            dir,
            name,
            meta,
            side,
            reading,
            node: OnceCell::new(),
        }
    }

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

    /// The file, open for reading; none where it may not be read.
    pub(super) fn file(&self) -> io::Result<Option<&File>> {
        let node = self.node()?;
        Ok(node.is_readable.then_some(&node.file))
    }

    /// What the link leads to.
    pub(super) fn target(&self) -> io::Result<Vec<u8>> {
        let target = rustix::fs::readlinkat(self.dir, self.name, Vec::new())?;
        Ok(target.into_bytes())
    }

    /// Its extended attributes.
    pub(super) fn xattrs(&self) -> io::Result<xattr::Readable> {
        xattr::read_permitted(self.node()?.file.as_fd(), self.reading)
    }

    /// One extended attribute by the name that it has on the disk; none where there is none.
    pub(super) fn raw_xattr(&self, name: &CStr) -> io::Result<Option<Vec<u8>>> {
        xattr::raw(self.node()?.file.as_fd(), name)
    }

    fn node(&self) -> io::Result<&Node> {
        if let Some(node) = self.node.get() {
            return Ok(node);
        }
        let node = self.open()?;
        Ok(self.node.get_or_init(|| node))
    }

    /// Only what is in a layer lends itself the permission.
    fn open(&self) -> io::Result<Node> {
        let kind = match self.meta.kind {
            NodeKind::File => OFlags::empty(),
            NodeKind::Directory => OFlags::DIRECTORY,
            // To open these could have effects.
            _ => return self.named(),
        };
        let is_closed = !Mode::from_raw_mode(self.meta.mode).contains(Mode::RUSR);
        let lent = if is_closed && self.side == Side::Branch {
            Lent::grant(self.dir, self.name, Mode::RUSR)?
        } else {
            None
        };
        // O_NONBLOCK: what was a file a moment ago may be a pipe now.
        let flags = kind | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::openat(self.dir, self.name, flags, Mode::empty()) {
            Ok(file) => Ok(Node {
                file: file.into(),
                is_readable: true,
                _lent: lent,
            }),
            Err(Errno::ACCESS | Errno::PERM) => self.named(),
            Err(errno) => Err(errno.into()),
        }
    }

    fn named(&self) -> io::Result<Node> {
        Ok(Node {
            file: node_at(self.dir, self.name)?.into(),
            is_readable: false,
            _lent: None,
        })
    }
}
