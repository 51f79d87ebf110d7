//! Why a sandbox is not shared, not joined, not served.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::error::StartError;

/// Why a sandbox cannot be shared. It is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShareError {
    /// There is nothing to share yet, and it does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It listens already.
    #[error("the sandbox is shared already")]
    AlreadyShared,
    /// It is this process's alone.
    #[error("the sandbox is not shared")]
    NotShared,
    /// Another live sandbox listens there.
    #[error("{path}: another sandbox listens here", path = path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something else is there.
    #[error("{path}: exists and is not a socket", path = path.display())]
    NotASocket {
        /// What is in the way.
        path: PathBuf,
    },
    /// Others could put a socket of theirs into its place.
    #[error("{path}: others may enter this directory, or it is another user's", path = path.display())]
    PublicDirectory {
        /// The socket's directory.
        path: PathBuf,
    },
    /// Somebody holds the directory's lock.
    #[error("{path}: locked by another process", path = path.display())]
    Locked {
        /// The socket's directory.
        path: PathBuf,
    },
    /// The sandbox's cgroup or private directory cannot be marked as shared.
    #[error("{what}: {source}")]
    Mark {
        /// Which of them.
        what: &'static str,
        /// EWOULDBLOCK: it is locked by somebody who has no business with it.
        #[source]
        source: io::Error,
    },
    /// The sandbox cannot be described to another process.
    #[error("cannot describe the sandbox: {0}")]
    Describe(#[from] serde_json::Error),
    /// A system call failed.
    #[error("{what}: {source}")]
    Io {
        /// What was done.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Why a sandbox was not joined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// Nobody listens there, or does any more.
    #[error("{path}: no sandbox runs here", path = path.display())]
    Nobody {
        /// The socket.
        path: PathBuf,
    },
    /// Something else is there.
    #[error("{path}: not a socket", path = path.display())]
    NotASocket {
        /// What it is not.
        path: PathBuf,
    },
    /// It belongs to somebody whose word is nothing to go by.
    #[error("{path}: belongs to user {uid}", path = path.display())]
    AnotherUser {
        /// The socket.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
    },
    /// Whoever holds it does not let us in.
    #[error("{path}: not let in: {reason}", path = path.display())]
    Refused {
        /// The socket.
        path: PathBuf,
        /// Why not.
        reason: Refusal,
    },
    /// Somebody who should not listens there.
    #[error("{path}: whoever listens here is not to be trusted: {reason}", path = path.display())]
    Impostor {
        /// The socket.
        path: PathBuf,
        /// What is wrong with them.
        reason: Refusal,
    },
    /// It was made by another build of this program.
    #[error("{path}: made by another build ({theirs}) than this one ({ours})", path = path.display())]
    OtherBuild {
        /// The socket.
        path: PathBuf,
        /// The version of the sandbox.
        theirs: String,
        /// The version of this program.
        ours: String,
    },
    /// It is just ending.
    #[error("{path}: the sandbox has ended", path = path.display())]
    Ended {
        /// The socket.
        path: PathBuf,
    },
    /// Somebody holds it, but lets nobody in.
    #[error("{path}: nobody answers", path = path.display())]
    NoAnswer {
        /// The socket.
        path: PathBuf,
    },
    /// The answer makes no sense.
    #[error("{path}: {source}", path = path.display())]
    Garbled {
        /// The socket.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: io::Error,
    },
    /// A system call failed.
    #[error("{path}: {what}: {source}", path = path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What was done.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Why somebody who knocks is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// Another user than the sandbox's.
    User,
    /// In another pid or user namespace: in a container, or in a sandbox.
    Namespace,
    /// Inside this very sandbox.
    Inside,
    /// Who it is cannot be told.
    Unknown,
}

/// Why nobody was let in this time. It may be tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GateError {
    /// A system call failed; EMFILE: this process is out of descriptors.
    #[error("{what}: {source}")]
    Io {
        /// What was done.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ShareError {
    pub(super) fn io(what: &'static str) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |errno| Self::Io {
            what,
            source: errno.into(),
        }
    }

    /// What a user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Start(error) => error.hint(),
            Self::InUse { .. } => Some("join it, or end it first".into()),
            Self::PublicDirectory { path } => Some(format!("chmod 700 {}", path.display())),
            _ => None,
        }
    }
}

impl JoinError {
    /// What a user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::AnotherUser { .. }
            | Self::Refused {
                reason: Refusal::User,
                ..
            } => Some("only the user who has started a sandbox can join it".into()),
            Self::Refused {
                reason: Refusal::Namespace,
                ..
            } => Some("join it from where it was started, not from inside a container or a sandbox".into()),
            Self::NoAnswer { .. } => {
                Some("is the process that holds it stopped, or busy? it lets others in".into())
            }
            Self::OtherBuild { .. } => {
                Some("use the program that has started it, or end it and start it again".into())
            }
            _ => None,
        }
    }
}

impl GateError {
    pub(super) fn io(what: &'static str) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |errno| Self::Io {
            what,
            source: errno.into(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "another user",
            Self::Namespace => "another pid or user namespace",
            Self::Inside => "this is inside the sandbox itself",
            Self::Unknown => "who is asking cannot be told",
        })
    }
}
