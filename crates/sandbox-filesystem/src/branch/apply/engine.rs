//! Taking a base to one side of a plan, from wherever it is between the two.
//!
//! Each step looks at what is at its path and in its slot, and does what is missing. So it can be interrupted
//! anywhere and be done again, in the same direction or in the other. What is neither the old nor the new
//! version is left alone, and is a conflict.
//!
//! Order: towards `After`, first what goes away, from the innermost, then what comes, from the outermost; towards
//! `Before` the reverse.

use std::io;
use std::os::fd::AsFd;

use rustix::io::Errno;
use sandbox_types::BaseChange;

use super::super::beneath::{Place, Root};
use super::super::copy::{Attributes, Refused};
use super::super::node::Meta;
use super::super::progress::{Phase, Progress};
use super::crash::crash_point;
use super::error::StepError;
use super::known::{Known, wanted};
use super::moves;
use super::occupant::{Occupant, place};
use super::plan::{After, Note, Noted, Step};
use super::slots::{Slots, new_slot, old_slot};

/// To which state the base is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Before,
    After,
}

impl Side {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Before => Self::After,
            Self::After => Self::Before,
        }
    }
}

/// What a step that fails means for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnFailure {
    /// They are not done.
    Stop,
    /// They are.
    GoOn,
}

/// Takes the base to one side of a plan.
pub(super) struct Engine<'a> {
    pub(super) base: &'a Root,
    pub(super) slots: &'a Slots,
    pub(super) known: Known<'a>,
    pub(super) progress: &'a mut dyn FnMut(Progress),
    /// What could not be done as it should be, but is no failure.
    pub(super) notes: Vec<Note>,
}

