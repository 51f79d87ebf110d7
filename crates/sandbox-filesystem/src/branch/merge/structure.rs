//! What was decided about each path, made into a tree: what stays somewhere needs directories to be in.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::ops::Bound;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use sandbox_types::{ConflictKind, ConflictPolicy, RelPath, Unsettled};

use super::outcome::{Decision, Dispute, Node, Outcome, Settled};
use super::views::{View, Views};
use super::{MergeError, Policies, Side};

/// A name on Linux has at most that many bytes.
const NAME_MAX: usize = 255;

pub(super) type Decisions = BTreeMap<RelPath, Decision>;

/// Makes `decisions` agree with one another.
pub(super) struct Structure<'v, 'a> {
    pub(super) views: &'v Views<'a>,
    pub(super) sides: &'v [Side<'a>],
    pub(super) policies: &'v Policies,
}

impl Structure<'_, '_> {
    pub(super) fn fit(&self, decisions: &mut Decisions) -> Result<(), MergeError> {
        self.name_copies(decisions)?;
        let paths: Vec<RelPath> = decisions.keys().cloned().collect();
        for path in paths {
            let survivors = survivors(decisions, &path);
            if survivors.is_empty() {
                continue;
            }
            match decisions.get(&path).map(|decision| &decision.outcome) {
                Some(Outcome::Gone) => self.keep_directory(decisions, &path)?,
                Some(Outcome::Node(node)) if !node.is_dir() => self.clash(decisions, &path, &survivors)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Finds names for the copies that were decided upon.
    fn name_copies(&self, decisions: &mut Decisions) -> Result<(), MergeError> {
        let paths: Vec<RelPath> = decisions.keys().cloned().collect();
        for path in paths {
            let copies = match decisions
                .get(&path)
                .and_then(|decision| decision.dispute.as_ref())
            {
                Some(Dispute {
                    settled: Settled::Copies(copies),
                    ..
                }) => copies.clone(),
                _ => continue,
            };
            for (side, copy) in copies {
                self.add_copy(decisions, &path, side, copy)?;
            }
        }
        Ok(())
    }

    /// Adds `copy`, which cannot have the name `path`, beside it.
    fn add_copy(
        &self,
        decisions: &mut Decisions,
        path: &RelPath,
        side: usize,
        copy: Node,
    ) -> Result<(), MergeError> {
        let branch = self.sides.get(side).map_or("other", |side| side.name.as_str());
        let place = copy_name(path, branch, |candidate| {
            Ok(!decisions.contains_key(candidate) && self.views.is_free(candidate)?)
        })?;
        let decision = Decision {
            outcome: Outcome::Node(Box::new(copy)),
            sides: vec![side],
            dispute: None,
        };
        decisions.insert(place.clone(), decision);
        if let Some(dispute) = decisions
            .get_mut(path)
            .and_then(|decision| decision.dispute.as_mut())
        {
            dispute.copies.push(place);
        }
        Ok(())
    }

    /// One side has deleted the directory, and another has something in it: it stays, with that in it.
    fn keep_directory(&self, decisions: &mut Decisions, path: &RelPath) -> Result<(), MergeError> {
        if let (Some(directory), Some(decision)) = (self.views.directory(path)?, decisions.get_mut(path)) {
            decision.outcome = Outcome::Node(Box::new(Node::of(&directory)));
        }
        Ok(())
    }

    /// One side has something else where another has something in a directory.
    fn clash(
        &self,
        decisions: &mut Decisions,
        path: &RelPath,
        survivors: &[RelPath],
    ) -> Result<(), MergeError> {
        let Some(Outcome::Node(node)) = decisions.get(path).map(|decision| decision.outcome.clone()) else {
            return Ok(());
        };
        let owners = |path: &RelPath| decisions.get(path).map(owners).unwrap_or_default();
        let of_node = owners(path);
        let of_inside: Vec<usize> = survivors.iter().flat_map(owners).collect();
        let all = || of_node.iter().chain(&of_inside).copied();
        let winner = match self.policies.at(path) {
            ConflictPolicy::Ours => all().min(),
            ConflictPolicy::Theirs => all().max(),
            ConflictPolicy::Both => of_inside.iter().min().copied(),
            _ => None,
        };
        // Both: what is in the directory stays, whoever has taken part in it, and the other is put beside it.
        let winner_of_node = winner.filter(|winner| of_node.contains(winner));
        let kept_node = winner_of_node.filter(|_| self.policies.at(path) != ConflictPolicy::Both);
        let mut sides: Vec<usize> = all().collect();
        sides.sort_unstable();
        sides.dedup();
        let settled = match winner {
            Some(winner) => Settled::Taken(winner),
            None => Settled::No(Unsettled::Policy),
        };
        if let Some(decision) = decisions.get_mut(path) {
            decision.dispute = Some(Dispute {
                kind: ConflictKind::Kind,
                sides,
                settled,
                copies: Vec::new(),
            });
        }
        if let Some(winner) = kept_node {
            return self.clear_beneath(decisions, path, survivors, winner);
        }
        self.keep_directory(decisions, path)?;
        if self.policies.at(path) == ConflictPolicy::Both {
            let side = of_node.first().copied().unwrap_or_default();
            self.add_copy(decisions, path, side, *node)?;
        }
        Ok(())
    }
}

impl Structure<'_, '_> {
    /// Nothing can be beneath `path`. What is the winner's own there, because another side has renamed it to that place,
    /// is put beside it.
    fn clear_beneath(
        &self,
        decisions: &mut Decisions,
        path: &RelPath,
        survivors: &[RelPath],
        winner: usize,
    ) -> Result<(), MergeError> {
        for survivor in survivors {
            let Some(decision) = decisions.get_mut(survivor) else {
                continue;
            };
            let is_its_own = owners(decision) == [winner];
            match std::mem::replace(&mut decision.outcome, Outcome::Gone) {
                Outcome::Node(node) if is_its_own && !node.is_dir() => {
                    self.add_copy(decisions, path, winner, *node)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// What is to be beneath `path`.
fn survivors(decisions: &Decisions, path: &RelPath) -> Vec<RelPath> {
    decisions
        .range((Bound::Excluded(path), Bound::Unbounded))
        .take_while(|(inner, _)| inner.is_beneath(path))
        .filter(|(_, decision)| matches!(decision.outcome, Outcome::Node(_)))
        .map(|(inner, _)| inner.clone())
        .collect()
}

/// The sides whose doing an outcome is.
fn owners(decision: &Decision) -> Vec<usize> {
    match &decision.outcome {
        Outcome::Node(node) => match node.from.view {
            View::Side(side) => vec![side],
            View::Base => decision.sides.clone(),
        },
        Outcome::Gone => decision.sides.clone(),
    }
}

/// `path.branch`, or `path.branch-2` and so on: the first that `is_free`.
pub(super) fn copy_name<E>(
    path: &RelPath,
    branch: &str,
    mut is_free: impl FnMut(&RelPath) -> Result<bool, E>,
) -> Result<RelPath, E> {
    let parent = path.parent().unwrap_or_default();
    let name = path.name().unwrap_or(OsStr::new("root"));
    let mut number = 1_u64;
    loop {
        let suffix = if number == 1 {
            format!(".{branch}")
        } else {
            format!(".{branch}-{number}")
        };
        if let Ok(candidate) = parent.join(suffixed(name, &suffix))
            && is_free(&candidate)?
        {
            return Ok(candidate);
        }
        number += 1;
    }
}

/// `name` with `suffix`, shortened so that it can be a name.
fn suffixed(name: &OsStr, suffix: &str) -> OsString {
    let mut kept = name.as_bytes().len().min(NAME_MAX.saturating_sub(suffix.len()));
    if let Some(text) = name.to_str() {
        kept = text.floor_char_boundary(kept);
    }
    let mut bytes = name.as_bytes().get(..kept).unwrap_or_default().to_vec();
    bytes.extend_from_slice(suffix.as_bytes());
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &[u8], taken: &[&str]) -> RelPath {
        let path = RelPath::new(OsStr::from_bytes(name)).unwrap();
        let free = |candidate: &RelPath| {
            Ok::<_, std::convert::Infallible>(
                !taken.iter().any(|name| candidate.as_bytes() == name.as_bytes()),
            )
        };
        let Ok(found) = copy_name(&path, "try-1", free);
        found
    }

    #[test]
    fn a_copy_is_called_after_its_branch() {
        assert_eq!(named(b"d/a.txt", &[]).as_bytes(), b"d/a.txt.try-1");
        assert_eq!(named(b"a", &["a.try-1", "a.try-1-2"]).as_bytes(), b"a.try-1-3");
        assert_eq!(named(b"\xff", &[]).as_bytes(), b"\xff.try-1");
    }

    #[test]
    fn a_name_that_gets_too_long_is_shortened() {
        let long = "ä".repeat(127);
        let name = named(long.as_bytes(), &[]);
        assert_eq!(name.as_bytes().len(), 254);
        assert!(name.as_path().to_str().unwrap().ends_with("ä.try-1"));
    }
}
