//! What a killed supervisor may leave behind: a cgroup, and the private directory of a sandbox without
//! namespaces. Processes and mounts are the kernel's to end, and it does.

use std::io;
use std::path::{Path, PathBuf};

use crate::cgroup::{self, Hierarchy, LeftoverError, RemoveLeftoverError};
use crate::scratch;

/// Something whose owner is gone.
#[derive(Debug)]
pub struct Leftover(Thing);

#[derive(Debug)]
enum Thing {
    Cgroup(cgroup::Leftover),
    Directory(PathBuf),
}

/// What a [`Leftover`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A cgroup, which may have a directory in each hierarchy.
    Cgroup,
    /// A private directory.
    Directory,
}

/// Why leftovers could not be looked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// Cgroups.
    #[error(transparent)]
    Cgroups(#[from] LeftoverError),
    /// The temporary directory.
    #[error("{path}: {source}", path = path.display())]
    Directories {
        /// The temporary directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Why one is still there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoveError {
    /// A cgroup.
    #[error(transparent)]
    Cgroup(#[from] RemoveLeftoverError),
    /// A directory.
    #[error("{path}: {source}", path = path.display())]
    Directory {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Everything of this user whose owner is gone; normally nothing.
///
/// # Errors
/// [`FindError`]. Nothing has been changed.
pub fn leftovers() -> Result<Vec<Leftover>, FindError> {
    let cgroups = Hierarchy::host().leftovers()?.into_iter().map(Thing::Cgroup);
    let directories = scratch::leftovers()
        .map_err(|source| FindError::Directories {
            path: std::env::temp_dir(),
            source,
        })?
        .into_iter()
        .map(Thing::Directory);
    Ok(cgroups.chain(directories).map(Leftover).collect())
}

impl Leftover {
    /// What it is.
    pub fn kind(&self) -> Kind {
        match self.0 {
            Thing::Cgroup(_) => Kind::Cgroup,
            Thing::Directory(_) => Kind::Directory,
        }
    }

    /// Where it is.
    pub fn paths(&self) -> &[PathBuf] {
        match &self.0 {
            Thing::Cgroup(cgroup) => cgroup.directories(),
            Thing::Directory(path) => std::slice::from_ref(path),
        }
    }

    /// Removes it, and kills what still runs in a cgroup.
    ///
    /// # Errors
    /// [`RemoveError`]; it may be tried again.
    pub fn remove(self) -> Result<(), RemoveError> {
        match self.0 {
            Thing::Cgroup(cgroup) => Ok(cgroup.remove()?),
            Thing::Directory(path) => remove_directory(&path),
        }
    }
}

fn remove_directory(path: &Path) -> Result<(), RemoveError> {
    match scratch::remove(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(RemoveError::Directory {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}
