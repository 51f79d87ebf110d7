//! Which changes are meant.

use std::collections::BTreeSet;

use sandbox_types::{Change, ChangeKind, ChangeSet, RelPath};

pub use super::patterns::InvalidPattern;
use super::patterns::{Globs, Patterns};

/// A part of a change set.
#[derive(Debug, Clone, Default)]
pub struct Selection(Chosen);

#[derive(Debug, Clone, Default)]
enum Chosen {
    #[default]
    All,
    Matching(Patterns, Vec<String>),
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
        let texts: Vec<_> = patterns
            .iter()
            .map(|pattern| pattern.as_ref().to_owned())
            .collect();
        let with_contents = texts.iter().flat_map(|text| with_contents(text));
        Ok(Self(Chosen::Matching(Patterns::new(with_contents)?, texts)))
    }

    /// What was given and is for no change of `set`: patterns, or paths.
    ///
    /// # Errors
    /// [`InvalidPattern`].
    pub fn unmatched(&self, set: &ChangeSet) -> Result<Vec<String>, InvalidPattern> {
        match &self.0 {
            Chosen::All => Ok(Vec::new()),
            Chosen::Matching(_, texts) => unmatched(texts, set),
            Chosen::Exactly(paths) => {
                let known: BTreeSet<_> = set.changes.iter().flat_map(names).collect();
                let missing = paths.iter().filter(|path| !known.contains(path));
                Ok(missing.map(ToString::to_string).collect())
            }
        }
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
            Chosen::Matching(patterns, _) => patterns.matches(path),
            Chosen::Exactly(paths) => paths.contains(path),
        }
    }

    /// Whether `change` is meant: one that is a rename, by either of its names.
    pub fn takes(&self, change: &Change) -> bool {
        self.has(&change.path) || matches!(&change.change, ChangeKind::Renamed { from, .. } if self.has(from))
    }
}

/// The patterns of what is called `text`, and of what is in it.
fn with_contents(text: &str) -> [String; 2] {
    let directory = text.trim_end_matches('/');
    [directory.to_owned(), format!("{directory}/")]
}

/// The names of a change, of which a rename has two.
fn names(change: &Change) -> impl Iterator<Item = &RelPath> {
    let before = match &change.change {
        ChangeKind::Renamed { from, .. } => Some(from),
        _ => None,
    };
    std::iter::once(&change.path).chain(before)
}

fn unmatched(texts: &[String], set: &ChangeSet) -> Result<Vec<String>, InvalidPattern> {
    let mut globs = Globs::default();
    let mut texts_of = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        for pattern in with_contents(text) {
            globs.add(&pattern)?;
            texts_of.push(index);
        }
    }
    let (globs, owners) = globs.build()?;
    let mut found: BTreeSet<usize> = BTreeSet::new();
    for path in set.changes.iter().flat_map(names) {
        let patterns = globs.matches(path.as_path()).into_iter();
        let patterns = patterns.filter_map(|glob| owners.get(glob));
        found.extend(patterns.filter_map(|pattern| texts_of.get(*pattern).copied()));
    }
    let missing = texts
        .iter()
        .enumerate()
        .filter(|(index, _)| !found.contains(index));
    Ok(missing.map(|(_, text)| text.clone()).collect())
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
