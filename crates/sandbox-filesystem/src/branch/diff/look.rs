//! One name, in all the trees: what the branch has made of it.

use std::ffi::OsStr;

use sandbox_types::{BaseChange, ChangeKind, NodeKind, RelPath};

use super::super::base::BaseKnowledge;
use super::super::stack::Found;
use super::DiffError;
use super::compare::{Comparer, Content};
use super::conflict::{self, Verdict, Witness};
use super::draft::Draft;
use super::entry::{Entry, Failure, Side};
use super::live::Now;
use super::origin::{Source, Trail, source_in};
use super::place::Place;

/// Looks at names, and remembers where their files come from.
pub(super) struct Look<'k> {
    pub(super) knowledge: &'k BaseKnowledge,
    pub(super) comparer: Comparer,
    trail: Trail,
}

/// What is to be said of one name.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) draft: Option<Draft>,
    /// Whether it is a directory in one of the trees, so that there is more in it.
    pub(super) has_inside: bool,
}

/// Where something is looked at, and what was found there of the branch.
pub(super) struct Spot<'a, 's> {
    pub(super) place: &'a Place<'s>,
    pub(super) path: &'a RelPath,
    pub(super) found: Option<Found>,
}

impl<'k> Look<'k> {
    pub(super) fn new(knowledge: &'k BaseKnowledge) -> Self {
        Self {
            knowledge,
            comparer: Comparer::new(),
            trail: Trail::default(),
        }
    }

    pub(super) fn into_parts(self) -> (Trail, Comparer) {
        (self.trail, self.comparer)
    }

    /// What the branch has made of `name` in that directory.
    pub(super) fn at(&mut self, place: &Place<'_>, name: &OsStr) -> Result<Seen, DiffError> {
        let path = place.join(name)?;
        self.look(place, name, &path).map_err(|failure| failure.at(path))
    }

    fn look(&mut self, place: &Place<'_>, name: &OsStr, path: &RelPath) -> Result<Seen, Failure> {
        let failure = |side| move |source| Failure { side, source };
        let found = place.dir.view(name).map_err(failure(Side::Branch))?;
        self.trail
            .follow(&place.dir, name, found.as_ref())
            .map_err(failure(Side::Branch))?;
        let view = found.map(|found| place.entry(name, &found)).transpose()?;
        let base = place.base(name)?;
        let is_dir = |entry: Option<&Entry<'_>>| entry.is_some_and(|entry| entry.meta.is_dir());
        let has_inside = is_dir(view.as_ref()) || is_dir(base.as_ref());
        let spot = Spot { place, path, found };
        let draft = match (&view, &base) {
            (None, None) => return self.only_live(&spot, name),
            (None, Some(base)) if self.appeared_beside_copy(&spot, base)? => {
                return Ok(Seen {
                    draft: None,
                    has_inside: false,
                });
            }
            (None, Some(base)) => self.deleted(&spot, base)?,
            (Some(view), _) if self.is_untouched(&spot, view) => None,
            (Some(view), None) => self.added(&spot, view)?,
            (Some(view), Some(base)) if self.is_as_committed(&spot, view, base) => None,
            (Some(view), Some(base)) => self.changed(&spot, view, base)?,
        };
        let draft = match (draft, &view) {
            (Some(draft), Some(view)) => Some(spot.trace(draft, view)?),
            (draft, _) => draft,
        };
        Ok(Seen { draft, has_inside })
    }

    /// Something in a directory that the branch has deleted, which is only in the base as it is now.
    fn only_live(&mut self, spot: &Spot<'_, '_>, name: &OsStr) -> Result<Seen, Failure> {
        let (place, path) = (spot.place, spot.path);
        let live = place.live(name)?.filter(|_| !place.dir.exists());
        let has_inside = live.as_ref().is_some_and(|live| live.meta.is_dir());
        let draft = live.map(|live| {
            let change = ChangeKind::Deleted;
            let draft = Draft::new(path.clone(), live.meta.kind, live.meta.held(), change);
            if self.knowledge.is_ours(path, &live.meta) {
                draft
            } else {
                draft.judged(Verdict::Newer(BaseChange::Appeared))
            }
        });
        Ok(Seen { draft, has_inside })
    }

    fn deleted(&mut self, spot: &Spot<'_, '_>, base: &Entry<'_>) -> Result<Option<Draft>, Failure> {
        let mut draft = Draft::new(
            spot.path.clone(),
            base.meta.kind,
            base.meta.held(),
            ChangeKind::Deleted,
        );
        draft.handle = self.trail.meet(base).map_err(|error| base.failure(error))?;
        let verdict = match self.now(spot, None, Some(base))? {
            Some(Now::Done) => return Ok(None),
            Some(Now::Stands(verdict)) => verdict,
            None => self.judge(spot, base)?,
        };
        Ok(Some(draft.judged(verdict)))
    }

