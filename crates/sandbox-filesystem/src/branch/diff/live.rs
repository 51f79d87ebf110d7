//! The base as it is now, where the branch was made of a copy of it that was frozen.

use sandbox_types::ChangeKind;

use super::super::base::BaseKnowledge;
use super::super::stack::Stack;
use super::DiffError;
use super::compare::Content;
use super::conflict::{self, Verdict};
use super::draft::Draft;
use super::entry::{Entry, Failure};
use super::look::{Look, Spot};
use super::place::Place;

/// What the base as it is now says of a path.
pub(super) enum Now {
    /// It has what the branch has: nothing is left to do.
    Done,
    /// It stands as this says.
    Stands(Verdict),
}

impl Look<'_> {
    /// What the base as it is now says, if that is another tree than the stack's base.
    pub(super) fn now(
        &mut self,
        spot: &Spot<'_, '_>,
        view: Option<&Entry<'_>>,
        frozen: Option<&Entry<'_>>,
    ) -> Result<Option<Now>, Failure> {
        if self.knowledge.live.is_none() {
            return Ok(None);
        }
        let Some(name) = view.or(frozen).map(|entry| entry.name) else {
            return Ok(None);
        };
        let live = spot.place.live(name)?;
        let mut is_settled = false;
        match (view, &live) {
            (None, None) => return Ok(Some(Now::Done)),
            (Some(view), Some(live)) if view.meta.kind == live.meta.kind => {
                let content = self.comparer.content(view, live)?;
                let attributes = self.comparer.attributes(view, live)?;
                if content == Content::Same && attributes.is_empty() {
                    return Ok(Some(Now::Done));
                }
                is_settled = !conflict::matters(content, &attributes);
            }
            _ => {}
        }
        let is_ours = live
            .as_ref()
            .is_some_and(|live| self.knowledge.is_ours(spot.path, &live.meta));
        if is_settled || is_ours {
            return Ok(Some(Now::Stands(Verdict::Clear)));
        }
        let is_old = |live: &Entry<'_>| !spot.place.is_live_doubtful && !self.knowledge.is_newer(&live.meta);
        let is_old = live.as_ref().is_some_and(is_old);
        let change = conflict::moved_on(&mut self.comparer, is_old, frozen, live.as_ref())?;
        Ok(Some(Now::Stands(change.map_or(Verdict::Old, Verdict::Newer))))
    }

    /// What the branch has as the frozen base has it, though our own commit has changed it since.
    pub(super) fn reverted(
        &mut self,
        spot: &Spot<'_, '_>,
        view: &Entry<'_>,
    ) -> Result<Option<Draft>, Failure> {
        let live = spot.place.live(view.name)?;
        let Some(live) = live.filter(|live| self.knowledge.is_ours(spot.path, &live.meta)) else {
            return Ok(None);
        };
        let change = if live.meta.kind == view.meta.kind {
            let content = self.comparer.content(view, &live)? != Content::Same;
            let attributes = self.comparer.attributes(view, &live)?;
            if !content && attributes.is_empty() {
                return Ok(None);
            }
            ChangeKind::Modified { content, attributes }
        } else {
            let from = live.meta.kind;
            ChangeKind::TypeChanged { from }
        };
        let draft = Draft::new(spot.path.clone(), view.meta.kind, view.meta.held(), change);
        Ok(Some(draft.judged(Verdict::Clear)))
    }
}

/// Adds, in order, what the walk cannot see: paths that the branch added, committed, and has deleted since. They
/// are in the base as it is now, and in no layer.
pub(super) fn add_forgotten(
    stack: &Stack,
    knowledge: &BaseKnowledge,
    drafts: &mut Vec<Draft>,
) -> Result<(), DiffError> {
    if knowledge.live.is_none() {
        return Ok(());
    }
    let known = drafts.len();
    for path in knowledge.ours.keys() {
        let parent = path.parent().unwrap_or_default();
        let place = Place::find(stack, knowledge, &parent)?;
        let (Some(place), Some(name)) = (place, path.name()) else {
            continue;
        };
        let failed = |failure: Failure| failure.at(path.clone());
        let view = place.view(name).map_err(failed)?;
        let base = place.base(name).map_err(failed)?;
        let live = place.live(name).map_err(failed)?;
        if let (None, None, Some(live)) = (view, base, live)
            && knowledge.is_ours(path, &live.meta)
        {
            let change = ChangeKind::Deleted;
            drafts.push(Draft::new(path.clone(), live.meta.kind, live.meta.held(), change));
        }
    }
    if drafts.len() > known {
        drafts.sort_by(|one, other| one.change.path.cmp(&other.change.path));
        // What is in a directory that the base has, the walk has seen.
        drafts.dedup_by(|one, other| one.change.path == other.change.path);
    }
    Ok(())
}
