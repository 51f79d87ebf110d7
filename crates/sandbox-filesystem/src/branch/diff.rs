//! What a branch has changed: its layers against its base.
//!
//! It guarantees: only what the layers touch is looked at, and nothing of the base is written; contents are
//! compared only where sizes are the same; what was copied up and not changed is no change; every path beneath
//! a deleted directory is listed; what the base has changed too is a conflict, see [`conflict`].
//!
//! Order: by path, component by component, names as bytes, a directory before what it holds (`a`, `a/b`,
//! `a.b`). That is also the order of [`RelPath`].
//!
//! Memory: what it returns, and directories that are being walked; file contents go through two buffers.

mod compare;
mod conflict;
mod copy;
mod draft;
mod entry;
mod equal;
mod finder;
mod live;
mod look;
mod origin;
mod place;
mod rename;
mod settle;
mod similar;
#[cfg(test)]
mod tests;
mod walk;

use std::io;

use sandbox_types::{BaseChange, Change, ChangeKind, NodeKind, RelPath};

use super::base::BaseKnowledge;
use super::kept::Which;
use super::stack::Stack;
pub use entry::Side;
use look::Look;
use place::Place;
use walk::{Scope, Walked};

/// Why a branch and its base could not be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiffError {
    /// Something could not be read.
    #[error("read {path} in {side}")]
    Read {
        /// What.
        path: RelPath,
        /// In which of the trees.
        side: Side,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl DiffError {
    /// What can be done about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Read {
                side: Side::Base | Side::Live,
                source,
                ..
            } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("the branch has changed something there: make it readable for yourself (chmod u+rX)")
            }
            Self::Read { .. } => None,
        }
    }
}

/// Everything that the branch has changed; `progress` is told how many entries have been looked at.
pub(crate) fn changes(
    stack: &Stack,
    knowledge: &BaseKnowledge,
    progress: &mut dyn FnMut(u64),
) -> Result<Vec<Change>, DiffError> {
    let Walked {
        mut drafts,
        trail,
        comparer,
    } = walk::walk(stack, knowledge, Scope::Everything, progress)?;
    live::add_forgotten(stack, knowledge, &mut drafts)?;
    settle::mark_parents(&mut drafts);
    let mut drafts = rename::pair(stack, &trail, comparer, drafts)?;
    settle::trace(&mut drafts, &trail, knowledge);
    Ok(drafts.into_iter().map(|draft| draft.change).collect())
}

/// Files of the base whose content the branch has changed, or which it has deleted if they count, and nobody else.
pub(crate) fn modified(
    stack: &Stack,
    knowledge: &BaseKnowledge,
    which: Which,
) -> Result<Vec<RelPath>, DiffError> {
    let walked = walk::walk(stack, knowledge, Scope::InBase, &mut |_| {})?;
    let changes = walked.drafts.into_iter().map(|draft| draft.change);
    let modified = changes.filter(|change| {
        let is_meant = match change.change {
            ChangeKind::Modified { content, .. } => content,
            ChangeKind::Deleted => which == Which::OrDeleted,
            _ => false,
        };
        is_meant && change.node == NodeKind::File && change.conflict.is_none()
    });
    Ok(modified.map(|change| change.path).collect())
}

/// Asks again, right before changes are applied, whether the base stands in their way: changes that were found a
/// moment ago by [`changes`], cheaply when they come in order. A deleted directory is asked about itself and what is
/// directly in it.
pub(crate) struct Recheck<'s> {
    stack: &'s Stack,
    look: Look<'s>,
    /// The directory that was looked into last: the next path is most often in it too.
    last: Option<(RelPath, Option<Place<'s>>)>,
}

impl<'s> Recheck<'s> {
    pub(crate) fn new(stack: &'s Stack, knowledge: &'s BaseKnowledge) -> Self {
        Self {
            stack,
            look: Look::new(knowledge),
            last: None,
        }
    }

    /// What the base has done meanwhile that stands in the way of `change`.
    pub(crate) fn conflict(&mut self, change: &Change) -> Result<Option<BaseChange>, DiffError> {
        let found = self.at(&change.path, &change.change)?;
        if let ChangeKind::Renamed { from, .. } = &change.change
            && found.is_none()
        {
            return self.at(from, &ChangeKind::Deleted);
        }
        if matches!(change.change, ChangeKind::Deleted)
            && change.node == NodeKind::Directory
            && found.is_none()
        {
            return self.inside(&change.path);
        }
        Ok(found)
    }

    fn at(&mut self, path: &RelPath, change: &ChangeKind) -> Result<Option<BaseChange>, DiffError> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return Ok(None);
        };
        self.enter(parent)?;
        let Some((_, Some(place))) = &self.last else {
            return Ok(None);
        };
        let Some(draft) = self.look.at(place, name)?.draft else {
            return Ok(None);
        };
        let was_there = matches!(
            change,
            ChangeKind::Modified { .. } | ChangeKind::TypeChanged { .. }
        );
        if was_there && draft.is_added() && draft.change.conflict.is_none() {
            return Ok(Some(BaseChange::Vanished));
        }
        Ok(draft.change.conflict)
    }

    fn inside(&mut self, path: &RelPath) -> Result<Option<BaseChange>, DiffError> {
        self.enter(path.clone())?;
        let Some((_, Some(place))) = &self.last else {
            return Ok(None);
        };
        for name in place.names()? {
            let draft = self.look.at(place, &name)?.draft;
            if draft.is_some_and(|draft| draft.change.conflict.is_some()) {
                return Ok(Some(BaseChange::Modified));
            }
        }
        Ok(None)
    }

    /// Goes to a directory: from the last one if it is above it, else from the root.
    fn enter(&mut self, path: RelPath) -> Result<(), DiffError> {
        if self.last.as_ref().is_some_and(|(known, _)| *known == path) {
            return Ok(());
        }
        let place = match self.last.take() {
            Some((known, Some(place))) if path.is_beneath(&known) => {
                place.descend(&path, self.look.knowledge)?
            }
            _ => Place::find(self.stack, self.look.knowledge, &path)?,
        };
        self.last = Some((path, place));
        Ok(())
    }
}
