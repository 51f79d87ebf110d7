//! Carrying a branch's commits into its base: what would arrive, and the fetch that makes it arrive.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use sandbox_types::{BranchName, GitRef, RelPath};

use super::error::GitError;
use super::note::Note;
use super::object::{ObjectFormat, ObjectId};
use super::plan::{Candidate, Kind, MAX_HEADS, plan};
use super::refname;
use super::refs::{Place, Refs};
use super::repository::{Repository, at, base_format};
use super::run::Git;
use super::scratch::Scratch;
use super::trust::User;
use super::undo::RefMove;
use super::weigh::Weigher;
use crate::branch::stack::{Origin, Stack};

/// What arrives in a base's repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Arrivals {
    /// The references, for the reader. Those that are there already are not among them.
    pub(crate) refs: Vec<GitRef>,
    /// The same, with what [`undo`](super::undo()) needs.
    pub(crate) moves: Vec<RefMove>,
    /// What else is to be said.
    pub(crate) notes: Vec<Note>,
}

/// What would arrive, were `repository` of the branch `name` imported; nothing is written but a directory in
/// `scratch` that is gone afterwards.
pub(crate) fn pending(
    repository: &Repository<'_>,
    name: &BranchName,
    scratch: &Path,
) -> Result<Arrivals, GitError> {
    prepare(repository, name, scratch).map(|prepared| prepared.arrivals)
}

/// Makes it arrive: [`prepare`] and [`Prepared::import`] at once.
#[cfg(test)]
pub(crate) fn import(
    repository: &Repository<'_>,
    name: &BranchName,
    scratch: &Path,
) -> Result<Arrivals, GitError> {
    prepare(repository, name, scratch)?.import()
}

/// Commits that are ready to be fetched by the base.
#[derive(Debug)]
pub(crate) struct Prepared {
    git_dir: PathBuf,
    format: ObjectFormat,
    arrivals: Arrivals,
    /// Where the base can fetch it from; none where there is nothing to fetch.
    ready: Option<(Git, Scratch)>,
}

impl Prepared {
    /// What will arrive: for a journal, before it does.
    pub(crate) fn arrivals(&self) -> &Arrivals {
        &self.arrivals
    }

    /// Makes it arrive: all of it or nothing. Repeated, it does nothing: what has arrived is not pending.
    ///
    /// Beneath `refs/sandbox/NAME/` a reference is moved to wherever the branch has it, forwards or not. Nothing else
    /// of the base's repository is written but objects.
    pub(crate) fn import(self) -> Result<Arrivals, GitError> {
        if let Some((git, from)) = &self.ready
            && !self.arrivals.moves.is_empty()
        {
            fetch(git, &self.git_dir, from, &self.arrivals.moves)?;
            self.verify()?;
        }
        Ok(self.arrivals)
    }

    /// git is believed when the references are seen where they should be.
    fn verify(&self) -> Result<(), GitError> {
        let base = Refs::of_base(&self.git_dir, &RelPath::root(), self.format, &["refs/sandbox/"])?;
        for one in &self.arrivals.moves {
            if base.values.get(&one.name).map(ObjectId::as_str) != Some(&one.after) {
                return Err(GitError::NotArrived {
                    repository: self.git_dir.clone(),
                    reference: one.name.clone(),
                });
            }
        }
        Ok(())
    }
}

