//! Which of several entries are the same, and in what they differ.

use std::fs::File;
use std::io::{self, Read};

use sandbox_types::NodeKind;

use super::MergeError;
use super::views::{Located, Views};
use crate::branch::copy::Attributes;

/// One number for each entry: those that are the same have the same. 0 is the ancestor's.
pub(super) type Classes = Vec<usize>;

/// Whose to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pick {
    /// The ancestor's: nobody has changed it.
    Ancestor,
    /// That of the entry with this index, the only one that has changed it, or the first of several alike.
    Entry(usize),
    /// Nobody's: there are several.
    Conflict,
}

impl Pick {
    pub(super) fn of(classes: &[usize]) -> Self {
        let mut changed = classes.iter().enumerate().filter(|(_, class)| **class != 0);
        let Some((first, class)) = changed.next() else {
            return Self::Ancestor;
        };
        if changed.all(|(_, other)| other == class) {
            Self::Entry(first)
        } else {
            Self::Conflict
        }
    }
}

/// The classes of entries of one kind, part by part.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) content: Classes,
    pub(super) mode: Classes,
    pub(super) owner: Classes,
    pub(super) xattrs: Classes,
}

impl Parts {
    /// Of `entries`, all of the same kind, and of their ancestor where it is of that kind too.
    pub(super) fn of(
        views: &Views<'_>,
        ancestor: Option<&Located>,
        entries: &[&Located],
    ) -> Result<Self, MergeError> {
        let attributes = |entry: &&Located| views.attributes(entry);
        let before = ancestor.as_ref().map(attributes).transpose()?;
        let now = entries.iter().map(attributes).collect::<Result<Vec<_>, _>>()?;
        let by = |is_same: &dyn Fn(&Attributes, &Attributes) -> bool| {
            classes(before.as_ref(), &now, |a, b| Ok(is_same(a, b)))
        };
        let listed: Vec<Located> = entries.iter().map(|entry| (*entry).clone()).collect();
        Ok(Self {
            content: classes(ancestor, &listed, |a, b| is_same_content(views, a, b))?,
            mode: by(&|a, b| a.mode == b.mode)?,
            owner: by(&|a, b| (a.uid, a.gid) == (b.uid, b.gid))?,
            xattrs: by(&|a, b| a.xattrs == b.xattrs)?,
        })
    }

    /// Whether the entry with this index is as the ancestor is.
    pub(super) fn is_unchanged(&self, index: usize) -> bool {
        self.key(index).is_some_and(|key| key == [0; 4])
    }

    /// Whether both entries are the same.
    pub(super) fn is_same(&self, one: usize, other: usize) -> bool {
        self.key(one) == self.key(other)
    }

    fn key(&self, index: usize) -> Option<[usize; 4]> {
        Some([
            *self.content.get(index)?,
            *self.mode.get(index)?,
            *self.owner.get(index)?,
            *self.xattrs.get(index)?,
        ])
    }
}

fn classes<T>(
    ancestor: Option<&T>,
    entries: &[T],
    is_same: impl Fn(&T, &T) -> Result<bool, MergeError>,
) -> Result<Classes, MergeError> {
    let mut classes = Vec::with_capacity(entries.len());
    let mut known: Vec<(&T, usize)> = ancestor.map(|ancestor| (ancestor, 0)).into_iter().collect();
    for (index, entry) in entries.iter().enumerate() {
        let mut class = None;
        for (other, number) in &known {
            if is_same(other, entry)? {
                class = Some(*number);
                break;
            }
        }
        let class = class.unwrap_or_else(|| {
            known.push((entry, index + 1));
            index + 1
        });
        classes.push(class);
    }
    Ok(classes)
}

/// Whether both, of one kind, hold the same: bytes, target, device numbers.
fn is_same_content(views: &Views<'_>, a: &Located, b: &Located) -> Result<bool, MergeError> {
    if a.is_same_inode(b) {
        return Ok(true);
    }
    match a.meta.kind {
        NodeKind::File if a.meta.size == b.meta.size => {
            let (mut left, mut right) = (views.open(a)?, views.open(b)?);
            is_same_bytes(&mut left, &mut right).map_err(|source| MergeError::Read {
                path: a.path.clone(),
                branch: None,
                source,
            })
        }
        NodeKind::File => Ok(false),
        NodeKind::Symlink => Ok(views.target(a)? == views.target(b)?),
        NodeKind::CharDevice | NodeKind::BlockDevice => Ok(a.meta.rdev == b.meta.rdev),
        NodeKind::Directory | NodeKind::Fifo | NodeKind::Socket => Ok(true),
    }
}

fn is_same_bytes(left: &mut File, right: &mut File) -> io::Result<bool> {
    const STRETCH: u64 = 128 << 10;
    let [mut a, mut b] = [const { Vec::new() }; 2];
    loop {
        a.clear();
        b.clear();
        left.take(STRETCH).read_to_end(&mut a)?;
        right.take(STRETCH).read_to_end(&mut b)?;
        if a != b {
            return Ok(false);
        }
        if a.is_empty() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_side_changed_is_picked_and_what_several_changed_alike_once() {
        for (classes, pick) in [
            (&[0, 0][..], Pick::Ancestor),
            (&[], Pick::Ancestor),
            (&[0, 2], Pick::Entry(1)),
            (&[1, 0], Pick::Entry(0)),
            (&[0, 2, 2], Pick::Entry(1)),
            (&[1, 2], Pick::Conflict),
            (&[1, 0, 3], Pick::Conflict),
        ] {
            assert_eq!(Pick::of(classes), pick, "{classes:?}");
        }
    }
}
