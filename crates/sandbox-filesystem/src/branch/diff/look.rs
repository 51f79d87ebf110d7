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
use super::origin::{Source, Trail, source_of};
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
        let view = place.dir.view(name).map_err(failure(Side::Branch))?;
        let base = place.dir.base(name).map_err(failure(Side::Base))?;
        self.trail
            .follow(&place.dir, name, view.as_ref())
            .map_err(failure(Side::Branch))?;
        let view_entry = view.map(|found| place.entry(name, &found)).transpose()?;
        let base_entry = base.map(|found| place.entry(name, &found)).transpose()?;
        let is_dir = |entry: Option<&Entry<'_>>| entry.is_some_and(|entry| entry.meta.is_dir());
        let has_inside = is_dir(view_entry.as_ref()) || is_dir(base_entry.as_ref());
        let draft = match (&view_entry, &base_entry) {
            (None, None) => return self.only_live(place, name, path),
            (None, Some(base)) if self.appeared_beside_copy(place, path, base)? => {
                return Ok(Seen {
                    draft: None,
                    has_inside: false,
                });
            }
            (None, Some(base)) => self.deleted(place, path, base)?,
            (Some(view), _) if self.is_untouched(place, path, view) => None,
            (Some(view), None) => self.added(place, path, view)?,
            (Some(view), Some(base)) => self.changed(place, path, view, base)?,
        };
        let draft = match (draft, view, &view_entry) {
            (Some(draft), Some(found), Some(entry)) => Some(Self::traced(draft, place, &found, entry)?),
            (draft, _, _) => draft,
        };
        Ok(Seen { draft, has_inside })
    }

    /// Something in a directory that the branch has deleted, which is only in the base as it is now.
    fn only_live(&mut self, place: &Place<'_>, name: &OsStr, path: &RelPath) -> Result<Seen, Failure> {
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

    fn deleted(
        &mut self,
        place: &Place<'_>,
        path: &RelPath,
        base: &Entry<'_>,
    ) -> Result<Option<Draft>, Failure> {
        let mut draft = Draft::new(
            path.clone(),
            base.meta.kind,
            base.meta.held(),
            ChangeKind::Deleted,
        );
        draft.handle = self.trail.meet(base).map_err(|error| base.failure(error))?;
        let verdict = match self.now(place, path, None, Some(base))? {
            Some(Now::Done) => return Ok(None),
            Some(Now::Stands(verdict)) => verdict,
            None => self.judge(place, path, None, base)?,
        };
        Ok(Some(draft.judged(verdict)))
    }

    fn added(
        &mut self,
        place: &Place<'_>,
        path: &RelPath,
        view: &Entry<'_>,
    ) -> Result<Option<Draft>, Failure> {
        let draft = Draft::new(path.clone(), view.meta.kind, view.meta.held(), ChangeKind::Added);
        Ok(match self.now(place, path, Some(view), None)? {
            Some(Now::Done) => None,
            Some(Now::Stands(verdict)) => Some(draft.judged(verdict)),
            None => Some(draft),
        })
    }

    /// What is in the branch and in the base.
    fn changed(
        &mut self,
        place: &Place<'_>,
        path: &RelPath,
        view: &Entry<'_>,
        base: &Entry<'_>,
    ) -> Result<Option<Draft>, Failure> {
        let handle = self.trail.meet(base).map_err(|error| base.failure(error))?;
        let (change, matters) = if view.meta.kind == base.meta.kind {
            let content = self.content(path, view, base)?;
            let attributes = self.comparer.attributes(view, base)?;
            if content == Content::Same && attributes.is_empty() {
                return self.reverted(place, path, view);
            }
            let matters = conflict::matters(content, &attributes);
            let content = content != Content::Same;
            (ChangeKind::Modified { content, attributes }, matters)
        } else {
            let from = base.meta.kind;
            (ChangeKind::TypeChanged { from }, true)
        };
        let mut draft = Draft::new(path.clone(), view.meta.kind, view.meta.held(), change);
        draft.handle = handle;
        let verdict = match self.now(place, path, Some(view), Some(base))? {
            Some(Now::Done) => return Ok(None),
            Some(Now::Stands(verdict)) => verdict,
            None if !matters => Verdict::Clear,
            None => self.judge(place, path, Some(view), base)?,
        };
        Ok(Some(draft.judged(verdict)))
    }

    /// With where the branch's entry comes from.
    fn traced(
        mut draft: Draft,
        place: &Place<'_>,
        found: &Found,
        entry: &Entry<'_>,
    ) -> Result<Draft, Failure> {
        draft.base_moved_on = place.base_moved_on;
        if place.dir.is_in_overlay(found.origin) {
            let source = source_of(entry).map_err(|error| entry.failure(error))?;
            // Of several names for one file, only one is that of the original.
            let is_link = entry.meta.kind == NodeKind::File && entry.meta.nlink > 1;
            draft.source = match source {
                Source::Unknown if is_link => Source::None,
                source => source,
            };
        }
        Ok(draft)
    }

    fn content(&mut self, path: &RelPath, view: &Entry<'_>, base: &Entry<'_>) -> Result<Content, Failure> {
        let content = self.comparer.content(view, base)?;
        // What our own commit has put there is the branch's, if the branch has not been touched since.
        let is_ours = || self.knowledge.is_ours(path, &base.meta) && view.meta.ctime < base.meta.ctime;
        Ok(match content {
            Content::Unreadable if is_ours() => Content::Same,
            content => content,
        })
    }

    fn judge(
        &self,
        place: &Place<'_>,
        path: &RelPath,
        view: Option<&Entry<'_>>,
        base: &Entry<'_>,
    ) -> Result<Verdict, Failure> {
        let is_copied = self
            .knowledge
            .copied
            .as_ref()
            .is_some_and(|index| index.contains(path));
        let witness = if is_copied || has_witness(place, view, base)? {
            Witness::Existed
        } else {
            Witness::Silent
        };
        let verdict = conflict::judge(self.knowledge, path, base, witness)?;
        let is_gone = view.is_none_or(|view| view.meta.kind != base.meta.kind);
        Ok(match verdict {
            Verdict::Newer(_) if is_gone && conflict::is_only_its_entries(&base.meta) => Verdict::Old,
            verdict => verdict,
        })
    }
}

/// Whether the layers say that there was something in the base: a whiteout, or a note on what was copied up.
fn has_witness(place: &Place<'_>, view: Option<&Entry<'_>>, base: &Entry<'_>) -> Result<bool, Failure> {
    let Some(view) = view else {
        let side = Side::Branch;
        let mentioned = place.dir.is_mentioned(base.name);
        return mentioned.map_err(|source| Failure { side, source });
    };
    let source = source_of(view).map_err(|error| view.failure(error))?;
    Ok(!view.is_in_copy() && source != Source::None)
}
