//! Entries by path, cheaply when they come in order.

use std::io;

use sandbox_types::RelPath;

use super::super::stack::{LayerFormat, Origin, Stack};
use super::super::walk::Walk;
use super::super::xattr::Reading;
use super::entry::{Entry, Failure, Side};

/// Which of the trees to look in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tree {
    /// The merged view.
    View,
    /// The base alone.
    Base,
}

/// Finds entries of one tree.
#[derive(Debug)]
pub(super) struct Finder<'s> {
    walk: Walk<'s>,
    tree: Tree,
}

impl<'s> Finder<'s> {
    pub(super) fn new(stack: &'s Stack, tree: Tree) -> Self {
        let walk = Walk::new(stack);
        Self { walk, tree }
    }

    /// Calls `with` with what is at `path`; none where there is nothing.
    pub(super) fn with<R>(
        &self,
        path: &RelPath,
        with: impl FnOnce(&Entry<'_>) -> Result<R, Failure>,
    ) -> Result<Option<R>, Failure> {
        let side = match self.tree {
            Tree::View => Side::Branch,
            Tree::Base => Side::Base,
        };
        let failure = |source: io::Error| Failure { side, source };
        let found = match self.tree {
            Tree::View => self.walk.find(path),
            Tree::Base => self.walk.base(path),
        };
        let Some(found) = found.map_err(failure)? else {
            return Ok(None);
        };
        let side = match found.origin {
            Origin::Layer(_) => Side::Branch,
            Origin::Base => Side::Base,
        };
        let result = self.walk.holding(path, found.origin, |dir, name| {
            let reading = self.reading(found.origin);
            Ok(with(&Entry::new(dir, name, found.meta, side, reading)))
        });
        result.map_err(failure)?.map(Some)
    }

    fn reading(&self, origin: Origin) -> Reading {
        let format = match origin {
            Origin::Layer(index) => self.walk.stack().layers().get(index).map(|layer| layer.format),
            Origin::Base => None,
        };
        format.map_or(Reading::Exact, |format: LayerFormat| Reading::Layer(format))
    }
}
