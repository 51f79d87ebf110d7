//! Looking up many paths of one stack: the directory that was looked into last stays open, and some of those it is
//! in, so that neighbors, asked for one after the other, cost no walk from the root each.

use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::Mode;
use rustix::io::Errno;
use sandbox_types::RelPath;

use super::beneath::node_at;
use super::copy::Attributes;
use super::node::Meta;
use super::stack::access::Lent;
use super::stack::{Dir, Found, Origin, Stack};
use super::xattr::Reading;

/// A stack, and where in it somebody is.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    stack: &'a Stack,
    /// Directories that are open, each in the one before it: the last, up to [`NEAR`] above it, and further up one
    /// in [`NEAR`].
    open: RefCell<Vec<Dir<'a>>>,
}

const NEAR: usize = 16;

impl<'a> Walk<'a> {
    pub(crate) fn new(stack: &'a Stack) -> Self {
        Self {
            stack,
            open: RefCell::default(),
        }
    }

    pub(crate) fn stack(&self) -> &'a Stack {
        self.stack
    }

    /// What is at `path` in the merged view.
    pub(crate) fn find(&self, path: &RelPath) -> io::Result<Option<Found>> {
        if path.is_root() {
            return self.root().map(Some);
        }
        let found = self.look(
            path,
            |dir, name| {
                if dir.exists() { dir.view(name) } else { Ok(None) }
            },
        )?;
        Ok(found.flatten())
    }

    /// What is at `path` in the base, whether it can be seen or not.
    pub(crate) fn base(&self, path: &RelPath) -> io::Result<Option<Found>> {
        if path.is_root() {
            let meta = Meta::of(self.stack.base())?;
            return Ok(Some(Found {
                meta,
                origin: Origin::Base,
            }));
        }
        Ok(self.look(path, Dir::base)?.flatten())
    }

    /// Where the link at `path` points, as it is in `origin`.
    pub(crate) fn target(&self, path: &RelPath, origin: Origin) -> io::Result<OsString> {
        let target = self.holding(path, origin, |holder, name| {
            Ok(rustix::fs::readlinkat(holder, name, Vec::new())?)
        })?;
        Ok(OsString::from_vec(target.into_bytes()))
    }

    /// Opens the regular file at `path` for reading, as it is in `origin`.
    pub(crate) fn open(&self, path: &RelPath, origin: Origin) -> io::Result<File> {
        let opened = self.look(path, |dir, name| dir.open_file(name, origin))?;
        opened.ok_or_else(|| Errno::NOENT.into())
    }

    /// Mode, owner, time and extended attributes of what was found at `path`, also where it forbids its owner to
    /// read it.
    pub(crate) fn attributes(&self, path: &RelPath, found: &Found) -> io::Result<Attributes> {
        let reading = self.stack.reading(found.origin);
        self.holding(path, found.origin, |holder, name| {
            let _lent = match reading {
                Reading::Layer(_) => Lent::grant(holder, name, Mode::RUSR)?,
                Reading::Exact => None,
            };
            Attributes::read(node_at(holder, name)?.as_fd(), &found.meta, reading)
        })
    }

    /// Calls `with` with the directory and the name at which `origin` has `path`.
    pub(crate) fn holding<R>(
        &self,
        path: &RelPath,
        origin: Origin,
        with: impl FnOnce(BorrowedFd<'_>, &OsStr) -> io::Result<R>,
    ) -> io::Result<R> {
        if path.is_root() {
            return with(self.stack.root()?.holder(origin)?, OsStr::new("."));
        }
        let result = self.look(path, |dir, name| with(dir.holder(origin)?, name))?;
        result.ok_or_else(|| Errno::NOENT.into())
    }

    /// The root of the merged view: the topmost layer's.
    fn root(&self) -> io::Result<Found> {
        let origin = if self.stack.layers().is_empty() {
            Origin::Base
        } else {
            Origin::Layer(0)
        };
        let meta = Meta::of(self.stack.root()?.holder(origin)?)?;
        Ok(Found { meta, origin })
    }

    /// Calls `with` with the directory, of the merged view or only of the base, that `path` is in; none where
    /// there is no such directory, or `path` is the root.
    fn look<R>(
        &self,
        path: &RelPath,
        with: impl FnOnce(&Dir<'a>, &OsStr) -> io::Result<R>,
    ) -> io::Result<Option<R>> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return Ok(None);
        };
        let mut open = self.open.take();
        let result = match self.enter(&mut open, &parent) {
            Ok(true) => open.last().map(|dir| with(dir, name)).transpose(),
            Ok(false) => Ok(None),
            Err(error) => Err(error),
        };
        self.open.replace(open);
        result
    }

    /// Makes the directory at `path` the last of those that are open; whether there is one.
    fn enter(&self, open: &mut Vec<Dir<'a>>, path: &RelPath) -> io::Result<bool> {
        while open.last().is_some_and(|last| path.within(last.path()).is_none()) {
            open.pop();
        }
        if open.is_empty() {
            open.push(self.stack.root()?);
        }
        let rest = open.last().and_then(|last| path.within(last.path()));
        for name in rest.unwrap_or(Path::new("")) {
            let Some(next) = open.last().map(|last| last.enter(name)).transpose()?.flatten() else {
                return Ok(false);
            };
            open.push(next);
            close_one(open);
        }
        Ok(true)
    }
}

/// Closes the directory that has just become one too many.
fn close_one(open: &mut Vec<Dir<'_>>) {
    let Some(index) = open.len().checked_sub(NEAR + 1) else {
        return;
    };
    let depth = open.get(index).map(|dir| dir.path().depth());
    if depth.is_some_and(|depth| depth % NEAR != 0) {
        open.remove(index);
    }
}
