//! What is to be mounted, and where.

use std::path::{Path, PathBuf};

/// The directories of an overlay.
///
/// Work and merged default to siblings of the upper, `overlayfs-work` and `overlayfs-merged`: two uppers in one
/// directory need others.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OverlayConfig {
    /// Layers that are only read, the topmost first.
    pub lowers: Vec<PathBuf>,
    /// Where what is written goes. Made where it is missing.
    pub upper: PathBuf,
    /// A directory that overlayfs has for itself, on the file system of the upper. Made where it is missing, and
    /// removed by [`cleanup`](super::OverlayMount::cleanup): one that holds anything else is refused.
    pub work: PathBuf,
    /// Where the view shows, where it shows in the file system at all. Made where it is missing.
    pub merged: PathBuf,
    /// How the view is reached.
    pub place: OverlayPlace,
}

/// How a mounted view is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OverlayPlace {
    /// At [`OverlayConfig::merged`] where the caller may mount there, else privately.
    #[default]
    Auto,
    /// At [`OverlayConfig::merged`], for everybody who may go there. Needs the privilege to mount; a small process
    /// unmounts it should the owner be killed.
    Merged,
    /// By a path that is this process's own, `/proc/PID/fd/N`. It needs no privilege where user namespaces are to
    /// be had, stands in no mount table, and ends with the process, however that ends. Other processes of the same
    /// user may use the path as well. It is good for opening files beneath; the working directory of a process
    /// that goes there has no name (getcwd(3) fails), and `canonicalize` gives a wrong one.
    Private,
}

impl OverlayConfig {
    /// `upper` over `lower`.
    pub fn new(lower: impl Into<PathBuf>, upper: impl Into<PathBuf>) -> Self {
        let upper = upper.into();
        let beside = |name| upper.parent().unwrap_or(Path::new("")).join(name);
        Self {
            lowers: vec![lower.into()],
            work: beside("overlayfs-work"),
            merged: beside("overlayfs-merged"),
            upper,
            place: OverlayPlace::Auto,
        }
    }

    /// Puts another layer between the upper and those that are there.
    #[must_use]
    pub fn layer(mut self, lower: impl Into<PathBuf>) -> Self {
        self.lowers.insert(0, lower.into());
        self
    }

    /// How the view is reached; [`OverlayPlace::Auto`] by default.
    #[must_use]
    pub fn place(mut self, place: OverlayPlace) -> Self {
        self.place = place;
        self
    }
}
