//! A workspace that was moved: its branches are found again and follow it.
//!
//! A directory is known by its inode number and the time it was made, which cannot be set: what was moved within a file
//! system has both still, a copy has neither. The steps of taking over can be repeated: `workspace.json` says first
//! whose the branches are now, and then their directory is renamed.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::error::BranchError;
use super::handle::Branch;
use super::history::CommitId;
use super::lock::Held;
use super::manifest::{self, Durability, VERSION};
use super::node::{Meta, Timestamp};
use super::place::{self, Places, Storage};
use super::remove::remove_tree;
use super::workspace::{Workspace, WorkspaceFile};

/// Which directory it is, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DirectoryId {
    ino: u64,
    /// When it was made.
    born: Timestamp,
}

impl DirectoryId {
    /// None where the file system does not know when the directory was made.
    pub(crate) fn of(directory: &Path) -> Option<Self> {
        let ino = Meta::of_path(directory).ok()?.ino;
        let born = Meta::born(rustix::fs::CWD, directory).ok()??;
        Some(Self { ino, born })
    }
}

/// Why branches cannot follow their workspace.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// A workspace or a branch cannot be had, or a branch is in use.
    #[error(transparent)]
    Branch(#[from] BranchError),
    /// There are none.
    #[error("there are no branches of {from}", from = from.display())]
    Nothing {
        /// Where the workspace was.
        from: PathBuf,
    },
    /// The workspace is where it was.
    #[error("{from} is still there, and its branches are its own", from = from.display())]
    StillThere {
        /// The workspace.
        from: PathBuf,
    },
    /// The directory has branches already.
    #[error("{to} has branches of its own", to = to.display())]
    Occupied {
        /// The directory.
        to: PathBuf,
    },
    /// A commit was interrupted, and can be brought to its end only where it was begun.
    #[error("commit {id} to {from} was interrupted, and can be recovered there only", from = from.display())]
    Interrupted {
        /// Which.
        id: CommitId,
        /// Where the workspace was.
        from: PathBuf,
    },
    /// What the branches have written cannot be moved.
    #[error("move {from} to {to}: {source}", from = from.display(), to = to.display())]
    Rename {
        /// Where the branches are.
        from: PathBuf,
        /// Where they should be.
        to: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl AttachError {
    /// What a user can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Branch(error) => return error.hint(),
            Self::Nothing { .. } => "see: sandbox branch list --all".into(),
            Self::Occupied { .. } => {
                "export what is wanted of one of the two, and discard the rest of it".into()
            }
            Self::Interrupted { id, from } => format!(
                "move the workspace back to {}, run there: sandbox branch recover {id} --finish, or --roll-back",
                from.display()
            ),
            Self::Rename { from, to, source } if Errno::from_io_error(source) == Some(Errno::XDEV) => {
                format!(
                    "they are on another file system: cp -a {} {}",
                    from.display(),
                    to.display()
                )
            }
            Self::Rename { .. } | Self::StillThere { .. } => return None,
        })
    }
}

/// Branches whose workspace is somewhere else now.
#[derive(Debug)]
pub struct Moved {
    /// The workspace where it is now, with its branches where they are still.
    workspace: Workspace,
    from: PathBuf,
    to: Places,
}

impl Workspace {
    /// Branches of this very directory when it was elsewhere; none where it has branches, or nothing is known of it.
    /// Looks, and changes nothing.
    pub fn moved_here(&self, storage: &Storage) -> Option<Moved> {
        let here = self;
        let id = DirectoryId::of(here.base())?;
        if let Some(file) = WorkspaceFile::load(here.places().root())
            && (file.directory == Some(id) || here.places().is_used())
        {
            return None;
        }
        let is_it = |file: &WorkspaceFile| {
            // The latter was interrupted while it was taken over.
            let was_moved = file.directory == Some(id) && DirectoryId::of(&file.path) != Some(id);
            was_moved || file.path == here.base()
        };
        let mut known = storage.known_beside(here.base()).into_iter();
        known.find_map(|place| {
            let file = WorkspaceFile::load(&place).filter(is_it)?;
            let moved = Moved::new(here, place, file);
            // Where its branches would be, had they not all been dropped, is where they belong.
            (moved.workspace.places() != &moved.to).then_some(moved)
        })
    }

