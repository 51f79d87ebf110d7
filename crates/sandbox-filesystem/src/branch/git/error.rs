//! What can go wrong with a repository.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// Why commits could not be looked at or carried over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// There is no git in PATH.
    #[error("git is not installed")]
    NotInstalled,
    /// A file of the repository, or of a layer, could not be read.
    #[error("read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The repository that the commits are handed over in could not be made.
    #[error("prepare the hand-over of commits in {}", path.display())]
    HandOver {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The base's repository keeps its references in a way that is not read here.
    #[error("{}: references are kept as {format:?}, which is not supported", repository.display())]
    RefFormat {
        /// The git directory.
        repository: PathBuf,
        /// `extensions.refStorage`.
        format: String,
    },
    /// The base's repository has object names of an unknown kind.
    #[error("{}: object format {format:?} is not supported", repository.display())]
    ObjectFormat {
        /// The git directory.
        repository: PathBuf,
        /// `extensions.objectFormat`.
        format: String,
    },
    /// The base's repository belongs to somebody else, whose configuration is not to be obeyed.
    #[error("{} belongs to user {owner}", repository.display())]
    ForeignOwner {
        /// The git directory.
        repository: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// More of something than is looked at.
    #[error("{}: more than {limit} {what}", repository.display())]
    TooMany {
        /// The git directory.
        repository: PathBuf,
        /// Of what.
        what: &'static str,
        /// The most.
        limit: u64,
    },
    /// git could not be started, or not be waited for.
    #[error("start {}", program.display())]
    Start {
        /// The git that was found.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// git did not end in time, and was ended.
    #[error("git {command} did not end within {} s", limit.as_secs())]
    TimedOut {
        /// What it was to do.
        command: &'static str,
        /// How long it was given.
        limit: Duration,
    },
    /// git has refused.
    #[error("git {command} failed ({status}): {stderr}")]
    Failed {
        /// What it was to do.
        command: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        stderr: String,
    },
    /// git has answered something that is not understood.
    #[error("git {command} answered {answer:?}")]
    Answer {
        /// What it was asked.
        command: &'static str,
        /// What it said.
        answer: String,
    },
    /// git said that all was well, but the reference is not there.
    #[error("{reference} did not arrive in {}", repository.display())]
    NotArrived {
        /// The git directory.
        repository: PathBuf,
        /// Which.
        reference: String,
    },
    /// A reference is no longer what the commit made it.
    #[error("{reference} of {} has been changed since", repository.display())]
    Moved {
        /// The git directory.
        repository: PathBuf,
        /// Which.
        reference: String,
        /// What the commit made it.
        was: String,
    },
    /// A recorded reference that is not one of ours, or not one at all.
    #[error("{0:?} is not a reference beneath refs/sandbox/")]
    NotOurs(String),
}

impl GitError {
    /// What a user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotInstalled => Some("install git".to_owned()),
            Self::ForeignOwner { repository, .. } => Some(format!(
                "run as its owner, or: git config --global --add safe.directory {}",
                repository.display()
            )),
            Self::RefFormat { .. } => {
                Some("git refs migrate --ref-format=files, in the base, makes them plain files".to_owned())
            }
            Self::Moved {
                repository,
                reference,
                was,
            } => Some(format!(
                "undo what was committed after it first, or put it back: git --git-dir={} update-ref {reference} {was}",
                repository.display()
            )),
            Self::Failed {
                command: "fetch",
                stderr,
                ..
            } if stderr.contains("fsck") => {
                Some("the branch holds a malformed object; nothing of it was taken over".to_owned())
            }
            _ => None,
        }
    }
}

/// Why a repository that was found cannot join a branch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum LocateError {
    /// Something on the way could not be read.
    #[error("read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It belongs to somebody else.
    #[error("{} belongs to user {owner}", path.display())]
    ForeignOwner {
        /// Which.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// It is neither a directory nor a file.
    #[error("{} is neither a directory nor a file", path.display())]
    Strange {
        /// Which.
        path: PathBuf,
    },
    /// A `.git` file that does not lead anywhere.
    #[error("{} does not name a git directory", path.display())]
    BadLink {
        /// Which.
        path: PathBuf,
    },
    /// What a `.git` file leads to is no git directory.
    #[error("{} is not a git directory: HEAD, objects and refs are not all there", path.display())]
    NotGit {
        /// What it leads to.
        path: PathBuf,
    },
    /// What a `.git` file leads to does not say that it belongs there.
    #[error("{} leads to {}, which does not lead back", link.display(), git_dir.display())]
    NoBackLink {
        /// The `.git` file.
        link: PathBuf,
        /// Where it leads.
        git_dir: PathBuf,
    },
    /// The git directory holds the workspace, or the user's home.
    #[error("{} holds more than a repository", path.display())]
    TooWide {
        /// Which.
        path: PathBuf,
    },
}

impl LocateError {
    /// What a user can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::ForeignOwner { path, .. } => Some(format!(
                "run as its owner, or: git config --global --add safe.directory {}",
                path.display()
            )),
            Self::NoBackLink { git_dir, .. } => Some(format!(
                "git worktree repair, or, for a git directory kept apart: git --git-dir={} config core.worktree DIR",
                git_dir.display()
            )),
            _ => None,
        }
    }
}
