//! What only the whole walk can say of a conflict.

use std::collections::HashSet;

use sandbox_types::{BaseChange, ChangeKind, NodeKind, RelPath};

use super::super::base::BaseKnowledge;
use super::conflict::Verdict;
use super::draft::Draft;
use super::origin::{Source, Trail};

/// A directory cannot be deleted when something in it must not be: the conflict is its own as well.
pub(super) fn mark_parents(drafts: &mut [Draft]) {
    let mut marked: HashSet<RelPath> = HashSet::new();
    let in_conflict = drafts
        .iter()
        .filter(|draft| draft.is_deleted() && draft.change.conflict.is_some());
    for draft in in_conflict {
        let mut path = draft.change.path.parent();
        while let Some(parent) = path.filter(|parent| !parent.is_root() && !marked.contains(parent)) {
            path = parent.parent();
            marked.insert(parent);
        }
    }
    if marked.is_empty() {
        return;
    }
    for draft in drafts {
        let was_directory = match draft.change.change {
            ChangeKind::Deleted => draft.change.node == NodeKind::Directory,
            ChangeKind::TypeChanged { from } => from == NodeKind::Directory,
            _ => false,
        };
        if was_directory && draft.change.conflict.is_none() && marked.contains(&draft.change.path) {
            draft.change.conflict = Some(BaseChange::Modified);
        }
    }
}

/// What follows from where an entry was copied up from, when it was not moved.
pub(super) fn trace(drafts: &mut [Draft], trail: &Trail, knowledge: &BaseKnowledge) {
    if knowledge.live.is_some() {
        return;
    }
    for draft in drafts {
        let found = match draft.change.change {
            ChangeKind::Added => vanished(draft, trail),
            ChangeKind::Modified { .. } | ChangeKind::TypeChanged { .. } => replaced(draft, trail, knowledge),
            _ => None,
        };
        draft.change.conflict = found.or(draft.change.conflict);
    }
}

/// Whether it was copied up from something that the base had there and has no more.
fn vanished(draft: &Draft, trail: &Trail) -> Option<BaseChange> {
    let is_lost = match trail.resolve(&draft.source) {
        Source::None => false,
        Source::Unknown => true,
        Source::File(handle) => !trail.knows(&handle),
    };
    (is_lost && draft.base_moved_on).then_some(BaseChange::Vanished)
}

/// Whether it was copied up from another entry of that name than the base has now.
fn replaced(draft: &Draft, trail: &Trail, knowledge: &BaseKnowledge) -> Option<BaseChange> {
    let is_new = match draft.verdict {
        Verdict::Clear => false,
        // A clock that was set back. Our own commits replace files too, and then the notes say nothing.
        Verdict::Old => knowledge.ours.is_empty(),
        Verdict::Newer(_) => true,
    };
    let Source::File(handle) = trail.resolve(&draft.source) else {
        return None;
    };
    let is_other = draft.handle.as_ref().is_some_and(|found| *found != handle);
    (is_new && is_other && !trail.knows(&handle)).then_some(BaseChange::Replaced)
}
