//! Which conflict policy holds where.

use sandbox_types::{ConflictPolicy, RelPath};

use crate::branch::patterns::{InvalidPattern, Patterns};

/// A policy, and others for some paths.
#[derive(Debug, Clone)]
pub(crate) struct Policies {
    otherwise: ConflictPolicy,
    by_path: Vec<(Patterns, ConflictPolicy)>,
}

impl Policies {
    /// One for all paths.
    pub(crate) fn all(policy: ConflictPolicy) -> Self {
        Self {
            otherwise: policy,
            by_path: Vec::new(),
        }
    }

    /// Another one where `pattern` matches; the one added last wins.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the command has one policy for all paths so far")
    )]
    pub(crate) fn with(mut self, pattern: &str, policy: ConflictPolicy) -> Result<Self, InvalidPattern> {
        self.by_path.push((Patterns::new([pattern])?, policy));
        Ok(self)
    }

    /// The one for `path`.
    pub(crate) fn at(&self, path: &RelPath) -> ConflictPolicy {
        let found = self
            .by_path
            .iter()
            .rev()
            .find(|(patterns, _)| patterns.matches(path));
        found.map_or(self.otherwise, |(_, policy)| *policy)
    }
}
