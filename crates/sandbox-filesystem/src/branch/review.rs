//! What a branch has changed, as its reader wants it: git's own files apart, ignored files folded, what is
//! dangerous marked.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use sandbox_types::{Change, ChangeKind, ChangeSet, RelPath, RiskRules};
use serde::{Deserialize, Serialize};

use super::base::{BaseKnowledge, Identity};
use super::commit::{CommitOptions, Held};
use super::copied::CopyIndex;
use super::diff::{self, DiffError};
use super::error::BranchError;
use super::git::{self, Arrivals, GitError, GitPath, Repositories, Repository};
use super::handle::Branch;
use super::history::Record;
use super::ignored;
use super::manifest::{self, Durability, FileError, VERSION};
use super::moved::DirectoryId;
use super::node::Meta;
use super::risk::{self, Links, MarkError, Reached, RuleError, Rules};
use super::stack::Stack;
use super::submounts;

pub(crate) const NO_GIT: &str = "git is not installed: its files are treated like any others";
const MORE_NAMES: &str =
    "the branch is in use: other names of files with several names are listed when the run has ended";
const ANOTHER_DIRECTORY: &str =
    "the workspace is another directory than the branch was made of: what is changed of it is in conflict";

const MORE_LINKS: &str = "the workspace has so many directories that links to what has changed were not looked for in all of \
                          them: what such a link leads to is not held";

/// What a change set is to say.
#[derive(Debug, Clone, Default)]
pub struct ReviewOptions {
    /// What is held back, besides what is built in.
    pub rules: RiskRules,
    /// Whether what git ignores is listed like everything else.
    pub ignored: IgnoredFiles,
}

/// What becomes of changes that git ignores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IgnoredFiles {
    /// One line a directory, and not committed.
    #[default]
    Fold,
    /// Like everything else.
    Include,
}

