//! Giving up what undo needs: the base as it was, which nobody wants any more.

use std::ffi::OsStr;
use std::path::Path;

use super::super::remove::remove_tree;
use super::error::ApplyError;
use super::journal::{CommitStatus, Journal, journal_error};

/// What stays: that there was a commit, and that it is final.
const KEPT: [&str; 2] = ["commit.json", "state"];

/// Removes what the commit recorded in `commit` has kept of the base, which stays as it is; the commit cannot be undone
/// afterwards. One that was undone or rolled back keeps nothing, and one that was interrupted needs all of it: they are
/// left alone. Can be killed and be repeated.
pub(crate) fn give_up_undo(commit: &Path) -> Result<(), ApplyError> {
    let journal = Journal::open(commit)?;
    match journal.status()? {
        CommitStatus::Done => journal.record(CommitStatus::Final)?,
        CommitStatus::Final => {}
        _ => return Ok(()),
    }
    let failed = journal_error(commit);
    for entry in std::fs::read_dir(commit).map_err(&failed)? {
        let entry = entry.map_err(&failed)?;
        if KEPT.iter().any(|kept| entry.file_name() == OsStr::new(kept)) {
            continue;
        }
        let path = entry.path();
        let removed = match entry.file_type() {
            Ok(kind) if kind.is_dir() => remove_tree(&path),
            _ => std::fs::remove_file(&path),
        };
        removed.map_err(journal_error(&path))?;
    }
    Ok(())
}
