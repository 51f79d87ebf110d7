//! A map from paths to what is there, parents before what they hold.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Ordered by the bytes of the path: a directory comes before everything in it, and comparing two paths
/// does not take them apart (`PathBuf`'s own order does, and was a third of planning).
#[derive(Debug)]
pub(super) struct Tree<T>(BTreeMap<OsString, T>);

impl<T> Default for Tree<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Tree<T> {
    /// Puts `value` at `path`, in place of what was there.
    pub(super) fn insert(&mut self, path: impl Into<PathBuf>, value: T) {
        self.0.insert(path.into().into_os_string(), value);
    }

    /// Puts `value` at `path` unless something is there.
    pub(super) fn insert_new(&mut self, path: impl Into<PathBuf>, value: T) {
        self.0.entry(path.into().into_os_string()).or_insert(value);
    }

    pub(super) fn get(&self, path: &Path) -> Option<&T> {
        self.0.get(path.as_os_str())
    }

    pub(super) fn get_mut(&mut self, path: &Path) -> Option<&mut T> {
        self.0.get_mut(path.as_os_str())
    }

    pub(super) fn contains(&self, path: &Path) -> bool {
        self.0.contains_key(path.as_os_str())
    }

    pub(super) fn remove(&mut self, path: &Path) -> Option<T> {
        self.0.remove(path.as_os_str())
    }

    /// Keeps what `keep` says.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&Path) -> bool) {
        self.0.retain(|path, _| keep(Path::new(path)));
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(Path::new)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Path, &T)> {
        self.0.iter().map(|(path, value)| (Path::new(path), value))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<T> IntoIterator for Tree<T> {
    type Item = (PathBuf, T);
    type IntoIter =
        std::iter::Map<std::collections::btree_map::IntoIter<OsString, T>, fn((OsString, T)) -> (PathBuf, T)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0
            .into_iter()
            .map(|(path, value)| (PathBuf::from(path), value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_comes_before_everything_in_it() {
        let mut tree = Tree::default();
        for path in ["/a/b", "/a-b", "/a", "/a/b/c", "/a.b"] {
            tree.insert(path, ());
        }
        let order: Vec<_> = tree.paths().collect();
        for (index, path) in order.iter().enumerate() {
            assert!(
                order[index..]
                    .iter()
                    .all(|later| later == path || !path.starts_with(later)),
                "{order:?}"
            );
        }
    }
}
