//! From a branch into its base.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sandbox_types::{
    BaseChange, Change, ChangeKind, ChangeSet, ConflictPolicy, GitRef, Hold, RelPath, Unsettled,
};

use super::apply::{self, ApplyError, ApplyPlan, CommitStatus, Noted, PlanError};
use super::create::now;
use super::diff::Recheck;
use super::error::BranchError;
use super::git::{self, GitError};
use super::handle::Branch;
use super::history::{CommitId, Record};
use super::manifest::{Durability, FileError, VERSION};
use super::patterns;
use super::progress::Progress;
use super::review::{NO_GIT, Review, ReviewError, ReviewOptions, has_git_component};
use super::risk::Acceptance;
use super::selection::Selection;
use super::stack::Stack;
use super::untold::{Deed, Untold};

/// What is committed, and what is done where something stands in the way.
#[derive(Debug, Clone, Default)]
pub struct CommitOptions {
    /// How changes are found, and which of them are held back.
    pub review: ReviewOptions,
    /// Which of them are committed.
    pub selection: Selection,
    /// What is done with changes that are held back.
    pub held: Held,
    /// What is done where the base has changed too.
    pub conflicts: ConflictPolicy,
}

/// What is done with changes that are held back.
#[derive(Debug, Clone, Default)]
pub enum Held {
    /// Nothing is committed, unless each of them is accepted.
    #[default]
    Refuse,
    /// They are left out.
    Skip,
    /// Those that one of these is for are committed: patterns as in [`Selection::of`], or `rule:NAME`. Others refuse.
    Accept(Vec<String>),
    /// They are committed.
    AcceptAll,
}

const NOT_ADOPTED: &str = "the branch keeps its own version of it, which is in conflict with the merged one";

