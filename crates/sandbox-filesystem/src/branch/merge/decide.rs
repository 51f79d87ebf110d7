//! What becomes of one path, as far as that depends on nothing but the path itself.

use sandbox_types::{ConflictKind, ConflictPolicy};

use super::compare::{Parts, Pick};
use super::outcome::{Content, Decision, Node, Outcome};
use super::settle::Case;
use super::touched::{Party, State, Touched};
use super::views::{Located, Views};
use super::{MergeError, Side};

/// Decides about paths, one at a time.
pub(super) struct Judge<'v, 'a> {
    pub(super) views: &'v Views<'a>,
    pub(super) sides: &'v [Side<'a>],
}

/// A party that has changed something, where something is still there.
pub(super) type Present<'t> = (&'t Party, &'t Located);

impl Judge<'_, '_> {
    /// What becomes of `touched`; none where nobody has changed it.
    pub(super) fn decide(
        &self,
        touched: &Touched,
        policy: ConflictPolicy,
    ) -> Result<Option<Decision>, MergeError> {
        if let [party] = touched.parties.as_slice() {
            return Ok(Some(Decision::agreed(
                Outcome::of(&party.state),
                vec![party.side],
            )));
        }
        let absent: Vec<&Party> = touched
            .parties
            .iter()
            .filter(|party| party.state.located().is_none())
            .collect();
        let mut present = Vec::new();
        for party in &touched.parties {
            if let Some(located) = party.state.located()
                && self.has_changed(touched, party, located)?
            {
                present.push((party, located));
            }
        }
        let Some((first, rest)) = present.split_first() else {
            let sides: Vec<usize> = absent.iter().map(|party| party.side).collect();
            return Ok((!sides.is_empty()).then(|| Decision::agreed(Outcome::Gone, sides)));
        };
        let case = |kind| Case {
            kind,
            touched,
            present: &present,
            parts: None,
        };
        if !absent.is_empty() {
            let is_elsewhere = absent.iter().any(|party| matches!(party.state, State::Elsewhere));
            let kind = if is_elsewhere {
                ConflictKind::Renamed
            } else {
                ConflictKind::Deleted
            };
            return self.settle(&case(kind), policy).map(Some);
        }
        if rest.iter().any(|(_, other)| other.meta.kind != first.1.meta.kind) {
            return self.settle(&case(ConflictKind::Kind), policy).map(Some);
        }
        self.combine(touched, &present, policy).map(Some)
    }

    /// Whether a party has made something else of the ancestor than it was.
    fn has_changed(&self, touched: &Touched, party: &Party, located: &Located) -> Result<bool, MergeError> {
        match &touched.ancestor {
            Some(ancestor) if ancestor.meta.kind == located.meta.kind => {
                let is_moved = matches!(party.state, State::Moved(_));
                Ok(is_moved || !Parts::of(self.views, Some(ancestor), &[located])?.is_unchanged(0))
            }
            _ => Ok(true),
        }
    }

    /// Entries of one kind: each part from whom has changed it.
    fn combine(
        &self,
        touched: &Touched,
        present: &[Present<'_>],
        policy: ConflictPolicy,
    ) -> Result<Decision, MergeError> {
        let entries: Vec<&Located> = present.iter().map(|(_, located)| *located).collect();
        let kind = entries.first().map(|entry| entry.meta.kind);
        let ancestor = touched
            .ancestor
            .as_ref()
            .filter(|ancestor| Some(ancestor.meta.kind) == kind);
        let parts = Parts::of(self.views, ancestor, &entries)?;
        if let Some(node) = mixture(&parts, &parts.content, ancestor, &entries) {
            let sides = present.iter().map(|(party, _)| party.side).collect();
            return Ok(Decision::agreed(Outcome::Node(Box::new(node)), sides));
        }
        let kind = match (Pick::of(&parts.content), ancestor) {
            (Pick::Conflict, Some(_)) => ConflictKind::Content,
            (Pick::Conflict, None) => ConflictKind::Added,
            _ => ConflictKind::Attributes,
        };
        let case = Case {
            kind,
            touched,
            present,
            parts: Some(&parts),
        };
        self.settle(&case, policy)
    }
}

/// An entry with each part from whom alone has changed it; none where two have changed the same.
pub(super) fn mixture(
    parts: &Parts,
    content: &[usize],
    ancestor: Option<&Located>,
    entries: &[&Located],
) -> Option<Node> {
    let whose = |classes: &[usize]| match Pick::of(classes) {
        // Where there is no ancestor, nothing is as it was there.
        Pick::Ancestor => ancestor.or_else(|| entries.first().copied()),
        Pick::Entry(index) => entries.get(index).copied(),
        Pick::Conflict => None,
    };
    let from = whose(content)?;
    let latest = entries.iter().map(|entry| entry.meta.mtime).max();
    let is_ancestors = ancestor.is_some_and(|ancestor| ancestor == from);
    Some(Node {
        content: Content::Same,
        from: from.clone(),
        mode: whose(&parts.mode)?.clone(),
        owner: whose(&parts.owner)?.clone(),
        xattrs: whose(&parts.xattrs)?.clone(),
        mtime: if is_ancestors {
            latest
        } else {
            Some(from.meta.mtime)
        },
    })
}
