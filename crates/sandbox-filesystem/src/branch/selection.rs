//! Which changes are meant.

use std::collections::BTreeSet;

use sandbox_types::{Change, ChangeKind, RelPath};

pub use super::patterns::InvalidPattern;
use super::patterns::Patterns;

/// A part of a change set.
#[derive(Debug, Clone, Default)]
pub struct Selection(Chosen);

#[derive(Debug, Clone, Default)]
enum Chosen {
    #[default]
    All,
    Matching(Patterns),
    Exactly(BTreeSet<RelPath>),
}

impl Selection {
    /// Everything.
    pub fn all() -> Self {
        Self::default()
    }

    /// What one of `patterns` is for: a name in any directory, a path from the workspace's root, or either with `*`,
    /// `?`, `[…]`, `{…}` and `**` in it; a directory means everything in it. No pattern at all means everything.
    ///
    /// # Errors
    /// [`InvalidPattern`].
    pub fn of<T: AsRef<str>>(patterns: &[T]) -> Result<Self, InvalidPattern> {
        if patterns.is_empty() {
            return Ok(Self::all());
        }
        let with_contents = patterns.iter().flat_map(|pattern| {
            let directory = pattern.as_ref().trim_end_matches('/');
            [directory.to_owned(), format!("{directory}/")]
        });
        Ok(Self(Chosen::Matching(Patterns::new(with_contents)?)))
    }

    /// Exactly these paths.
    pub fn exactly(paths: impl IntoIterator<Item = RelPath>) -> Self {
        Self(Chosen::Exactly(paths.into_iter().collect()))
    }

    /// Whether it is everything, whatever there is.
    pub fn is_all(&self) -> bool {
        matches!(self.0, Chosen::All)
    }

    /// Whether `path` is meant.
    pub fn has(&self, path: &RelPath) -> bool {
        match &self.0 {
            Chosen::All => true,
            Chosen::Matching(patterns) => patterns.matches(path),
            Chosen::Exactly(paths) => paths.contains(path),
        }
    }

    /// Whether `change` is meant: one that is a rename, by either of its names.
    pub fn takes(&self, change: &Change) -> bool {
        self.has(&change.path) || matches!(&change.change, ChangeKind::Renamed { from, .. } if self.has(from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_means_what_is_in_it() {
        let selection = Selection::of(&["src", "*.md", "/a/b"]).unwrap();
        for (path, is_meant) in [
            ("src", true),
            ("src/x/y.rs", true),
            ("docs/a.md", true),
            ("a/b", true),
            ("c/a/b", false),
            ("source", false),
        ] {
            assert_eq!(selection.has(&RelPath::new(path).unwrap()), is_meant, "{path}");
        }
        assert!(Selection::of::<&str>(&[]).unwrap().is_all());
    }
}