/// Why nothing was committed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The branch itself.
    #[error(transparent)]
    Branch(#[from] BranchError),
    /// What it has changed could not be found out.
    #[error(transparent)]
    Review(#[from] ReviewError),
    /// Changes are held back.
    #[error("{} held back: {}", counted(held.len(), "change"), listed(held.iter().map(|(path, _)| path)))]
    Held {
        /// Which, and why.
        held: Vec<(RelPath, Hold)>,
    },
    /// The base has changed too.
    #[error("{} in the way: {}", counted(conflicts.len(), "conflict"), listed(conflicts.iter().map(|(path, _)| path)))]
    Conflicts {
        /// Where, and what has happened there.
        conflicts: Vec<(RelPath, BaseChange)>,
        /// Why they could not be settled as was asked.
        unsettled: Vec<(RelPath, Unsettled)>,
    },
    /// An earlier commit was interrupted.
    #[error("commit {0} was interrupted, and the workspace may be half changed")]
    Interrupted(CommitId),
    /// There is nothing to commit.
    #[error("nothing to commit")]
    Nothing,
    /// Nothing that was changed is meant by some of what was selected.
    #[error("no change at {}; nothing was committed", paths.join(", "))]
    NoSuchChange {
        /// As they were given.
        paths: Vec<String>,
    },
    /// There is no such commit.
    #[error("there is no commit {id}")]
    NoSuchCommit {
        /// Its number.
        id: CommitId,
        /// The last ones there are, the newest first.
        latest: Vec<CommitId>,
    },
    /// A pattern is none.
    #[error(transparent)]
    Pattern(#[from] super::selection::InvalidPattern),
    /// The changes do not go together.
    #[error("{source}")]
    Plan {
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
        /// What can be done about it.
        hint: Option<String>,
    },
    /// The base could not be written.
    #[error("{source}")]
    Apply {
        /// Why not, and in which state it is.
        source: Box<dyn std::error::Error + Send + Sync>,
        /// What can be done about it.
        hint: Option<String>,
    },
    /// The branch's commits could not be brought to the base's repository.
    #[error(transparent)]
    Git(#[from] GitError),
}

impl CommitError {
    /// What a user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Branch(error) => error.hint(),
            Self::Review(error) => error.hint(),
            Self::Held { held } => held.first().map(|(path, _)| {
                let one = match patterns::for_shell(path) {
                    Some(pattern) => format!("--accept {pattern}"),
                    None => "--interactive".to_owned(),
                };
                format!("accept it: {one}, or all: --accept-all; leave out what is held: --skip-held")
            }),
            Self::Conflicts { .. } => Some(
                "--on-conflict ours: the branch wins; theirs: the workspace; both: a second copy; text: merge lines of files that were changed after the run, or with --snapshot"
                    .into(),
            ),
            Self::Plan { hint, .. } | Self::Apply { hint, .. } => hint.clone(),
            Self::Git(error) => error.hint(),
            Self::Interrupted(id) => Some(format!("sandbox branch recover {id} --finish, or --roll-back")),
            Self::NoSuchChange { .. } => Some(
                "paths start at the workspace's root; sandbox branch diff lists what has changed; what git ignores \
                 is committed with --ignored"
                    .into(),
            ),
            Self::NoSuchCommit { latest, .. } => Some(match &**latest {
                [] => "nothing was committed to this workspace".to_owned(),
                latest => format!("the latest: {}", latest.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
            }),
            Self::Nothing | Self::Pattern(_) => None,
        }
    }
}

impl From<PlanError> for CommitError {
    fn from(error: PlanError) -> Self {
        Self::Plan {
            hint: error.hint(),
            source: error.into(),
        }
    }
}

impl From<ApplyError> for CommitError {
    fn from(error: ApplyError) -> Self {
        if matches!(error, ApplyError::Conflicts(_)) {
            let conflicts = error.conflicts().into_iter();
            return Self::Conflicts {
                conflicts: conflicts
                    .map(|conflict| (conflict.path.clone(), conflict.change))
                    .collect(),
                unsettled: Vec::new(),
            };
        }
        Self::Apply {
            hint: error.hint().map(str::to_owned),
            source: error.into(),
        }
    }
}

impl From<FileError> for CommitError {
    fn from(error: FileError) -> Self {
        Self::Branch(error.into())
    }
}

/// What was committed.
#[derive(Debug)]
pub struct Commit {
    /// Its number, for undo; none where only git references arrived or nothing was left to do.
    pub id: CommitId,
    /// The changes that are in the base now.
    pub changes: Vec<Change>,
    /// The references that have arrived.
    pub git: Vec<GitRef>,
    /// Changes that were left out because they are held back, or because the base won.
    pub left_out: Vec<RelPath>,
    /// What the reader should know.
    pub notes: Vec<String>,
}

impl Branch {
    /// Puts changes into the base: all that are selected, or none. See [`crate::branch`] for what can go wrong and
    /// is recovered from.
    ///
    /// # Errors
    /// [`CommitError`]; then nothing was written, unless it says otherwise.
    pub fn commit(&self, options: &CommitOptions) -> Result<Commit, CommitError> {
        self.commit_with(options, &mut |_| {})
    }

    /// [`Branch::commit`], telling how far it has come.
    ///
    /// # Errors
    /// See [`Branch::commit`].
    pub fn commit_with(
        &self,
        options: &CommitOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Commit, CommitError> {
        let _held = self.hold()?;
        self.complete_links()?;
        self.check_settled()?;
        let _lock = self.workspace().lock()?;
        self.workspace().tell_all()?;
        if let Some(commit) = self
            .workspace()
            .commits()?
            .iter()
            .find(|commit| commit.is_interrupted())
        {
            return Err(CommitError::Interrupted(commit.id));
        }
        options.check_rules()?;
        let review = self.review(&options.review, &mut |_| {})?;
        let paths = options.selection.unmatched(&review.set)?;
        if !paths.is_empty() {
            return Err(CommitError::NoSuchChange { paths });
        }
        let chosen = choose(&review.set, options)?;
        if chosen.changes.is_empty() && chosen.conflicts.is_empty() && review.set.git.is_empty() {
            return Err(CommitError::Nothing);
        }
        let place = apply::create(&self.workspace().places().commits())?;
        self.commit_at(&place, &review, chosen, options, progress)
            .inspect_err(|_| forget_if_empty(&place))
    }

    /// What is chosen, recorded in `place`.
    fn commit_at(
        &self,
        place: &Path,
        review: &Review,
        chosen: Chosen,
        options: &CommitOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Commit, CommitError> {
        let Chosen {
            mut changes,
            mut left_out,
            conflicts,
        } = chosen;
        let settled = self.settle_conflicts(review, &conflicts, options.conflicts, place)?;
        changes.extend(settled.changes);
        changes.sort_by(|a, b| a.path.cmp(&b.path));
        left_out.extend(settled.left_out);
        let texts = settled.texts;
        let stack = settled.stack.as_ref().unwrap_or(&review.stack);
        let plan = ApplyPlan::from_changes(stack, self.workspace().base(), &changes)?;
        // What was in the base when the plan was made is what must be there when it is applied: whatever has happened
        // between the review and the plan is found now, and whatever happens from now on by the plan itself.
        check_again(review, &changes, &conflicts)?;
        let request = Request {
            review,
            plan: &plan,
            settled: &conflicts,
            texts: &texts,
            stack,
            place,
            with_git: options.selection.is_all(),
        };
        self.carry_out(&request, changes, left_out, progress)
    }

    fn carry_out(
        &self,
        request: &Request<'_>,
        changes: Vec<Change>,
        left_out: Vec<RelPath>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Commit, CommitError> {
        let Request {
            review,
            plan,
            settled,
            texts,
            stack,
            place,
            with_git,
        } = *request;
        let mut record = Record {
            version: VERSION,
            branch: self.name().clone(),
            layer: self.manifest().layers.first().cloned(),
            created: now(),
            changes: changes.len(),
            settled: Some(settled.iter().flat_map(paths).cloned().collect()),
            merged: texts.clone(),
            git: Vec::new(),
        };
        let mut arriving = Vec::new();
        if with_git {
            self.prepare_commits(review, &mut arriving)?;
        }
        record.git.extend(
            arriving
                .iter()
                .map(|(repository, prepared)| (repository.clone(), prepared.arrivals().moves.clone())),
        );
        // Which references move is written down before they do: undo and recovery find them in it.
        record.store(place, Durability::Machine)?;
        let (mut refs, mut notes) = (Vec::new(), Vec::new());
        for (_, prepared) in arriving {
            match prepared.import() {
                Ok(arrivals) => {
                    refs.extend(arrivals.refs);
                    notes.extend(arrivals.notes.iter().map(ToString::to_string));
                }
                Err(error) => {
                    record.take_back_references();
                    return Err(error.into());
                }
            }
        }
        let untold = Untold::mark(place, Deed::Commit)?;
        let applied = match apply::apply(plan, place, progress) {
            Ok(applied) => applied,
            Err(error) => {
                record.take_back_references();
                if let ApplyError::RolledBack { left, .. } = &error {
                    self.note_restored(left, &record)?;
                    untold.told();
                }
                return Err(error.into());
            }
        };
        for path in texts {
            match self.adopt(path, stack) {
                Ok(true) => drop(record.merged.remove(path)),
                Ok(false) => notes.push(format!("{path}: {NOT_ADOPTED}")),
                Err(error) => notes.push(format!("{path}: {NOT_ADOPTED}: {error}")),
            }
        }
        self.note_ours(&record.its_own(&applied.left))?;
        self.note_directories(&applied.directories)?;
        untold.told();
        if changes.iter().any(|change| has_git_component(&change.path)) && !git::is_installed() {
            notes.push(NO_GIT.to_owned());
        }
        notes.extend(
            applied
                .notes
                .iter()
                .map(|note| format!("{}: {}", note.path, said(&note.what))),
        );
        Ok(Commit {
            id: CommitId::of(place),
            changes,
            git: refs,
            left_out,
            notes,
        })
    }

    /// Gathers the branch's commits, by repository of the base.
    fn prepare_commits(
        &self,
        review: &Review,
        arriving: &mut Vec<(PathBuf, git::Prepared)>,
    ) -> Result<(), CommitError> {
        let mut prepare = |repository: &git::Repository<'_>| -> Result<(), CommitError> {
            let prepared = git::prepare(repository, self.name(), &self.directory())?;
            arriving.push((repository.base_dir(), prepared));
            Ok(())
        };
        let base = self.workspace().base();
        for path in &review.repositories {
            prepare(&git::Repository::in_workspace(&review.stack, base, path.clone()))?;
        }
        for extra in &review.extras {
            let (found, _) = self.outside(extra, &review.knowledge)?;
            found.touched().iter().try_for_each(&mut prepare)?;
        }
        Ok(())
    }
}

impl Record {
    fn take_back_references(&self) {
        for (repository, moves) in &self.git {
            if let Err(error) = git::undo(repository, moves) {
                tracing::warn!(%error, repository = %repository.display(), "references stay");
            }
        }
    }
}

/// All that a commit is carried out with.
#[derive(Clone, Copy)]
struct Request<'a> {
    review: &'a Review,
    plan: &'a ApplyPlan,
    /// The changes that the base stood in the way of.
    settled: &'a [Change],
    /// Where texts were merged.
    texts: &'a BTreeSet<RelPath>,
    /// The branch, with what is written instead of its own.
    stack: &'a Stack,
    place: &'a Path,
    /// Whether git references arrive too.
    with_git: bool,
}

/// Where a change is made: a rename takes something away, too.
fn paths(change: &Change) -> impl Iterator<Item = &RelPath> {
    let from = match &change.change {
        ChangeKind::Renamed { from, .. } => Some(from),
        _ => None,
    };
    std::iter::once(&change.path).chain(from)
}

/// What of a change set is to be committed.
struct Chosen {
    changes: Vec<Change>,
    left_out: Vec<RelPath>,
    /// Those to which the base stands in the way.
    conflicts: Vec<Change>,
}

fn choose(set: &ChangeSet, options: &CommitOptions) -> Result<Chosen, CommitError> {
    let accepted = match &options.held {
        Held::Refuse | Held::Skip => Acceptance::none(),
        Held::Accept(texts) => Acceptance::of(texts)?,
        Held::AcceptAll => Acceptance::All,
    };
    let mut held = Vec::new();
    let mut chosen = Chosen {
        changes: Vec::new(),
        left_out: Vec::new(),
        conflicts: Vec::new(),
    };
    for change in set
        .changes
        .iter()
        .filter(|change| options.selection.takes(change))
    {
        let path = &change.path;
        match (&change.hold, change.conflict) {
            (Some(hold), _) if !accepted.accepts(change) => match options.held {
                Held::Skip => chosen.left_out.push(path.clone()),
                _ => held.push((path.clone(), hold.clone())),
            },
            (_, Some(_)) => chosen.conflicts.push(change.clone()),
            _ => chosen.changes.push(change.clone()),
        }
    }
    if held.is_empty() {
        Ok(chosen)
    } else {
        Err(CommitError::Held { held })
    }
}

/// Removes the directory of a commit that never came to anything: nothing of it is in the base.
fn forget_if_empty(place: &Path) {
    if apply::status(place).is_ok_and(|status| status == CommitStatus::Empty)
        && let Err(error) = super::remove::remove_tree(place)
    {
        tracing::warn!(path = %place.display(), %error, "left behind");
    }
}

/// Whether the base has changed where it had not at the review. What has been settled may have.
fn check_again(review: &Review, changes: &[Change], settled: &[Change]) -> Result<(), CommitError> {
    let known: BTreeSet<_> = settled.iter().map(|change| &change.path).collect();
    // A second copy is at a path of its own, which the plan itself looks after.
    let reviewed: BTreeSet<_> = review.set.changes.iter().map(|change| &change.path).collect();
    let is_asked = |change: &&Change| reviewed.contains(&change.path) && !known.contains(&change.path);
    let mut recheck = Recheck::new(&review.stack, &review.knowledge);
    let mut conflicts = Vec::new();
    for change in changes.iter().filter(is_asked) {
        let found = recheck.conflict(change).map_err(ReviewError::from)?;
        conflicts.extend(found.map(|conflict| (change.path.clone(), conflict)));
    }
    if conflicts.is_empty() {
        Ok(())
    } else {
        Err(CommitError::Conflicts {
            conflicts,
            unsettled: Vec::new(),
        })
    }
}

fn said(noted: &Noted) -> &'static str {
    match noted {
        Noted::DirectoryAdded => "was added, because what is in it was",
        Noted::DirectoryKept => "was kept, because of what is in it",
        Noted::SocketLeftOut => "is a socket, and was left out",
        Noted::WhiteoutLeftOut => "is a device 0/0, and was left out",
        Noted::Refused(_) => "not every attribute could be set",
        Noted::LinkNotSaved => "undo will bring it back, but no longer linked to its other names",
        Noted::OwnerNotSaved => "undo will not be able to give it back to its owner",
        Noted::TimeNotRestored => "its time of modification could not be restored",
    }
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// The first few; the rest is counted.
fn listed<'a>(paths: impl ExactSizeIterator<Item = &'a RelPath>) -> String {
    const SHOWN: usize = 5;
    let more = paths.len().saturating_sub(SHOWN);
    let mut text: Vec<_> = paths.take(SHOWN).map(ToString::to_string).collect();
    if more > 0 {
        text.push(format!("{more} more"));
    }
    text.join(", ")
}