/// Gathers the commits of `repository` that the base does not have, in a directory in `scratch`, best on the file
/// system of the layers: objects are linked then, not copied. git is only run where a reference differs.
pub(crate) fn prepare(
    repository: &Repository<'_>,
    name: &BranchName,
    scratch: &Path,
) -> Result<Prepared, GitError> {
    let base_dir = repository.base_dir();
    let format = base_format(&base_dir)?;
    let branch = read(
        repository,
        repository.stack,
        format,
        &["refs/heads/", "refs/tags/", "refs/stash"],
    )?;
    let below = Stack::open(&[], &repository.base).map_err(|source| GitError::Read {
        path: repository.base.clone(),
        source,
    })?;
    let own = refname::namespace(name);
    let all = [
        "refs/heads/",
        "refs/tags/",
        "refs/remotes/",
        "refs/stash",
        own.as_str(),
    ];
    let base = read(repository, &below, format, &all)?;
    let plan = plan(name, &branch, &base);
    let mut arrivals = Arrivals {
        notes: branch.notes,
        ..Arrivals::default()
    };
    // What is odd in the base as well is not the branch's doing.
    arrivals.notes.retain(|note| !base.notes.contains(note));
    arrivals.notes.extend(plan.notes);
    arrivals.notes.extend(left_over_lock(repository));
    if plan.candidates.is_empty() {
        return Ok(Prepared {
            git_dir: base_dir,
            format,
            arrivals,
            ready: None,
        });
    }
    refuse_many(&base_dir, &plan.candidates)?;
    let git = Git::find()?;
    refuse_foreign(&base_dir)?;
    let (from, notes) = Scratch::build(repository, format, &plan.candidates, scratch)?;
    arrivals.notes.extend(notes);
    let known = base
        .values
        .values()
        .chain(base.detached.values())
        .cloned()
        .collect();
    let weigher = Weigher {
        git: &git,
        from: from.path(),
        known,
    };
    weigher.weigh(repository, plan.candidates, &mut arrivals)?;
    Ok(Prepared {
        git_dir: base_dir,
        format,
        arrivals,
        ready: Some((git, from)),
    })
}

fn read(
    repository: &Repository<'_>,
    stack: &Stack,
    format: ObjectFormat,
    prefixes: &[&str],
) -> Result<Refs, GitError> {
    let place = Place {
        stack,
        common: &repository.common,
        head: &repository.head,
        format,
    };
    Refs::read(&place, prefixes)
}

/// git leaves a lock behind when it is killed.
fn left_over_lock(repository: &Repository<'_>) -> Option<Note> {
    let path = at(&repository.head, &["index.lock"]).ok()?;
    let found = repository.stack.find(&path).ok()??;
    matches!(found.origin, Origin::Layer(_)).then_some(Note::LeftOverLock { path })
}

/// Each is looked at by a git of its own. Tags are few by now.
fn refuse_many(git_dir: &Path, candidates: &[Candidate]) -> Result<(), GitError> {
    let heads = candidates.iter().filter(|candidate| candidate.kind != Kind::Tag);
    if heads.count() > MAX_HEADS {
        return Err(GitError::TooMany {
            repository: git_dir.to_owned(),
            what: "new heads",
            limit: MAX_HEADS as u64,
        });
    }
    Ok(())
}

/// The configuration of the base's repository is obeyed, so it has to be the user's.
pub(super) fn refuse_foreign(git_dir: &Path) -> Result<(), GitError> {
    let owner = User::current()
        .foreign_owner(git_dir)
        .map_err(|source| GitError::Read {
            path: git_dir.to_owned(),
            source,
        })?;
    match owner {
        None => Ok(()),
        Some(owner) => Err(GitError::ForeignOwner {
            repository: git_dir.to_owned(),
            owner,
        }),
    }
}

impl Arrivals {
    pub(super) fn push(&mut self, repository: &Repository<'_>, candidate: Candidate, commits: u64) {
        let id = candidate.id.as_str().to_owned();
        self.moves.push(RefMove {
            name: candidate.to.clone(),
            before: candidate.before.map(|before| before.as_str().to_owned()),
            after: id.clone(),
        });
        self.refs.push(GitRef {
            repository: repository.shown.clone(),
            from: candidate.from,
            to: candidate.to,
            id,
            commits,
        });
    }
}

fn fetch(git: &Git, base_dir: &Path, from: &Scratch, moves: &[RefMove]) -> Result<(), GitError> {
    let specs: Vec<String> = moves.iter().map(|one| format!("+{0}:{0}", one.name)).collect();
    let specs = format!("{}\n", specs.join("\n"));
    let options = [
        "--quiet",
        "--atomic",
        "--no-tags",
        "--no-prune",
        "--no-write-fetch-head",
        "--no-auto-maintenance",
        "--no-recurse-submodules",
        "--no-write-commit-graph",
        "--no-show-forced-updates",
        "--refmap=",
        "--stdin",
    ];
    let mut arguments: Vec<&OsStr> = options.iter().map(OsStr::new).collect();
    arguments.push(from.path().as_os_str());
    git.run(base_dir, "fetch", &arguments, specs.as_bytes())
        .map(|_| ())
}
