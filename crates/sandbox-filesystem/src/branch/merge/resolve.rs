//! What to do about one change of a branch where the base has changed too, at commit.
//!
//! A merge of texts needs the text that both started from: a snapshot of the base has it, or what was kept of it at the
//! end of a run (see `kept`). git cannot prove it: its index says which blob a file had when git last looked, and it
//! knows that by the file's ctime, which is overwritten by the very change that is the conflict; whether the file was
//! still that blob when the branch was created can then not be found out. A wrong ancestor silently drops or repeats
//! lines, so without one that is known no text is merged. A file that both sides have added has none: there every line
//! that differs is marked.

use std::io::{self, Read};
use std::os::fd::AsFd;

use sandbox_types::{
    BaseChange, BranchName, Change, ChangeKind, ConflictPolicy, NodeKind, RelPath, Unsettled,
};

use super::structure::copy_name;
use super::text::{self, Merged};
use crate::branch::beneath::Root;
use crate::branch::copy::Attributes;
use crate::branch::node::Meta;
use crate::branch::stack::Stack;
use crate::branch::walk::Walk;
use crate::branch::xattr::Reading;

/// Where the text is that both started from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ancestry<'a> {
    /// The stack's base is as it was when the branch was created.
    Snapshot,
    /// The stack's base is as it is now; of some files it is kept what they were, as the base of this.
    Kept(&'a Stack),
    /// The stack's base is as it is now.
    Unknown,
}

/// A change to which the base stands in the way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conflicting<'a> {
    pub(crate) change: &'a Change,
    pub(crate) branch: &'a BranchName,
    pub(crate) stack: &'a Stack,
    pub(crate) ancestry: Ancestry<'a>,
    /// The base as it is now.
    pub(crate) live: &'a Root,
}

/// What a commit does about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// The base stays as it is there.
    Skip,
    /// The change is applied as if there were no conflict.
    Take,
    /// The branch's entry is added under this name, where nothing is; the base stays as it is at the change's
    /// path, and at the one it was renamed from.
    TakeAs(RelPath),
    /// The change is applied, but what is written is this.
    Text {
        text: Vec<u8>,
        attributes: Attributes,
        merged: Merged,
    },
    /// It cannot be settled as asked: nothing may be written at all.
    Unsettled(Unsettled),
}

/// Decides about one change.
pub(crate) fn resolve(conflicting: &Conflicting<'_>, policy: ConflictPolicy) -> io::Result<Resolution> {
    match policy {
        ConflictPolicy::Ours => Ok(Resolution::Take),
        ConflictPolicy::Theirs => Ok(Resolution::Skip),
        ConflictPolicy::Both => conflicting.keep_both(),
        ConflictPolicy::Text => conflicting.merge_text(),
        _ => Ok(Resolution::Unsettled(Unsettled::Policy)),
    }
}

/// A file, wherever it is.
struct Version {
    text: Vec<u8>,
    attributes: Attributes,
}

/// A version, or why there is none that could be merged.
type Found = Result<Version, Unsettled>;

