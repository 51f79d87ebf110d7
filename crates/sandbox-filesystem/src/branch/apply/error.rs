//! Why a plan cannot be made, or cannot be carried out.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use sandbox_types::{BaseChange, RelPath};

use super::super::base::Identity;
use super::journal::CommitStatus;

const READ_ONLY: &str =
    "its file system is mounted read-only: remount it (mount -o remount,rw), then do it again";
const MOUNTED: &str = "something is mounted there: make that a workspace of its own";

/// Why changes cannot be made a plan.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    #[error("{path}: {source}")]
    Read {
        path: RelPath,
        #[source]
        source: io::Error,
    },
    #[error("{path}: on another file system than the rest of the base")]
    OtherFileSystem { path: RelPath },
    #[error("{path}: the branch was changed since it was compared with its base")]
    BranchMoved { path: RelPath },
    #[error("{path}: cannot replace a directory in which {inner} is kept")]
    NotEmpty { path: RelPath, inner: RelPath },
    #[error("{path}: would be in {parent}, which is not a directory in the base")]
    ParentNeeded { path: RelPath, parent: RelPath },
}

impl PlanError {
    pub(super) fn read(path: &RelPath) -> impl FnOnce(io::Error) -> Self {
        let path = path.clone();
        move |source| match Errno::from_io_error(&source) {
            Some(Errno::XDEV) => Self::OtherFileSystem { path },
            _ => Self::Read { path, source },
        }
    }

    /// What a user can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::BranchMoved { .. } => "look at the changes again, and commit then".into(),
            Self::NotEmpty { inner, .. } => format!("commit {inner} too"),
            Self::ParentNeeded { parent, .. } => format!("commit {parent} too"),
            Self::OtherFileSystem { .. } => MOUNTED.into(),
            Self::Read { .. } => return None,
        })
    }
}

/// A path of the base that is not as it was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conflict {
    pub(crate) path: RelPath,
    pub(crate) change: BaseChange,
}

/// What stopped a step.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    #[error("{path}: {source}")]
    Io {
        path: RelPath,
        #[source]
        source: io::Error,
    },
    #[error("{}: {}", .0.path, said(.0.change))]
    Conflict(Conflict),
    /// What somebody put there meanwhile has been moved, and could not be put back: something was there again.
    #[error("{path}: changed twice meanwhile; what was there first is now {kept}")]
    Displaced { path: RelPath, kept: RelPath },
}

impl StepError {
    pub(super) fn io(path: &RelPath) -> impl FnOnce(io::Error) -> Self {
        let path = path.clone();
        move |source| Self::Io { path, source }
    }

    pub(super) fn conflict(path: &RelPath, change: BaseChange) -> Self {
        Self::Conflict(Conflict {
            path: path.clone(),
            change,
        })
    }
}

/// Why a plan was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    #[error("commit {} is being worked on by another process", number(commit))]
    Busy { commit: PathBuf },
    #[error("commit {} is {status}", number(commit))]
    Status { commit: PathBuf, status: CommitStatus },
    #[error("{base}: {source}", base = base.display())]
    Base {
        base: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{base} is not the directory that it was", base = base.display())]
    BaseReplaced { base: PathBuf },
    #[error("{path}: {}: {source}", unwritable(source))]
    NotWritable {
        path: RelPath,
        #[source]
        source: io::Error,
    },
    #[error("{path}: on another file system than the rest of the base")]
    OtherFileSystem { path: RelPath },
    #[error(
        "{path}: would be a directory that you may not enter yourself, with something in it to be committed"
    )]
    Locked { path: RelPath },
    #[error("{}", listed(.0))]
    Conflicts(Vec<Conflict>),
    #[error("{path}: cannot be prepared: {source}; the base is untouched")]
    Stage {
        path: RelPath,
        #[source]
        source: io::Error,
    },
    #[error("{path}: was changed on the branch meanwhile; the base is untouched")]
    SourceMoved { path: RelPath },
    #[error(
        "{path}: is another user's directory, and deleting it could not be undone; the base is untouched"
    )]
    NotRestorable { path: RelPath },
    #[error("{failure}; the base is as it was before")]
    RolledBack {
        #[source]
        failure: StepError,
        /// What is at the paths that were touched: as it was, but for its ctime, and so no conflict later.
        left: BTreeMap<RelPath, Option<Identity>>,
    },
    #[error("{failure}; what was done before could not be taken back everywhere: {rollback}")]
    Stuck {
        #[source]
        failure: StepError,
        rollback: Box<ApplyError>,
    },
    #[error("{failure}; the rest is done")]
    Unfinished {
        #[source]
        failure: StepError,
        /// Further paths.
        others: Vec<StepError>,
    },
    #[error("{path}: {source}", path = path.display())]
    Journal {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path} is damaged: {source}", path = path.display())]
    Damaged {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("{path} is of version {version}, which this program does not know", path = path.display())]
    Newer { path: PathBuf, version: u32 },
}

