//! Merging branches of one base into a layer over it: three-way, path by path, any number of branches.
//!
//! What one branch alone has changed is taken; what several have changed alike, once. Content, mode, owner and
//! extended attributes are parts of their own: one branch may have edited a file and another made it executable.
//! What one has renamed takes along what others have made of it. A directory that one has deleted and another has
//! put something into stays, with that in it. Everything else is a conflict, about which a policy decides.
//!
//! It guarantees: the order of the branches decides about nothing but conflicts; where one is left unsettled,
//! nothing at all is written; links of one file that is taken as it is stay links of one file.
//!
//! What it does not do: it does not compare the base with what it was ([`Change::conflict`] says so), so the
//! result must count as created when the earliest of the branches was.

mod compare;
mod decide;
mod outcome;
mod policies;
mod renames;
mod resolve;
mod settle;
mod structure;
#[cfg(test)]
mod tests;
pub(super) mod text;
mod touched;
mod views;
mod write;

use std::io;

use sandbox_types::{BranchName, Change, ConflictOutcome, MergeConflict, MergeReport, RelPath};

use super::layer_writer::LayerWriter;
use super::progress::Progress;
use super::stack::Stack;
use decide::Judge;
use outcome::{Decision, Settled};
use structure::{Decisions, Structure};
use views::Views;
use write::Writing;

pub(crate) use policies::Policies;
pub(crate) use resolve::{Ancestry, Conflicting, Resolution, resolve};

/// A branch to be merged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Side<'a> {
    pub(crate) name: &'a BranchName,
    pub(crate) stack: &'a Stack,
    /// What is to be merged of it: its changes against the workspace's directory, or some of them.
    pub(crate) changes: &'a [Change],
}

/// What the branches have in common: the workspace's directory, or that and a branch they are all branches of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Common<'a> {
    pub(crate) stack: &'a Stack,
    /// Its changes against the workspace's directory.
    pub(crate) changes: &'a [Change],
}

/// Why branches could not be merged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// A side, or what they have in common, cannot be read.
    #[error("{path}: cannot be read{}: {source}", of(branch.as_ref()))]
    Read {
        /// Where.
        path: RelPath,
        /// In which branch; none: in what they have in common, or in one of several.
        branch: Option<BranchName>,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The result cannot be written.
    #[error("{path}: the merged entry cannot be written: {source}")]
    Write {
        /// Where.
        path: RelPath,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn of(branch: Option<&BranchName>) -> String {
    branch.map_or_else(String::new, |branch| format!(" in branch {branch}"))
}

impl MergeError {
    fn write(path: &RelPath) -> impl FnOnce(io::Error) -> Self {
        let path = path.clone();
        move |source| Self::Write { path, source }
    }
}

/// Merges `sides` into a layer that will be read over `base`: in the format `Overlay` one that is empty, in the
/// format `Complete` a copy of what is seen there.
///
/// Nothing is written where the report has an unsettled conflict.
pub(crate) fn merge(
    base: &Common<'_>,
    sides: &[Side<'_>],
    into: LayerWriter,
    policies: &Policies,
    progress: &mut dyn FnMut(Progress),
) -> Result<MergeReport, MergeError> {
    let views = Views::new(base, sides);
    let judge = Judge { views: &views, sides };
    let mut decisions = Decisions::new();
    for (path, touched) in touched::touched(&views, base, sides)? {
        if let Some(decision) = judge.decide(&touched, policies.at(&path))? {
            decisions.insert(path, decision);
        }
    }
    let structure = Structure {
        views: &views,
        sides,
        policies,
    };
    structure.fit(&mut decisions)?;
    let report = report(&decisions, sides);
    if report.unsettled().next().is_none() {
        Writing::new(&views, into).run(&decisions, progress)?;
    }
    Ok(report)
}

fn report(decisions: &Decisions, sides: &[Side<'_>]) -> MergeReport {
    let mut report = MergeReport::default();
    for (path, decision) in decisions {
        match conflict(path, decision, sides) {
            Some(conflict) => report.conflicts.push(conflict),
            None if decision.dispute.is_some() => report.merged.push(path.clone()),
            None => report.taken += 1,
        }
    }
    let copies = decisions
        .values()
        .filter_map(|decision| decision.dispute.as_ref());
    let copies: usize = copies.map(|dispute| dispute.copies.len()).sum();
    report.taken = report.taken.saturating_sub(u64::try_from(copies).unwrap_or(0));
    report
}

fn conflict(path: &RelPath, decision: &Decision, sides: &[Side<'_>]) -> Option<MergeConflict> {
    let dispute = decision.dispute.as_ref()?;
    let name = |side: &usize| sides.get(*side).map(|side| side.name.clone());
    let outcome = match &dispute.settled {
        Settled::No(why) => ConflictOutcome::Unsettled { why: *why },
        Settled::Markers => ConflictOutcome::Markers,
        Settled::Taken(_) | Settled::Copies(_) if !dispute.copies.is_empty() => ConflictOutcome::Copies {
            paths: dispute.copies.clone(),
        },
        Settled::Taken(side) => ConflictOutcome::Taken { branch: name(side)? },
        Settled::Merged | Settled::Copies(_) => return None,
    };
    Some(MergeConflict {
        path: path.clone(),
        kind: dispute.kind,
        branches: dispute.sides.iter().filter_map(name).collect(),
        outcome,
    })
}
