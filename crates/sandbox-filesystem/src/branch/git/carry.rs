//! Carrying a branch's commits into its base: what would arrive, and the fetch that makes it arrive.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;

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
/// `scratch` that is gone afterwards. git is only run where some reference differs from the base's.
pub(crate) fn pending(
    repository: &Repository<'_>,
    name: &BranchName,
    scratch: &Path,
) -> Result<Arrivals, GitError> {
    prepare(repository, name, scratch).map(|prepared| prepared.arrivals)
}

/// Makes it arrive: all of it or nothing. Repeated, it does nothing: what has arrived is not pending.
///
/// Beneath `refs/sandbox/NAME/` a reference is moved to wherever the branch has it, forwards or not. Nothing else of
/// the base's repository is written but objects.
pub(crate) fn import(
    repository: &Repository<'_>,
    name: &BranchName,
    scratch: &Path,
) -> Result<Arrivals, GitError> {
    let prepared = prepare(repository, name, scratch)?;
    if let Some((git, from)) = &prepared.ready
        && !prepared.arrivals.moves.is_empty()
    {
        fetch(git, &repository.base_dir(), from, &prepared.arrivals.moves)?;
        verify(repository, name, prepared.format, &prepared.arrivals.moves)?;
    }
    Ok(prepared.arrivals)
}

struct Prepared {
    format: ObjectFormat,
    arrivals: Arrivals,
    /// Where the base can fetch it from; none where there is nothing to fetch.
    ready: Option<(Git, Scratch)>,
}

fn prepare(repository: &Repository<'_>, name: &BranchName, scratch: &Path) -> Result<Prepared, GitError> {
    let base_dir = repository.base_dir();
    let format = base_format(&base_dir)?;
    let branch = read(
        repository,
        repository.stack,
        format,
        &["refs/heads/", "refs/tags/", "refs/stash"],
    )?;
    let below = Stack::open(&[], repository.stack.base_path()).map_err(|source| GitError::Read {
        path: repository.stack.base_path().to_owned(),
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

/// Looks at candidates' objects, and keeps those that bring something.
struct Weigher<'a> {
    git: &'a Git,
    from: &'a Path,
    /// What the base's references stand for.
    known: BTreeSet<ObjectId>,
}

impl Weigher<'_> {
    fn weigh(
        &self,
        repository: &Repository<'_>,
        candidates: Vec<Candidate>,
        arrivals: &mut Arrivals,
    ) -> Result<(), GitError> {
        let kinds = self.kinds(&candidates)?;
        let mut heads = BTreeSet::new();
        for candidate in candidates {
            let kind = kinds.get(&candidate.id).map_or("", String::as_str);
            let reference = candidate.from.clone();
            if kind.is_empty() {
                arrivals.notes.push(Note::Incomplete { reference });
            } else if candidate.kind != Kind::Tag && kind != "commit" {
                let kind = kind.to_owned();
                arrivals.notes.push(Note::NotACommit { reference, kind });
            } else {
                match self.commits(&candidate, kind, &heads) {
                    Ok(Some(commits)) => {
                        heads.insert(candidate.id.clone());
                        arrivals.push(repository, candidate, commits);
                    }
                    Ok(None) => {}
                    // Of one reference something is missing: that is no reason to lose the others.
                    Err(GitError::Failed { .. }) => arrivals.notes.push(Note::Incomplete { reference }),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// What kind of object each is; none for what neither the branch nor the base has.
    fn kinds(&self, candidates: &[Candidate]) -> Result<BTreeMap<ObjectId, String>, GitError> {
        let ids: BTreeSet<&ObjectId> = candidates.iter().map(|candidate| &candidate.id).collect();
        let input: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
        let input = format!("{}\n", input.join("\n"));
        let format = OsStr::new("--batch-check=%(objecttype)");
        let answer = self.git.run(self.from, "cat-file", &[format], input.as_bytes())?;
        let answer = String::from_utf8_lossy(&answer);
        let kinds = ids.into_iter().zip(answer.lines());
        Ok(kinds
            .filter(|(_, kind)| matches!(*kind, "commit" | "tag" | "tree" | "blob"))
            .map(|(id, kind)| (id.clone(), kind.to_owned()))
            .collect())
    }

    /// How many commits the base does not have; none where `candidate` brings nothing.
    fn commits(
        &self,
        candidate: &Candidate,
        kind: &str,
        heads: &BTreeSet<ObjectId>,
    ) -> Result<Option<u64>, GitError> {
        if matches!(kind, "tree" | "blob") {
            return Ok(Some(0));
        }
        let count = self.count(&candidate.id, self.known.iter())?;
        let brings = match (candidate.kind, &candidate.base) {
            _ if count > 0 && candidate.kind != Kind::Detached => true,
            (Kind::Tag, _) | (Kind::Head, None) => true,
            // Where the base's own head has all of it, the base has moved on, or the branch was set back.
            (Kind::Head, Some(base)) => self.count(&candidate.id, [base])? > 0,
            (Kind::Detached, _) => self.count(&candidate.id, self.known.iter().chain(heads))? > 0,
        };
        Ok(brings.then_some(count))
    }

    fn count<'b>(
        &self,
        id: &ObjectId,
        without: impl IntoIterator<Item = &'b ObjectId>,
    ) -> Result<u64, GitError> {
        let mut input = format!("{id}\n");
        for known in without {
            input.push_str(&format!("^{known}\n"));
        }
        let arguments = ["--count", "--ignore-missing", "--stdin"].map(OsStr::new);
        let answer = self
            .git
            .run(self.from, "rev-list", &arguments, input.as_bytes())?;
        let answer = String::from_utf8_lossy(&answer);
        answer.trim().parse().map_err(|_| GitError::Answer {
            command: "rev-list",
            answer: answer.trim().to_owned(),
        })
    }
}

impl Arrivals {
    fn push(&mut self, repository: &Repository<'_>, candidate: Candidate, commits: u64) {
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

/// git is believed when the references are seen where they should be.
fn verify(
    repository: &Repository<'_>,
    name: &BranchName,
    format: ObjectFormat,
    moves: &[RefMove],
) -> Result<(), GitError> {
    let base_dir = repository.base_dir();
    let own = refname::namespace(name);
    let base = Refs::of_base(&base_dir, &RelPath::root(), format, &[&own])?;
    for one in moves {
        if base.values.get(&one.name).map(ObjectId::as_str) != Some(&one.after) {
            return Err(GitError::NotArrived {
                repository: base_dir,
                reference: one.name.clone(),
            });
        }
    }
    Ok(())
}
