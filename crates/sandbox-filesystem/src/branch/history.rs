//! What was committed to a workspace: listed, undone, recovered.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sandbox_types::{BranchName, RelPath};
use serde::{Deserialize, Serialize};

use super::apply::{self, Applied, ApplyError, CommitStatus, Direction};
use super::base::Identity;
use super::commit::CommitError;
use super::error::BranchError;
use super::git::{self, GitError, RefMove, Undoing};
use super::handle::Branch;
use super::manifest::{self, Durability, FileError};
use super::progress::Progress;
use super::untold::{Deed, Untold};
use super::workspace::{Workspace, size_of_tree};

/// How many commits are named to somebody who has asked for one that is not there.
const LATEST: usize = 3;
/// An undo takes no side: it is done as a whole, or not.
const PUT_BACK: &str = "undo loses nothing of that: keep it elsewhere and put back there what the commit has left, or take back by hand what it has done";

/// The number of a commit: `c7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct CommitId(u64);

/// A text that is not the number of a commit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a commit: they are called c1, c2 and so on")]
pub struct InvalidCommitId(pub String);

impl FromStr for CommitId {
    type Err = InvalidCommitId;

    fn from_str(text: &str) -> Result<Self, InvalidCommitId> {
        let number = text.strip_prefix('c').and_then(|digits| digits.parse().ok());
        number.map(Self).ok_or_else(|| InvalidCommitId(text.to_owned()))
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

impl From<CommitId> for String {
    fn from(id: CommitId) -> Self {
        id.to_string()
    }
}

impl CommitId {
    /// Of a directory that was made for one.
    pub(crate) fn of(place: &Path) -> Self {
        let name = place.file_name().and_then(|name| name.to_str());
        name.and_then(|name| name.parse().ok()).unwrap_or(Self(0))
    }
}

/// `commit.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) version: u32,
    pub(crate) branch: BranchName,
    /// The layer it was made of: its branch may have another name by now, and another branch that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) layer: Option<String>,
    pub(crate) created: u64,
    pub(crate) changes: usize,
    /// Where the base stood in the way, and that was settled: what was there before is somebody else's, and stays so
    /// when it is back. Not known of commits that did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) settled: Option<BTreeSet<RelPath>>,
    /// Where texts were merged: what is there is not the branch's own, which it would write over what others have written.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) merged: BTreeSet<RelPath>,
    /// References that were moved, by repository.
    pub(crate) git: Vec<(PathBuf, Vec<RefMove>)>,
}

impl Record {
    pub(crate) fn store(&self, place: &Path, durability: Durability) -> Result<(), FileError> {
        manifest::store(&place.join("commit.json"), self, durability)
    }

    /// Whether what was at `path` before was what the branch knew to be there.
    pub(crate) fn was_known(&self, path: &RelPath) -> bool {
        self.settled
            .as_ref()
            .is_some_and(|settled| !settled.contains(path))
    }

    /// Whether that branch has made it.
    fn is_of(&self, branch: &Branch) -> bool {
        let layers = &branch.manifest().layers;
        self.branch == *branch.name() && self.layer.as_ref().is_none_or(|layer| layers.contains(layer))
    }

    /// What of what a commit has left in the base is the branch's.
    pub(crate) fn its_own(
        &self,
        left: &BTreeMap<RelPath, Option<Identity>>,
    ) -> BTreeMap<RelPath, Option<Identity>> {
        let own = left.iter().filter(|(path, _)| !self.merged.contains(path));
        own.map(|(path, identity)| (path.clone(), *identity)).collect()
    }

    /// Of its references, by repository: errors where one cannot be put back.
    fn undoings(&self) -> Result<Vec<Undoing>, GitError> {
        let repositories = self.git.iter();
        let undoings = repositories.map(|(repository, moves)| git::undoing(repository, moves));
        undoings.collect()
    }

