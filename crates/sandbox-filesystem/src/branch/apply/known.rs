//! What is known of a plan that was staged: enough to tell what is in the base.

use sandbox_types::RelPath;

use super::super::base::Identity;
use super::super::node::Meta;
use super::engine::Side;
use super::journal::{Staged, StagedStep, Undo};
use super::occupant::{Occupant, Versions};
use super::plan::{After, Step};

/// The steps of a plan, and how their versions are told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) steps: &'a [Step],
    pub(super) staged: &'a Staged,
    pub(super) undo: &'a Undo,
}

impl<'a> Known<'a> {
    /// How to tell the versions of a step.
    pub(super) fn versions(&self, index: usize, step: &'a Step) -> Versions<'a> {
        static NONE: StagedStep = StagedStep::NONE;
        Versions {
            step,
            staged: self.staged.steps.get(index).unwrap_or(&NONE),
            restored: self.undo.restored.get(index).and_then(Option::as_ref),
        }
    }

    /// What is at the paths of the steps, where that is what `side` has there; `found` is what is there.
    pub(super) fn left(
        self,
        side: Side,
        found: &'a [Option<Meta>],
    ) -> impl Iterator<Item = (RelPath, Option<Identity>)> + 'a {
        let steps = self.steps.iter().zip(found).enumerate();
        steps.filter_map(move |(index, (step, meta))| {
            let is_known = match (&step.after, meta) {
                (After::Attributes { .. }, Some(meta)) => {
                    let entry = |meta: &Meta| (meta.kind, meta.ino);
                    step.before.is_some_and(|before| entry(&before) == entry(meta))
                }
                _ => self.versions(index, step).of(meta.as_ref()) == wanted(step, side),
            };
            is_known.then(|| (step.path.clone(), meta.as_ref().map(Identity::of)))
        })
    }

    /// What was there before and is there again: as it was, and as it is.
    pub(super) fn back(self, found: &'a [Option<Meta>]) -> impl Iterator<Item = (RelPath, Meta, Meta)> + 'a {
        let steps = self.steps.iter().zip(found).enumerate();
        steps.filter_map(move |(index, (step, meta))| {
            let (was, is) = (step.before?, meta.as_ref()?);
            let is_back = self.versions(index, step).of(Some(is)) == Occupant::Old;
            is_back.then(|| (step.path.clone(), was, *is))
        })
    }
}

/// What is to be at the path of a step.
pub(super) fn wanted(step: &Step, side: Side) -> Occupant {
    match side {
        Side::Before if step.before.is_some() => Occupant::Old,
        Side::After if !step.is_removal() => Occupant::New,
        _ => Occupant::Nothing,
    }
}
