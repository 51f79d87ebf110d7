//! What a branch has changed, as data: found by the branch engine, printed by the command.

mod merge;
mod path;
mod risk;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use merge::{
    ConflictKind, ConflictOutcome, ConflictPolicy, InvalidPolicy, MergeConflict, MergeReport, Unsettled,
};
pub use path::{InvalidRelPath, RelPath};
pub use risk::{Condition, RiskRules, RuleSpec};

use crate::BranchName;

/// What a file system entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A unix socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

/// One thing, besides its content, in which an entry differs from the base's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attribute {
    /// Permission bits, setuid, setgid and sticky among them.
    Mode,
    /// User or group.
    Owner,
    /// The time of the last modification; of directories it is not looked at.
    Time,
    /// Extended attributes, access control lists among them.
    Xattrs,
}

/// What has happened to a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is another than in the base.
    Modified {
        /// Whether what it holds differs: bytes of a file, target of a link, numbers of a device.
        content: bool,
        /// What else differs.
        attributes: Vec<Attribute>,
    },
    /// It is gone. Every path beneath a deleted directory is listed.
    Deleted,
    /// It has been moved, and perhaps modified.
    Renamed {
        /// Where it is in the base.
        from: RelPath,
        /// Whether what it holds differs.
        content: bool,
    },
    /// It is another kind of entry.
    TypeChanged {
        /// What it is in the base.
        from: NodeKind,
    },
}

impl ChangeKind {
    /// One letter, as git has them: A, M, D, R, T.
    pub const fn letter(&self) -> char {
        match self {
            Self::Added => 'A',
            Self::Modified { .. } => 'M',
            Self::Deleted => 'D',
            Self::Renamed { .. } => 'R',
            Self::TypeChanged { .. } => 'T',
        }
    }
}

/// Why a change is not committed unless it is accepted: it can run, or grant something, outside the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The rule's name.
    pub rule: String,
    /// What the danger is.
    pub why: String,
}

/// What has happened to a path in the base since the branch was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BaseChange {
    /// It was changed.
    Modified,
    /// It was not there.
    Appeared,
    /// It is no longer there.
    Vanished,
    /// It is another entry of the same name.
    Replaced,
}

/// One path that differs between a branch and its base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Where.
    pub path: RelPath,
    /// What it is now; of a deleted path, what it was.
    pub node: NodeKind,
    /// What has happened to it.
    #[serde(flatten)]
    pub change: ChangeKind,
    /// Bytes it holds now; of a deleted path, held.
    pub size: u64,
    /// Set when it is held back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// Set when the base has changed there too, to something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<BaseChange>,
}

/// What git ignores: kept on the branch, and not committed unless asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ignored {
    /// The directory or file that is ignored as a whole.
    pub path: RelPath,
    /// Changed entries in it that are not directories.
    pub files: u64,
    /// Bytes they hold.
    pub bytes: u64,
}

/// Commits that a branch has made in a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitRef {
    /// The repository's git directory, beneath the workspace or absolute.
    pub repository: PathBuf,
    /// The branch's own name for it: `refs/heads/main`.
    pub from: String,
    /// Where it arrives in the base: `refs/sandbox/NAME/main`.
    pub to: String,
    /// The commit, in hexadecimal.
    pub id: String,
    /// Commits that the base does not have.
    pub commits: u64,
}

/// Everything that a branch has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeSet {
    /// The branch.
    pub branch: BranchName,
    /// The directory it is a branch of.
    pub base: PathBuf,
    /// Changed paths, ordered by the bytes of their names, a directory before what it holds.
    pub changes: Vec<Change>,
    /// What git ignores, folded.
    pub ignored: Vec<Ignored>,
    /// What arrives as git references.
    pub git: Vec<GitRef>,
    /// What the reader should know besides.
    pub notes: Vec<String>,
}

/// How many changes of which kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ChangeCounts {
    /// New paths.
    pub added: u64,
    /// Paths with other content or attributes, or of another type.
    pub modified: u64,
    /// Paths that are gone.
    pub deleted: u64,
    /// Paths that have moved.
    pub renamed: u64,
}

impl ChangeSet {
    /// Whether nothing has changed, ignored files and git references included.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.ignored.is_empty() && self.git.is_empty()
    }

    /// The changes that are held back.
    pub fn held(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.hold.is_some())
    }

    /// The changes where the base has changed too.
    pub fn conflicts(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.conflict.is_some())
    }

    /// How many there are of which kind.
    pub fn counts(&self) -> ChangeCounts {
        let mut counts = ChangeCounts::default();
        for change in &self.changes {
            let count = match change.change {
                ChangeKind::Added => &mut counts.added,
                ChangeKind::Modified { .. } | ChangeKind::TypeChanged { .. } => &mut counts.modified,
                ChangeKind::Deleted => &mut counts.deleted,
                ChangeKind::Renamed { .. } => &mut counts.renamed,
            };
            *count += 1;
        }
        counts
    }
}
