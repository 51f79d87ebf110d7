//! Taking a commit back.

use std::path::Path;

use sandbox_types::RelPath;

use super::super::node::Meta;
use super::super::progress::Progress;
use super::check;
use super::commit::{step_through, unfinished};
use super::crash::crash_point;
use super::engine::{Engine, OnFailure, Side};
use super::error::{ApplyError, Conflict, StepError};
use super::journal::{CommitStatus, Journal, Left, Staged, Undo};
use super::occupant::is_same_entry;
use super::session::{Applied, Session};
use super::slots::{Slots, old_slot};
use super::stage::{Stager, stage_error};

/// Restores the base as it was before the commit recorded in `commit`, times included.
///
/// It is refused, with every path, where the base is no longer as the commit has left it. It can fail and be
/// killed as a commit can; then the commit is as it was, or `recover` decides.
pub(crate) fn undo(commit: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Applied, ApplyError> {
    let journal = Journal::open(commit)?;
    let status = journal.status()?;
    if status != CommitStatus::Done {
        return Err(ApplyError::Status {
            commit: commit.to_owned(),
            status,
        });
    }
    let session = Session::resume(journal)?;
    session.tidy(status)?;
    let (staged, left) = (session.journal.read_staged()?, session.journal.read_left()?);
    let mut conflicts = check::conflicts_with_left(&session.base, &session.steps, &left)?;
    conflicts.extend(session.changed_while_saved(&staged)?);
    if !conflicts.is_empty() {
        return Err(ApplyError::Conflicts(conflicts));
    }
    check::writable(&session.base, &session.steps)?;
    let keep_times = session.changed_directories(&left)?;
    let (slots, restored) = session.slots_for_undo(&staged, progress)?;
    let undo = Undo { restored, keep_times };
    session.journal.write_undo(&undo)?;
    session.journal.enter(CommitStatus::Undoing)?;
    session.backward(&slots, &staged, &undo, OnFailure::Stop, progress)
}

impl Session {
    /// Old versions that are no longer what they were: a file of which the base has another name may have been
    /// written through that.
    fn changed_while_saved(&self, staged: &Staged) -> Result<Vec<Conflict>, ApplyError> {
        let mut changed = Vec::new();
        if self.head.staging.is_in_base() {
            return Ok(changed);
        }
        let slots = self.slots()?;
        for (index, step) in self.steps.iter().enumerate() {
            let Some(before) = step
                .before
                .filter(|before| !step.is_in_place() && !before.is_dir())
            else {
                continue;
            };
            let slot = old_slot(index, false, staged.head.renames);
            let meta = Meta::at(&slots, slot).map_err(stage_error(&step.path))?;
            if !meta.is_some_and(|meta| is_same_entry(&before, &meta)) {
                changed.push(Conflict {
                    path: step.path.clone(),
                    change: sandbox_types::BaseChange::Modified,
                });
            }
        }
        Ok(changed)
    }

    /// Directories in which somebody has made or removed entries since the commit.
    fn changed_directories(&self, left: &Left) -> Result<Vec<RelPath>, ApplyError> {
        let mut changed = Vec::new();
        for (path, known) in &left.head.directories {
            let now = self.base.meta(path).map_err(stage_error(path))?;
            if now.is_none_or(|now| now.mtime != known.mtime) {
                changed.push(path.clone());
            }
        }
        Ok(changed)
    }

    /// The slots with the old versions in them, made again where they are not kept.
    fn slots_for_undo(
        &self,
        staged: &Staged,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(Slots, Vec<Option<super::journal::Print>>), ApplyError> {
        if !self.head.staging.is_in_base() {
            return Ok((self.slots()?, Vec::new()));
        }
        self.journal.mark_unclean()?;
        let mut restore = || {
            let slots = self.make_slots()?;
            let renames = staged.head.renames;
            let mut stager = Stager::new(&self.base, &slots, renames, &self.steps, progress);
            let prints = stager.restore(&self.journal, &self.steps, staged)?;
            let durable = stager.durable;
            durable.directory(&slots).map_err(stage_error(&RelPath::root()))?;
            crash_point("restaged");
            Ok((slots, prints))
        };
        restore().inspect_err(|_| self.log_untidy(CommitStatus::Done))
    }

    /// From `Undoing` to `Undone`.
    pub(super) fn backward(
        &self,
        slots: &Slots,
        staged: &Staged,
        undo: &Undo,
        on_failure: OnFailure,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Applied, ApplyError> {
        let mut engine = self.engine(slots, staged, undo, progress);
        if let Err(mut failures) = step_through(&mut engine, Side::Before, on_failure) {
            let failure = failures.remove(0);
            return Err(match on_failure {
                OnFailure::Stop => self.redo(&mut engine, failure),
                OnFailure::GoOn => ApplyError::Unfinished {
                    failure,
                    others: failures,
                },
            });
        }
        super::sync::sync_base(&self.base, &self.steps)
            .map_err(super::session::base_error(&self.head.base))?;
        let (status, notes) = (CommitStatus::Undone, std::mem::take(&mut engine.notes));
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

    /// Makes the commit whole again after undo has failed.
    fn redo(&self, engine: &mut Engine<'_>, failure: StepError) -> ApplyError {
        match self.redo_steps(engine) {
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

    /// From `Undoing` back to `Done`.
    pub(super) fn redo_steps(&self, engine: &mut Engine<'_>) -> Result<Applied, ApplyError> {
        let known = self.journal.read_left()?;
        self.settle(engine, Side::After).map_err(unfinished)?;
        engine
            .restore_times(&known)
            .map_err(|failure| unfinished(vec![failure]))?;
        super::sync::sync_base(&self.base, &self.steps)
            .map_err(super::session::base_error(&self.head.base))?;
        // What was moved to and fro has another ctime.
        let left = self.left()?;
        self.journal.write_left(&left)?;
        self.tell_older(&left.linked_since(known.head.linked.iter().map(|(path, meta)| (path, meta))));
        let (status, notes) = (CommitStatus::Done, std::mem::take(&mut engine.notes));
        self.journal.enter(status)?;
        self.log_untidy(status);
        Ok(Self::applied(status, Side::After, engine.known, &left, notes))
    }
}
