//! A directory of all the trees that are compared, held open.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use sandbox_types::RelPath;

use super::super::base::BaseKnowledge;
use super::super::node::Meta;
use super::super::stack::{Dir, Found, Origin, Stack, access, names};
use super::super::xattr::Reading;
use super::DiffError;
use super::entry::{Entry, Failure, Side};
use super::origin::{Source, is_noted, source_in};

/// A directory of the branch, of its base and of the base as it is now: of those that have it.
#[derive(Debug)]
pub(super) struct Place<'s> {
    pub(super) dir: Dir<'s>,
    live: Option<OwnedFd>,
    /// Whether nothing above it has been moved since a whole copy was made.
    pub(super) is_settled: bool,
    /// Whether others have added, removed or renamed something in the base's directory.
    pub(super) base_moved_on: bool,
    /// Whether anybody has.
    base_is_newer: bool,
    /// Whether the base's directory, or one above it, may have been another when the branch was created: to put one
    /// in the place of another changes nothing of what is in it.
    pub(super) is_doubtful: bool,
    /// The same of the base as it is now.
    pub(super) is_live_doubtful: bool,
}

impl<'s> Place<'s> {
    pub(super) fn root(stack: &'s Stack, knowledge: &BaseKnowledge) -> Result<Self, DiffError> {
        let failure = |side, source| Failure { side, source }.at(RelPath::root());
        let dir = stack.root().map_err(|error| failure(Side::Branch, error))?;
        let live = knowledge.live.as_deref().map(access::open_root).transpose();
        let mut place = Self {
            dir,
            live: live.map_err(|error| failure(Side::Live, error))?,
            is_settled: true,
            base_moved_on: false,
            base_is_newer: false,
            is_doubtful: knowledge.is_replaced && knowledge.live.is_none(),
            is_live_doubtful: knowledge.is_replaced,
        };
        place.look_at_base(knowledge)?;
        Ok(place)
    }

    /// What is at `path`, step by step from the root; none where there is nothing.
    pub(super) fn find(
        stack: &'s Stack,
        knowledge: &BaseKnowledge,
        path: &RelPath,
    ) -> Result<Option<Self>, DiffError> {
        Self::root(stack, knowledge)?.descend(path, knowledge)
    }

    /// What is at `path`, which is beneath this directory; none where there is nothing.
    pub(super) fn descend(
        self,
        path: &RelPath,
        knowledge: &BaseKnowledge,
    ) -> Result<Option<Self>, DiffError> {
        let rest = path.within(self.dir.path()).unwrap_or(Path::new("")).to_owned();
        let mut place = self;
        for name in &rest {
            match place.enter(name, knowledge)? {
                Some(next) => place = next,
                None => return Ok(None),
            }
        }
        Ok(Some(place))
    }

    /// The directory `name`; none where no tree has it.
    pub(super) fn enter(&self, name: &OsStr, knowledge: &BaseKnowledge) -> Result<Option<Self>, DiffError> {
        let path = self.join(name)?;
        let live = self.enter_live(name).map_err(|error| error.at(path.clone()))?;
        let dir = match self.dir.enter(name) {
            Ok(Some(dir)) => dir,
            Ok(None) if live.is_some() => self.dir.nothing(path.clone()),
            Ok(None) => return Ok(None),
            Err(source) => {
                let is_base = self.dir.enter_base(name).is_err();
                let side = if is_base { Side::Base } else { Side::Branch };
                return Err(Failure { side, source }.at(path));
            }
        };
        let mut place = Self {
            dir,
            live,
            is_settled: self.is_settled && self.has_settled(name, knowledge)?,
            base_moved_on: false,
            base_is_newer: false,
            is_doubtful: self.is_doubtful,
            is_live_doubtful: self.is_live_doubtful,
        };
        place.look_at_base(knowledge)?;
        self.doubt(name, &mut place, knowledge)
            .map_err(|error| error.at(place.dir.path().clone()))?;
        if place.dir.holder(Origin::Base).is_err() {
            place.base_moved_on = self
                .was_copied_up(name)
                .map_err(|error| error.at(place.dir.path().clone()))?;
        }
        Ok(Some(place))
    }

    /// What can differ in it.
    pub(super) fn names(&self) -> Result<BTreeSet<OsString>, DiffError> {
        let mut all = self.dir.touched_names().map_err(|error| self.failure(error))?;
        if !self.dir.exists()
            && let Some(live) = &self.live
        {
            let live = names(live.as_fd()).map_err(|error| self.failure(error))?;
            all.extend(live.into_iter().filter(|name| !self.dir.is_excluded(name)));
        }
        Ok(all)
    }

    /// What `name` is in the merged view.
    pub(super) fn view<'a>(&'a self, name: &'a OsStr) -> Result<Option<Entry<'a>>, Failure> {
        let side = Side::Branch;
        let found = self.dir.view(name).map_err(|source| Failure { side, source })?;
        found.map(|found| self.entry(name, &found)).transpose()
    }

