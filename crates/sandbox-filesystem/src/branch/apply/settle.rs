//! Directories, before and after everything else.
//!
//! A directory's own mode may forbid what is to be done in it, and what is done in it changes its time. So those
//! that the plan makes, changes or removes are opened to their owner first, and all get what they should have
//! at the end. A directory that the plan does not name is never opened: its mode is respected.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Access, AtFlags};
use rustix::io::Errno;
use sandbox_types::RelPath;

use super::super::copy::{set_mode, set_mtime};
use super::super::node::{Meta, Timestamp};
use super::crash::crash_point;
use super::engine::{Engine, Side};
use super::error::StepError;
use super::journal::Left;
use super::occupant::{Occupant, place};
use super::plan::{After, Note, Noted, Step, find};

impl Engine<'_> {
    /// Lets the owner into the directories of the plan that something will be done in.
    pub(super) fn open_directories(&mut self) -> Result<(), StepError> {
        let parents: BTreeSet<_> = self
            .known
            .steps
            .iter()
            .filter_map(|step| step.path.parent())
            .collect();
        for (index, step) in self.known.steps.iter().enumerate() {
            // Those that are moved away are looked into.
            let is_moved = step.removes_directory() || step.makes_directory();
            let is_entered = step.alters_directory() && parents.contains(&step.path);
            if (is_moved || is_entered)
                && let Some((node, meta)) = self.directory(index, step)?
            {
                open_up(&node, &meta).map_err(|errno| StepError::io(&step.path)(errno.into()))?;
            }
        }
        crash_point("opened");
        Ok(())
    }

    /// Gives directories the attributes that they have on that side; on `Before` also their times.
    pub(super) fn settle(&mut self, side: Side) -> Result<(), StepError> {
        match side {
            Side::After => self.settle_after()?,
            Side::Before => self.settle_before()?,
        }
        crash_point("settled");
        Ok(())
    }

    fn settle_after(&mut self) -> Result<(), StepError> {
        let steps = self.known.steps;
        for (index, step) in steps.iter().enumerate().rev() {
            let (After::Directory { attributes } | After::Attributes { new: attributes, .. }) = &step.after
            else {
                continue;
            };
            let Some((node, _)) = self.directory(index, step)? else {
                continue;
            };
            let refused = attributes.put(node.as_fd()).map_err(StepError::io(&step.path))?;
            self.note_refused(step, refused);
            crash_point("settling");
        }
        Ok(())
    }

    fn settle_before(&mut self) -> Result<(), StepError> {
        let (steps, staged, undo) = (self.known.steps, self.known.staged, self.known.undo);
        for (path, before) in staged.head.directories.iter().rev() {
            let step = find(steps, path).and_then(|index| Some((index, steps.get(index)?)));
            let found = match step {
                Some((index, step)) => self.directory(index, step)?,
                None => self.unnamed_directory(path)?,
            };
            let Some((node, now)) = found else { continue };
            if let Some((_, step)) = step
                && let After::Attributes { old, .. } = &step.after
            {
                let refused = old.put(node.as_fd()).map_err(StepError::io(path))?;
                self.note_refused(step, refused);
            } else if now.mode != before.mode {
                set_mode(node.as_fd(), before.mode).map_err(StepError::io(path))?;
            }
            if !undo.keep_times.contains(path) {
                self.set_time(path, &node, before.mtime)?;
            }
            crash_point("settling");
        }
        Ok(())
    }

    /// Gives directories the times that a commit had left.
    pub(super) fn restore_times(&mut self, left: &Left) -> Result<(), StepError> {
        for (path, meta) in left.head.directories.iter().rev() {
            if !self.known.undo.keep_times.contains(path)
                && let Some((node, _)) = self.unnamed_directory(path)?
            {
                self.set_time(path, &node, meta.mtime)?;
            }
        }
        Ok(())
    }

    fn set_time(&mut self, path: &RelPath, node: &OwnedFd, mtime: Timestamp) -> Result<(), StepError> {
        let now = Meta::of(node).map_err(StepError::io(path))?;
        if now.mtime == mtime {
            return Ok(());
        }
        match set_mtime(node.as_fd(), mtime) {
            // A directory of somebody else's, that we may only write to.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::PERM) => {
                self.notes.push(Note {
                    path: path.clone(),
                    what: Noted::TimeNotRestored,
                });
                Ok(())
            }
            result => result.map_err(StepError::io(path)),
        }
    }

    /// The directory of a step, if there is one that belongs to it.
    fn directory(&self, index: usize, step: &Step) -> Result<Option<(OwnedFd, Meta)>, StepError> {
        let failed = || StepError::io(&step.path);
        let Some(place) = place(self.base, step).map_err(failed())? else {
            return Ok(None);
        };
        let Some(meta) = place.meta().map_err(failed())?.filter(Meta::is_dir) else {
            return Ok(None);
        };
        match self.known.versions(index, step).of(Some(&meta)) {
            Occupant::Old | Occupant::New => Ok(Some((place.node().map_err(failed())?, meta))),
            Occupant::Nothing | Occupant::Other(_) => Ok(None),
        }
    }

    /// The directory at `path`, which no step need name.
    fn unnamed_directory(&self, path: &RelPath) -> Result<Option<(OwnedFd, Meta)>, StepError> {
        let failed = || StepError::io(path);
        let node = match self.base.dir(path) {
            Ok(node) => node,
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
                _ => return Err(failed()(error)),
            },
        };
        let meta = Meta::of(&node).map_err(failed())?;
        Ok(Some((node, meta)))
    }
}

/// Gives the owner of a directory every permission, if they are needed.
fn open_up(node: &OwnedFd, meta: &Meta) -> Result<(), Errno> {
    let everything = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    match rustix::fs::accessat(node, ".", everything, AtFlags::EACCESS) {
        Err(Errno::ACCESS) => set_mode(node.as_fd(), meta.mode | 0o700)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO)),
        result => result,
    }
}
