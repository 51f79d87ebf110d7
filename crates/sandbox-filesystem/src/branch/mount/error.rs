//! What can go wrong with an overlay.

use std::io;
use std::path::{Path, PathBuf};

use super::super::copy::CopyError;
use super::super::lock::Holder;
use super::super::suitable::Unsuitable;

/// Why an overlay cannot be had, or cannot go.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OverlayError {
    /// There is nothing for the upper to be over.
    #[error("an overlay needs a lower layer")]
    NoLower,
    /// A layer is not there, or cannot be reached.
    #[error("layer {path}: {source}", path = path.display())]
    Layer {
        /// As it was given.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A layer is a directory.
    #[error("layer {path} is not a directory", path = path.display())]
    NotADirectory {
        /// As it was given.
        path: PathBuf,
    },
    /// Two of the directories are one, or one of them is in another.
    #[error("{inner} is inside {outer}", inner = inner.display(), outer = outer.display())]
    Nested {
        /// The one inside.
        inner: PathBuf,
        /// The one outside; the same where they are one.
        outer: PathBuf,
    },
    /// Overlayfs does not work on these directories.
    #[error(transparent)]
    Unsuitable(#[from] Unsuitable),
    /// The upper or the work directory is in use: by another overlay, or by a sandbox that was told to lock it.
    #[error("{path} is in use{}", by(holder.as_ref()), path = path.display())]
    InUse {
        /// Which of the two.
        path: PathBuf,
        /// By whom, as far as it can be told.
        holder: Option<Holder>,
    },
    /// The work directory is removed in the end, and this one holds what overlayfs has not made.
    #[error("{path} holds something that is not overlayfs's", path = path.display())]
    WorkInUse {
        /// The work directory.
        path: PathBuf,
    },
    /// The machine went down while the upper was mounted.
    #[error("the machine went down while {upper} was mounted: what was last written to it may be lost", upper = upper.display())]
    Unsettled {
        /// The upper.
        upper: PathBuf,
        /// The work directory, which remembers it.
        work: PathBuf,
    },
    /// It is mounted already.
    #[error("{merged} is mounted already", merged = merged.display())]
    Mounted {
        /// Where the view shows.
        merged: PathBuf,
    },
    /// It has to be mounted for this.
    #[error("the overlay is not mounted")]
    NotMounted,
    /// The caller may not mount, and there are no user namespaces in which it might.
    #[error("no user namespace to mount an overlay in: {source}")]
    NoNamespaces {
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Mounting where others see it takes privileges.
    #[error("mount at {merged}: {source}", merged = merged.display())]
    NotPrivileged {
        /// Where.
        merged: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Overlayfs does not take these layers.
    #[error("the kernel refuses to mount it: {source}")]
    Refused {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Somebody's open file or working directory is in the view.
    #[error("{merged} is in use", merged = merged.display())]
    Busy {
        /// Where the view shows.
        merged: PathBuf,
    },
    /// A new base is made, never written over.
    #[error("{path} is there already", path = path.display())]
    Exists {
        /// Which one.
        path: PathBuf,
    },
    /// The view could not be copied.
    #[error("copy to {to}: {source}", to = to.display())]
    Copy {
        /// The new base.
        to: PathBuf,
        /// What could not be.
        #[source]
        source: CopyError,
    },
    /// The system refused something.
    #[error("{what} {path}: {source}", path = path.display())]
    Io {
        /// What was to be done.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn by(holder: Option<&Holder>) -> String {
    match holder {
        None => String::new(),
        Some(Holder { pid, command, .. }) if command.is_empty() => format!(" by process {pid}"),
        Some(Holder { pid, command, .. }) => format!(" by process {pid}: {command}"),
    }
}

impl OverlayError {
    /// What a user can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoNamespaces { .. } => {
                "AppArmor, a sysctl or a container's filter may be in the way; `sandbox doctor` names it"
                    .into()
            }
            Self::NotPrivileged { .. } => {
                "run it as root, or leave it to OverlayPlace::Auto, which needs no privilege".into()
            }
            Self::Unsettled { work, .. } => {
                format!(
                    "look at what is there; to go on with it, remove {}",
                    work.display()
                )
            }
            Self::WorkInUse { .. } => "name a directory that is not there yet, or an empty one".into(),
            Self::Nested { .. } => "put the upper, the work directory and the layers side by side".into(),
            Self::Busy { merged } => format!("fuser -vm {} says by whom", merged.display()),
            Self::Refused { .. } => "`dmesg | grep overlayfs` may say more".into(),
            Self::Unsuitable(Unsuitable::Upper { .. }) => {
                "put the upper on ext4, XFS, btrfs or a tmpfs".into()
            }
            Self::Copy { source, .. } => return source.hint().map(str::to_owned),
            _ => return None,
        })
    }

    pub(super) fn io<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + use<'a> {
        move |source| Self::Io {
            what,
            path: path.to_owned(),
            source,
        }
    }
}
