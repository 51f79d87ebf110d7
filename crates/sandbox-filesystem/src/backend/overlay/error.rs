//! Why an [`OverlayFs`](super::OverlayFs) cannot be built.

use std::io;
use std::path::PathBuf;

use crate::backend::passthrough::IdRange;
use crate::holder::Holder;

/// Everything that is wrong with what was asked for, at once.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(told).collect::<Vec<_>>().join("; "))]
pub struct OverlayError(Vec<OverlayProblem>);

impl OverlayError {
    pub(super) fn new(problems: Vec<OverlayProblem>) -> Self {
        Self(problems)
    }

    /// What is wrong, one thing each.
    pub fn problems(&self) -> &[OverlayProblem] {
        &self.0
    }

    /// The same, to keep.
    pub fn into_problems(self) -> Vec<OverlayProblem> {
        self.0
    }

    /// What can be done, where something can.
    pub fn hints(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().filter_map(OverlayProblem::hint)
    }
}

impl From<OverlayProblem> for OverlayError {
    fn from(problem: OverlayProblem) -> Self {
        Self(vec![problem])
    }
}

/// One thing that is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OverlayProblem {
    /// Nothing to serve.
    #[error("no layer was given")]
    NoLayer,
    /// More than can be numbered.
    #[error("{count} layers are too many: {most} at most")]
    TooManyLayers {
        /// How many were given.
        count: usize,
        /// How many there can be.
        most: usize,
    },
    /// Neither writable nor read-only.
    #[error("neither a writable directory nor read_only() was given")]
    NoUpper,
    /// Both.
    #[error("{upper}: a writable directory of a read-only overlay", upper = .upper.display())]
    UpperReadOnly {
        /// The writable directory.
        upper: PathBuf,
    },
    /// A writable directory without a place for what is not finished.
    #[error("{upper}: no staging directory was given for it", upper = .upper.display())]
    NoStaging {
        /// The writable directory.
        upper: PathBuf,
    },
    /// A staging directory for nothing.
    #[error("{staging}: a staging directory without a writable one", staging = .staging.display())]
    StagingAlone {
        /// The staging directory.
        staging: PathBuf,
    },
    /// A directory cannot be opened.
    #[error("{path}: cannot be opened", path = .path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something else than a directory.
    #[error("{path}: not a directory", path = .path.display())]
    NotADirectory {
        /// What was given.
        path: PathBuf,
    },
    /// A directory is given twice.
    #[error("{path}: given twice, also as {other}", path = .path.display(), other = .other.display())]
    Twice {
        /// What was given.
        path: PathBuf,
        /// The same directory.
        other: PathBuf,
    },
    /// One of the directories is in another one.
    #[error("{inner}: inside of {outer}", inner = .inner.display(), outer = .outer.display())]
    Inside {
        /// The one that is in the other.
        inner: PathBuf,
        /// The one that it is in.
        outer: PathBuf,
    },
    /// Nothing can be renamed from staging to the writable directory.
    #[error("{staging}: not on the filesystem (and mount) of {upper}", staging = .staging.display(), upper = .upper.display())]
    AnotherFilesystem {
        /// The staging directory.
        staging: PathBuf,
        /// The writable directory.
        upper: PathBuf,
    },
    /// What an overlay needs, the filesystem of the writable directory has not.
    #[error("{path}: its filesystem cannot {feature}", path = .path.display())]
    Unsuitable {
        /// The writable directory.
        path: PathBuf,
        /// What it cannot do.
        feature: &'static str,
        /// What it says.
        #[source]
        source: io::Error,
    },
    /// Somebody else writes there.
    #[error("{path}: in use{by}", path = .path.display(), by = by(.holder.as_ref()))]
    InUse {
        /// The writable directory or the staging directory.
        path: PathBuf,
        /// By whom, where it can be told.
        holder: Option<Holder>,
    },
    /// The kernel writes there.
    #[error("{path}: in use by the kernel's overlayfs, mounted at {at}", path = .path.display(), at = .at.display())]
    Mounted {
        /// The writable directory or the staging directory.
        path: PathBuf,
        /// Where.
        at: PathBuf,
    },
    /// A mount of the kernel's that was not to survive a crash has not ended well.
    #[error("{staging}: a volatile overlay that has not ended as it should", staging = .staging.display())]
    Volatile {
        /// The staging directory.
        staging: PathBuf,
    },
    /// Staging cannot be made ready.
    #[error("{path}: cannot be made ready", path = .path.display())]
    Staging {
        /// What is in the way.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A range of the identity map is empty, wraps or overlaps another.
    #[error("identity map: {count} ids from {served} (host {host}) are empty, overflow or overlap others", count = .0.count, served = .0.served, host = .0.host)]
    Identity(IdRange),
    /// Files are opened by way of /proc.
    #[error("/proc/self/fd: cannot be opened")]
    NoProc(#[source] io::Error),
    /// Writes are to be cached where nothing is, or where there are none.
    #[error("writeback without a cache or without a writable directory")]
    Writeback,
}

/// With its cause, which a list of several has no place for.
fn told(problem: &OverlayProblem) -> String {
    match std::error::Error::source(problem) {
        Some(source) => format!("{problem}: {source}"),
        None => problem.to_string(),
    }
}

fn by(holder: Option<&Holder>) -> String {
    holder.map_or_else(String::new, |holder| {
        format!(" by process {} ({})", holder.pid, holder.command)
    })
}

impl OverlayProblem {
    /// What can be done about it.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::NoLayer => "call layer() with each directory, the bottom one first",
            Self::NoUpper => "call writable() and staging(), or read_only()",
            Self::UpperReadOnly { .. } => "give it as the last layer()",
            Self::NoStaging { .. } => "call staging() with an empty directory on the same filesystem",
            Self::StagingAlone { .. } => "call writable(), or leave staging() out",
            Self::AnotherFilesystem { .. } => "put both directories on the same filesystem",
            Self::Unsuitable { .. } => {
                "put the writable directory on ext4, xfs, btrfs, or tmpfs since Linux 6.6"
            }
            Self::Mounted { .. } => "unmount it",
            Self::Volatile { .. } => {
                "what is in the writable directory may be incomplete; if it is not, remove work/incompat/volatile"
            }
            Self::NoProc(_) => "mount proc on /proc",
            Self::Writeback => "use CachePolicy::Auto or Always, or leave writeback() out",
            _ => return None,
        })
    }
}
