//! Where the system is looked at.

use std::path::{Path, PathBuf};

/// The root directory under which `/proc` and the cgroup mounts are found.
///
/// [`Hierarchy::host`] is the system itself; another root is a fixture of a test or a host's tree that is
/// mounted elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    root: PathBuf,
}

impl Hierarchy {
    /// The running system.
    pub fn host() -> Self {
        Self {
            root: PathBuf::from("/"),
        }
    }

    /// The system whose `/` is `root`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// `absolute`, as seen beneath the root.
    pub(super) fn path(&self, absolute: &Path) -> PathBuf {
        self.root.join(absolute.strip_prefix("/").unwrap_or(absolute))
    }
}
