//! Whether the base has changed at a path that the branch changes.
//!
//! What nobody but us has touched since the branch was created has an older ctime than the branch, which
//! cannot be forged; on every local file system of Linux a rename sets it too. A directory that was put in the place
//! of another brings along entries with old ones: where that can have happened, only what is known to be the entry
//! that the branch was made over counts as unchanged (see `Place::doubt`). What our own commit has left
//! there is no conflict, nor is what now holds the same as the branch.

use std::fs::File;
use std::io::{self, Read};

use sandbox_types::{Attribute, BaseChange, NodeKind, RelPath};

use super::super::base::BaseKnowledge;
use super::super::beneath::Root;
use super::super::node::Meta;
use super::super::stack::access;
use super::compare::{Comparer, Content};
use super::entry::{Entry, Failure};

/// What can be said of an entry of the base without knowing where the branch's comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Whatever happened to it, it is no conflict.
    Clear,
    /// It has not been changed since the branch was created.
    Old,
    /// It has.
    Newer(BaseChange),
}

impl Verdict {
    pub(super) fn conflict(self) -> Option<BaseChange> {
        match self {
            Self::Clear | Self::Old => None,
            Self::Newer(change) => Some(change),
        }
    }
}

/// What the branch says of an entry of the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Witness {
    /// It was there when the branch changed it.
    Existed,
    /// Nothing.
    Silent,
}

/// Of `base`, which the branch changes or deletes.
pub(super) fn judge(
    knowledge: &BaseKnowledge,
    path: &RelPath,
    base: &Entry<'_>,
    witness: Witness,
) -> Result<Verdict, Failure> {
    if knowledge.is_ours(path, &base.meta) {
        return Ok(Verdict::Clear);
    }
    if !knowledge.is_newer(&base.meta) {
        return Ok(Verdict::Old);
    }
    if witness == Witness::Existed || was_there(knowledge, path) {
        return Ok(Verdict::Newer(BaseChange::Modified));
    }
    // A file that was replaced, as editors do, is as new as one that was not there.
    let born = Meta::born(base.dir, base.name).map_err(|error| base.failure(error))?;
    let is_new = born.is_some_and(|born| born >= knowledge.birth);
    let change = if is_new {
        BaseChange::Appeared
    } else {
        BaseChange::Modified
    };
    Ok(Verdict::Newer(change))
}

/// Whether the base is known to have had something at `path` before it was changed.
fn was_there(knowledge: &BaseKnowledge, path: &RelPath) -> bool {
    let has_text = |texts: &Root| texts.meta(path).is_ok_and(|meta| meta.is_some());
    knowledge.ours.contains_key(path) || knowledge.texts.as_ref().is_some_and(has_text)
}

/// Whether `base` has the text, mode and owner that it is known to have had. What cannot be read has not.
pub(super) fn is_as_kept(knowledge: &BaseKnowledge, path: &RelPath, base: &Entry<'_>) -> bool {
    let Some(texts) = knowledge
        .texts
        .as_ref()
        .filter(|_| base.meta.kind == NodeKind::File)
    else {
        return false;
    };
    let alike = |kept: &Meta| {
        let of = |meta: &Meta| (meta.kind, meta.size, meta.mode, meta.uid, meta.gid);
        of(kept) == of(&base.meta)
    };
    let read = |file: File| {
        let mut text = Vec::new();
        file.take(base.meta.size).read_to_end(&mut text).map(|_| text)
    };
    let is_same = || -> io::Result<bool> {
        if !texts.meta(path)?.is_some_and(|kept| alike(&kept)) {
            return Ok(false);
        }
        let now = access::open_file(base.dir, base.name)?;
        Ok(read(texts.file(path)?)? == read(now)?)
    };
    is_same().unwrap_or(false)
}

/// Of a directory that the branch deletes: a change of what is in it is found there, and sets both its times.
pub(super) fn is_only_its_entries(base: &Meta) -> bool {
    base.kind == NodeKind::Directory && base.ctime == base.mtime
}

/// Whether what differs between the branch and a changed base is worth a conflict.
pub(super) fn matters(content: Content, attributes: &[Attribute]) -> bool {
    content != Content::Same || attributes.iter().any(|attribute| *attribute != Attribute::Time)
}

/// How the base as it is now differs from the copy that was frozen; `is_old` where it has not been changed since.
pub(super) fn moved_on(
    comparer: &mut Comparer,
    is_old: bool,
    frozen: Option<&Entry<'_>>,
    live: Option<&Entry<'_>>,
) -> Result<Option<BaseChange>, Failure> {
    let (frozen, live) = match (frozen, live) {
        (None, None) => return Ok(None),
        (None, Some(_)) => return Ok(Some(BaseChange::Appeared)),
        (Some(_), None) => return Ok(Some(BaseChange::Vanished)),
        (Some(frozen), Some(live)) => (frozen, live),
    };
    if is_old {
        return Ok(None);
    }
    if frozen.meta.kind != live.meta.kind {
        return Ok(Some(BaseChange::Replaced));
    }
    let content = comparer.content(live, frozen)?;
    let attributes = comparer.attributes(live, frozen)?;
    Ok(matters(content, &attributes).then_some(BaseChange::Modified))
}
