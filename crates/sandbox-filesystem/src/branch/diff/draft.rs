//! A change, and what is known of how it came about.

use sandbox_types::{Change, ChangeKind, NodeKind, RelPath};

use super::conflict::Verdict;
use super::origin::Source;
use crate::sys::handle::Handle;

/// A change that may turn out to be part of a rename, or a conflict.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) change: Change,
    /// Where the branch's entry comes from.
    pub(super) source: Source,
    /// The handle of the base's entry.
    pub(super) handle: Option<Handle>,
    /// What can be said of the base's entry.
    pub(super) verdict: Verdict,
    /// Whether others have added, removed or renamed something in the base's directory.
    pub(super) base_moved_on: bool,
}

impl Draft {
    pub(super) fn new(path: RelPath, node: NodeKind, size: u64, change: ChangeKind) -> Self {
        Self {
            change: Change {
                path,
                node,
                change,
                size,
                hold: None,
                conflict: None,
            },
            source: Source::None,
            handle: None,
            verdict: Verdict::Old,
            base_moved_on: false,
        }
    }

    pub(super) fn judged(mut self, verdict: Verdict) -> Self {
        self.change.conflict = verdict.conflict();
        self.verdict = verdict;
        self
    }

    pub(super) fn is_added(&self) -> bool {
        matches!(self.change.change, ChangeKind::Added)
    }

    pub(super) fn is_deleted(&self) -> bool {
        matches!(self.change.change, ChangeKind::Deleted)
    }
}
