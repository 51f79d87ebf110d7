//! Copying: within a volume, into it, out of it.

use std::path::Path;

use super::VolumeFs;
use super::beneath::Root;
use super::error::FsError;
use super::path::Inner;
use crate::copy::{Copy, Progress, Side};

const COPY: &str = "copy";

impl VolumeFs {
    /// Copies what is at `from`, with all that is in it, to `to`, where there is nothing. Links are copied as they
    /// are.
    ///
    /// # Errors
    /// Where something is at `to`, or `to` is in `from`. What was copied already is left.
    pub fn copy(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<(), FsError> {
        let (from, to) = (Inner::new(from.as_ref())?, Inner::new(to.as_ref())?);
        if to.is_beneath(&from) {
            return Err(FsError::IntoItself {
                from: from.shown(),
                to: to.shown(),
            });
        }
        self.copy_inner(&from, self, &to, &Progress::none())
    }

    /// Copies what is at `from` to another volume, as [`VolumeFs::copy`] does.
    ///
    /// # Errors
    /// Where something is at `to`.
    pub fn copy_to(
        &self,
        from: impl AsRef<Path>,
        other: &Self,
        to: impl AsRef<Path>,
        progress: &Progress,
    ) -> Result<(), FsError> {
        self.copy_inner(
            &Inner::new(from.as_ref())?,
            other,
            &Inner::new(to.as_ref())?,
            progress,
        )
    }

    fn copy_inner(&self, from: &Inner, other: &Self, to: &Inner, progress: &Progress) -> Result<(), FsError> {
        let from = Side {
            root: &self.root,
            path: from,
        };
        let to = Side {
            root: &other.root,
            path: to,
        };
        run(from, to, progress)
    }

    /// Copies a file or directory of the host into the volume, as [`VolumeFs::copy`] does.
    ///
    /// # Errors
    /// Where it cannot be read, or something is at `to`.
    pub fn copy_in(
        &self,
        host: impl AsRef<Path>,
        to: impl AsRef<Path>,
        progress: &Progress,
    ) -> Result<(), FsError> {
        let to = Inner::new(to.as_ref())?;
        let (root, path) = host_side(host.as_ref())?;
        let from = Side {
            root: &root,
            path: &path,
        };
        let to = Side {
            root: &self.root,
            path: &to,
        };
        run(from, to, progress)
    }

    /// Copies a file or directory of the volume to the host, where there is nothing at `host`.
    ///
    /// # Errors
    /// Where something is at `host`.
    pub fn copy_out(
        &self,
        from: impl AsRef<Path>,
        host: impl AsRef<Path>,
        progress: &Progress,
    ) -> Result<(), FsError> {
        let from = Inner::new(from.as_ref())?;
        let (root, path) = host_side(host.as_ref())?;
        let from = Side {
            root: &self.root,
            path: &from,
        };
        let to = Side {
            root: &root,
            path: &path,
        };
        run(from, to, progress)
    }
}

fn run(from: Side<'_>, to: Side<'_>, progress: &Progress) -> Result<(), FsError> {
    let copied = Copy::new(from, to, None, progress).entry();
    copied
        .map(drop)
        .map_err(|failed| FsError::at(COPY, failed.path)(failed.source))
}

/// A path of the host: the directory it is in, and its name there.
fn host_side(path: &Path) -> Result<(Root, Inner), FsError> {
    let failed = FsError::at(COPY, path);
    let absolute = std::path::absolute(path).map_err(&failed)?;
    let invalid = || FsError::Path {
        path: path.to_owned(),
    };
    let name = absolute.file_name().ok_or_else(invalid)?;
    let root = Root::open(absolute.parent().ok_or_else(invalid)?).map_err(&failed)?;
    Ok((root, Inner::new(Path::new(name))?))
}