    fn load(place: &Path) -> Result<Self, FileError> {
        manifest::load(&place.join("commit.json"))
    }
}

/// One commit.
#[derive(Debug, Clone, Serialize)]
pub struct CommitInfo {
    /// Its number.
    pub id: CommitId,
    /// The branch it came from, which may be gone.
    pub branch: BranchName,
    /// When it was made, in seconds since the epoch.
    pub created: u64,
    /// How many paths it has changed.
    pub changes: usize,
    /// Where it is in its life.
    pub status: CommitStatus,
}

impl CommitInfo {
    /// Whether it was interrupted, and waits for [`Workspace::recover`].
    pub fn is_interrupted(&self) -> bool {
        matches!(
            self.status,
            CommitStatus::Prepared | CommitStatus::Applying | CommitStatus::Undoing
        )
    }
}

impl Branch {
    /// What was committed from it, the oldest first: under this name, not what another branch has committed that was
    /// called the same.
    ///
    /// # Errors
    /// A journal cannot be read.
    pub fn commits(&self) -> Result<Vec<CommitInfo>, CommitError> {
        let workspace = self.workspace();
        let mut commits = workspace.commits()?;
        commits.retain(|commit| {
            let record = workspace.record(commit.id);
            record.is_ok_and(|record| record.is_of(self))
        });
        Ok(commits)
    }

