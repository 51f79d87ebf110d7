//! Listings of several directories as one.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::fs::{DirEntry, Fit, FsResult};

/// An entry of a merged listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::backend) struct Listed {
    pub(in crate::backend) name: OsString,
    /// The number that programs see.
    pub(in crate::backend) number: u64,
    /// As `d_type`.
    pub(in crate::backend) kind: u8,
    /// It is not merged with what is beneath.
    pub(in crate::backend) alone: bool,
}

/// Puts listings together, from the top.
#[derive(Debug, Default)]
pub(in crate::backend) struct Merge {
    /// Where each name is in `entries`, and which layer has said last what it is; without a place it is hidden.
    seen: HashMap<Box<[u8]>, Seen>,
    entries: Vec<Listed>,
    layer: usize,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    at: Option<usize>,
    layer: usize,
}

impl Merge {
    /// The next layer begins.
    pub(in crate::backend) fn next_layer(&mut self) {
        self.layer += 1;
    }

    /// The layer has this entry. A directory has the number of the topmost one that is no layer of its own making:
    /// `lends_number` says whether the one there already is to get this one's.
    pub(in crate::backend) fn add(&mut self, entry: Listed, lends_number: bool) {
        let layer = self.layer;
        match self.seen.get_mut(entry.name.as_bytes()) {
            None => {
                let at = Some(self.entries.len());
                self.seen.insert(entry.name.as_bytes().into(), Seen { at, layer });
                self.entries.push(entry);
            }
            // Hidden by this layer itself, which hides what is beneath alone.
            Some(seen) if seen.at.is_none() && seen.layer == layer => {
                seen.at = Some(self.entries.len());
                self.entries.push(entry);
            }
            Some(seen) => {
                if lends_number
                    && let Some(above) = seen.at.and_then(|at| self.entries.get_mut(at))
                    && (above.kind, entry.kind, above.alone) == (libc::DT_DIR, libc::DT_DIR, false)
                {
                    above.number = entry.number;
                }
            }
        }
    }

    /// The layer hides what is beneath this name.
    pub(in crate::backend) fn hide(&mut self, name: &[u8]) {
        let layer = self.layer;
        self.seen.entry(name.into()).or_insert(Seen { at: None, layer });
    }

    /// All of them, in the order in which they were seen.
    pub(in crate::backend) fn finish(self) -> Vec<Listed> {
        self.entries
    }
}

/// A listing as it was when it was begun.
#[derive(Debug, Default)]
pub(in crate::backend) struct Snapshot(Vec<Listed>);

/// Where a listing is: 0 is before the first entry.
pub(in crate::backend) type Position = u64;

impl Snapshot {
    pub(in crate::backend) fn new(entries: Vec<Listed>) -> Self {
        Self(entries)
    }

    /// Hands over the entries from a position on, until there is no room.
    pub(in crate::backend) fn give(
        &self,
        from: Position,
        give: &mut dyn FnMut(DirEntry<'_>) -> FsResult<Fit>,
    ) -> FsResult<()> {
        let start = usize::try_from(from).unwrap_or(usize::MAX);
        for (entry, next) in self.0.iter().skip(start).zip(from.saturating_add(1)..) {
            let entry = DirEntry {
                ino: entry.number,
                next_offset: next,
                kind: entry.kind,
                name: &entry.name,
            };
            if give(entry)? == Fit::Full {
                return Ok(());
            }
        }
        Ok(())
    }
}

impl Listed {
    pub(in crate::backend) fn new(name: &[u8], number: u64, kind: u8) -> Self {
        Self {
            name: OsString::from_vec(name.to_vec()),
            number,
            kind,
            alone: false,
        }
    }

    /// "." and "..".
    pub(in crate::backend) fn is_dots(name: &OsStr) -> bool {
        matches!(name.as_bytes(), b"." | b"..")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: u8 = libc::DT_REG;
    const DIR: u8 = libc::DT_DIR;

    fn merged(layers: &[&[(&str, u64, u8)]]) -> Vec<(String, u64)> {
        let mut merge = Merge::default();
        for (number, layer) in layers.iter().enumerate() {
            for (name, ino, kind) in *layer {
                match name.strip_prefix('-') {
                    Some(hidden) => merge.hide(hidden.as_bytes()),
                    None => merge.add(Listed::new(name.as_bytes(), *ino, *kind), number == 1),
                }
            }
            merge.next_layer();
        }
        let entries = merge.finish();
        entries
            .into_iter()
            .map(|entry| (entry.name.into_string().unwrap(), entry.number))
            .collect()
    }

    #[test]
    fn each_name_is_given_once_and_the_upper_one_wins() {
        let listed = merged(&[&[("a", 1, FILE)], &[("a", 2, FILE), ("b", 3, FILE)]]);
        assert_eq!(listed, [("a".into(), 1), ("b".into(), 3)]);
    }

    #[test]
    fn what_is_hidden_is_hidden_beneath_and_not_beside() {
        let listed = merged(&[
            &[("-a", 0, 0)],
            &[("a", 1, FILE), ("-b", 0, 0), ("b", 2, FILE)],
            &[("b", 3, FILE)],
        ]);
        assert_eq!(listed, [("b".into(), 2)]);
    }

    #[test]
    fn a_directory_has_the_number_of_the_one_beneath() {
        let listed = merged(&[&[("d", 1, DIR)], &[("d", 2, DIR)], &[("d", 3, DIR)]]);
        assert_eq!(listed, [("d".into(), 2)]);
    }

    #[test]
    fn a_listing_goes_on_where_it_was_full() {
        let snapshot = Snapshot::new((0..5).map(|number| Listed::new(b"x", number, FILE)).collect());
        let (mut at, mut given) = (0, Vec::new());
        while given.len() < 5 {
            let mut room = 2;
            snapshot
                .give(at, &mut |entry| {
                    if room == 0 {
                        return Ok(Fit::Full);
                    }
                    room -= 1;
                    given.push(entry.ino);
                    at = entry.next_offset;
                    Ok(Fit::Taken)
                })
                .unwrap();
        }
        assert_eq!(given, [0, 1, 2, 3, 4]);
        snapshot
            .give(u64::MAX, &mut |_| panic!("there is nothing"))
            .unwrap();
    }
}