    /// Gives the branches of a workspace that was at `from` to the one at `directory`, which is what has become of it:
    /// moved to another file system, or restored.
    ///
    /// # Errors
    /// [`AttachError`]; then nothing is changed, or it can be done again.
    pub fn attach(
        directory: impl AsRef<Path>,
        storage: &Storage,
        from: impl AsRef<Path>,
    ) -> Result<Self, AttachError> {
        let here = Self::open_in(directory, storage)?;
        let from = std::path::absolute(from.as_ref()).map_err(BranchError::io("find", from.as_ref()))?;
        if from.is_dir() {
            return Err(AttachError::StillThere { from });
        }
        let places = storage.directory(&from).ok().into_iter();
        let found = places.chain(storage.known_beside(here.base())).find_map(|place| {
            let file = WorkspaceFile::load(&place)?;
            (file.path == from).then(|| Moved::new(&here, place, file))
        });
        match found {
            Some(moved) => moved.attach(),
            None => Err(AttachError::Nothing { from }),
        }
    }
}

impl Moved {
    fn new(here: &Workspace, place: PathBuf, file: WorkspaceFile) -> Self {
        // What was beside it stays on its file system.
        let is_beside = place.parent() == here.base().parent();
        let beside = place::beside(here.base()).filter(|_| is_beside);
        Self {
            workspace: Workspace::at(here.base().to_owned(), place),
            from: file.path,
            to: beside.map_or_else(|| here.places().clone(), Places::new),
        }
    }

    /// Where the workspace was.
    pub fn from(&self) -> &Path {
        &self.from
    }

    /// Gives the branches to the workspace where it is now.
    ///
    /// # Errors
    /// [`AttachError`]; then nothing is changed, or it can be done again.
    pub fn attach(self) -> Result<Workspace, AttachError> {
        let workspace = &self.workspace;
        let _lock = workspace.lock()?;
        self.check_commits()?;
        let (branches, _held) = self.hold_all()?;
        self.make_room()?;
        for branch in branches {
            refresh(&branch)?;
        }
        let file = WorkspaceFile::of(workspace.base());
        manifest::store(&workspace.places().workspace_file(), &file, Durability::Machine)
            .map_err(BranchError::from)?;
        let (old, new) = (workspace.places().root(), self.to.root());
        std::fs::rename(old, new).map_err(|source| AttachError::Rename {
            from: old.to_owned(),
            to: new.to_owned(),
            source,
        })?;
        let attached = Workspace::at(workspace.base().to_owned(), new.to_owned());
        attached.remember_beside()?;
        Ok(attached)
    }

    fn check_commits(&self) -> Result<(), AttachError> {
        // One whose journal cannot be read is told of by whoever asks for it.
        let commits = self.workspace.commits().unwrap_or_default();
        match commits.iter().find(|commit| commit.is_interrupted()) {
            Some(commit) => Err(AttachError::Interrupted {
                id: commit.id,
                from: self.from.clone(),
            }),
            None => Ok(()),
        }
    }

    /// Its branches, none of which anybody may use meanwhile. Damaged ones come along as they are.
    fn hold_all(&self) -> Result<(Vec<Branch>, Vec<Held>), AttachError> {
        let branches: Vec<_> = self.workspace.list()?.into_iter().flatten().collect();
        let held = branches.iter().map(Branch::hold).collect::<Result<_, _>>()?;
        Ok((branches, held))
    }

    /// Removes what is at the new place, if no branch is.
    fn make_room(&self) -> Result<(), AttachError> {
        let new = self.to.root();
        let here = Workspace::at(self.workspace.base().to_owned(), new.to_owned());
        if !here.names()?.is_empty() || !here.commits().unwrap_or_default().is_empty() {
            return Err(AttachError::Occupied {
                to: here.base().to_owned(),
            });
        }
        if new.exists() {
            remove_tree(new).map_err(BranchError::io("remove", new))?;
        }
        match new.parent() {
            Some(parent) => Ok(super::place::make_private(parent).map_err(BranchError::io("make", parent))?),
            None => Ok(()),
        }
    }
}

/// What git needs of the surroundings is elsewhere now. Where it is not what it was, the layers would not fit.
fn refresh(branch: &Branch) -> Result<(), BranchError> {
    let mut found = branch.manifest().clone();
    branch.workspace().find_repository(&mut found);
    if found.extras.len() == branch.manifest().extras.len() && found != *branch.manifest() {
        manifest::store(&branch.file(), &found, Durability::Machine)?;
    }
    Ok(())
}

impl WorkspaceFile {
    pub(crate) fn of(base: &Path) -> Self {
        Self {
            version: VERSION,
            path: base.to_owned(),
            directory: DirectoryId::of(base),
        }
    }

    /// That of a place; none where there is none that can be read.
    pub(crate) fn load(place: &Path) -> Option<Self> {
        manifest::load(&Places::new(place.to_owned()).workspace_file()).ok()
    }
}
