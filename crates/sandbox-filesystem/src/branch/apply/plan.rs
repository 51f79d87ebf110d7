//! What is to be done to a base, as data: for each path what must be there before, and what will be after.

use std::path::PathBuf;

use sandbox_types::{NodeKind, RelPath};
use serde::{Deserialize, Serialize};

use super::super::copy::{Attributes, Refused};
use super::super::node::Meta;
use super::super::raw::Bytes;

/// Steps that take a base from one state to another. They are ordered by path, and no path occurs twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApplyPlan {
    pub(crate) base: PathBuf,
    pub(crate) steps: Vec<Step>,
    /// What the plan does besides, or leaves out.
    pub(crate) notes: Vec<Note>,
}

/// What happens to one path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) path: RelPath,
    /// What is there when the plan is made. If it is something else when it is applied, nothing is.
    pub(crate) before: Option<Meta>,
    pub(crate) after: After,
}

/// What a path will be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum After {
    /// Nothing.
    Absent,
    /// A directory that is not there yet.
    Directory { attributes: Attributes },
    /// A regular file that is not the one that is there.
    File {
        source: Source,
        attributes: Attributes,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link_to: Option<LinkTo>,
    },
    /// A symbolic link that is not the one that is there.
    Symlink { target: Bytes, attributes: Attributes },
    /// A pipe or device that is not the one that is there.
    Special {
        kind: NodeKind,
        rdev: u64,
        attributes: Attributes,
    },
    /// The file or directory that is there, with other attributes.
    Attributes { old: Attributes, new: Attributes },
}

/// Where the content of a file is, beneath a layer or another directory that nobody writes meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Source {
    pub(crate) root: PathBuf,
    pub(crate) path: RelPath,
    /// What it was when the plan was made.
    pub(crate) meta: Meta,
}

/// What a new file is another name of, instead of a copy of its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LinkTo {
    /// A file that an earlier step of this plan makes.
    Step { path: RelPath },
    /// A file of the base that has this content already.
    Base { path: RelPath, meta: Meta },
}

/// Something the user should know of a plan or of what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    pub(crate) path: RelPath,
    pub(crate) what: Noted,
}

/// What there is to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Noted {
    /// A directory was not selected, but something in it was, and the base does not have it.
    DirectoryAdded,
    /// A directory was to be deleted, but something in it was not.
    DirectoryKept,
    /// Sockets are not committed: nobody would listen.
    SocketLeftOut,
    /// A device 0/0 is not committed: to overlayfs it means that a file was deleted.
    WhiteoutLeftOut,
    /// An attribute could not be set.
    Refused(Refused),
    /// Undo will restore this file, but not as a link to its other names: those are not part of the commit.
    LinkNotSaved,
    /// Undo will not be able to give this entry its owner.
    OwnerNotSaved,
    /// A directory of another user has lost its old time of modification.
    TimeNotRestored,
}

impl After {
    /// The attributes that the path will have.
    pub(crate) fn attributes(&self) -> Option<&Attributes> {
        match self {
            Self::Absent => None,
            Self::Directory { attributes }
            | Self::File { attributes, .. }
            | Self::Symlink { attributes, .. }
            | Self::Special { attributes, .. }
            | Self::Attributes { new: attributes, .. } => Some(attributes),
        }
    }

    /// The same, to be changed.
    pub(crate) fn attributes_mut(&mut self) -> Option<&mut Attributes> {
        match self {
            Self::Absent => None,
            Self::Directory { attributes }
            | Self::File { attributes, .. }
            | Self::Symlink { attributes, .. }
            | Self::Special { attributes, .. }
            | Self::Attributes { new: attributes, .. } => Some(attributes),
        }
    }
}

impl Step {
    /// Whether a directory of the base goes away.
    pub(crate) fn removes_directory(&self) -> bool {
        self.before.is_some_and(|meta| meta.is_dir())
            && !matches!(self.after, After::Directory { .. } | After::Attributes { .. })
    }

    /// Whether there will be a directory that is not there yet.
    pub(crate) fn makes_directory(&self) -> bool {
        matches!(self.after, After::Directory { .. })
    }

    /// Whether it changes a directory's attributes and not what is in it.
    pub(crate) fn alters_directory(&self) -> bool {
        self.is_in_place() && self.before.is_some_and(|meta| meta.is_dir())
    }

    /// Whether the entry that is there stays.
    pub(crate) fn is_in_place(&self) -> bool {
        matches!(self.after, After::Attributes { .. })
    }

    /// Whether something that is there is to go, with nothing in its place.
    pub(crate) fn is_removal(&self) -> bool {
        matches!(self.after, After::Absent)
    }

    /// Bytes that have to be copied for it.
    pub(crate) fn bytes(&self) -> u64 {
        match &self.after {
            After::File {
                source,
                link_to: None,
                ..
            } => source.meta.size,
            _ => 0,
        }
    }
}

impl ApplyPlan {}

/// The number of the step of that path.
pub(super) fn find(steps: &[Step], path: &RelPath) -> Option<usize> {
    steps.binary_search_by(|step| step.path.cmp(path)).ok()
}