impl Engine<'_> {
    /// Does all steps; what failed.
    pub(super) fn drive(&mut self, side: Side, on_failure: OnFailure) -> Vec<StepError> {
        let mut failures = Vec::new();
        let mut state = Progress::start(Phase::Applying, Some(self.known.steps.len() as u64), None);
        for index in self.order(side) {
            if let Err(failure) = self.step(index, side) {
                failures.push(failure);
                if on_failure == OnFailure::Stop {
                    break;
                }
            }
            state.entries += 1;
            (self.progress)(state);
            crash_point("step done");
        }
        failures
    }

    fn order(&self, side: Side) -> Vec<usize> {
        let numbered = || self.known.steps.iter().enumerate();
        let going = numbered().rev().filter(|(_, step)| step.is_removal());
        let coming = numbered().filter(|(_, step)| !step.is_removal());
        let mut order: Vec<_> = going.chain(coming).map(|(index, _)| index).collect();
        if side == Side::Before {
            order.reverse();
        }
        order
    }

    fn step(&mut self, index: usize, side: Side) -> Result<(), StepError> {
        let Some(step) = self.known.steps.get(index) else {
            return Ok(());
        };
        match &step.after {
            // Settled at the end, because it may forbid what is still to be done in it.
            After::Attributes { .. } if step.alters_directory() => Ok(()),
            After::Attributes { old, new } => self.alter(step, old, new, side),
            _ => self.shift(index, step, side),
        }
    }

    /// Brings the version that `side` has to the path, and the other one to its slot.
    fn shift(&self, index: usize, step: &Step, side: Side) -> Result<(), StepError> {
        let io_error = |error: io::Error| StepError::io(&step.path)(error);
        let want = wanted(step, side);
        let place = place(self.base, step).map_err(io_error)?;
        let meta = place.as_ref().map_or(Ok(None), Place::meta).map_err(io_error)?;
        let have = self.known.versions(index, step).of(meta.as_ref());
        let Some(place) = place else {
            if want == Occupant::Nothing || self.is_in_hand(index, step, side)? {
                return Ok(());
            }
            return Err(StepError::conflict(&step.path, BaseChange::Vanished));
        };
        match (have, want) {
            (Occupant::Other(_), _) if self.is_in_hand(index, step, side)? => Ok(()),
            (Occupant::Other(change), _) => Err(StepError::conflict(&step.path, change)),
            (Occupant::Nothing, Occupant::Nothing) => self.nothing(index, step, side),
            (have, want) if have == want => Ok(()),
            (Occupant::Nothing, _) => self.put(index, step, &place, want, side),
            (_, Occupant::Nothing) => self.take(index, step, &place, have),
            _ => self.swap(index, step, &place, have, want, side),
        }
    }

    /// Nothing is there and nothing should be. If somebody else has removed it, that is a conflict for those
    /// who were about to.
    fn nothing(&self, index: usize, step: &Step, side: Side) -> Result<(), StepError> {
        let is_lost = side == Side::After
            && step.before.is_some_and(|before| !before.is_dir())
            && !self.is_in_slot(index, step, Occupant::Old)?;
        if is_lost {
            return Err(StepError::conflict(&step.path, BaseChange::Vanished));
        }
        Ok(())
    }

    /// Whether the slots hold what they hold once the step is done: then what somebody else has at the path, or has
    /// removed from there, came before or after it, and stays.
    fn is_in_hand(&self, index: usize, step: &Step, side: Side) -> Result<bool, StepError> {
        let (out, into) = match side {
            Side::Before => (Occupant::Old, Occupant::New),
            Side::After => (Occupant::New, Occupant::Old),
        };
        let is_there =
            wanted(step, side.other()) == Occupant::Nothing || self.is_in_slot(index, step, into)?;
        Ok(is_there && !self.is_in_slot(index, step, out)?)
    }

    fn put(
        &self,
        index: usize,
        step: &Step,
        place: &Place,
        what: Occupant,
        side: Side,
    ) -> Result<(), StepError> {
        let is_swap = step.before.is_some() && !step.is_removal();
        let is_exchanged = is_swap && self.slot(index, step, Occupant::Old) == new_slot(index);
        if side == Side::After && is_exchanged {
            // The old version leaves only when the new one comes: somebody else has removed it.
            return Err(StepError::conflict(&step.path, BaseChange::Vanished));
        }
        if is_old_dir(step, what) {
            self.make_again(index, step)?;
        }
        if !self.is_in_slot(index, step, what)? {
            // Neither here nor there: somebody else has removed it. There is nothing to bring back.
            return match side {
                Side::Before => Ok(()),
                Side::After => Err(StepError::conflict(&step.path, BaseChange::Vanished)),
            };
        }
        match moves::put(self.slots, &self.slot(index, step, what), place) {
            Err(Errno::EXIST) => Err(StepError::conflict(&step.path, BaseChange::Appeared)),
            result => result.map_err(|errno| StepError::io(&step.path)(errno.into())),
        }
    }

    fn take(&self, index: usize, step: &Step, place: &Place, what: Occupant) -> Result<(), StepError> {
        let failed = |errno: Errno| match errno {
            Errno::NOENT => StepError::conflict(&step.path, BaseChange::Vanished),
            Errno::NOTEMPTY => StepError::conflict(&step.path, BaseChange::Modified),
            errno => StepError::io(&step.path)(errno.into()),
        };
        let slot = self.slot(index, step, what);
        match moves::take(place, self.slots, &slot) {
            // Overlayfs does not move directories of its lower layers; what is needed to make it again is known.
            Err(Errno::XDEV) if is_old_dir(step, what) => {
                return moves::remove_dir(place).map_err(failed);
            }
            result => result.map_err(failed)?,
        }
        if !self.is_full(step, &slot, what)? && self.is_in_slot(index, step, what)? {
            return Ok(());
        }
        // Somebody was faster: what they have put there goes back.
        match moves::put(self.slots, &slot, place) {
            Ok(()) => Err(StepError::conflict(&step.path, BaseChange::Modified)),
            Err(_) => Err(self.displaced(step, &slot, place)),
        }
    }

    fn swap(
        &self,
        index: usize,
        step: &Step,
        place: &Place,
        have: Occupant,
        want: Occupant,
        side: Side,
    ) -> Result<(), StepError> {
        let slot = new_slot(index);
        if self.slot(index, step, Occupant::Old) != slot {
            self.take(index, step, place, have)?;
            return self.put(index, step, place, want, side);
        }
        if !self.is_in_slot(index, step, want)? {
            return Err(StepError::conflict(&step.path, BaseChange::Vanished));
        }
        let exchange = || moves::exchange(place, self.slots, &slot);
        match exchange() {
            Err(Errno::NOENT) => return Err(StepError::conflict(&step.path, BaseChange::Vanished)),
            result => result.map_err(|errno| StepError::io(&step.path)(errno.into()))?,
        }
        if !self.is_full(step, &slot, have)? && self.is_in_slot(index, step, have)? {
            return Ok(());
        }
        // Somebody was faster: what they have put there goes back.
        if exchange().is_ok() && self.is_in_slot(index, step, want)? {
            return Err(StepError::conflict(&step.path, BaseChange::Modified));
        }
        Err(self.displaced(step, &slot, place))
    }

    /// Sets attributes of a file in place.
    fn alter(
        &mut self,
        step: &Step,
        old: &Attributes,
        new: &Attributes,
        side: Side,
    ) -> Result<(), StepError> {
        let failed = || StepError::io(&step.path);
        let conflict = |change| Err(StepError::conflict(&step.path, change));
        let node = match place(self.base, step)
            .map_err(failed())?
            .map(|place| place.node())
        {
            None => return conflict(BaseChange::Vanished),
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                return conflict(BaseChange::Vanished);
            }
            Some(node) => node.map_err(failed())?,
        };
        let meta = Meta::of(&node).map_err(failed())?;
        let is_it = |before: Meta| (before.kind, before.ino) == (meta.kind, meta.ino);
        if !step.before.is_some_and(is_it) {
            // What was changed is no longer there to be changed back.
            return if side == Side::Before {
                Ok(())
            } else {
                conflict(BaseChange::Replaced)
            };
        }
        let is_as_before = step.before.is_some_and(|before| before.size == meta.size)
            && [old.mtime, new.mtime].contains(&Some(meta.mtime));
        let refused = match side {
            Side::After if !is_as_before => return conflict(BaseChange::Modified),
            Side::After => new.put(node.as_fd()),
            Side::Before if is_as_before => old.put(node.as_fd()),
            // Somebody has written to it: that is when it was last written.
            Side::Before => old.clone().with_natural_time().put(node.as_fd()),
        };
        self.note_refused(step, refused.map_err(failed())?);
        Ok(())
    }

    pub(super) fn note_refused(&mut self, step: &Step, refused: Vec<Refused>) {
        self.notes.extend(refused.into_iter().map(|refused| Note {
            path: step.path.clone(),
            what: Noted::Refused(refused),
        }));
    }

    /// The slot of a version.
    fn slot(&self, index: usize, step: &Step, what: Occupant) -> String {
        if what == Occupant::Old {
            old_slot(index, step.removes_directory(), self.known.staged.head.renames)
        } else {
            new_slot(index)
        }
    }

    /// Whether a version is in its slot.
    fn is_in_slot(&self, index: usize, step: &Step, what: Occupant) -> Result<bool, StepError> {
        let slot = self.slot(index, step, what);
        let meta = Meta::at(self.slots, slot).map_err(StepError::io(&step.path))?;
        Ok(self.known.versions(index, step).of(meta.as_ref()) == what)
    }

    /// Makes an old directory again in its slot, if it could not be moved there.
    fn make_again(&self, index: usize, step: &Step) -> Result<(), StepError> {
        let failed = || StepError::io(&step.path);
        let saved = self
            .known
            .staged
            .steps
            .get(index)
            .and_then(|staged| staged.saved.as_ref());
        let slot = self.slot(index, step, Occupant::Old);
        let Some(saved) = saved else { return Ok(()) };
        if self.is_in_slot(index, step, Occupant::Old)? {
            return Ok(());
        }
        let node = moves::make_dir(self.slots, &slot).map_err(failed())?;
        saved
            .attributes
            .of_open_directory()
            .put(node.as_fd())
            .map_err(failed())?;
        Ok(())
    }

    /// Whether a slot has got a directory that somebody has put something into.
    fn is_full(&self, step: &Step, slot: &str, what: Occupant) -> Result<bool, StepError> {
        let is_dir = is_old_dir(step, what) || (what == Occupant::New && step.makes_directory());
        Ok(is_dir && moves::is_full(self.slots, slot).map_err(StepError::io(&step.path))?)
    }

    /// Gives what is in a slot, and belongs to somebody else, a name of its own beside its place.
    fn displaced(&self, step: &Step, slot: &str, place: &Place) -> StepError {
        for number in 0..1000 {
            let name = format!(".sandbox-kept-{slot}-{number}");
            match moves::put(self.slots, slot, &place.beside(&name)) {
                Err(Errno::EXIST) => {}
                Err(errno) => return StepError::io(&step.path)(errno.into()),
                Ok(()) => {
                    let directory = step.path.parent().unwrap_or_default();
                    return StepError::Displaced {
                        path: step.path.clone(),
                        kept: directory.join(&name).unwrap_or_default(),
                    };
                }
            }
        }
        StepError::io(&step.path)(Errno::EXIST.into())
    }
}

fn is_old_dir(step: &Step, what: Occupant) -> bool {
    what == Occupant::Old && step.removes_directory()
}
