//! Why a [`PassthroughFs`](super::PassthroughFs) cannot be built.

use std::io;
use std::path::PathBuf;

use super::identity::IdRange;
use crate::backend::quota::QuotaError;

/// Everything that is wrong with what was asked for, at once.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct PassthroughError(Vec<PassthroughProblem>);

impl PassthroughError {
    pub(in crate::backend) fn new(problems: Vec<PassthroughProblem>) -> Self {
        Self(problems)
    }

    /// What is wrong, one thing each.
    pub fn problems(&self) -> &[PassthroughProblem] {
        &self.0
    }

    /// What can be done, where something can.
    pub fn hints(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().filter_map(PassthroughProblem::hint)
    }
}

/// One thing that is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PassthroughProblem {
    /// `root_dir` was not given.
    #[error("no root directory was given")]
    NoRoot,
    /// The root cannot be opened.
    #[error("{path}: cannot be opened", path = .path.display())]
    Root {
        /// The root.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The root is no directory.
    #[error("{path}: not a directory", path = .path.display())]
    NotADirectory {
        /// The root.
        path: PathBuf,
    },
    /// A single file is to be shared, and this is none.
    #[error("{path}: not a regular file", path = .path.display())]
    NotAFile {
        /// The root.
        path: PathBuf,
    },
    /// Stat data must be virtualized, and cannot be here.
    #[error("{path}: its filesystem keeps no user extended attributes", path = .path.display())]
    NoXattrs {
        /// The root.
        path: PathBuf,
    },
    /// Files are opened by way of /proc.
    #[error("/proc/self/fd: cannot be opened")]
    NoProc(#[source] io::Error),
    /// Writes are to be cached where nothing is.
    #[error("writeback with the cache policy `never`")]
    WritebackWithoutCache,
    /// Writes are to be cached where there are none.
    #[error("writeback on a read-only filesystem")]
    WritebackReadOnly,
    /// A quota for a single file.
    #[error("a quota on a single file")]
    QuotaOnFile,
    /// A range of the identity map is empty, wraps or overlaps another.
    #[error("identity map: {count} ids from {served} (host {host}) are empty, overflow or overlap others", count = .0.count, served = .0.served, host = .0.host)]
    Identity(IdRange),
    /// The quota cannot be kept.
    #[error("quota")]
    Quota(#[source] QuotaError),
}

impl PassthroughProblem {
    /// What can be done about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoRoot => Some("call root_dir() with the directory to serve"),
            Self::NotADirectory { .. } => {
                Some("to share one file, call single_file(); its siblings stay out of reach")
            }
            Self::NotAFile { .. } => Some("to share a directory, leave single_file() out"),
            Self::NoXattrs { .. } => Some(
                "use StatVirtualization::Relaxed or Off, or a filesystem with user extended attributes (ext4, xfs, btrfs, tmpfs since Linux 6.6)",
            ),
            Self::NoProc(_) => Some("mount proc on /proc"),
            Self::WritebackWithoutCache => Some("use CachePolicy::Auto or Always, or leave writeback() out"),
            Self::WritebackReadOnly => Some("leave writeback() or read_only() out"),
            Self::QuotaOnFile => Some("leave quota() out, or share the directory"),
            Self::Quota(error) => error.hint(),
            Self::Root { .. } | Self::Identity(_) => None,
        }
    }
}
