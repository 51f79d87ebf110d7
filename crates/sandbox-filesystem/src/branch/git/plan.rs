//! What could be carried over, from the references alone: no object is looked at and nothing is run.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use sandbox_types::BranchName;

use super::note::Note;
use super::object::ObjectId;
use super::refname;
use super::refs::Refs;

/// Heads that are carried over at most, and tags; a fetch inside can bring tens of thousands of the latter.
pub(super) const MAX_HEADS: usize = 1000;
const MAX_TAGS: usize = 1000;

/// One reference that differs from the base's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// What it is on the branch: a full name, or a HEAD.
    pub(super) from: String,
    /// Where it arrives.
    pub(super) to: String,
    pub(super) id: ObjectId,
    pub(super) kind: Kind,
    /// What the base's reference of the same name is.
    pub(super) base: Option<ObjectId>,
    /// What is there already, from an earlier commit of the branch.
    pub(super) before: Option<ObjectId>,
}

/// What a candidate is on the branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Head,
    Tag,
    Detached,
}

/// What is not as the base has it.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) candidates: Vec<Candidate>,
    pub(super) notes: Vec<Note>,
}

/// Compares the references of a branch with the base's.
pub(super) fn plan(name: &BranchName, branch: &Refs, base: &Refs) -> Plan {
    let mut plan = Plan::default();
    let mut taken: BTreeSet<String> = base
        .values
        .keys()
        .filter(|known| known.starts_with("refs/sandbox/"))
        .cloned()
        .collect();
    let tags = differing(name, Kind::Tag, &branch.values, &base.values);
    let heads = differing(name, Kind::Head, &branch.values, &base.values);
    let detached =
        differing(name, Kind::Detached, &branch.detached, &base.detached).map(|candidate| Candidate {
            before: base.values.get(&candidate.to).cloned(),
            ..candidate
        });
    let mut tags: Vec<Candidate> = tags.collect();
    if tags.len() > MAX_TAGS {
        plan.notes.push(Note::TooManyTags { count: tags.len() });
        tags.clear();
    }
    for candidate in heads.chain(detached).chain(tags) {
        if candidate.before.as_ref() == Some(&candidate.id) {
            continue;
        }
        if let Some(existing) = in_the_way(&candidate.to, &taken) {
            plan.notes.push(Note::InTheWay {
                reference: candidate.from,
                existing,
            });
        } else {
            taken.insert(candidate.to.clone());
            plan.candidates.push(candidate);
        }
    }
    if let Some(stash) = branch.values.get("refs/stash")
        && base.values.get("refs/stash") != Some(stash)
    {
        plan.notes.push(Note::Stash);
    }
    plan
}

fn differing(
    name: &BranchName,
    kind: Kind,
    branch: &BTreeMap<String, ObjectId>,
    base: &BTreeMap<String, ObjectId>,
) -> impl Iterator<Item = Candidate> {
    let prefix = match kind {
        Kind::Head => "refs/heads/",
        Kind::Tag => "refs/tags/",
        Kind::Detached => "",
    };
    branch
        .iter()
        .filter(move |(from, id)| from.starts_with(prefix) && base.get(*from) != Some(id))
        .map(move |(from, id)| {
            let to = refname::arrival(name, from);
            Candidate {
                before: base.get(&to).cloned(),
                base: base.get(from).cloned(),
                from: from.clone(),
                id: id.clone(),
                kind,
                to,
            }
        })
}

/// The reference of `taken` that is a directory on the way to `wanted`, or has `wanted` on its way: git keeps
/// references as files, and a name cannot be both.
fn in_the_way(wanted: &str, taken: &BTreeSet<String>) -> Option<String> {
    let mut ancestors = wanted.match_indices('/').filter_map(|(at, _)| wanted.get(..at));
    if let Some(ancestor) = ancestors.find_map(|ancestor| taken.get(ancestor)) {
        return Some(ancestor.clone());
    }
    let beneath = format!("{wanted}/");
    let bounds = (Bound::Included(beneath.as_str()), Bound::Unbounded);
    let next = taken.range::<str, _>(bounds).next()?;
    next.starts_with(&beneath).then(|| next.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::branch::git::object::ObjectFormat;

    fn id(digit: char) -> ObjectId {
        let text = digit.to_string().repeat(40);
        ObjectId::parse(text.as_bytes(), ObjectFormat::Sha1).unwrap()
    }

    fn refs(values: &[(&str, char)], detached: &[(&str, char)]) -> Refs {
        let map = |pairs: &[(&str, char)]| {
            pairs
                .iter()
                .map(|(name, digit)| ((*name).to_owned(), id(*digit)))
                .collect()
        };
        Refs {
            values: map(values),
            detached: map(detached),
            notes: Vec::new(),
        }
    }

    fn arrivals(branch: &Refs, base: &Refs) -> Vec<String> {
        let plan = plan(&"n".parse().unwrap(), branch, base);
        plan.candidates
            .into_iter()
            .map(|candidate| candidate.to)
            .collect()
    }

    #[test]
    fn only_what_differs_and_has_not_arrived_is_carried() {
        let base = refs(
            &[
                ("refs/heads/same", 'a'),
                ("refs/heads/moved", 'a'),
                ("refs/sandbox/n/arrived", 'c'),
            ],
            &[],
        );
        let branch = refs(
            &[
                ("refs/heads/same", 'a'),
                ("refs/heads/moved", 'b'),
                ("refs/heads/arrived", 'c'),
                ("refs/tags/v1", 'd'),
            ],
            &[("HEAD", 'e')],
        );
        assert_eq!(
            arrivals(&branch, &base),
            [
                "refs/sandbox/n/moved",
                "refs/sandbox/n/HEAD",
                "refs/sandbox/n/tags/v1"
            ]
        );
        let plan = plan(&"n".parse().unwrap(), &branch, &base);
        assert_eq!(plan.candidates[0].base, Some(id('a')));
    }

    #[test]
    fn a_name_that_cannot_be_beside_another_is_noted() {
        for (taken, wanted) in [("a", "a/b"), ("a/b", "a")] {
            let base = refs(&[(&format!("refs/sandbox/n/{taken}"), 'a')], &[]);
            let branch = refs(&[(&format!("refs/heads/{wanted}"), 'b')], &[]);
            let plan = plan(&"n".parse().unwrap(), &branch, &base);
            assert!(plan.candidates.is_empty());
            assert!(
                matches!(&plan.notes[..], [Note::InTheWay { .. }]),
                "{:?}",
                plan.notes
            );
        }
        let base = refs(&[("refs/sandbox/n/a-b", 'a')], &[]);
        let branch = refs(&[("refs/heads/a", 'b')], &[]);
        assert_eq!(arrivals(&branch, &base), ["refs/sandbox/n/a"]);
    }
}