    fn added(&mut self, spot: &Spot<'_, '_>, view: &Entry<'_>) -> Result<Option<Draft>, Failure> {
        let draft = Draft::new(
            spot.path.clone(),
            view.meta.kind,
            view.meta.held(),
            ChangeKind::Added,
        );
        Ok(match self.now(spot, Some(view), None)? {
            Some(Now::Done) => None,
            Some(Now::Stands(verdict)) => Some(draft.judged(verdict)),
            None => Some(draft),
        })
    }

    /// What is in the branch and in the base.
    fn changed(
        &mut self,
        spot: &Spot<'_, '_>,
        view: &Entry<'_>,
        base: &Entry<'_>,
    ) -> Result<Option<Draft>, Failure> {
        let handle = self.trail.meet(base).map_err(|error| base.failure(error))?;
        let (change, matters) = if view.meta.kind == base.meta.kind {
            let content = self.comparer.content(view, base)?;
            let attributes = self.comparer.attributes(view, base)?;
            if content == Content::Same && attributes.is_empty() {
                return self.reverted(spot, view);
            }
            let matters = conflict::matters(content, &attributes);
            let content = content != Content::Same;
            (ChangeKind::Modified { content, attributes }, matters)
        } else {
            let from = base.meta.kind;
            (ChangeKind::TypeChanged { from }, true)
        };
        let mut draft = Draft::new(spot.path.clone(), view.meta.kind, view.meta.held(), change);
        draft.handle = handle;
        let verdict = match self.now(spot, Some(view), Some(base))? {
            Some(Now::Done) => return Ok(None),
            Some(Now::Stands(verdict)) => verdict,
            None if !matters => Verdict::Clear,
            None => self.judge(spot, base)?,
        };
        Ok(Some(draft.judged(verdict)))
    }

    /// Whether our own commit has left the base's file there, which may not be read, and the branch's has not been
    /// touched since. To read that one would touch it.
    fn is_as_committed(&self, spot: &Spot<'_, '_>, view: &Entry<'_>, base: &Entry<'_>) -> bool {
        let is_closed = base.meta.kind == NodeKind::File && base.meta.mode & 0o400 == 0;
        is_closed && self.knowledge.is_ours(spot.path, &base.meta) && view.meta.ctime < base.meta.ctime
    }

    fn judge(&self, spot: &Spot<'_, '_>, base: &Entry<'_>) -> Result<Verdict, Failure> {
        let path = spot.path;
        let is_copied = self
            .knowledge
            .copied
            .as_ref()
            .is_some_and(|index| index.contains(path));
        let witness = if is_copied || spot.has_witness(base.name)? {
            Witness::Existed
        } else {
            Witness::Silent
        };
        let verdict = conflict::judge(self.knowledge, path, base, witness)?;
        let is_gone = spot.found.is_none_or(|view| view.meta.kind != base.meta.kind);
        let is_doubtful = spot.place.is_doubtful && !spot.place.is_original(path, base, self.knowledge)?;
        let is_questioned = verdict == Verdict::Old && is_doubtful || matches!(verdict, Verdict::Newer(_));
        if is_questioned && conflict::is_as_kept(self.knowledge, path, base) {
            return Ok(Verdict::Old);
        }
        Ok(match verdict {
            Verdict::Newer(_) if is_gone && conflict::is_only_its_entries(&base.meta) => Verdict::Old,
            Verdict::Old if is_doubtful => Verdict::Newer(BaseChange::Replaced),
            verdict => verdict,
        })
    }
}

impl Spot<'_, '_> {
    /// Whether the layers say that there was something in the base: a whiteout, or a note on what was copied up.
    fn has_witness(&self, name: &OsStr) -> Result<bool, Failure> {
        let dir = &self.place.dir;
        let side = Side::Branch;
        let result = match &self.found {
            None => dir.is_mentioned(name),
            Some(found) => {
                let entry = self.place.entry(name, found)?;
                source_in(dir, &entry, found.origin).map(|source| source != Source::None)
            }
        };
        result.map_err(|source| Failure { side, source })
    }

    /// With where the branch's entry comes from.
    fn trace(&self, mut draft: Draft, view: &Entry<'_>) -> Result<Draft, Failure> {
        draft.base_moved_on = self.place.base_moved_on;
        if let Some(found) = &self.found {
            let source = source_in(&self.place.dir, view, found.origin);
            let source = source.map_err(|error| view.failure(error))?;
            // Of several names for one file, only one is that of the original.
            let is_link = view.meta.kind == NodeKind::File && view.meta.nlink > 1;
            if source != Source::Unknown || !is_link {
                draft.source = source;
            }
        }
        Ok(draft)
    }
}
