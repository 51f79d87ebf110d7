//! Putting things on the disk: each for itself where there are few, else the whole file system at once.
//!
//! syncfs(2) also writes what others have written there, which may take long; a thousand fsync(2) take longer.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use rustix::io::Errno;
use sandbox_types::RelPath;

use super::super::beneath::Root;
use super::plan::Step;

/// How it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durable {
    /// Each file and directory for itself.
    Each,
    /// The file system as a whole, at the end.
    Whole,
}

/// Up to this many entries are synced each for itself.
const FEW: usize = 32;

impl Durable {
    pub(super) fn for_entries(count: usize) -> Self {
        if count <= FEW { Self::Each } else { Self::Whole }
    }

    /// When a file has been written.
    pub(super) fn file(self, file: &File) -> io::Result<()> {
        match self {
            Self::Each => file.sync_all(),
            Self::Whole => Ok(()),
        }
    }

    /// When everything in `directory` has been made.
    pub(super) fn directory(self, directory: impl AsFd) -> io::Result<()> {
        match self {
            Self::Each => rustix::fs::fsync(directory)?,
            Self::Whole => rustix::fs::syncfs(directory)?,
        }
        Ok(())
    }
}

/// Puts on the disk what steps have changed in the base.
pub(super) fn sync_base(base: &Root, steps: &[Step]) -> io::Result<()> {
    let parents: BTreeSet<_> = steps.iter().filter_map(|step| step.path.parent()).collect();
    if Durable::for_entries(steps.len()) == Durable::Each && sync_each(base, &parents, steps)? {
        return Ok(());
    }
    rustix::fs::syncfs(base)?;
    Ok(())
}

/// False where something cannot be opened to be synced.
fn sync_each(base: &Root, parents: &BTreeSet<RelPath>, steps: &[Step]) -> io::Result<bool> {
    let directories = steps
        .iter()
        .filter(|step| step.makes_directory() || step.alters_directory());
    for path in parents.iter().chain(directories.map(|step| &step.path)) {
        match base.list_dir(path) {
            Ok(dir) => rustix::fs::fsync(dir)?,
            // Gone with what was in it.
            Err(error) if is_gone(&error) => {}
            Err(_) => return Ok(false),
        }
    }
    for step in steps
        .iter()
        .filter(|step| step.is_in_place() && !step.alters_directory())
    {
        match base.file(&step.path) {
            Ok(file) => file.sync_all()?,
            Err(_) => return Ok(false),
        }
    }
    Ok(true)
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
    )
}
