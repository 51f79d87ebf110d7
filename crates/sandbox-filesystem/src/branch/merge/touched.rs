//! Every path that some side has touched, and who has what there.

use std::collections::{BTreeMap, BTreeSet};

use sandbox_types::{Change, ChangeKind, NodeKind, RelPath};

use super::renames::{self, Renames};
use super::views::{Located, View, Views};
use super::{Common, MergeError, Side};

/// A path, as those see it who may have changed it.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// What it was before: in the base, at this path or at the one it was renamed from.
    pub(super) ancestor: Option<Located>,
    /// Who may have changed it, in the order of the sides.
    pub(super) parties: Vec<Party>,
}

/// One side at one path.
#[derive(Debug)]
pub(super) struct Party {
    pub(super) side: usize,
    pub(super) state: State,
    /// Where it is changed, the ancestor is not known.
    pub(super) base: BaseIs,
}

#[derive(Debug)]
pub(super) enum State {
    /// Nothing is there.
    Gone,
    /// Nothing is there, because it is elsewhere.
    Elsewhere,
    /// This is there.
    Here(Located),
    /// This is there, and was elsewhere.
    Moved(Located),
}

/// Whether the base is as it was when the branch was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BaseIs {
    Unchanged,
    Changed,
}

impl State {
    pub(super) fn located(&self) -> Option<&Located> {
        match self {
            Self::Gone | Self::Elsewhere => None,
            Self::Here(located) | Self::Moved(located) => Some(located),
        }
    }
}

/// All of them.
pub(super) fn touched(
    views: &Views<'_>,
    base: &Common<'_>,
    sides: &[Side<'_>],
) -> Result<BTreeMap<RelPath, Touched>, MergeError> {
    let listed: Vec<Listed<'_>> = sides.iter().map(|side| Listed::of(side.changes)).collect();
    let common = Listed::of(base.changes);
    let mut table = BTreeMap::new();
    let lists = listed.iter().chain([&common]);
    let paths: BTreeSet<&RelPath> = lists.flat_map(|list| list.paths.keys().copied()).collect();
    for path in paths {
        let touched = at(views, path, &listed, &common)?;
        table.insert(path.clone(), touched);
    }
    let renames: Vec<_> = listed.into_iter().map(|list| list.renames).collect();
    renames::follow(&mut table, &renames);
    Ok(table)
}

/// The changes of a side, by path.
struct Listed<'a> {
    paths: BTreeMap<&'a RelPath, BaseIs>,
    renames: Renames<'a>,
}

impl<'a> Listed<'a> {
    fn of(changes: &'a [Change]) -> Self {
        let mut paths = BTreeMap::new();
        let mut renames = Renames::new();
        for change in changes {
            let base = match change.conflict {
                None => BaseIs::Unchanged,
                Some(_) => BaseIs::Changed,
            };
            paths.insert(&change.path, base);
            if let ChangeKind::Renamed { from, .. } = &change.change {
                paths.entry(from).or_insert(base);
                if change.node != NodeKind::Directory {
                    renames.insert(from, &change.path);
                }
            }
        }
        Self { paths, renames }
    }
}

fn at(
    views: &Views<'_>,
    path: &RelPath,
    listed: &[Listed<'_>],
    common: &Listed<'_>,
) -> Result<Touched, MergeError> {
    let ancestor = views.find(View::Base, path)?;
    let mut parties = Vec::new();
    for (side, list) in listed.iter().enumerate() {
        let known = list.paths.get(path);
        // What is common and not listed by a side has been made undone by it.
        if known.is_none() && !common.paths.contains_key(path) {
            continue;
        }
        let state = match views.find(View::Side(side), path)? {
            None if ancestor.is_none() => continue,
            None => State::Gone,
            Some(found) if ancestor.as_ref().is_some_and(|base| base.is_same_inode(&found)) => continue,
            Some(found) => State::Here(found),
        };
        parties.push(Party {
            side,
            state,
            base: known.copied().unwrap_or(BaseIs::Unchanged),
        });
    }
    Ok(Touched { ancestor, parties })
}