    /// Its commits are those of the branch `name` from now on.
    pub(crate) fn rename_in_commits(&self, name: &BranchName) -> Result<(), BranchError> {
        let workspace = self.workspace();
        for id in workspace.commit_ids()? {
            let place = workspace.place_of(id);
            match Record::load(&place) {
                Ok(mut record) if record.is_of(self) => {
                    record.branch = name.clone();
                    record.store(&place, Durability::Machine)?;
                }
                Ok(_) => {}
                Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl Workspace {
    /// Every commit whose journal is there, the oldest first.
    ///
    /// # Errors
    /// A journal cannot be read.
    pub fn commits(&self) -> Result<Vec<CommitInfo>, CommitError> {
        let infos = self.commit_ids()?.into_iter().map(|id| self.commit_info(id));
        infos.filter_map(Result::transpose).collect()
    }

    fn commit_ids(&self) -> Result<Vec<CommitId>, BranchError> {
        let directory = self.places().commits();
        let entries = match std::fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            result => result.map_err(BranchError::io("read", &directory))?,
        };
        let mut ids: Vec<CommitId> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        ids.sort();
        Ok(ids)
    }

    /// One commit; none where it never came to anything.
    fn commit_info(&self, id: CommitId) -> Result<Option<CommitInfo>, CommitError> {
        let place = self.place_of(id);
        let record = match Record::load(&place) {
            Ok(record) => record,
            Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(CommitInfo {
            id,
            branch: record.branch,
            created: record.created,
            changes: record.changes,
            status: apply::status(&place)?,
        }))
    }

    /// Puts the base back to what it was before a commit: content, attributes, links and times.
    ///
    /// # Errors
    /// The base, or a reference that the commit has made, has moved on: then nothing is changed, and each path is named.
    pub fn undo(&self, id: CommitId, progress: &mut dyn FnMut(Progress)) -> Result<CommitInfo, CommitError> {
        let _lock = self.lock()?;
        self.tell_all()?;
        let place = self.place_of(id);
        let record = self.record(id)?;
        // Before anything is written: a commit is taken back as a whole, or not.
        let references = match apply::status(&place)? {
            CommitStatus::Done => record.undoings()?,
            _ => Vec::new(),
        };
        let untold = Untold::mark(&place, Deed::Undo)?;
        let applied = match apply::undo(&place, progress) {
            Ok(applied) => applied,
            Err(error) => {
                let noted = match &error {
                    ApplyError::RolledBack { left, .. } => self.note_left(&record, CommitStatus::Done, left),
                    _ => Ok(()),
                };
                // Why it was not undone is what its caller needs to know; the mark is found by the next one.
                if let Err(error) = noted.and_then(|()| self.tell(id)) {
                    tracing::warn!(%error, commit = %id, "what an undo has left is not known to its branch");
                }
                return Err(not_undone(error));
            }
        };
        self.note_what_is_left(&record, &applied)?;
        for one in references {
            one.carry_out()?;
        }
        untold.told();
        self.info(id)
    }

    /// Brings a commit, or an undo, that was interrupted to its end, forward or back.
    ///
    /// # Errors
    /// Paths that somebody has changed in between are left alone, and named.
    pub fn recover(
        &self,
        id: CommitId,
        direction: Direction,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<CommitInfo, CommitError> {
        let _lock = self.lock()?;
        self.tell_all()?;
        let place = self.place_of(id);
        let record = self.record(id)?;
        let untold = Untold::mark(&place, Deed::Commit)?;
        let applied = apply::recover(&place, direction, progress)?;
        self.note_what_is_left(&record, &applied)?;
        if is_back(applied.status) {
            for (repository, moves) in &record.git {
                git::undo(repository, moves)?;
            }
        }
        untold.told();
        self.info(id)
    }

    /// Does for each commit that has ended what whoever ended it was killed before. With the lock held.
    pub(crate) fn tell_all(&self) -> Result<(), CommitError> {
        self.commit_ids()?.into_iter().try_for_each(|id| self.tell(id))
    }

    fn tell(&self, id: CommitId) -> Result<(), CommitError> {
        let place = self.place_of(id);
        let Some((untold, deed)) = Untold::find(&place) else {
            return Ok(());
        };
        let status = apply::status(&place)?;
        if status == CommitStatus::Done && deed == Deed::Undo {
            untold.told();
            return Ok(());
        }
        if !is_back(status) && status != CommitStatus::Done {
            // Nothing, or it waits for `recover`.
            return Ok(());
        }
        let record = self.record(id)?;
        let applied = apply::recover(&place, Direction::Finish, &mut |_| {})?;
        self.note_what_is_left(&record, &applied)?;
        for (repository, moves) in record.git.iter().filter(|_| is_back(status)) {
            if let Err(error) = git::undo(repository, moves) {
                // Whoever moved it since keeps it: this is no reason not to commit.
                tracing::warn!(%error, commit = %id, "a reference is not put back");
            }
        }
        untold.told();
        Ok(())
    }

    /// Gives up undoing what was committed: what the commits have kept of the workspace as it was is removed, and the
    /// workspace stays as it is. Bytes that are free again.
    ///
    /// Commits that were interrupted keep what [`Workspace::recover`] needs.
    ///
    /// # Errors
    /// A journal cannot be read, or something not be removed; it can be repeated.
    pub fn give_up_undo(&self) -> Result<u64, CommitError> {
        if !self.places().commits().is_dir() {
            return Ok(0);
        }
        let _lock = self.lock()?;
        self.tell_all()?;
        let mut freed = 0;
        for id in self.commit_ids()? {
            let place = self.place_of(id);
            let before = size_of_tree(&place);
            apply::give_up_undo(&place)?;
            freed += before.saturating_sub(size_of_tree(&place));
        }
        Ok(freed)
    }

    /// Bytes that [`Workspace::give_up_undo`] would free, nearly.
    ///
    /// # Errors
    /// A journal cannot be read.
    pub fn kept_for_undo(&self) -> Result<u64, CommitError> {
        let mut bytes = 0;
        for id in self.commit_ids()? {
            let place = self.place_of(id);
            if apply::status(&place)? == CommitStatus::Done {
                bytes += size_of_tree(&place);
            }
        }
        Ok(bytes)
    }

    fn info(&self, id: CommitId) -> Result<CommitInfo, CommitError> {
        self.commit_info(id)?.ok_or(CommitError::Nothing)
    }

    fn record(&self, id: CommitId) -> Result<Record, CommitError> {
        match Record::load(&self.place_of(id)) {
            Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let latest = self
                    .commits()?
                    .iter()
                    .rev()
                    .take(LATEST)
                    .map(|commit| commit.id)
                    .collect();
                Err(CommitError::NoSuchCommit { id, latest })
            }
            result => Ok(result?),
        }
    }

    fn place_of(&self, id: CommitId) -> PathBuf {
        self.places().commits().join(id.to_string())
    }

    /// What a branch has done to the base is no conflict for it, nor for those that were made of it since; nor is what
    /// is back, unless it was one before. The branch may be gone.
    fn note_what_is_left(&self, record: &Record, applied: &Applied) -> Result<(), CommitError> {
        self.note_left(record, applied.status, &applied.left)
    }

    fn note_left(
        &self,
        record: &Record,
        status: CommitStatus,
        left: &BTreeMap<RelPath, Option<Identity>>,
    ) -> Result<(), CommitError> {
        for branch in self.list()?.into_iter().flatten() {
            let is_its_own = match &record.layer {
                Some(layer) => branch.manifest().layers.contains(layer),
                None => *branch.name() == record.branch,
            };
            if is_its_own && is_back(status) {
                branch.note_restored(left, record)?;
            } else if is_its_own {
                branch.note_ours(&record.its_own(left))?;
            }
        }
        Ok(())
    }
}

/// Whether the base has what it had before the commit.
fn is_back(status: CommitStatus) -> bool {
    matches!(status, CommitStatus::RolledBack | CommitStatus::Undone)
}

fn not_undone(error: ApplyError) -> CommitError {
    let hint = if error.conflicts().is_empty() {
        error.hint()
    } else {
        Some(PUT_BACK)
    };
    CommitError::Apply {
        hint: hint.map(str::to_owned),
        source: error.into(),
    }
}
