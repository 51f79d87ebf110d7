//! What a conflict policy makes of a conflict about one path.

use sandbox_types::{ConflictKind, ConflictPolicy, NodeKind, Unsettled};

use super::MergeError;
use super::compare::Parts;
use super::decide::{Judge, Present, mixture};
use super::outcome::{Content, Decision, Dispute, Node, Outcome, Settled};
use super::text::{self, Merged, Version};
use super::touched::{BaseIs, Party, Touched};
use super::views::Located;

/// A conflict about one path.
pub(super) struct Case<'t> {
    pub(super) kind: ConflictKind,
    pub(super) touched: &'t Touched,
    /// The parties that have changed something and have something there.
    pub(super) present: &'t [Present<'t>],
    /// In what those differ, where all are of one kind.
    pub(super) parts: Option<&'t Parts>,
}

/// What is asked for, or why it cannot be.
type Attempt<T> = Result<Result<T, Unsettled>, MergeError>;

impl Case<'_> {
    /// Everybody who has a say, in the order of the sides.
    fn disputing(&self) -> Vec<&Party> {
        let is_present = |party: &Party| self.present.iter().any(|(known, _)| known.side == party.side);
        let parties = self.touched.parties.iter();
        parties
            .filter(|party| party.state.located().is_none() || is_present(party))
            .collect()
    }

    /// The file that all have in common.
    fn ancestor(&self) -> Option<&Located> {
        let ancestor = self.touched.ancestor.as_ref();
        ancestor.filter(|ancestor| ancestor.meta.kind == NodeKind::File)
    }
}

impl Judge<'_, '_> {
    pub(super) fn settle(&self, case: &Case<'_>, policy: ConflictPolicy) -> Result<Decision, MergeError> {
        let disputing = case.disputing();
        let take = |party: Option<&&Party>| match party {
            Some(party) => (Outcome::of(&party.state), Settled::Taken(party.side)),
            None => (Outcome::Gone, Settled::No(Unsettled::Policy)),
        };
        let (outcome, settled) = match policy {
            ConflictPolicy::Ours => take(disputing.first()),
            ConflictPolicy::Theirs => take(disputing.last()),
            ConflictPolicy::Both => self.keep_all(case.present)?,
            ConflictPolicy::Text => match self.merge_texts(case)? {
                Ok((node, settled)) => (Outcome::Node(Box::new(node)), settled),
                Err(why) => (Outcome::Gone, Settled::No(why)),
            },
            _ => (Outcome::Gone, Settled::No(Unsettled::Policy)),
        };
        let sides: Vec<usize> = disputing.iter().map(|party| party.side).collect();
        let dispute = Dispute {
            kind: case.kind,
            sides: sides.clone(),
            settled,
            copies: Vec::new(),
        };
        Ok(Decision {
            outcome,
            sides,
            dispute: Some(dispute),
        })
    }

    /// One under its name, a directory if there is one, and copies of the others.
    fn keep_all(&self, present: &[Present<'_>]) -> Result<(Outcome, Settled), MergeError> {
        let distinct = self.distinct(present)?;
        let main = distinct.iter().position(|(_, located)| located.meta.is_dir());
        let Some((keeper, located)) = distinct.get(main.unwrap_or(0)).copied() else {
            return Ok((Outcome::Gone, Settled::No(Unsettled::Policy)));
        };
        // A second directory differs in its attributes alone: what is in it is merged.
        let copies: Vec<_> = distinct
            .iter()
            .filter(|(party, located)| party.side != keeper.side && !located.meta.is_dir())
            .map(|(party, located)| (party.side, Node::of(located)))
            .collect();
        let settled = if copies.is_empty() {
            Settled::Taken(keeper.side)
        } else {
            Settled::Copies(copies)
        };
        Ok((Outcome::Node(Box::new(Node::of(located))), settled))
    }

    /// The first of those that are the same.
    fn distinct<'t>(&self, present: &[Present<'t>]) -> Result<Vec<Present<'t>>, MergeError> {
        let mut distinct: Vec<Present<'t>> = Vec::new();
        for candidate in present {
            let mut is_known = false;
            for known in &distinct {
                is_known |= known.1.meta.kind == candidate.1.meta.kind
                    && Parts::of(self.views, None, &[known.1, candidate.1])?.is_same(0, 1);
            }
            if !is_known {
                distinct.push(*candidate);
            }
        }
        Ok(distinct)
    }

    /// A file with the merged text.
    fn merge_texts(&self, case: &Case<'_>) -> Attempt<(Node, Settled)> {
        let are_files = case
            .present
            .iter()
            .all(|(_, located)| located.meta.kind == NodeKind::File);
        let Some(parts) = case.parts.filter(|_| are_files) else {
            return Ok(Err(Unsettled::NotFiles));
        };
        if !matches!(case.kind, ConflictKind::Content | ConflictKind::Added) {
            return Ok(Err(Unsettled::Attributes));
        }
        if case
            .present
            .iter()
            .any(|(party, _)| party.base == BaseIs::Changed)
        {
            return Ok(Err(Unsettled::NoAncestor));
        }
        let entries: Vec<&Located> = case.present.iter().map(|(_, located)| *located).collect();
        // The content is settled by the text; of the other parts each must have one origin.
        let Some(mut node) = mixture(parts, &[1], case.ancestor(), &entries) else {
            return Ok(Err(Unsettled::Attributes));
        };
        let texts = self.texts(case, parts)?;
        let merged = texts.and_then(|(ancestor, versions)| text::merge(&ancestor, versions));
        Ok(merged.map(|(text, merged)| {
            node.content = Content::Text(text);
            node.mtime = None;
            let settled = match merged {
                Merged::Clean => Settled::Merged,
                Merged::WithMarkers => Settled::Markers,
            };
            (node, settled)
        }))
    }

    /// The ancestor's text, and each that was made of it, with whose it is.
    fn texts(&self, case: &Case<'_>, parts: &Parts) -> Attempt<(Vec<u8>, Vec<Version>)> {
        let ancestor = match case.ancestor() {
            Some(ancestor) => self.views.read(ancestor, text::LIMIT)?,
            None => Some(Vec::new()),
        };
        let Some(ancestor) = ancestor else {
            return Ok(Err(Unsettled::TooLong));
        };
        let mut versions = Vec::new();
        for (index, (party, located)) in case.present.iter().enumerate() {
            let class = parts.content.get(index).copied().unwrap_or_default();
            let is_first = parts.content.iter().position(|other| *other == class) == Some(index);
            if class == 0 || !is_first {
                continue;
            }
            let Some(text) = self.views.read(located, text::LIMIT)? else {
                return Ok(Err(Unsettled::TooLong));
            };
            versions.push((self.label(party.side), text));
        }
        Ok(Ok((ancestor, versions)))
    }

    fn label(&self, side: usize) -> String {
        let side = self.sides.get(side);
        side.map_or_else(String::new, |side| side.name.to_string())
    }
}
