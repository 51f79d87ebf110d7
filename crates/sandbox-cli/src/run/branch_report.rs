//! What `--json` says of the branch.

use std::path::PathBuf;

use sandbox::branch::{Commit, CommitError, Meanwhile};
use sandbox::{BaseChange, BranchName, Change, ChangeCounts, ChangeSet, GitRef, Hold, RelPath};
use serde::Serialize;

/// Of a run on a branch.
#[derive(Debug, Serialize)]
pub(crate) struct BranchReport {
    pub(crate) name: BranchName,
    pub(crate) workspace: PathBuf,
    pub(crate) mode: &'static str,
    /// Made for this run.
    pub(crate) is_new: bool,
    /// The command has joined a sandbox that had it mounted already.
    pub(crate) is_joined: bool,
    pub(crate) end: What,
    /// The number of the commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) commit: Option<String>,
    /// What was committed, or is on the branch; none where nobody has looked.
    pub(crate) counts: Option<ChangeCounts>,
    /// Files that git ignores.
    pub(crate) ignored: u64,
    pub(crate) git: Vec<GitRef>,
    pub(crate) held: Vec<HeldPath>,
    pub(crate) conflicts: Vec<Conflict>,
    /// What others have changed in the workspace during the run; none where it cannot show, or nobody has looked.
    pub(crate) base_changed: Option<Meanwhile>,
    /// All changes, of a dry run: the branch is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) changes: Option<Vec<Change>>,
    /// What the reader of the changes should know.
    pub(crate) notes: Vec<String>,
    /// Why what was to be done at the end was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// What was done with it at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    Kept,
    Committed,
    Discarded,
    /// Others are using it.
    InUse,
}

#[derive(Debug, Serialize)]
pub(crate) struct HeldPath {
    path: RelPath,
    #[serde(flatten)]
    hold: Hold,
}

#[derive(Debug, Serialize)]
pub(crate) struct Conflict {
    path: RelPath,
    base: BaseChange,
}

impl BranchReport {
    /// What a change set says.
    pub(crate) fn describe(&mut self, set: &ChangeSet) {
        self.counts = Some(set.counts());
        self.ignored = set.ignored.iter().map(|ignored| ignored.files).sum();
        self.git.clone_from(&set.git);
        self.notes.clone_from(&set.notes);
        self.held = set.changes.iter().filter_map(held).collect();
        self.conflicts = set.changes.iter().filter_map(conflict).collect();
    }

    pub(crate) fn committed(&mut self, commit: &Commit) {
        self.end = What::Committed;
        self.commit = Some(commit.id.to_string());
        self.counts = Some(counts(&commit.changes));
        self.git.clone_from(&commit.git);
        self.notes.clone_from(&commit.notes);
    }

    pub(crate) fn refused(&mut self, error: &CommitError) {
        self.error = Some(error.to_string());
        match error {
            CommitError::Held { held } => {
                let held = held.iter().cloned();
                self.held = held.map(|(path, hold)| HeldPath { path, hold }).collect();
            }
            CommitError::Conflicts { conflicts, .. } => {
                let conflicts = conflicts.iter().cloned();
                self.conflicts = conflicts.map(|(path, base)| Conflict { path, base }).collect();
            }
            _ => {}
        }
    }
}

fn held(change: &Change) -> Option<HeldPath> {
    Some(HeldPath {
        path: change.path.clone(),
        hold: change.hold.clone()?,
    })
}

fn conflict(change: &Change) -> Option<Conflict> {
    Some(Conflict {
        path: change.path.clone(),
        base: change.conflict?,
    })
}

fn counts(changes: &[Change]) -> ChangeCounts {
    let of = |letter: char| {
        changes
            .iter()
            .filter(|change| change.change.letter() == letter)
            .count() as u64
    };
    ChangeCounts {
        added: of('A'),
        modified: of('M') + of('T'),
        deleted: of('D'),
        renamed: of('R'),
    }
}
