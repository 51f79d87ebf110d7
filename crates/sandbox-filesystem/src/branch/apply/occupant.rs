//! Telling what is at a path or in a slot: the old version, the new one, or something else.

use std::io;

use rustix::io::Errno;
use sandbox_types::BaseChange;

use super::super::beneath::{Place, Root};
use super::super::node::Meta;
use super::journal::{Print, StagedStep};
use super::plan::Step;

/// What there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occupant {
    Nothing,
    /// What was there before the plan, or what stands in for it.
    Old,
    /// What will be there after it.
    New,
    /// Something that somebody else has put there, or has changed.
    Other(BaseChange),
}

/// How to tell the versions of one step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Versions<'a> {
    pub(super) step: &'a Step,
    pub(super) staged: &'a StagedStep,
    /// What undo has made of what was saved.
    pub(super) restored: Option<&'a Print>,
}

impl Versions<'_> {
    /// What `meta` is.
    pub(super) fn of(&self, meta: Option<&Meta>) -> Occupant {
        let Some(meta) = meta else {
            return Occupant::Nothing;
        };
        if self.staged.new.is_some_and(|print| print.is(meta)) {
            return Occupant::New;
        }
        if self.restored.is_some_and(|print| print.is(meta)) {
            return Occupant::Old;
        }
        match &self.step.before {
            None => Occupant::Other(BaseChange::Appeared),
            Some(before) if is_same_entry(before, meta) => Occupant::Old,
            Some(before) if before.ino == meta.ino => Occupant::Other(BaseChange::Modified),
            Some(_) => Occupant::Other(BaseChange::Replaced),
        }
    }
}

/// Whether it is the same entry with the same content. Its ctime does not count: renaming it changes that. One
/// directory is like the other: what is in it is looked at for itself, and undo may have had to make it again.
pub(super) fn is_same_entry(before: &Meta, now: &Meta) -> bool {
    let content = |meta: &Meta| {
        (
            meta.ino, meta.size, meta.mtime, meta.rdev, meta.mode, meta.uid, meta.gid,
        )
    };
    before.kind == now.kind && (before.is_dir() || content(before) == content(now))
}

/// How `now` differs from what was expected, if it does. Strict: of what is no directory the ctime counts, of a
/// directory its attributes and not what is in it.
pub(super) fn change(before: Option<&Meta>, now: Option<&Meta>) -> Option<BaseChange> {
    let (before, now) = match (before, now) {
        (None, None) => return None,
        (None, Some(_)) => return Some(BaseChange::Appeared),
        (Some(_), None) => return Some(BaseChange::Vanished),
        (Some(before), Some(now)) => (before, now),
    };
    if before.kind != now.kind || (before.ino != now.ino && !before.is_dir()) {
        return Some(BaseChange::Replaced);
    }
    let attributes = |meta: &Meta| (meta.mode, meta.uid, meta.gid);
    let is_same = is_same_entry(before, now)
        && attributes(before) == attributes(now)
        && (before.is_dir() || before.ctime == now.ctime);
    (!is_same).then_some(BaseChange::Modified)
}

/// Where `path` is; none where the directory that would hold it is not there, or is a link.
pub(super) fn place(base: &Root, step: &Step) -> io::Result<Option<Place>> {
    match base.place(&step.path) {
        Ok(place) => Ok(Some(place)),
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            _ => Err(error),
        },
    }
}
