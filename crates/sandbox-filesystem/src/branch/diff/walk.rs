//! The walk over what the layers touch, and over nothing else of the base.
//!
//! A tree of any depth can be walked, with few directories open at a time: the innermost, and on the way to
//! them one in sixty-four, from which the others are opened again when the walk comes back to them.

use std::collections::btree_set;
use std::ffi::{OsStr, OsString};

use sandbox_types::RelPath;

use super::super::base::BaseKnowledge;
use super::super::stack::Stack;
use super::DiffError;
use super::compare::Comparer;
use super::draft::Draft;
use super::look::Look;
use super::origin::Trail;
use super::place::Place;

const OPEN: usize = 64;
const REPORT_EVERY: u64 = 256;

/// What the walk has found.
pub(super) struct Walked {
    pub(super) drafts: Vec<Draft>,
    pub(super) trail: Trail,
    pub(super) comparer: Comparer,
}

/// A directory that is being walked.
struct Frame<'s> {
    path: RelPath,
    place: Option<Place<'s>>,
    names: btree_set::IntoIter<OsString>,
}

impl<'s> Frame<'s> {
    fn new(place: Place<'s>) -> Result<Self, DiffError> {
        Ok(Self {
            path: place.dir.path().clone(),
            names: place.names()?.into_iter(),
            place: Some(place),
        })
    }
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Everything that the layers touch.
    Everything,
    /// Only what the base has too: what is new as a whole is not entered.
    InBase,
}

/// Walks `stack`, and tells `progress` how many entries have been looked at.
pub(super) fn walk(
    stack: &Stack,
    knowledge: &BaseKnowledge,
    scope: Scope,
    progress: &mut dyn FnMut(u64),
) -> Result<Walked, DiffError> {
    let mut look = Look::new(knowledge);
    let mut drafts = Vec::new();
    let mut seen = 0;
    let mut frames = vec![Frame::new(Place::root(stack, knowledge)?)?];
    while let Some(frame) = frames.last_mut() {
        let Some(name) = frame.names.next() else {
            frames.pop();
            continue;
        };
        seen += 1;
        if seen % REPORT_EVERY == 0 {
            progress(seen);
        }
        if frame.place.is_none() {
            reopen(&mut frames, knowledge)?;
        }
        if let Some(place) = frames.last().and_then(|frame| frame.place.as_ref())
            && scope.has(place, &name)?
            && let Some(inner) = step(&mut look, place, &name, &mut drafts)?
        {
            frames.push(Frame::new(inner)?);
            close_one(&mut frames);
        }
    }
    progress(seen);
    let (trail, comparer) = look.into_parts();
    Ok(Walked {
        drafts,
        trail,
        comparer,
    })
}

impl Scope {
    fn has(self, place: &Place<'_>, name: &OsStr) -> Result<bool, DiffError> {
        if self == Self::Everything {
            return Ok(true);
        }
        match place.base(name) {
            Ok(base) => Ok(base.is_some()),
            Err(failure) => Err(failure.at(place.join(name)?)),
        }
    }
}

/// Looks at one name; the directory to walk next, if it is one.
fn step<'s>(
    look: &mut Look<'_>,
    place: &Place<'s>,
    name: &OsStr,
    drafts: &mut Vec<Draft>,
) -> Result<Option<Place<'s>>, DiffError> {
    let seen = look.at(place, name)?;
    drafts.extend(seen.draft);
    if !seen.has_inside {
        return Ok(None);
    }
    let inner = place.enter(name, look.knowledge)?;
    Ok(inner.filter(|inner| inner.dir.is_touched()))
}

/// Closes the directory that has just become one too many.
fn close_one(frames: &mut [Frame<'_>]) {
    let index = frames.len().checked_sub(OPEN + 1);
    if let Some(index) = index.filter(|index| index % OPEN != 0)
        && let Some(frame) = frames.get_mut(index)
    {
        frame.place = None;
    }
}

/// Opens the innermost directory again, and those above it that are closed. One that is gone by now stays closed.
fn reopen(frames: &mut [Frame<'_>], knowledge: &BaseKnowledge) -> Result<(), DiffError> {
    let open = frames
        .iter()
        .rposition(|frame| frame.place.is_some())
        .unwrap_or(0);
    for index in open..frames.len().saturating_sub(1) {
        let [outer, inner, ..] = frames.get_mut(index..).unwrap_or_default() else {
            break;
        };
        if let (Some(place), Some(name)) = (&outer.place, inner.path.name()) {
            inner.place = place.enter(name, knowledge)?;
        }
    }
    Ok(())
}
