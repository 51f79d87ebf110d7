//! Paths as users write them, made relative to the root.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::error::FsError;

/// A path beneath the root: no leading `/`, no `.`, no `..`. The empty one is the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inner(PathBuf);

impl Inner {
    /// # Errors
    /// [`FsError::Path`] for a path with `..` or NUL in it.
    pub(crate) fn new(path: &Path) -> Result<Self, FsError> {
        let refused = || FsError::Path {
            path: path.to_owned(),
        };
        if path.as_os_str().as_bytes().contains(&0) {
            return Err(refused());
        }
        let mut inner = PathBuf::new();
        for component in path.components() {
            match component {
                Component::Normal(name) => inner.push(name),
                Component::RootDir | Component::CurDir => {}
                Component::ParentDir | Component::Prefix(_) => return Err(refused()),
            }
        }
        Ok(Self(inner))
    }

    pub(crate) fn root() -> Self {
        Self(PathBuf::new())
    }

    /// As the kernel resolves it.
    pub(crate) fn as_path(&self) -> &Path {
        if self.is_root() { Path::new(".") } else { &self.0 }
    }

    pub(crate) fn is_root(&self) -> bool {
        self.0.as_os_str().is_empty()
    }

    /// The directory it is in and its name there; none for the root.
    pub(crate) fn split(&self) -> Option<(Self, &OsStr)> {
        let name = self.0.file_name()?;
        Some((Self(self.0.parent()?.to_owned()), name))
    }

    /// What is called `name` in it.
    pub(crate) fn join(&self, name: &OsStr) -> Self {
        Self(self.0.join(name))
    }

    /// Every directory on the way to it and itself, the topmost first.
    pub(crate) fn steps(&self) -> Vec<Self> {
        let mut steps: Vec<_> = self
            .0
            .ancestors()
            .filter(|path| !path.as_os_str().is_empty())
            .map(|path| Self(path.to_owned()))
            .collect();
        steps.reverse();
        steps
    }

    /// Whether it is `other` or beneath it, as written.
    pub(crate) fn is_beneath(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// As users write it.
    pub(crate) fn shown(&self) -> PathBuf {
        Path::new("/").join(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_go_up_are_refused_and_others_are_made_relative() {
        for (path, inner) in [
            ("", ""),
            ("/", ""),
            ("./a//b/", "a/b"),
            ("/a/./b", "a/b"),
            ("..x", "..x"),
        ] {
            assert_eq!(Inner::new(Path::new(path)).unwrap().0, Path::new(inner), "{path}");
        }
        for path in ["..", "a/..", "missing/../../other/x", "/../x", "a\0b"] {
            assert!(Inner::new(Path::new(path)).is_err(), "{path}");
        }
    }
}
