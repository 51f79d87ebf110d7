//! Which changed paths are a repository's own, and must not be merged like files.
//!
//! Repositories are found where changes are, never by a walk of the base: a path's directories are looked at once
//! each. In doubt a path is git's own, and is not committed.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use sandbox_types::{NodeKind, RelPath};

use super::note::Note;
use super::repository::Repository;
use super::rules::{self, Part};
use crate::branch::beneath::Root;
use crate::branch::node::Meta;
use crate::branch::stack::Stack;

/// What a changed path is to git.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GitPath {
    /// A file like any other.
    NotGit,
    /// A repository's own: it is never committed as a file.
    Internal,
    /// git would run it, or do what it says, outside the sandbox: a file, to be held back.
    Executable,
}

/// The repositories that a branch has touched, found as its changed paths go by.
#[derive(Debug)]
pub(crate) struct Repositories<'a> {
    stack: &'a Stack,
    base: Root,
    base_path: PathBuf,
    /// Where HEAD is, of the repository that is the view's root; none in a workspace.
    own_head: Option<RelPath>,
    /// The git directory each directory is in, or is.
    known: HashMap<RelPath, Option<GitDir>>,
    /// Changed paths come directory by directory.
    recent: Option<Recent>,
    /// Whether a directory that the base has no repository in is one on the branch.
    new_bare: HashMap<RelPath, bool>,
    touched: BTreeSet<RelPath>,
    notes: Vec<Note>,
}

/// A directory that was looked at.
#[derive(Debug)]
struct Recent {
    directory: RelPath,
    inside: Option<GitDir>,
    /// The base's directory of that path.
    base: Option<OwnedFd>,
}

/// A place of git's in the base.
#[derive(Debug, Clone, PartialEq, Eq)]
struct GitDir {
    at: RelPath,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It is there, on the branch as in the base.
    Kept,
    /// The branch has removed the repository, which was not the workspace's own.
    Removed,
    /// The branch has removed or replaced the workspace's own: the base keeps it whole, its hooks and configuration
    /// included.
    Gone,
    /// A file or a link in the place of a directory: it leads git elsewhere.
    Link,
}

impl<'a> Repositories<'a> {
    /// In the workspace `base`, which `stack` is a view of.
    pub(crate) fn in_workspace(stack: &'a Stack, base: &Path) -> io::Result<Self> {
        Ok(Self {
            stack,
            base: Root::open(base)?,
            base_path: base.to_owned(),
            own_head: None,
            known: HashMap::new(),
            recent: None,
            new_bare: HashMap::new(),
            touched: BTreeSet::new(),
            notes: Vec::new(),
        })
    }

    /// In the git directory `base`, which has a view of its own, with the workspace's HEAD in its directory `head`:
    /// see [`Repository::outside`].
    pub(crate) fn in_git_dir(stack: &'a Stack, base: &Path, head: RelPath) -> io::Result<Self> {
        Ok(Self {
            own_head: Some(head),
            ..Self::in_workspace(stack, base)?
        })
    }

    /// What the changed path `path` is.
    pub(crate) fn classify(&mut self, path: &RelPath) -> io::Result<GitPath> {
        let Some(git_dir) = self.innermost(path)? else {
            return self.without_base(path);
        };
        let rest = path.as_path().strip_prefix(git_dir.at.as_path());
        let rest = rest.unwrap_or(Path::new("")).to_owned();
        match git_dir.state {
            State::Removed => Ok(GitPath::NotGit),
            State::Link | State::Gone => Ok(GitPath::Internal),
            State::Kept => {
                self.touch(&git_dir.at, &rest);
                self.inside(&git_dir.at, path, &rest)
            }
        }
    }

