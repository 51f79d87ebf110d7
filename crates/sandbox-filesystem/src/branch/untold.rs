//! What has become of a commit, from its last step until its branch was told.
//!
//! A branch knows what its commits have left in the base: that is no conflict for the next one. Who is killed after the base has
//! changed and before that was written down leaves a mark, which whoever commits, undoes or recovers next finds.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::error::BranchError;

/// What somebody was about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// To commit, or to bring to an end what was interrupted.
    Commit,
    /// To undo. Where the commit is done still, nothing has happened.
    Undo,
}

/// A mark in the directory of a commit.
#[derive(Debug)]
#[must_use = "the mark stays until it is told"]
pub(crate) struct Untold(PathBuf);

impl Untold {
    /// From now on something may become of the commit recorded in `commit`.
    pub(crate) fn mark(commit: &Path, deed: Deed) -> Result<Self, BranchError> {
        let mark = path_in(commit);
        let make = || {
            let mut file = File::create(&mark)?;
            file.write_all(deed.word())?;
            File::open(commit)?.sync_all()
        };
        make().map_err(BranchError::io("make", &mark))?;
        Ok(Self(mark))
    }

    /// The mark of somebody else, if there is one.
    pub(crate) fn find(commit: &Path) -> Option<(Self, Deed)> {
        let mark = path_in(commit);
        let word = fs::read(&mark).ok()?;
        let is_undo = word == Deed::Undo.word();
        Some((Self(mark), if is_undo { Deed::Undo } else { Deed::Commit }))
    }

    /// It was told.
    pub(crate) fn told(self) {
        match fs::remove_file(&self.0) {
            // A commit that came to nothing is gone as a whole.
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                // Told once more, it is the same.
                tracing::debug!(path = %self.0.display(), %error, "not removed");
            }
            _ => {}
        }
    }
}

impl Deed {
    fn word(self) -> &'static [u8] {
        match self {
            Self::Commit => b"commit",
            Self::Undo => b"undo",
        }
    }
}

fn path_in(commit: &Path) -> PathBuf {
    commit.join("untold")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::super::apply;
    use super::super::commit::CommitOptions;
    use super::super::create::CreateOptions;
    use super::super::handle::Branch;
    use super::super::history::CommitId;
    use super::super::manifest::Mode;
    use super::super::place::Storage;
    use super::super::workspace::Workspace;
    use super::*;
    use crate::branch::ModeChoice;

    /// A workspace of one file, and a branch that has changed it.
    fn scene(place: &Path) -> Branch {
        let base = place.join("base");
        fs::create_dir(&base).unwrap();
        fs::write(base.join("a"), "old\n").unwrap();
        wait_for_the_next_tick(place, &base.join("a"));
        let workspace = Workspace::open_in(&base, &Storage::At(place.join("state"))).unwrap();
        let options = CreateOptions {
            mode: ModeChoice::Only(Mode::Copy),
            ..CreateOptions::default()
        };
        let branch = workspace.create(&"x".parse().unwrap(), &options).unwrap();
        fs::write(branch.working_copy().unwrap().join("a"), "new\n").unwrap();
        branch
    }

    /// What is written within one tick of the kernel's clock before a branch is made could have been written after.
    fn wait_for_the_next_tick(place: &Path, written: &Path) {
        let changed = |path: &Path| {
            path.metadata()
                .map(|meta| (meta.ctime(), meta.ctime_nsec()))
                .unwrap()
        };
        let probe = place.join("probe");
        loop {
            fs::write(&probe, "").unwrap();
            if changed(&probe) > changed(written) {
                return;
            }
        }
    }

    fn commit(branch: &Branch) -> CommitId {
        branch.commit(&CommitOptions::default()).unwrap().id
    }

    fn has_conflict(branch: &Branch) -> bool {
        let set = branch.diff().unwrap();
        set.changes.iter().any(|change| change.conflict.is_some())
    }

    fn directory(branch: &Branch, id: CommitId) -> PathBuf {
        branch.workspace().places().commits().join(id.to_string())
    }

    #[test]
    fn an_undo_that_was_killed_after_its_last_step_is_no_conflict_for_the_next_commit() {
        let place = tempfile::tempdir().unwrap();
        let branch = scene(place.path());
        let directory = directory(&branch, commit(&branch));
        let _untold = Untold::mark(&directory, Deed::Undo).unwrap();
        apply::undo(&directory, &mut |_| {}).unwrap();
        assert!(has_conflict(&branch), "nobody has told it");
        commit(&branch);
        assert_eq!(fs::read(place.path().join("base/a")).unwrap(), b"new\n");
        assert!(Untold::find(&directory).is_none());
    }

    #[test]
    fn what_others_have_written_after_a_killed_undo_stays_a_conflict() {
        let place = tempfile::tempdir().unwrap();
        let branch = scene(place.path());
        let directory = directory(&branch, commit(&branch));
        let _untold = Untold::mark(&directory, Deed::Undo).unwrap();
        apply::undo(&directory, &mut |_| {}).unwrap();
        fs::write(place.path().join("base/a"), "theirs\n").unwrap();
        branch.commit(&CommitOptions::default()).unwrap_err();
        assert!(has_conflict(&branch));
        assert_eq!(fs::read(place.path().join("base/a")).unwrap(), b"theirs\n");
    }

    #[test]
    fn an_undo_that_was_refused_or_had_not_begun_leaves_no_mark() {
        let place = tempfile::tempdir().unwrap();
        let branch = scene(place.path());
        let id = commit(&branch);
        let directory = directory(&branch, id);
        fs::write(place.path().join("base/a"), "theirs\n").unwrap();
        branch.workspace().undo(id, &mut |_| {}).unwrap_err();
        assert!(Untold::find(&directory).is_none());
        let _untold = Untold::mark(&directory, Deed::Undo).unwrap();
        branch.workspace().tell_all().unwrap();
        assert!(Untold::find(&directory).is_none());
        assert!(has_conflict(&branch), "others have written it");
    }
}
