//! Where a workspace's repository is, and which other directories have to join its branch for git to work in it.
//!
//! Found without running git, and narrower than git's own search: a repository counts only where the user owns it,
//! and what a `.git` file names counts only where that leads back. A downloaded `.git` file can name any directory;
//! it must not choose what a sandbox sees.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sandbox_types::NodeKind;

use super::error::LocateError;
use super::link;
use super::repository::read_text;
use super::trust::User;
use crate::branch::node::Meta;

/// Lists of alternates that lead to one another; git's own limit.
const MAX_ALTERNATES_DEPTH: usize = 5;

/// A workspace's repository. All paths are absolute and without links; git finds it only where they are shown at
/// these very places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The directory that has `.git`.
    pub(crate) worktree_top: PathBuf,
    /// Where this working tree's HEAD and index are.
    pub(crate) git_dir: PathBuf,
    /// Where objects and references are: the same, but for a linked working tree.
    pub(crate) common_dir: PathBuf,
    /// Directories outside the workspace that git writes to: each joins the branch as a layer of its own.
    pub(crate) extra: Vec<PathBuf>,
    /// Directories outside the workspace that git reads: the whole working tree, where the workspace is a part of it.
    /// Without it git takes every other file for deleted.
    pub(crate) read_only: Vec<PathBuf>,
    /// Object directories of other repositories that this one borrows from, to be shown read-only. They hold the
    /// whole history of those.
    pub(crate) alternates: Vec<PathBuf>,
}

impl Layout {
    /// What a command needs in its environment for git to find the repository: a workspace in it is a mount of its
    /// own, and git's search ends where a mount begins (git(1)).
    pub(crate) fn environment(&self) -> Option<(&'static str, &'static str)> {
        (!self.read_only.is_empty()).then_some(("GIT_DISCOVERY_ACROSS_FILESYSTEM", "1"))
    }
}

/// The repository that the directory `workspace` is, or is in; none where it is in none.
///
/// The search goes up until the root, the user's home, or another file system: a repository there or above is used
/// only where it is the workspace itself.
pub(crate) fn locate(workspace: &Path) -> Result<Option<Layout>, LocateError> {
    locate_for(workspace, &User::current())
}

pub(super) fn locate_for(workspace: &Path, user: &User) -> Result<Option<Layout>, LocateError> {
    let workspace = resolved(workspace)?;
    let device = device(&workspace)?;
    let mut top = workspace.as_path();
    loop {
        if let Some(meta) = look(&top.join(".git"))? {
            return at(&workspace, top, meta, user).map(Some);
        }
        top = match top.parent() {
            Some(parent) if !is_boundary(parent, device, user)? => parent,
            _ => return Ok(None),
        };
    }
}

fn is_boundary(directory: &Path, inside: u64, user: &User) -> Result<bool, LocateError> {
    Ok(directory.parent().is_none()
        || user.home.as_deref() == Some(directory)
        || device(directory)? != inside)
}

fn at(workspace: &Path, top: &Path, meta: Meta, user: &User) -> Result<Layout, LocateError> {
    let entry = top.join(".git");
    own(top, user)?;
    own(&entry, user)?;
    let (git_dir, common_dir) = match meta.kind {
        NodeKind::Directory => {
            is_git_dir(&entry, user)?;
            (entry.clone(), entry)
        }
        NodeKind::File => link::follow(workspace, top, &entry, user)?,
        _ => return Err(LocateError::Strange { path: entry }),
    };
    let is_outside = |path: &Path| !path.starts_with(workspace);
    if is_outside(&common_dir) {
        refuse_wide(&common_dir, workspace, user)?;
    }
    let mut alternates = BTreeSet::new();
    borrowed(&common_dir.join("objects"), user, 0, &mut alternates)?;
    let outside = |path: &PathBuf| is_outside(path) && !path.starts_with(&common_dir);
    Ok(Layout {
        extra: Vec::from_iter(is_outside(&common_dir).then(|| common_dir.clone())),
        read_only: Vec::from_iter(is_outside(top).then(|| top.to_owned())),
        alternates: alternates.into_iter().filter(outside).collect(),
        worktree_top: top.to_owned(),
        git_dir,
        common_dir,
    })
}

/// Whether `path` is a git directory of the user's: with HEAD, objects and refs, none of them a link.
pub(super) fn is_git_dir(path: &Path, user: &User) -> Result<(), LocateError> {
    let not_git = || LocateError::NotGit {
        path: path.to_owned(),
    };
    for (name, kind) in [
        ("", NodeKind::Directory),
        ("HEAD", NodeKind::File),
        ("objects", NodeKind::Directory),
        ("refs", NodeKind::Directory),
    ] {
        let part = path.join(name);
        let meta = look(&part)?.ok_or_else(not_git)?;
        if meta.kind != kind {
            return Err(not_git());
        }
        own(&part, user)?;
    }
    Ok(())
}

/// A git directory outside the workspace must not show more than a repository.
fn refuse_wide(common_dir: &Path, workspace: &Path, user: &User) -> Result<(), LocateError> {
    let is_wide = workspace.starts_with(common_dir)
        || user
            .home
            .as_ref()
            .is_some_and(|home| home.starts_with(common_dir));
    if is_wide {
        return Err(LocateError::TooWide {
            path: common_dir.to_owned(),
        });
    }
    Ok(())
}

/// Object directories that `objects` borrows from. One that is not the object directory of a repository of the
/// user's is left out: git then misses objects, and says so.
fn borrowed(
    objects: &Path,
    user: &User,
    depth: usize,
    found: &mut BTreeSet<PathBuf>,
) -> Result<(), LocateError> {
    if depth > MAX_ALTERNATES_DEPTH {
        return Ok(());
    }
    let list = objects.join("info/alternates");
    let text = read_text(&list).map_err(|source| LocateError::Read { path: list, source })?;
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let Ok(other) = objects.join(line).canonicalize() else {
            continue;
        };
        let is_repository = other.ends_with("objects")
            && other
                .parent()
                .is_some_and(|git_dir| is_git_dir(git_dir, user).is_ok());
        if is_repository && found.insert(other.clone()) {
            borrowed(&other, user, depth + 1, found)?;
        }
    }
    Ok(())
}

/// What is at `path`, links not followed; none where there is nothing.
fn look(path: &Path) -> Result<Option<Meta>, LocateError> {
    match Meta::of_path(path) {
        Ok(meta) => Ok(Some(meta)),
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(source) => Err(LocateError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

fn own(path: &Path, user: &User) -> Result<(), LocateError> {
    let owner = user.foreign_owner(path).map_err(|source| LocateError::Read {
        path: path.to_owned(),
        source,
    })?;
    match owner {
        None => Ok(()),
        Some(owner) => Err(LocateError::ForeignOwner {
            path: path.to_owned(),
            owner,
        }),
    }
}

pub(super) fn resolved(path: &Path) -> Result<PathBuf, LocateError> {
    path.canonicalize().map_err(|source| LocateError::Read {
        path: path.to_owned(),
        source,
    })
}

fn device(path: &Path) -> Result<u64, LocateError> {
    let meta = std::fs::metadata(path).map_err(|source| LocateError::Read {
        path: path.to_owned(),
        source,
    })?;
    Ok(meta.dev())
}