    /// What `name` is in the base, seen or not.
    pub(super) fn base<'a>(&'a self, name: &'a OsStr) -> Result<Option<Entry<'a>>, Failure> {
        let side = Side::Base;
        let found = self.dir.base(name).map_err(|source| Failure { side, source })?;
        found.map(|found| self.entry(name, &found)).transpose()
    }

    /// An entry as it was found.
    pub(super) fn entry<'a>(&'a self, name: &'a OsStr, found: &Found) -> Result<Entry<'a>, Failure> {
        let side = match found.origin {
            Origin::Layer(_) => Side::Branch,
            Origin::Base => Side::Base,
        };
        let holder = self.dir.holder(found.origin);
        let holder = holder.map_err(|source| Failure { side, source })?;
        let reading = self.dir.reading(found.origin);
        Ok(Entry::new(holder, name, found.meta, side, reading))
    }

    /// What `name` is in the base as it is now.
    pub(super) fn live<'a>(&'a self, name: &'a OsStr) -> Result<Option<Entry<'a>>, Failure> {
        let side = Side::Live;
        let Some(live) = &self.live else {
            return Ok(None);
        };
        let meta = Meta::at(live, name).map_err(|source| Failure { side, source })?;
        Ok(meta.map(|meta| Entry::new(live.as_fd(), name, meta, side, Reading::Exact)))
    }

    pub(super) fn join(&self, name: &OsStr) -> Result<RelPath, DiffError> {
        let path = self.dir.path().join(name);
        path.map_err(|error| self.failure(std::io::Error::other(error)))
    }

    fn failure(&self, source: std::io::Error) -> DiffError {
        let side = Side::Branch;
        Failure { side, source }.at(self.dir.path().clone())
    }

    fn enter_live(&self, name: &OsStr) -> Result<Option<OwnedFd>, Failure> {
        let Some(live) = &self.live else {
            return Ok(None);
        };
        match access::open_dir(live.as_fd(), name) {
            Ok(dir) => Ok(Some(dir)),
            Err(error) if is_no_directory(&error) => Ok(None),
            Err(source) => Err(Failure {
                side: Side::Live,
                source,
            }),
        }
    }

    /// Whether the directory `name` of a whole copy has not been moved there.
    fn has_settled(&self, name: &OsStr, knowledge: &BaseKnowledge) -> Result<bool, DiffError> {
        let Some(copied_at) = knowledge.copied_at else {
            return Ok(false);
        };
        let found = self.dir.view(name).map_err(|error| self.failure(error))?;
        Ok(found.is_some_and(|found| found.meta.ctime < copied_at))
    }

    /// Whether the directory `name` was in the base once, though it need not be any more.
    fn was_copied_up(&self, name: &OsStr) -> Result<bool, Failure> {
        let side = Side::Branch;
        let found = self.dir.view(name).map_err(|source| Failure { side, source })?;
        let Some(found) = found else {
            return Ok(false);
        };
        let source = source_in(&self.dir, &self.entry(name, &found)?, found.origin);
        Ok(source.map_err(|source| Failure { side, source })? != Source::None)
    }

    fn look_at_base(&mut self, knowledge: &BaseKnowledge) -> Result<(), DiffError> {
        let path = self.dir.path();
        let Ok(base) = self.dir.holder(Origin::Base) else {
            return Ok(());
        };
        let meta = Meta::of(base).map_err(|source| {
            let side = Side::Base;
            Failure { side, source }.at(path.clone())
        })?;
        self.base_is_newer = knowledge.is_newer(&meta);
        self.base_moved_on = self.base_is_newer && !knowledge.is_ours(path, &meta);
        Ok(())
    }

    /// Finds out whether the directory `name` may be another than when the branch was created. A rename sets the
    /// ctime of what is renamed and of the directory that holds it.
    fn doubt(&self, name: &OsStr, inner: &mut Self, knowledge: &BaseKnowledge) -> Result<(), Failure> {
        if let Some(live) = &inner.live {
            let meta = Meta::of(live).map_err(|source| Failure {
                side: Side::Live,
                source,
            })?;
            inner.is_live_doubtful |= knowledge.is_newer(&meta);
        }
        if inner.base_moved_on && self.base_is_newer && !inner.is_doubtful {
            inner.is_doubtful = match self.base(name)? {
                Some(base) => !self.is_original(inner.dir.path(), &base, knowledge)?,
                None => true,
            };
        }
        Ok(())
    }

    /// Whether it is known that `base` was at `path` when the branch was made, or first changed it.
    pub(super) fn is_original(
        &self,
        path: &RelPath,
        base: &Entry<'_>,
        knowledge: &BaseKnowledge,
    ) -> Result<bool, Failure> {
        let copied = knowledge.copied.as_ref();
        if copied.is_some_and(|index| index.was_copied_from(path, &base.meta)) {
            return Ok(true);
        }
        is_noted(&self.dir, base).map_err(|error| base.failure(error))
    }
}

fn is_no_directory(error: &std::io::Error) -> bool {
    let errno = error.raw_os_error();
    [Errno::NOENT, Errno::NOTDIR, Errno::LOOP]
        .iter()
        .any(|known| errno == Some(known.raw_os_error()))
}
