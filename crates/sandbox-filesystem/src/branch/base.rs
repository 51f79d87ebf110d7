//! What is known of the base a branch was made of, to tell what others have changed in it since.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sandbox_types::{NodeKind, RelPath};
use serde::{Deserialize, Serialize};

use super::beneath::Root;
use super::copied::CopyIndex;
use super::node::{Meta, Timestamp};

/// Which entry it is, and in which state: its ctime cannot be forged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) ctime: Timestamp,
    pub(crate) size: u64,
    pub(crate) kind: NodeKind,
}

impl Identity {
    pub(crate) fn of(meta: &Meta) -> Self {
        Self {
            dev: meta.dev,
            ino: meta.ino,
            ctime: meta.ctime,
            size: meta.size,
            kind: meta.kind,
        }
    }

    /// Whether it is the same entry, unchanged. Device numbers are not looked at: they need not survive a
    /// restart of the host.
    pub(crate) fn is(&self, meta: &Meta) -> bool {
        let other = Self::of(meta);
        let size_counts = self.kind != NodeKind::Directory;
        (self.ino, self.ctime, self.kind) == (other.ino, other.ctime, other.kind)
            && (!size_counts || self.size == other.size)
    }
}

/// What is known of the base.
#[derive(Debug, Default)]
pub(crate) struct BaseKnowledge {
    /// The ctime of a file that was made on the base's file system when the branch was created.
    pub(crate) birth: Timestamp,
    /// The workspace is another directory than it was when the branch was created: nothing in it is known by its time.
    pub(crate) is_replaced: bool,
    /// What this branch's own commits have left in the base.
    pub(crate) ours: BTreeMap<RelPath, Identity>,
    /// Texts of the base as they were, see `kept`: what has the same content has not been changed, whatever its time.
    pub(crate) texts: Option<Root>,
    /// Where the base is now, when the stack's base is a copy of it that was frozen.
    pub(crate) live: Option<PathBuf>,
    /// The ctime of a file that was made beside a whole copy when it was complete: what has an older one has
    /// not been touched since. Only of a copy of the base
    /// itself: what a copy of another branch has in it differs from the base, although nobody touched it.
    pub(crate) copied_at: Option<Timestamp>,
    /// What was in that copy then. Without it, more is compared, and what others have changed in the base can
    /// look like the branch's doing (with a conflict).
    pub(crate) copied: Option<CopyIndex>,
}

impl BaseKnowledge {
    /// Whether the base has been left like that by this branch's own commit.
    pub(crate) fn is_ours(&self, path: &RelPath, meta: &Meta) -> bool {
        self.ours.get(path).is_some_and(|identity| identity.is(meta))
    }

    /// Whether the entry has been changed since the branch was created.
    pub(crate) fn is_newer(&self, meta: &Meta) -> bool {
        meta.ctime >= self.birth
    }
}
