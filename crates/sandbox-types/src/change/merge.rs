//! What to do where two have changed the same path, and what came of it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::RelPath;
use crate::BranchName;

/// What to do about a path that two sides have changed to something else.
///
/// In a merge the sides are branches, in the order in which they are given. In a commit "ours" is the branch and
/// "theirs" the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ConflictPolicy {
    /// Nothing at all is written.
    #[default]
    Abort,
    /// The first side's is taken.
    Ours,
    /// The last side's is taken.
    Theirs,
    /// Both are kept: the first under its name, each other one as `NAME.BRANCH`. A changed file that the other
    /// side has deleted is kept.
    Both,
    /// Texts are merged line by line, with markers where both have changed the same lines. What is no text, or
    /// has no known common ancestor, is as with [`Self::Abort`].
    Text,
}

impl ConflictPolicy {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Abort, Self::Ours, Self::Theirs, Self::Both, Self::Text];

    /// As it is written on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Abort => "abort",
            Self::Ours => "ours",
            Self::Theirs => "theirs",
            Self::Both => "both",
            Self::Text => "text",
        }
    }
}

impl fmt::Display for ConflictPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that is no conflict policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not one of abort, ours, theirs, both, text")]
pub struct InvalidPolicy(pub String);

impl FromStr for ConflictPolicy {
    type Err = InvalidPolicy;

    fn from_str(text: &str) -> Result<Self, InvalidPolicy> {
        let found = Self::ALL.into_iter().find(|policy| policy.name() == text);
        found.ok_or_else(|| InvalidPolicy(text.to_owned()))
    }
}

/// In what the sides differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ConflictKind {
    /// Both have changed what it holds.
    Content,
    /// Both have added it.
    Added,
    /// One has deleted it, another has changed or renamed it.
    Deleted,
    /// It is a directory to one, and none to another; or a file to one and a link to another.
    Kind,
    /// Both have changed its mode, owner or extended attributes.
    Attributes,
    /// They have renamed it to different names.
    Renamed,
}

/// Why a conflict cannot be settled as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Unsettled {
    /// The policy says so.
    Policy,
    /// It is not a file on every side.
    NotFiles,
    /// A file is not a text.
    Binary,
    /// A file is too long to be merged line by line.
    TooLong,
    /// What they have in common is not known: the base has changed since the branch was created, and there is
    /// no snapshot of it.
    NoAncestor,
    /// Modes, owners or extended attributes differ too.
    Attributes,
    /// More than two sides have changed the same lines.
    TooMany,
}

impl fmt::Display for Unsettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Policy => "nothing was said about what to do",
            Self::NotFiles => "not files on every side",
            Self::Binary => "not text",
            Self::TooLong => "too long to be merged line by line",
            Self::NoAncestor => "the common ancestor is not known",
            Self::Attributes => "modes, owners or extended attributes differ too",
            Self::TooMany => "more than two have changed the same lines",
        })
    }
}

/// What has become of a conflict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ConflictOutcome {
    /// Nothing: therefore nothing at all was written.
    Unsettled {
        /// Why.
        why: Unsettled,
    },
    /// One side's was taken.
    Taken {
        /// Whose.
        branch: BranchName,
    },
    /// All are kept.
    Copies {
        /// Where the others are.
        paths: Vec<RelPath>,
    },
    /// The file has conflict markers.
    Markers,
}

/// A path that several branches have changed, each to something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergeConflict {
    /// Where.
    pub path: RelPath,
    /// In what they differ.
    pub kind: ConflictKind,
    /// The branches.
    pub branches: Vec<BranchName>,
    /// What has become of it.
    #[serde(flatten)]
    pub outcome: ConflictOutcome,
}

/// What a merge has done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MergeReport {
    /// Paths that were taken as one branch, or several alike, have them.
    pub taken: u64,
    /// Files whose texts were merged without a conflict.
    pub merged: Vec<RelPath>,
    /// Paths that were not.
    pub conflicts: Vec<MergeConflict>,
}

impl MergeReport {
    /// The conflicts because of which nothing was written.
    pub fn unsettled(&self) -> impl Iterator<Item = &MergeConflict> {
        let is_unsettled =
            |conflict: &&MergeConflict| matches!(conflict.outcome, ConflictOutcome::Unsettled { .. });
        self.conflicts.iter().filter(is_unsettled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_as_it_is_written() {
        for policy in ConflictPolicy::ALL {
            assert_eq!(policy.to_string().parse(), Ok(policy));
            assert_eq!(serde_json::to_string(&policy).unwrap(), format!("\"{policy}\""));
        }
        let error = "mine".parse::<ConflictPolicy>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"mine\" is not one of abort, ours, theirs, both, text"
        );
    }
}