/// Why a branch cannot be reviewed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReviewError {
    /// The branch itself.
    #[error(transparent)]
    Branch(#[from] BranchError),
    /// The comparison.
    #[error(transparent)]
    Diff(#[from] DiffError),
    /// A rule on what is held back.
    #[error("{source}")]
    Rule {
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
        /// What can be done about it.
        hint: Option<String>,
    },
    /// A repository that the branch has touched.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A path could not be looked at.
    #[error("{path}: {source}")]
    Look {
        /// Which one.
        path: RelPath,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ReviewError {
    /// What a user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Branch(error) => error.hint(),
            Self::Diff(error) => error.hint().map(str::to_owned),
            Self::Git(error) => error.hint(),
            Self::Rule { hint, .. } => hint.clone(),
            Self::Look { .. } => None,
        }
    }
}

impl CommitOptions {
    /// Whether every rule that is accepted is one: a misspelled name would accept nothing, and say nothing.
    pub(crate) fn check_rules(&self) -> Result<(), ReviewError> {
        match &self.held {
            Held::Accept(texts) => Ok(risk::check_accepted(&self.review.rules, texts)?),
            _ => Ok(()),
        }
    }
}

impl From<RuleError> for ReviewError {
    fn from(error: RuleError) -> Self {
        Self::Rule {
            hint: error.hint(),
            source: error.into(),
        }
    }
}

impl From<MarkError> for ReviewError {
    fn from(error: MarkError) -> Self {
        let MarkError { path, source } = error;
        Self::Look { path, source }
    }
}

/// A change set, and what it was made of.
pub(crate) struct Review {
    pub(crate) set: ChangeSet,
    pub(crate) knowledge: BaseKnowledge,
    pub(crate) stack: Stack,
    /// Views of the directories that belong to the workspace.
    pub(crate) extras: Vec<Stack>,
    /// Which git directories in `stack` have been touched: beneath the workspace.
    pub(crate) repositories: Vec<RelPath>,
}

impl Branch {
    /// Everything that it has changed, with the defaults.
    ///
    /// # Errors
    /// [`ReviewError`].
    pub fn diff(&self) -> Result<ChangeSet, ReviewError> {
        self.diff_with(&ReviewOptions::default(), &mut |_| {})
    }

    /// Everything that it has changed; `progress` is told how many entries have been looked at. It may be done
    /// while a sandbox has it mounted: then it is what was there at that moment.
    ///
    /// # Errors
    /// [`ReviewError`].
    pub fn diff_with(
        &self,
        options: &ReviewOptions,
        progress: &mut dyn FnMut(u64),
    ) -> Result<ChangeSet, ReviewError> {
        self.review(options, progress).map(|review| review.set)
    }

    pub(crate) fn review(
        &self,
        options: &ReviewOptions,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Review, ReviewError> {
        let rules = Rules::extended(&options.rules)?;
        let is_complete = self.complete_links_if_free()?;
        let stack = self.stack()?;
        let knowledge = self.knowledge()?;
        let all = diff::changes(&stack, &knowledge, progress)?;
        let mut notes = self.manifest().notes.clone();
        if !is_complete {
            notes.push(MORE_NAMES.to_owned());
        }
        let mounted = self.workspace().mounted();
        notes.extend(submounts::written_to(&stack, &mounted).into_iter().map(|path| {
            format!("{path}: something is mounted there in the workspace; what the branch has there is not committed")
        }));
        if knowledge.is_replaced {
            notes.push(ANOTHER_DIRECTORY.to_owned());
        }
        let mut arrivals = Arrivals::default();
        let has_git = git::is_installed();
        let (mut changes, repositories) = if has_git {
            let root = RelPath::root();
            let mut found =
                Repositories::in_workspace(&stack, self.workspace().base()).map_err(look(&root))?;
            let changes = without_internals(all, &mut found)?;
            notes.extend(found.notes().iter().map(ToString::to_string));
            let touched = found.touched();
            self.gather(&touched, &mut arrivals, &mut notes);
            let paths = touched.iter().map(Repository::common).cloned().collect();
            (changes, paths)
        } else {
            if all.iter().any(|change| has_git_component(&change.path)) {
                notes.push(NO_GIT.to_owned());
            }
            (all, Vec::new())
        };
        let mut extras = Vec::new();
        let outside = self.extras().unwrap_or_else(|error| {
            notes.push(format!("what git has outside is left out: {error}"));
            Vec::new()
        });
        for index in 0..outside.len() {
            let extra = self.stack_of(Some(index))?;
            if has_git {
                self.gather_outside(&extra, &knowledge, &mut arrivals, &mut notes)?;
            }
            extras.push(extra);
        }
        let mut ignored = Vec::new();
        if options.ignored == IgnoredFiles::Fold {
            let folded = ignored::fold(changes, &stack, self.workspace().base());
            (changes, ignored) = (folded.changes, folded.ignored);
        }
        let paths = changes.iter().map(|change| &change.path);
        let reached = Reached::from_base(self.workspace().base(), paths);
        let links = links_to(&rules, self.workspace().base(), &changes);
        if !links.is_complete {
            notes.push(MORE_LINKS.to_owned());
        }
        rules.with(reached).with_links(links).mark(&stack, &mut changes)?;
        notes.extend(arrivals.notes.iter().map(ToString::to_string));
        let set = ChangeSet {
            branch: self.name().clone(),
            base: self.workspace().base().to_owned(),
            changes,
            ignored,
            git: arrivals.refs,
            notes,
        };
        Ok(Review {
            set,
            knowledge,
            stack,
            extras,
            repositories,
        })
    }

    /// What would arrive. A repository that cannot be read now is told of, and is no reason to show nothing.
    fn gather(&self, repositories: &[Repository<'_>], arrivals: &mut Arrivals, notes: &mut Vec<String>) {
        for repository in repositories {
            match git::pending(repository, self.name(), &self.directory()) {
                Ok(found) => arrivals.extend(found),
                Err(error) => notes.push(format!("git: {error}")),
            }
        }
    }

    /// The same for a git directory outside the workspace, of which nothing arrives but commits.
    fn gather_outside(
        &self,
        extra: &Stack,
        knowledge: &BaseKnowledge,
        arrivals: &mut Arrivals,
        notes: &mut Vec<String>,
    ) -> Result<(), ReviewError> {
        let (found, executable) = self.outside(extra, knowledge)?;
        for path in executable {
            let place = extra.base_path().join(path.as_path());
            notes.push(format!(
                "{}: changed on the branch, and stays there",
                place.display()
            ));
        }
        notes.extend(found.notes().iter().map(ToString::to_string));
        self.gather(&found.touched(), arrivals, notes);
        Ok(())
    }

    /// The repositories that were touched in a git directory outside the workspace, and what git would run of what
    /// has changed there.
    pub(crate) fn outside<'a>(
        &self,
        extra: &'a Stack,
        knowledge: &BaseKnowledge,
    ) -> Result<(Repositories<'a>, Vec<RelPath>), ReviewError> {
        let base = BaseKnowledge {
            birth: knowledge.birth,
            ..BaseKnowledge::default()
        };
        let (place, root) = (extra.base_path().to_owned(), RelPath::root());
        let mut found = Repositories::in_git_dir(extra, &place, self.head_in(extra)).map_err(look(&root))?;
        let mut executable = Vec::new();
        for change in diff::changes(extra, &base, &mut |_| {})? {
            if found.classify(&change.path).map_err(look(&change.path))? == GitPath::Executable {
                executable.push(change.path);
            }
        }
        Ok((found, executable))
    }

    /// Where the workspace's HEAD is in a git directory outside of it.
    pub(crate) fn head_in(&self, extra: &Stack) -> RelPath {
        let layout = git::locate(self.workspace().base()).ok().flatten();
        layout
            .and_then(|layout| {
                let head = layout.git_dir.strip_prefix(extra.base_path()).ok()?.to_owned();
                RelPath::new(head).ok()
            })
            .unwrap_or_default()
    }

    /// What is known of the base.
    pub(crate) fn knowledge(&self) -> Result<BaseKnowledge, BranchError> {
        let manifest = self.manifest();
        let copied = match manifest.copied_at {
            None => None,
            Some(_) => self.copy_index()?,
        };
        Ok(BaseKnowledge {
            birth: manifest.birth,
            is_replaced: self.is_workspace_replaced(),
            ours: self.ours()?,
            texts: self.known_texts()?,
            live: manifest
                .snapshot
                .is_some()
                .then(|| self.workspace().base().to_owned()),
            copied_at: manifest.copied_at,
            copied,
        })
    }

    /// Whether the workspace is another directory than the branch was made of: to put one in the place of another
    /// changes nothing of what is in it.
    fn is_workspace_replaced(&self) -> bool {
        let made_of = self.manifest().workspace;
        made_of.is_some() && made_of != DirectoryId::of(self.workspace().base())
    }

    fn copy_index(&self) -> Result<Option<CopyIndex>, BranchError> {
        let path = self.top().index_file();
        let read = || match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(file) => CopyIndex::read_from(&mut BufReader::new(file)).map(Some),
        };
        read().map_err(BranchError::io("read", &path))
    }

    /// What its commits have left in the base.
    pub(crate) fn ours(&self) -> Result<BTreeMap<RelPath, Identity>, BranchError> {
        match manifest::load::<Ours>(&self.ours_file()) {
            Ok(ours) => Ok(ours.left.into_iter().collect()),
            Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(BTreeMap::new())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Notes what is back in the base since a commit was taken back: what stood in its way is in the way again.
    pub(crate) fn note_restored(
        &self,
        left: &BTreeMap<RelPath, Option<Identity>>,
        record: &Record,
    ) -> Result<(), BranchError> {
        let known = left.iter().map(|(path, identity)| {
            let identity = identity.filter(|_| record.was_known(path));
            (path.clone(), identity)
        });
        self.note_ours(&known.collect())
    }

    /// Notes what a commit has left in the base.
    pub(crate) fn note_ours(&self, left: &BTreeMap<RelPath, Option<Identity>>) -> Result<(), BranchError> {
        let mut ours = self.ours()?;
        for (path, identity) in left {
            self.forget_text(path)?;
            match identity {
                Some(identity) => ours.insert(path.clone(), *identity),
                None => ours.remove(path),
            };
        }
        self.remember_ours(ours)
    }

    /// Notes directories that only its commit has changed, each as it was and as it is: others have put none in the
    /// place of another there.
    pub(crate) fn note_directories(&self, directories: &[(RelPath, Meta, Meta)]) -> Result<(), BranchError> {
        let mut knowledge = self.knowledge()?;
        let known: Vec<_> = directories
            .iter()
            .filter(|(path, was, _)| !knowledge.is_newer(was) || knowledge.is_ours(path, was))
            .map(|(path, _, is)| (path.clone(), Identity::of(is)))
            .collect();
        knowledge.ours.extend(known);
        self.remember_ours(knowledge.ours)
    }

    /// Remembers what its commits have left in the base.
    pub(crate) fn remember_ours(&self, left: BTreeMap<RelPath, Identity>) -> Result<(), BranchError> {
        let ours = Ours {
            version: VERSION,
            left: left.into_iter().collect(),
        };
        Ok(manifest::store(&self.ours_file(), &ours, Durability::Machine)?)
    }

    fn ours_file(&self) -> std::path::PathBuf {
        self.directory().join("ours.json")
    }
}

/// `ours.json`. A path need not be text, so it is no key.
#[derive(Serialize, Deserialize)]
struct Ours {
    version: u32,
    left: Vec<(RelPath, Identity)>,
}

/// Leaves out what is a repository's own.
fn without_internals(all: Vec<Change>, found: &mut Repositories<'_>) -> Result<Vec<Change>, ReviewError> {
    let mut changes = Vec::with_capacity(all.len());
    for mut change in all {
        if found.classify(&change.path).map_err(look(&change.path))? == GitPath::Internal {
            continue;
        }
        if let ChangeKind::Renamed { from, .. } = &change.change
            && found.classify(from).map_err(look(from))? == GitPath::Internal
        {
            change.change = ChangeKind::Added;
        }
        changes.push(change);
    }
    Ok(changes)
}

pub(crate) fn has_git_component(path: &RelPath) -> bool {
    path.as_path().iter().any(|name| name == ".git")
}

/// Links from places that `rules` name to anything; none where nothing could be held.
fn links_to(rules: &Rules, base: &Path, changes: &[Change]) -> Links {
    if changes.iter().all(|change| change.change == ChangeKind::Deleted) {
        return Links::default();
    }
    let home = std::env::var_os("HOME").map(PathBuf::from);
    Links::find(rules, base, home.as_deref())
}

fn look(path: &RelPath) -> impl FnOnce(io::Error) -> ReviewError {
    let path = path.clone();
    move |source| ReviewError::Look { path, source }
}

impl Arrivals {
    fn extend(&mut self, other: Self) {
        self.refs.extend(other.refs);
        self.moves.extend(other.moves);
        self.notes.extend(other.notes);
    }
}