impl Conflicting<'_> {
    fn keep_both(&self) -> io::Result<Resolution> {
        let Change {
            path, node, change, ..
        } = self.change;
        let live = self.live.meta(path)?;
        Ok(match (change, live) {
            (ChangeKind::Deleted, _) => Resolution::Skip,
            (ChangeKind::Renamed { .. }, None) => Resolution::TakeAs(path.clone()),
            (_, None) => Resolution::Take,
            // What is in it is decided about by itself; of its own it has only attributes.
            (_, Some(live)) if *node == NodeKind::Directory && live.is_dir() => Resolution::Skip,
            (_, Some(_)) if *node == NodeKind::Directory => Resolution::Unsettled(Unsettled::NotFiles),
            (_, Some(_)) => Resolution::TakeAs(self.copy_name()?),
        })
    }

    fn copy_name(&self) -> io::Result<RelPath> {
        let walk = Walk::new(self.stack);
        copy_name(&self.change.path, self.branch.as_str(), |candidate| {
            Ok(self.live.meta(candidate)?.is_none() && walk.find(candidate)?.is_none())
        })
    }

    fn merge_text(&self) -> io::Result<Resolution> {
        let result = self.versions()?.and_then(|[ancestor, ours, theirs]| {
            let attributes = three_way(&ancestor.attributes, &ours.attributes, &theirs.attributes)
                .ok_or(Unsettled::Attributes)?;
            let versions = vec![
                (self.branch.to_string(), ours.text),
                ("base".to_owned(), theirs.text),
            ];
            let (text, merged) = text::merge(&ancestor.text, versions)?;
            Ok(Resolution::Text {
                text,
                attributes,
                merged,
            })
        });
        Ok(result.unwrap_or_else(Resolution::Unsettled))
    }

    /// The ancestor's, the branch's and the base's.
    fn versions(&self) -> io::Result<Result<[Version; 3], Unsettled>> {
        let Change {
            path,
            node,
            change,
            conflict,
            ..
        } = self.change;
        let before = match change {
            _ if *node != NodeKind::File => return Ok(Err(Unsettled::NotFiles)),
            ChangeKind::Added | ChangeKind::Modified { .. } => path,
            // Under its new name it must be alone.
            ChangeKind::Renamed { from, .. } if self.live.meta(path)?.is_none() => from,
            _ => return Ok(Err(Unsettled::NotFiles)),
        };
        let walk = Walk::new(self.stack);
        let ours = match branch_version(&walk, path)? {
            Ok(ours) => ours,
            Err(why) => return Ok(Err(why)),
        };
        let theirs = match live_version(self.live, before)? {
            Ok(theirs) => theirs,
            Err(why) => return Ok(Err(why)),
        };
        let known = match self.ancestry {
            Ancestry::Snapshot => Some(version_in_base(&walk, before)?),
            Ancestry::Kept(kept) => version_in_base(&Walk::new(kept), before)?.map(Some),
            Ancestry::Unknown => None,
        };
        let ancestor = match known {
            Some(Some(found)) => found,
            None if *conflict != Some(BaseChange::Appeared) => Err(Unsettled::NoAncestor),
            // Nothing was there. Should that be wrong, every line is between markers, and none is lost.
            _ => Ok(Version {
                text: Vec::new(),
                attributes: theirs.attributes.clone(),
            }),
        };
        Ok(ancestor.map(|ancestor| [ancestor, ours, theirs]))
    }
}

fn branch_version(walk: &Walk<'_>, path: &RelPath) -> io::Result<Found> {
    let Some(found) = walk.find(path)? else {
        return Ok(Err(Unsettled::NotFiles));
    };
    version(
        &found.meta,
        || walk.open(path, found.origin),
        || walk.attributes(path, &found),
    )
}

/// None where the stack's base has nothing.
fn version_in_base(walk: &Walk<'_>, path: &RelPath) -> io::Result<Option<Found>> {
    let Some(found) = walk.base(path)? else {
        return Ok(None);
    };
    version(
        &found.meta,
        || walk.open(path, found.origin),
        || walk.attributes(path, &found),
    )
    .map(Some)
}

fn live_version(live: &Root, path: &RelPath) -> io::Result<Found> {
    let Some(meta) = live.meta(path)? else {
        return Ok(Err(Unsettled::NotFiles));
    };
    version(
        &meta,
        || live.file(path),
        || Attributes::read(live.place(path)?.node()?.as_fd(), &meta, Reading::Exact),
    )
}

fn version(
    meta: &Meta,
    open: impl FnOnce() -> io::Result<std::fs::File>,
    attributes: impl FnOnce() -> io::Result<Attributes>,
) -> io::Result<Found> {
    if meta.kind != NodeKind::File {
        return Ok(Err(Unsettled::NotFiles));
    }
    let mut text = Vec::new();
    let length = open()?.take(text::LIMIT + 1).read_to_end(&mut text)?;
    if u64::try_from(length).is_ok_and(|length| length > text::LIMIT) {
        return Ok(Err(Unsettled::TooLong));
    }
    Ok(Ok(Version {
        text,
        attributes: attributes()?,
    }))
}

/// Each attribute from whom alone has changed it; none where both have. The text is new, and so is its time.
fn three_way(ancestor: &Attributes, ours: &Attributes, theirs: &Attributes) -> Option<Attributes> {
    let owner = |attributes: &Attributes| (attributes.uid, attributes.gid);
    let owner = pick(&owner(ancestor), &owner(ours), &owner(theirs)).copied();
    let (uid, gid) = owner?;
    Some(Attributes {
        mode: *pick(&ancestor.mode, &ours.mode, &theirs.mode)?,
        uid,
        gid,
        mtime: None,
        xattrs: pick(&ancestor.xattrs, &ours.xattrs, &theirs.xattrs)?.clone(),
    })
}

fn pick<'v, T: PartialEq>(ancestor: &T, ours: &'v T, theirs: &'v T) -> Option<&'v T> {
    if ours == theirs || theirs == ancestor {
        Some(ours)
    } else if ours == ancestor {
        Some(theirs)
    } else {
        None
    }
}
