//! Where one side has renamed a file, what the others have made of it is compared under its new name.

use std::collections::BTreeMap;

use sandbox_types::RelPath;

use super::touched::{Party, State, Touched};
use super::views::Located;

/// The files that a side has renamed: from, to.
pub(super) type Renames<'a> = BTreeMap<&'a RelPath, &'a RelPath>;

/// Brings the parties at the old names to the new ones. `renames` are those of each side.
pub(super) fn follow(table: &mut BTreeMap<RelPath, Touched>, renames: &[Renames<'_>]) {
    // Before anything is moved: another file may have been put where one was.
    let steps: Vec<_> = renames
        .iter()
        .enumerate()
        .flat_map(|(side, of_side)| of_side.iter().map(move |(from, to)| (side, *from, *to)))
        .filter_map(|(side, from, to)| {
            let old = can_follow(table, renames, side, from, to)?;
            Some((side, from, to, old))
        })
        .collect();
    for (side, from, to, old) in steps {
        let arriving = depart(table, renames, side, from, to);
        arrive(table, side, to, old, arriving);
    }
}

/// What was renamed, if it was a file, it is gone from its old place, and its new place was free and is nobody
/// else's: what another side has put there is no version of this file, and what it has made of the file stays with
/// the old name.
fn can_follow(
    table: &BTreeMap<RelPath, Touched>,
    renames: &[Renames<'_>],
    side: usize,
    from: &RelPath,
    to: &RelPath,
) -> Option<Located> {
    let (source, target) = (table.get(from)?, table.get(to)?);
    let old = source.ancestor.as_ref().filter(|old| !old.meta.is_dir())?;
    let is_gone = source
        .parties
        .iter()
        .any(|party| party.side == side && matches!(party.state, State::Gone));
    let has_arrived = target
        .parties
        .iter()
        .any(|party| party.side == side && matches!(party.state, State::Here(_)));
    let is_alike = |other: usize| renames.get(other).and_then(|of_side| of_side.get(from)) == Some(&to);
    let mut others = target.parties.iter().filter(|party| party.side != side);
    let is_free = target.ancestor.is_none() && others.all(|party| is_alike(party.side));
    (is_gone && has_arrived && is_free).then(|| old.clone())
}

/// The parties at `from` that belong to `to`, which `side` has made of it.
fn depart(
    table: &mut BTreeMap<RelPath, Touched>,
    renames: &[Renames<'_>],
    side: usize,
    from: &RelPath,
    to: &RelPath,
) -> Vec<Party> {
    let Some(source) = table.get_mut(from) else {
        return Vec::new();
    };
    let others = source.parties.iter_mut().filter(|party| party.side != side);
    others
        .filter_map(|party| {
            let renamed_to = renames.get(party.side).and_then(|of_side| of_side.get(from));
            let state = match renamed_to {
                Some(other) if *other == to => return None,
                Some(_) => State::Elsewhere,
                None => std::mem::replace(&mut party.state, State::Gone),
            };
            Some(Party {
                side: party.side,
                state,
                base: party.base,
            })
        })
        .collect()
}

fn arrive(
    table: &mut BTreeMap<RelPath, Touched>,
    side: usize,
    to: &RelPath,
    old: Located,
    arriving: Vec<Party>,
) {
    let Some(target) = table.get_mut(to) else {
        return;
    };
    target.ancestor = Some(old);
    for party in target.parties.iter_mut().filter(|party| party.side == side) {
        if let State::Here(located) = &party.state {
            party.state = State::Moved(located.clone());
        }
    }
    for party in arriving {
        // One that has renamed it alike has its say already.
        if target.parties.iter().all(|known| known.side != party.side) {
            target.parties.push(party);
        }
    }
    target.parties.sort_by_key(|party| party.side);
}
