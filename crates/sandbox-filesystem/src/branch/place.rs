//! Where things are kept: the state directory, and what is in a workspace's part of it.

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use sandbox_types::BranchName;

/// Where the branches of a workspace are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Storage {
    /// Beside the workspace where that is prepared already ([`Storage::Beside`]), else in the state directory.
    #[default]
    Found,
    /// In `.NAME.sandbox` in the directory that holds the workspace: on its file system, so that contents are
    /// shared by reflink and put in place by rename.
    Beside,
    /// In this directory.
    At(PathBuf),
}

/// The state directory: `$SANDBOX_HOME`, `$XDG_STATE_HOME/sandbox` or `~/.local/state/sandbox`.
///
/// None where none of the three variables says where.
pub fn state_directory() -> Option<PathBuf> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    variable("SANDBOX_HOME")
        .or_else(|| variable("XDG_STATE_HOME").map(|path| path.join("sandbox")))
        .or_else(|| variable("HOME").map(|path| path.join(".local/state/sandbox")))
}

impl Storage {
    /// The directory for the workspace at `base`, which need not exist yet.
    pub(crate) fn directory(&self, base: &Path) -> Option<PathBuf> {
        let beside = beside(base);
        match self {
            Self::At(path) => Some(path.join(directory_name(base))),
            Self::Beside => beside,
            Self::Found => match beside.filter(|path| is_own_directory(path)) {
                Some(beside) => Some(beside),
                None => Places::all().map(|all| all.join(directory_name(base))),
            },
        }
    }
}

impl Storage {
    /// Places where branches of other workspaces are, which the one at `base` may have been.
    pub(crate) fn known_beside(&self, base: &Path) -> Vec<PathBuf> {
        let beside = || siblings(base).into_iter();
        match self {
            Self::At(path) => entries(path),
            Self::Beside => beside().collect(),
            Self::Found => beside()
                .chain(Places::all().map(|all| entries(&all)).unwrap_or_default())
                .collect(),
        }
    }
}

/// `.NAME.sandbox` of every name, in the directory that holds `base`.
fn siblings(base: &Path) -> Vec<PathBuf> {
    let is_place = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().as_bytes();
        name.starts_with(b".") && name.ends_with(b".sandbox") && is_own_directory(path)
    };
    let mut found = base.parent().map(entries).unwrap_or_default();
    found.retain(is_place);
    found
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    entries.flatten().map(|entry| entry.path()).collect()
}

fn beside(base: &Path) -> Option<PathBuf> {
    let mut name = std::ffi::OsString::from(".");
    name.push(base.file_name()?);
    name.push(".sandbox");
    Some(base.parent()?.join(name))
}

/// Whether it is a directory of the caller's, and no link: what others have left there is not believed.
fn is_own_directory(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw())
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
    fn a_place_beside_the_workspace_is_used_when_it_is_there() {
        let place = tempfile::tempdir().unwrap();
        let base = place.path().join("app");
        let beside = place.path().join(".app.sandbox");
        assert_ne!(Storage::Found.directory(&base), Some(beside.clone()));
        std::fs::create_dir(&beside).unwrap();
        assert_eq!(Storage::Found.directory(&base), Some(beside.clone()));
        std::fs::remove_dir(&beside).unwrap();
        std::os::unix::fs::symlink("/tmp", &beside).unwrap();
        assert_ne!(Storage::Found.directory(&base), Some(beside));
    }
}
