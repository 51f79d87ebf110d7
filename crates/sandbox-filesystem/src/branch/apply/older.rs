//! What older commits remember of the base, when this one has moved it without changing it.
//!
//! Undo wants to find a base as its commit has left it, ctimes included. Moving a file to a slot and back gives it
//! another ctime; so does another name for it; and what was saved by copying comes back as another inode. So
//! older commits that have left exactly what this one found are told what it is now. Then commits can be
//! undone one after the other.

use std::collections::BTreeMap;
use std::path::Path;

use sandbox_types::RelPath;

use super::super::node::Meta;
use super::error::ApplyError;
use super::journal::{CommitStatus, Journal, Left, Print, Undo};
use super::occupant::change;
use super::plan::find;
use super::session::Session;

/// An entry of the base that was moved: what it was, and what it is now.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) path: RelPath,
    pub(super) was: Meta,
    pub(super) is: Meta,
}

impl Moved {
    /// Whether an older commit has left it at `path`, where it remembers `meta`: a file may have several names, and what
    /// happens at one shows at all of them.
    fn is_at(&self, path: &RelPath, meta: &Meta) -> bool {
        let is_name = !meta.is_dir() && (meta.dev, meta.ino) == (self.was.dev, self.was.ino);
        (*path == self.path || is_name) && change(Some(meta), Some(&self.was)).is_none()
    }
}

/// At which steps each inode was left.
fn names_of(left: &[Option<Meta>]) -> BTreeMap<(u64, u64), Vec<usize>> {
    let mut names: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (index, meta) in left.iter().enumerate() {
        if let Some(meta) = meta {
            names.entry((meta.dev, meta.ino)).or_default().push(index);
        }
    }
    names
}

impl Left {
    /// The files that have got or lost a name since they were as `before` says.
    pub(super) fn linked_since<'a>(
        &self,
        before: impl Iterator<Item = (&'a RelPath, &'a Meta)>,
    ) -> Vec<Moved> {
        let moved = before.filter_map(|(path, was)| {
            let (_, is) = self.head.linked.iter().find(|(known, _)| known == path)?;
            let (path, was, is) = (path.clone(), *was, *is);
            Some(Moved { path, was, is })
        });
        moved.collect()
    }
}

impl Session {
    /// Tells older commits what is in the base again after this one was undone or rolled back.
    pub(super) fn tell_what_is_back(&self, status: CommitStatus) -> Result<(), ApplyError> {
        let Ok(staged) = self.journal.read_staged() else {
            return Ok(()); // it never came to touch the base
        };
        let now = self.left()?;
        let (undo, mut moved) = if status == CommitStatus::Undone {
            let linked = self.journal.read_left()?.head.linked;
            let linked = now.linked_since(linked.iter().map(|(path, meta)| (path, meta)));
            (self.journal.read_undo()?, linked)
        } else {
            (Undo::default(), now.linked_since(self.linked()))
        };
        let back = self.known(&staged, &undo).back(&now.steps);
        moved.extend(back.map(|(path, was, is)| Moved { path, was, is }));
        self.tell_older(&moved);
        Ok(())
    }

    /// Tells older commits. It is no failure of this one where they cannot be told: they then see a conflict.
    pub(super) fn tell_older(&self, moved: &[Moved]) {
        let Some(commits) = self.journal.path().parent().filter(|_| !moved.is_empty()) else {
            return;
        };
        let tell = || -> Result<(), ApplyError> {
            let failed = super::journal::journal_error(commits);
            for entry in std::fs::read_dir(commits).map_err(&failed)? {
                let path = entry.map_err(&failed)?.path();
                if path != self.journal.path() && path.join("left.jsonl").exists() {
                    self.tell(&path, moved)?;
                }
            }
            Ok(())
        };
        if let Err(error) = tell() {
            tracing::warn!(%error, "older commits may not be undone");
        }
    }

    fn tell(&self, commit: &Path, moved: &[Moved]) -> Result<(), ApplyError> {
        let journal = Journal::open(commit)?;
        if journal.status()? != CommitStatus::Done {
            return Ok(());
        }
        let (head, steps) = journal.read_plan()?;
        if head.base != self.head.base {
            return Ok(());
        }
        let (mut staged, mut left) = (journal.read_staged()?, journal.read_left()?);
        let mut is_told = false;
        let names = names_of(&left.steps);
        for moved in moved {
            for (known, meta) in &mut left.head.linked {
                if moved.is_at(known, meta) {
                    *meta = moved.is;
                    is_told = true;
                }
            }
            let of_inode = names.get(&(moved.was.dev, moved.was.ino)).into_iter().flatten();
            for index in find(&steps, &moved.path).iter().chain(of_inode) {
                if let Some(step) = steps.get(*index)
                    && let Some(Some(meta)) = left.steps.get_mut(*index)
                    && moved.is_at(&step.path, meta)
                {
                    *meta = moved.is;
                    is_told = true;
                    if let Some(print) = staged.steps.get_mut(*index).and_then(|step| step.new.as_mut()) {
                        *print = Print::of(&moved.is);
                    }
                }
            }
        }
        if is_told {
            // A crash in between leaves a conflict, and this is done again.
            journal.write_staged(&staged)?;
            journal.write_left(&left)?;
        }
        Ok(())
    }
}
