//! Carrying out a plan.

use std::collections::BTreeMap;
use std::path::Path;

use sandbox_types::RelPath;

use super::super::node::Meta;
use super::super::progress::{Phase, Progress};
use super::check;
use super::crash::crash_point;
use super::engine::{Engine, OnFailure, Side};
use super::error::{ApplyError, Conflict, StepError};
use super::journal::{CommitStatus, Journal, Left, PlanHead, Staged, StagedHead, Undo};
use super::plan::ApplyPlan;
use super::session::{Applied, Session, base_error, open_base};
use super::slots::{Slots, Staging};
use super::stage::{Stager, stage_error};

/// Carries out a plan, recorded in the empty directory `commit`: all of it or nothing.
///
/// It returns when the base has everything, on the disk. When it fails, the base is as it was, unless the error
/// says otherwise. When it is killed, `recover` finishes it or takes it back.
pub(crate) fn apply(
    plan: &ApplyPlan,
    commit: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Applied, ApplyError> {
    let journal = Journal::open(commit)?;
    let status = journal.status()?;
    if status != CommitStatus::Empty {
        let commit = commit.to_owned();
        return Err(ApplyError::Status { commit, status });
    }
    let base = open_base(&plan.base)?;
    check::writable(&base, &plan.steps)?;
    none(check::conflicts(&base, &plan.steps)?)?;
    let root = Meta::of(&base).map_err(base_error(&plan.base))?;
    let staging = Staging::choose(&base, commit).map_err(stage_error(&sandbox_types::RelPath::root()))?;
    let head = PlanHead::new(plan, root, staging);
    journal.write_plan(&head, &plan.steps)?;
    journal.enter(CommitStatus::Prepared)?;
    let session = Session {
        journal,
        head,
        steps: plan.steps.clone(),
        base,
    };
    session.stage_and_apply(progress)
}

fn none(conflicts: Vec<Conflict>) -> Result<(), ApplyError> {
    if conflicts.is_empty() {
        Ok(())
    } else {
        Err(ApplyError::Conflicts(conflicts))
    }
}

impl Session {
    /// From `Prepared` on.
    pub(super) fn stage_and_apply(&self, progress: &mut dyn FnMut(Progress)) -> Result<Applied, ApplyError> {
        let mut prepared = || {
            let directories = self.directories()?;
            let slots = self.make_slots()?;
            slots
                .clear()
                .map_err(stage_error(&sandbox_types::RelPath::root()))?;
            let staged = self.stage(&slots, directories, progress)?;
            check::writable(&self.base, &self.steps)?;
            let linked = self.linked().map(|(_, meta)| meta);
            none(check::conflicts_when_staged(&self.base, &self.steps, linked)?)?;
            Ok((slots, staged))
        };
        match prepared() {
            Ok((slots, staged)) => {
                self.journal.enter(CommitStatus::Applying)?;
                self.forward(&slots, &staged, OnFailure::Stop, progress)
            }
            Err(error) => {
                self.give_up();
                Err(error)
            }
        }
    }

    fn stage(
        &self,
        slots: &Slots,
        directories: Vec<(sandbox_types::RelPath, Meta)>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Staged, ApplyError> {
        let root = sandbox_types::RelPath::root();
        let renames = slots.renames().map_err(stage_error(&root))?;
        let head = StagedHead {
            renames,
            directories,
            notes: self.head.notes.clone(),
        };
        let mut stager = Stager::new(&self.base, slots, renames, &self.steps, progress);
        let mut staged = stager.run(&self.steps, head)?;
        if self.head.staging.is_in_base() {
            stager.save(&self.journal, &self.steps, &mut staged)?;
        }
        let durable = stager.durable;
        progress(Progress::start(Phase::Syncing, None, None));
        durable.directory(slots).map_err(stage_error(&root))?;
        self.journal.write_staged(&staged)?;
        crash_point("staged");
        Ok(staged)
    }

    /// Marks a commit whose base is untouched as rolled back. What that leaves undone, `recover` does.
    pub(super) fn give_up(&self) {
        let status = CommitStatus::RolledBack;
        if let Err(error) = self.journal.enter(status).and_then(|()| self.tidy(status)) {
            tracing::warn!(commit = %self.journal.path().display(), %error, "left behind");
        }
    }

    /// From `Applying` to `Done`.
    pub(super) fn forward(
        &self,
        slots: &Slots,
        staged: &Staged,
        on_failure: OnFailure,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Applied, ApplyError> {
        let undo = Undo::default();
        let mut engine = self.engine(slots, staged, &undo, &mut *progress);
        if let Err(mut failures) = step_through(&mut engine, Side::After, on_failure) {
            let failure = failures.remove(0);
            return Err(match on_failure {
                OnFailure::Stop => self.take_back(&mut engine, failure),
                OnFailure::GoOn => ApplyError::Unfinished {
                    failure,
                    others: failures,
                },
            });
        }
        let mut notes = staged.head.notes.clone();
        notes.append(&mut engine.notes);
        self.hide_slots()?;
        let left = self.record(&mut *engine.progress)?;
        self.tell_older(&left.linked_since(self.linked()));
        self.journal.enter(CommitStatus::Done)?;
        self.log_untidy(CommitStatus::Done);
        let mut applied = Self::applied(CommitStatus::Done, Side::After, engine.known, &left, notes);
        applied.directories = left.directories_since(&staged.head.directories);
        Ok(applied)
    }

    /// Restores the base after a step has failed.
    fn take_back(&self, engine: &mut Engine<'_>, failure: StepError) -> ApplyError {
        match self.restore(engine) {
            Ok(applied) => ApplyError::RolledBack {
                failure,
                left: applied.left,
            },
            Err(rollback) => ApplyError::Stuck {
                failure,
                rollback: Box::new(rollback),
            },
        }
    }

    /// From `Applying` to `RolledBack`.
    pub(super) fn restore(&self, engine: &mut Engine<'_>) -> Result<Applied, ApplyError> {
        self.settle(engine, Side::Before).map_err(unfinished)?;
        let (status, notes) = (CommitStatus::RolledBack, std::mem::take(&mut engine.notes));
        self.journal.enter(status)?;
        self.log_untidy(status);
        Ok(Self::applied(
            status,
            Side::Before,
            engine.known,
            &self.left()?,
            notes,
        ))
    }

    /// Tidies; what is left behind is no failure, and `recover` removes it.
    pub(super) fn log_untidy(&self, status: CommitStatus) {
        if let Err(error) = self.tidy(status) {
            tracing::warn!(commit = %self.journal.path().display(), %error, "left behind");
        }
    }
}

impl Left {
    /// The directories that were there before and are the same still: as they were, and as they are.
    fn directories_since(&self, before: &[(RelPath, Meta)]) -> Vec<(RelPath, Meta, Meta)> {
        let now: BTreeMap<_, _> = self
            .head
            .directories
            .iter()
            .map(|(path, is)| (path, is))
            .collect();
        let both = before.iter().filter_map(|(path, was)| {
            let is = now.get(path).filter(|is| is.ino == was.ino)?;
            Some((path.clone(), *was, **is))
        });
        both.collect()
    }
}

/// All steps, between opening and settling directories.
pub(super) fn step_through(
    engine: &mut Engine<'_>,
    side: Side,
    on_failure: OnFailure,
) -> Result<(), Vec<StepError>> {
    engine.open_directories().map_err(|failure| vec![failure])?;
    let failures = engine.drive(side, on_failure);
    if !failures.is_empty() {
        return Err(failures);
    }
    crash_point("stepped");
    engine.settle(side).map_err(|failure| vec![failure])
}

pub(super) fn unfinished(mut failures: Vec<StepError>) -> ApplyError {
    let failure = failures.remove(0);
    ApplyError::Unfinished {
        failure,
        others: failures,
    }
}