impl ApplyError {
    /// The paths of the base that are not as they were expected.
    pub(crate) fn conflicts(&self) -> Vec<&Conflict> {
        fn of(failure: &StepError) -> Option<&Conflict> {
            match failure {
                StepError::Conflict(conflict) => Some(conflict),
                _ => None,
            }
        }
        match self {
            Self::Conflicts(conflicts) => conflicts.iter().collect(),
            Self::RolledBack { failure, .. } => of(failure).into_iter().collect(),
            Self::Unfinished { failure, others } => {
                std::iter::once(failure).chain(others).filter_map(of).collect()
            }
            _ => Vec::new(),
        }
    }

    /// What a user can do about it.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Busy { .. } => "wait until it has ended",
            Self::Conflicts(_)
            | Self::RolledBack {
                failure: StepError::Conflict(_),
                ..
            } => "look at them, and say which side is to win",
            Self::Locked { .. } => "on the branch, let its owner in (chmod u+rwx), or leave it out",
            Self::NotWritable { source, .. } if is_read_only(source) => READ_ONLY,
            Self::NotWritable { .. } => "give yourself permission to write there",
            Self::OtherFileSystem { .. } => MOUNTED,
            Self::SourceMoved { .. } => "end what runs on the branch, and commit again",
            Self::Stuck { .. } | Self::Unfinished { .. } => {
                "mend what is named, then: sandbox branch recover"
            }
            Self::Stage { source, .. }
            | Self::RolledBack {
                failure: StepError::Io { source, .. },
                ..
            } => match Errno::from_io_error(source)? {
                Errno::NOSPC | Errno::DQUOT => "free some space on the workspace's file system",
                Errno::ROFS => READ_ONLY,
                Errno::ACCESS | Errno::PERM => "give yourself permission to write there",
                Errno::XDEV => "keep the branches beside the workspace instead of in the state directory",
                _ => return None,
            },
            Self::Newer { .. } => "use the newer program",
            _ => return None,
        })
    }
}

/// `c7`, of the directory it is kept in.
fn number(commit: &Path) -> String {
    let name = commit.file_name().unwrap_or(commit.as_os_str());
    name.to_string_lossy().into_owned()
}

fn is_read_only(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::ROFS)
}

fn unwritable(error: &io::Error) -> &'static str {
    if is_read_only(error) {
        "cannot be written by anybody"
    } else {
        "may not be written"
    }
}

fn said(change: BaseChange) -> &'static str {
    match change {
        BaseChange::Modified => "was changed in the base meanwhile",
        BaseChange::Appeared => "has appeared in the base meanwhile",
        BaseChange::Vanished => "has vanished from the base meanwhile",
        BaseChange::Replaced => "was replaced in the base meanwhile",
    }
}

/// The first few; the rest is counted.
fn listed(conflicts: &[Conflict]) -> String {
    let shown = conflicts.iter().take(3);
    let mut text: Vec<_> = shown
        .map(|conflict| format!("{} {}", conflict.path, said(conflict.change)))
        .collect();
    if let Some(more) = conflicts.len().checked_sub(3).filter(|more| *more > 0) {
        text.push(format!("{more} more"));
    }
    text.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_only_file_system_is_not_taken_for_a_missing_permission() {
        for (errno, message, hint) in [
            (
                Errno::ROFS,
                "d: cannot be written by anybody",
                "mounted read-only",
            ),
            (Errno::ACCESS, "d: may not be written", "give yourself permission"),
        ] {
            let path = RelPath::new("d").unwrap();
            let source = errno.into();
            let error = ApplyError::NotWritable { path, source };
            assert!(error.to_string().starts_with(message), "{error}");
            assert!(error.hint().unwrap().contains(hint), "{errno}");
        }
    }

    #[test]
    fn a_commit_is_named_by_its_number() {
        let commit = PathBuf::from("/somewhere/commits/c7");
        let status = CommitStatus::Undone;
        assert_eq!(
            ApplyError::Status { commit, status }.to_string(),
            "commit c7 is undone already"
        );
    }
}
