//! What a user accepts of what is held back.

use std::collections::BTreeSet;

use sandbox_types::Change;

use crate::branch::patterns::{InvalidPattern, Patterns};

/// What a rule's name comes after, among patterns.
pub(super) const RULE: &str = "rule:";

/// Held changes that are committed nevertheless.
#[derive(Debug, Clone)]
pub(crate) enum Acceptance {
    /// All of them.
    All,
    /// Those at certain paths, or held by certain rules.
    Some {
        patterns: Patterns,
        rules: BTreeSet<String>,
    },
}

impl Acceptance {
    /// None of them.
    pub(crate) fn none() -> Self {
        Self::Some {
            patterns: Patterns::none(),
            rules: BTreeSet::new(),
        }
    }

    /// Those that one of `texts` is for: a pattern of paths, matched exactly, or `rule:NAME`.
    pub(crate) fn of<T: AsRef<str>>(texts: &[T]) -> Result<Self, InvalidPattern> {
        let (rules, patterns): (Vec<_>, Vec<_>) = texts
            .iter()
            .map(AsRef::as_ref)
            .partition(|text| text.starts_with(RULE));
        let rules = rules.iter().filter_map(|text| text.strip_prefix(RULE));
        Ok(Self::Some {
            patterns: Patterns::new(patterns)?,
            rules: rules.map(str::to_owned).collect(),
        })
    }

    /// Whether `change` may be committed: it is not held, or it is accepted.
    pub(crate) fn accepts(&self, change: &Change) -> bool {
        let Some(hold) = &change.hold else {
            return true;
        };
        match self {
            Self::All => true,
            Self::Some { patterns, rules } => rules.contains(&hold.rule) || patterns.matches(&change.path),
        }
    }
}