    /// The repositories of the base in which something has changed.
    pub(crate) fn touched(&self) -> Vec<Repository<'a>> {
        let touched = self.touched.iter().cloned();
        let (stack, base) = (self.stack, &self.base_path);
        touched
            .map(|common| match &self.own_head {
                None => Repository::in_workspace(stack, base, common),
                Some(head) if common.is_root() => Repository::outside(stack, base, common, head.clone()),
                Some(_) => Repository::outside(stack, base, common.clone(), common),
            })
            .collect()
    }

    /// What is to be said of them.
    pub(crate) fn notes(&self) -> &[Note] {
        &self.notes
    }

    fn touch(&mut self, at: &RelPath, rest: &Path) {
        self.touched.insert(at.clone());
        if rules::is_side_store(rest) {
            let path: PathBuf = at.as_path().join(rest.iter().take(2).collect::<PathBuf>());
            let note = Note::SideStore { path };
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }

    /// In a git directory that the base has.
    fn inside(&mut self, at: &RelPath, path: &RelPath, rest: &Path) -> io::Result<GitPath> {
        match rules::part(rest) {
            Part::Executable => Ok(GitPath::Executable),
            Part::Internal => Ok(GitPath::Internal),
            // Settings of a working tree that the base does not know would stand alone.
            Part::WorktreeConfig => {
                let directory = path.parent().unwrap_or_else(|| at.clone());
                let is_known = self.base.meta(&directory)?.is_some();
                Ok(if is_known {
                    GitPath::Executable
                } else {
                    GitPath::Internal
                })
            }
            // The git directory of a submodule that is new as a whole is like a new repository elsewhere.
            Part::Modules if self.base.meta(path)?.is_some() => Ok(GitPath::Internal),
            Part::Modules if has_executable_tail(rest) => Ok(GitPath::Executable),
            Part::Modules => Ok(GitPath::NotGit),
        }
    }

    /// Where the base has no repository: files, but for what would rule a repository that is new.
    fn without_base(&mut self, path: &RelPath) -> io::Result<GitPath> {
        if !path.as_path().iter().any(rules::is_telling) {
            return Ok(GitPath::NotGit);
        }
        let mut rest = path.as_path().iter();
        let mut above = RelPath::root();
        loop {
            let is_named = above.name() == Some(OsStr::new(".git"));
            if is_executable(rest.as_path()) && (is_named || self.is_new_bare(&above)?) {
                return Ok(GitPath::Executable);
            }
            let Some(name) = rest.next() else {
                break;
            };
            above = above.join(name).map_err(io::Error::other)?;
        }
        // A `.git` that is no directory sends git elsewhere.
        let is_named = path.name() == Some(OsStr::new(".git"));
        let is_link = is_named && self.stack.find(path)?.is_some_and(|found| !found.meta.is_dir());
        Ok(if is_link {
            GitPath::Executable
        } else {
            GitPath::NotGit
        })
    }

    fn is_new_bare(&mut self, directory: &RelPath) -> io::Result<bool> {
        if let Some(known) = self.new_bare.get(directory) {
            return Ok(*known);
        }
        let mut is_bare = false;
        if let Some(dir) = self.stack.dir(directory)? {
            is_bare = true;
            for name in rules::SIGNATURE {
                is_bare &= dir.view(OsStr::new(name))?.is_some();
            }
        }
        self.new_bare.insert(directory.clone(), is_bare);
        Ok(is_bare)
    }

    /// The innermost git directory of the base that `path` is, or is in.
    fn innermost(&mut self, path: &RelPath) -> io::Result<Option<GitDir>> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return self.step(path, None).map(|(found, _)| found);
        };
        let recent = match self.recent.take() {
            Some(recent) if recent.directory == parent => recent,
            _ => self.enter(parent)?,
        };
        let above = recent.inside.clone();
        let is_candidate = match &recent.base {
            None => false,
            Some(directory) => Meta::at(directory, name)?.is_some_and(|meta| meta.is_dir() || name == ".git"),
        };
        self.recent = Some(recent);
        if is_candidate {
            self.step(path, above).map(|(found, _)| found)
        } else {
            Ok(above)
        }
    }

    /// Goes down to `directory`.
    fn enter(&mut self, directory: RelPath) -> io::Result<Recent> {
        let mut here = RelPath::root();
        let (mut inside, mut has_more) = self.step(&here, None)?;
        for name in directory.as_path() {
            if !has_more {
                break;
            }
            here = here.join(name).map_err(io::Error::other)?;
            (inside, has_more) = self.step(&here, inside)?;
        }
        let base = has_more.then(|| self.base.dir(&directory)).transpose()?;
        Ok(Recent {
            directory,
            inside,
            base,
        })
    }

    /// The innermost git directory that `path` is, or is in, when `above` is its parent's; and whether the base has a
    /// directory there, so that there can be more beneath it. Only those are remembered: what is new may be much.
    fn step(&mut self, path: &RelPath, above: Option<GitDir>) -> io::Result<(Option<GitDir>, bool)> {
        if let Some(known) = self.known.get(path) {
            return Ok((known.clone(), true));
        }
        let Some(meta) = self.base.meta(path)? else {
            return Ok((above, false));
        };
        let found = self.git_dir(path, meta, above.as_ref())?.or(above);
        if meta.is_dir() {
            self.known.insert(path.clone(), found.clone());
        }
        Ok((found, meta.is_dir()))
    }

    fn git_dir(&mut self, path: &RelPath, meta: Meta, above: Option<&GitDir>) -> io::Result<Option<GitDir>> {
        if above.is_some_and(|above| above.state == State::Removed) {
            return Ok(None);
        }
        let is_named = path.name() == Some(OsStr::new(".git"));
        let state = if is_named && !meta.is_dir() {
            State::Link
        } else if meta.is_dir() && (is_named || self.is_bare(path)?) {
            self.state(path, above)?
        } else {
            return Ok(None);
        };
        match state {
            State::Removed => self.notes.push(Note::Removed { path: path.clone() }),
            State::Gone => self.notes.push(Note::Gone { path: path.clone() }),
            State::Kept | State::Link => {}
        }
        Ok(Some(GitDir {
            at: path.clone(),
            state,
        }))
    }

    /// A repository somewhere in the workspace can be removed like other files. Its own, and what belongs to that, can
    /// not: whoever runs `rm -rf .git` on a branch does not take the base's history along.
    fn state(&self, path: &RelPath, above: Option<&GitDir>) -> io::Result<State> {
        let is_own = path.is_root() || path.as_path() == Path::new(".git") || above.is_some();
        if is_own && !path.is_root() && !self.is_repository_on_branch(path)? {
            return Ok(State::Gone);
        }
        if is_own || self.stack.find(path)?.is_some() {
            Ok(State::Kept)
        } else {
            Ok(State::Removed)
        }
    }

    fn is_repository_on_branch(&self, path: &RelPath) -> io::Result<bool> {
        if !self.stack.find(path)?.is_some_and(|found| found.meta.is_dir()) {
            return Ok(false);
        }
        let head = path.join("HEAD").map_err(io::Error::other)?;
        // A base that has none is none either: there is nothing to be kept whole.
        Ok(self.stack.find(&head)?.is_some() || self.base.meta(&head)?.is_none())
    }

    fn is_bare(&self, path: &RelPath) -> io::Result<bool> {
        for name in rules::SIGNATURE {
            let entry = path.join(name).map_err(io::Error::other)?;
            match self.base.meta(&entry)? {
                Some(meta) if meta.is_dir() || (name == "HEAD" && meta.kind == NodeKind::File) => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }
}

fn is_executable(rest: &Path) -> bool {
    !rest.as_os_str().is_empty() && matches!(rules::part(rest), Part::Executable | Part::WorktreeConfig)
}

/// Whether some end of `path` would be executable in a git directory: where submodules are nested, it is not known
/// which of the directories are git's.
fn has_executable_tail(path: &Path) -> bool {
    let mut rest = path.iter();
    while rest.next().is_some() {
        if is_executable(rest.as_path()) {
            return true;
        }
    }
    false
}
