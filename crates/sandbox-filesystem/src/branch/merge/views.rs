//! What the sides of a merge, and what they have in common, have at a path.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;

use sandbox_types::{NodeKind, RelPath};

use super::{Common, MergeError, Side};
use crate::branch::copy::Attributes;
use crate::branch::node::Meta;
use crate::branch::raw::Bytes;
use crate::branch::stack::{Found, Origin};
use crate::branch::walk::Walk;

/// Whose view it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum View {
    /// What the sides have in common.
    Base,
    /// The side of that number.
    Side(usize),
}

/// An entry of somebody's view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located {
    pub(super) view: View,
    pub(super) path: RelPath,
    pub(super) meta: Meta,
    origin: Origin,
}

impl Located {
    /// Whether both are the same inode, and so the same in everything.
    pub(super) fn is_same_inode(&self, other: &Self) -> bool {
        (self.meta.dev, self.meta.ino) == (other.meta.dev, other.meta.ino)
    }
}

/// All views, each with its own place to look things up.
pub(super) struct Views<'a> {
    base: Walk<'a>,
    sides: Vec<(&'a Side<'a>, Walk<'a>)>,
}

impl<'a> Views<'a> {
    pub(super) fn new(base: &Common<'a>, sides: &'a [Side<'a>]) -> Self {
        Self {
            base: Walk::new(base.stack),
            sides: sides.iter().map(|side| (side, Walk::new(side.stack))).collect(),
        }
    }

    /// What `view` has at `path`.
    pub(super) fn find(&self, view: View, path: &RelPath) -> Result<Option<Located>, MergeError> {
        let found = self.walk(view).and_then(|walk| walk.find(path));
        let located = |found: Found| Located {
            view,
            path: path.clone(),
            meta: found.meta,
            origin: found.origin,
        };
        Ok(found
            .map_err(|source| self.error(view, path, source))?
            .map(located))
    }

    /// Mode, owner, time and extended attributes.
    pub(super) fn attributes(&self, entry: &Located) -> Result<Attributes, MergeError> {
        let found = Found {
            meta: entry.meta,
            origin: entry.origin,
        };
        self.reading(entry, |walk| walk.attributes(&entry.path, &found))
    }

    /// A regular file, open for reading.
    pub(super) fn open(&self, entry: &Located) -> Result<File, MergeError> {
        self.reading(entry, |walk| walk.open(&entry.path, entry.origin))
    }

    /// A file's content, if it has at most `limit` bytes.
    pub(super) fn read(&self, entry: &Located, limit: u64) -> Result<Option<Vec<u8>>, MergeError> {
        if entry.meta.size > limit {
            return Ok(None);
        }
        let file = self.open(entry)?;
        let mut content = Vec::new();
        self.reading(entry, |_| file.take(limit + 1).read_to_end(&mut content))?;
        let is_whole = u64::try_from(content.len()).is_ok_and(|length| length <= limit);
        Ok(is_whole.then_some(content))
    }

    /// Where a link points.
    pub(super) fn target(&self, entry: &Located) -> Result<Bytes, MergeError> {
        self.reading(entry, |walk| {
            let target = walk.target(&entry.path, entry.origin)?;
            Ok(Bytes(target.into_vec()))
        })
    }

    /// A view in which `path` is a directory: of a side if any has one, else of the base.
    pub(super) fn directory(&self, path: &RelPath) -> Result<Option<Located>, MergeError> {
        let views = (0..self.sides.len()).map(View::Side).chain([View::Base]);
        for view in views {
            let found = self.find(view, path)?;
            if found
                .as_ref()
                .is_some_and(|found| found.meta.kind == NodeKind::Directory)
            {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Whether nobody has anything at `path`.
    pub(super) fn is_free(&self, path: &RelPath) -> Result<bool, MergeError> {
        let views = (0..self.sides.len()).map(View::Side).chain([View::Base]);
        for view in views {
            if self.find(view, path)?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn walk(&self, view: View) -> io::Result<&Walk<'a>> {
        match view {
            View::Base => Ok(&self.base),
            View::Side(number) => {
                let side = self.sides.get(number);
                side.map(|(_, walk)| walk)
                    .ok_or_else(|| io::ErrorKind::NotFound.into())
            }
        }
    }

    fn reading<R>(
        &self,
        entry: &Located,
        read: impl FnOnce(&Walk<'a>) -> io::Result<R>,
    ) -> Result<R, MergeError> {
        let result = self.walk(entry.view).and_then(read);
        result.map_err(|source| self.error(entry.view, &entry.path, source))
    }

    fn error(&self, view: View, path: &RelPath, source: io::Error) -> MergeError {
        let branch = match view {
            View::Base => None,
            View::Side(number) => self.sides.get(number).map(|(side, _)| side.name.clone()),
        };
        MergeError::Read {
            path: path.clone(),
            branch,
            source,
        }
    }
}
