//! Patterns of paths, as people type them and rules have them.
//!
//! A pattern without `/` is a name in any directory; one with `/` is a path from the workspace's root, and a
//! leading `/` says so where there is no other. `*` and `?` stop at `/`, `**` does not; `[a-z]` and `{a,b}` are
//! as usual. One that ends in `/` is a directory and everything in it, `.` is everything there is. Bytes are
//! matched, so that names that are not UTF-8 can be; nothing is looked up, so that a link is just a name.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use globset::{Candidate, Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use sandbox_types::RelPath;

/// A text that is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pattern:?} is not a pattern")]
pub struct InvalidPattern {
    /// The text.
    pub(crate) pattern: String,
    #[source]
    source: globset::Error,
}

/// Any of several patterns; letter case makes a difference.
#[derive(Debug, Clone)]
pub(crate) struct Patterns {
    set: GlobSet,
}

impl Patterns {
    /// All of `patterns`.
    pub(crate) fn new<P: AsRef<str>>(patterns: impl IntoIterator<Item = P>) -> Result<Self, InvalidPattern> {
        let mut set = Globs::default();
        for pattern in patterns {
            set.add(pattern.as_ref())?;
        }
        Ok(Self { set: set.build()?.0 })
    }

    /// No pattern at all.
    pub(crate) fn none() -> Self {
        Self {
            set: GlobSet::empty(),
        }
    }

    /// Whether one of them is for `path`.
    pub(crate) fn matches(&self, path: &RelPath) -> bool {
        self.set.is_match(path.as_path())
    }
}

/// Globs being collected into one set; one pattern can need two of them.
#[derive(Default)]
pub(crate) struct Globs {
    compiled: Vec<Glob>,
    /// For each glob the number of the pattern it was made of, in the order of [`Self::add`].
    owners: Vec<usize>,
    count: usize,
}

impl Globs {
    /// Adds a pattern and returns its number.
    pub(crate) fn add(&mut self, pattern: &str) -> Result<usize, InvalidPattern> {
        let number = self.count;
        self.count += 1;
        for text in expand(pattern) {
            self.compiled.push(compile(pattern, &text)?);
            self.owners.push(number);
        }
        Ok(number)
    }

    /// The set, and for each of its globs the number of its pattern.
    pub(crate) fn build(self) -> Result<(GlobSet, Vec<usize>), InvalidPattern> {
        let mut builder = GlobSetBuilder::new();
        for glob in self.compiled {
            builder.add(glob);
        }
        // Each is valid; what can still fail names the one that is too large.
        let set = builder.build().map_err(|source| InvalidPattern {
            pattern: source.glob().unwrap_or_default().to_owned(),
            source,
        })?;
        Ok((set, self.owners))
    }
}

/// `path`, given as bytes, prepared to be matched by several sets.
pub(crate) fn candidate(path: &[u8]) -> Candidate<'_> {
    Candidate::new(Path::new(OsStr::from_bytes(path)))
}

/// `path` alone as a pattern, quoted for a shell; none where that cannot be typed.
pub(crate) fn for_shell(path: &RelPath) -> Option<String> {
    let text = std::str::from_utf8(path.as_bytes()).ok()?;
    // A path that is printed with escapes has something in it that would not survive being copied.
    let has_quotes = text.contains(['"', '\\']);
    if path.to_string() != text && !has_quotes {
        return None;
    }
    let mut pattern = String::from("'");
    if !text.contains('/') {
        pattern.push('/');
    }
    for char in text.chars() {
        match char {
            '*' | '?' | '[' | ']' | '{' | '}' | '\\' | ',' => pattern.extend(['\\', char]),
            '\'' => pattern.push_str("'\\''"),
            char => pattern.push(char),
        }
    }
    pattern.push('\'');
    Some(pattern)
}

/// The globs that `pattern` stands for.
fn expand(pattern: &str) -> Vec<String> {
    if pattern == "." {
        return vec!["**".to_owned()];
    }
    let (body, is_tree) = match pattern.strip_suffix('/') {
        Some(body) => (body, true),
        None => (pattern, false),
    };
    let body = match body.strip_prefix('/') {
        Some(anchored) => anchored.to_owned(),
        None if body.contains('/') => body.to_owned(),
        None => format!("**/{body}"),
    };
    if is_tree {
        vec![format!("{body}/**"), body]
    } else {
        vec![body]
    }
}

fn compile(pattern: &str, glob: &str) -> Result<Glob, InvalidPattern> {
    GlobBuilder::new(glob)
        .literal_separator(true)
        .empty_alternates(true)
        .build()
        .map_err(|source| InvalidPattern {
            pattern: pattern.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_to_be_typed_stands_for_itself_alone() {
        for (path, typed) in [
            ("src/a.rs", Some("'src/a.rs'")),
            ("*", Some(r"'/\*'")),
            ("a/{b,c}[d]?", Some(r"'a/\{b\,c\}\[d\]\?'")),
            ("it's; rm -rf ~", Some(r"'/it'\''s; rm -rf ~'")),
            ("a\nb", None),
        ] {
            let path = RelPath::new(path).unwrap();
            let found = for_shell(&path);
            assert_eq!(found.as_deref(), typed);
            if let Some(found) = found {
                let pattern = found.trim_matches('\'').replace(r"'\''", "'");
                let patterns = Patterns::new([pattern]).unwrap();
                assert!(patterns.matches(&path), "{found}");
                assert!(!patterns.matches(&RelPath::new("other").unwrap()), "{found}");
            }
        }
    }

    fn matches(pattern: &str, path: &[u8]) -> bool {
        let path = RelPath::new(OsStr::from_bytes(path)).unwrap();
        Patterns::new([pattern]).unwrap().matches(&path)
    }

    #[test]
    fn a_pattern_is_a_name_anywhere_or_a_path_from_the_root() {
        for (pattern, path, expect) in [
            ("*.rs", "a/b/c.rs", true),
            ("*.rs", "c.rs", true),
            ("/*.rs", "a/c.rs", false),
            ("/*.rs", "c.rs", true),
            ("a/*.rs", "a/c.rs", true),
            ("a/*.rs", "b/a/c.rs", false),
            ("a/*.rs", "a/b/c.rs", false),
            ("a/**/*.rs", "a/b/c.rs", true),
            ("a/**/*.rs", "a/c.rs", true),
            (".git/hooks/*", ".git/hooks/pre-commit", true),
            ("src", "src/lib.rs", false),
            ("src/", "src/lib.rs", true),
            ("src/", "src", true),
            ("src/", "a/src/lib.rs", true),
            ("/src/", "a/src/lib.rs", false),
            (".", "a/b", true),
            (".", "", true),
            ("*", "a/b", true),
            ("README", "readme", false),
            ("{a,b}{,.txt}", "b.txt", true),
            ("{a,b}{,.txt}", "b", true),
        ] {
            assert_eq!(matches(pattern, path.as_bytes()), expect, "{pattern} {path}");
        }
        assert!(matches("a?c", b"a\xffc"));
        assert!(matches("*", b"\xff/\xfe"));
    }

    #[test]
    fn what_is_no_pattern_is_named() {
        let error = Patterns::new(["ok", "a[b"]).unwrap_err();
        assert_eq!(error.pattern, "a[b");
    }
}
