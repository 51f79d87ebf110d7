//! Where things are kept: the state directory, and what is in a workspace's part of it.

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};

use sandbox_types::BranchName;

use super::beside::{self, Records};
use super::error::BranchError;

pub use crate::state_directory::state_directory;

/// Where the branches of a workspace are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Storage {
    /// Beside the workspace where branches are already ([`Storage::Beside`]), else in the state directory.
    #[default]
    Found,
    /// In the state directory, whatever is beside the workspace.
    State,
    /// In `.NAME.sandbox` in the directory that holds the workspace: on its file system, so that contents are
    /// shared by reflink and put in place by rename. One that this program has not made is not used.
    Beside,
    /// In this directory; if it is the one beside the workspace, whoever has made it.
    At(PathBuf),
}

impl Storage {
    /// The directory for the workspace at `base`, which need not exist yet.
    pub(crate) fn directory(&self, base: &Path) -> Result<PathBuf, BranchError> {
        match (self, beside(base)) {
            (Self::At(path), Some(beside)) if is_same(path, &beside) => {
                beside::private(&beside).map_err(distrusted(&beside))?;
                Ok(beside)
            }
            (Self::At(path), _) => Ok(path.join(directory_name(base))),
            (Self::Beside, Some(beside)) => checked(beside),
            (Self::Found, Some(beside)) if Places::new(beside.clone()).is_used() => {
                let (beside, state) = match (checked(beside), in_state(base)?) {
                    // What somebody else has put there is in nobody's way.
                    (
                        Err(BranchError::Distrusted {
                            reason: beside::Distrust::Owner { .. },
                            ..
                        }),
                        state,
                    ) => {
                        return Ok(state);
                    }
                    (beside, state) => (beside?, state),
                };
                let has_branches = |place: &PathBuf| Places::new(place.clone()).has_branches();
                // For its commits alone, which can be undone, it does not hide branches elsewhere.
                let is_state = !has_branches(&beside) && has_branches(&state);
                Ok(if is_state { state } else { beside })
            }
            _ => in_state(base),
        }
    }
}

/// Where the state directory has the branches of the workspace at `base`.
pub(crate) fn in_state(base: &Path) -> Result<PathBuf, BranchError> {
    let all = Places::all().ok_or(BranchError::NoStateDirectory)?;
    Ok(all.join(directory_name(base)))
}

fn checked(beside: PathBuf) -> Result<PathBuf, BranchError> {
    let records = Records::of_user().ok_or(BranchError::NoStateDirectory)?;
    records.check(&beside).map_err(distrusted(&beside))?;
    Ok(beside)
}

fn distrusted(directory: &Path) -> impl FnOnce(beside::Distrust) -> BranchError + use<> {
    let directory = directory.to_owned();
    move |reason| BranchError::Distrusted { directory, reason }
}

/// Whether `path` names `beside`, which itself is not followed.
fn is_same(path: &Path, beside: &Path) -> bool {
    let named = std::path::absolute(path).unwrap_or_default();
    let parent = named.parent().and_then(|parent| parent.canonicalize().ok());
    named.file_name() == beside.file_name() && parent.as_deref() == beside.parent()
}

impl Storage {
    /// Places where branches of other workspaces are, which the one at `base` may have been.
    pub(crate) fn known_beside(&self, base: &Path) -> Vec<PathBuf> {
        let beside = || siblings(base).into_iter();
        let state = || Places::all().map(|all| entries(&all)).unwrap_or_default();
        match self {
            Self::At(path) => entries(path),
            Self::Beside => beside().collect(),
            Self::State => state(),
            Self::Found => beside().chain(state()).collect(),
        }
    }
}

/// `.NAME.sandbox` of every name, in the directory that holds `base`, as far as they were made for branches.
fn siblings(base: &Path) -> Vec<PathBuf> {
    let Some(records) = Records::of_user() else {
        return Vec::new();
    };
    let is_place = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().as_bytes();
        name.starts_with(b".") && name.ends_with(b".sandbox") && records.has(path)
    };
    let mut found = base.parent().map(entries).unwrap_or_default();
    found.retain(is_place);
    found
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    entries.flatten().map(|entry| entry.path()).collect()
}

/// Where branches are kept beside the workspace at `base`.
pub(crate) fn beside(base: &Path) -> Option<PathBuf> {
    let mut name = std::ffi::OsString::from(".");
    name.push(base.file_name()?);
    name.push(".sandbox");
    Some(base.parent()?.join(name))
}

