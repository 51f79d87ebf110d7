//! What the reader of a change set should know of its repositories.

use std::fmt;
use std::path::PathBuf;

use sandbox_types::RelPath;

/// Something that is not carried over, or not as expected, and no reason to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum Note {
    /// A file where references are kept that holds none.
    NotAReference { path: RelPath, why: Flaw },
    /// A reference to something that the branch does not hold whole.
    Incomplete { reference: String },
    /// A head that is no commit.
    NotACommit { reference: String, kind: String },
    /// A reference in the base is a directory on the way to this one, or the other way round.
    InTheWay { reference: String, existing: String },
    /// More tags than are carried over.
    TooManyTags { count: usize },
    /// A stash was made; it stays on the branch.
    Stash,
    /// A lock was left behind; it stays on the branch, and harms nobody.
    LeftOverLock { path: RelPath },
    /// The branch wants objects to be taken from elsewhere.
    Alternates { path: RelPath },
    /// A place of git's own that cannot be read, or is of a kind that git never makes.
    Unreadable { path: RelPath },
    /// The workspace's own repository was removed or replaced on the branch.
    Gone {
        /// The git directory.
        path: RelPath,
    },
    /// A repository within the workspace that the branch has removed.
    Removed { path: RelPath },
    /// Large files that git extensions keep beside the objects; they stay on the branch.
    SideStore { path: PathBuf },
}

/// What is wrong with a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Its name is not one that git allows, or not text.
    Name,
    /// It is not a regular file.
    Kind,
    /// It holds neither an object's name nor the name of a reference.
    Content,
    /// It leads to no reference, or in a circle.
    Dangling,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "its name is not allowed",
            Self::Kind => "it is not a file",
            Self::Content => "it names neither an object nor a reference",
            Self::Dangling => "it leads nowhere",
        })
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAReference { path, why } => write!(f, "{path} is not taken for a git reference: {why}"),
            Self::Incomplete { reference } => write!(
                f,
                "{reference} is not carried over: it needs objects that neither the branch nor the base has"
            ),
            Self::NotACommit { reference, kind } => {
                write!(f, "{reference} is not carried over: it is a {kind}, not a commit")
            }
            Self::InTheWay { reference, existing } => write!(
                f,
                "{reference} is not carried over: {existing} is in the way (git update-ref -d {existing})"
            ),
            Self::TooManyTags { count } => write!(f, "{count} new tags are not carried over: too many"),
            Self::Stash => f.write_str("a git stash was made; it stays on the branch"),
            Self::LeftOverLock { path } => write!(f, "{path} was left behind by git; it stays on the branch"),
            Self::Alternates { path } => {
                write!(
                    f,
                    "{path} is not heeded: objects are taken from the branch and the base only"
                )
            }
            Self::Unreadable { path } => write!(f, "{path} cannot be read as git's; it is left out"),
            Self::Gone { path } => write!(
                f,
                "the branch has no repository {path} any more; the workspace keeps it as it is"
            ),
            Self::Removed { path } => write!(f, "the repository {path} is removed, its history with it"),
            Self::SideStore { path } => write!(
                f,
                "{} has changed; large files kept there stay on the branch",
                path.display()
            ),
        }
    }
}