/// A name a person can recognize, and a hash of the whole path.
fn directory_name(base: &Path) -> PathBuf {
    let readable: String = base
        .file_name()
        .unwrap_or(OsStr::new("root"))
        .to_string_lossy()
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' || c == '_' {
                c
            } else {
                '-'
            }
        })
        .take(64)
        .collect();
    PathBuf::from(format!("{readable}-{:016x}", fnv1a(base.as_os_str().as_bytes())))
}

/// FNV-1a, 64 bits: names must be the same in every build, and a collision is found by `workspace.json`.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The files of one workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places(PathBuf);

impl Places {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self(directory)
    }

    /// Where the places of all workspaces are, but those beside one; none where nothing says where.
    pub(crate) fn all() -> Option<PathBuf> {
        state_directory().map(|state| state.join("workspaces"))
    }

    pub(crate) fn root(&self) -> &Path {
        &self.0
    }

    pub(crate) fn workspace_file(&self) -> PathBuf {
        self.0.join("workspace.json")
    }

    pub(crate) fn branches(&self) -> PathBuf {
        self.0.join("branches")
    }

    pub(crate) fn branch(&self, name: &BranchName) -> PathBuf {
        self.branches().join(name.as_str())
    }

    pub(crate) fn layers(&self) -> PathBuf {
        self.0.join("layers")
    }

    pub(crate) fn commits(&self) -> PathBuf {
        self.0.join("commits")
    }

    /// Held while layers are shared, removed or collected, and while the base is written.
    pub(crate) fn lock_file(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// Whether a branch is in it.
    pub(crate) fn has_branches(&self) -> bool {
        let entries = std::fs::read_dir(self.branches()).into_iter().flatten();
        let mut names = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok());
        names.any(|name| name.parse::<BranchName>().is_ok())
    }

    /// Whether a branch is in it, or a commit.
    pub(crate) fn is_used(&self) -> bool {
        self.has_branches() || !entries(&self.commits()).is_empty()
    }

    /// Makes the directories, for nobody but their owner.
    pub(crate) fn create(&self) -> io::Result<()> {
        for directory in [self.branches(), self.layers(), self.commits()] {
            make_private(&directory)?;
        }
        Ok(())
    }
}

/// Makes a directory, and those above it, for nobody but the caller.
pub(crate) fn make_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// `path` without links, as far as it exists.
pub(crate) fn resolve(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let there = existing(&path);
    let rest = path.strip_prefix(there).unwrap_or(Path::new(""));
    if rest.components().any(|part| part == Component::ParentDir) {
        return Err(io::ErrorKind::NotFound.into());
    }
    // Nothing is appended where there is nothing: that would add a slash.
    Ok(there
        .canonicalize()?
        .components()
        .chain(rest.components())
        .collect())
}

/// The longest part of an absolute path that exists; a link that leads nowhere does.
pub(crate) fn existing(path: &Path) -> &Path {
    path.ancestors()
        .find(|path| path.symlink_metadata().is_ok())
        .unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_has_a_readable_place_of_its_own() {
        let name = |path: &str| directory_name(Path::new(path)).display().to_string();
        assert!(name("/home/me/my app").starts_with("my-app-"));
        assert_ne!(name("/a/app"), name("/b/app"));
        assert_eq!(name("/a/app"), name("/a/app"));
    }

    #[test]
    fn a_directory_beside_the_workspace_in_which_nothing_is_hides_nothing() {
        let place = tempfile::tempdir().unwrap();
        let base = place.path().join("app");
        let beside = place.path().join(".app.sandbox");
        std::fs::create_dir_all(beside.join("branches")).unwrap();
        if let Ok(found) = Storage::Found.directory(&base) {
            assert_ne!(found, beside);
        }
    }

    #[test]
    fn what_nobody_is_known_to_have_made_beside_the_workspace_is_an_error_when_branches_are_in_it() {
        let place = tempfile::tempdir().unwrap();
        let base = place.path().canonicalize().unwrap().join("app");
        let beside = base.with_file_name(".app.sandbox");
        make_private(&beside.join("branches/x")).unwrap();
        assert!(Storage::Found.directory(&base).is_err());
        assert!(Storage::Beside.directory(&base).is_err());
        let named = Storage::At(beside.clone()).directory(&base).unwrap();
        assert_eq!(named, beside);
        std::fs::rename(&beside, base.with_file_name("moved")).unwrap();
        std::os::unix::fs::symlink("moved", &beside).unwrap();
        assert!(Storage::Found.directory(&base).is_err());
        assert!(Storage::At(beside).directory(&base).is_err());
    }
}
