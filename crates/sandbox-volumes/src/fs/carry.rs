//! Copying: within a volume, into it, out of it.

use std::path::Path;

use super::beneath::Root;
use super::error::FsError;
use super::gauge::Charged;
use super::path::Inner;
use super::{Files, VolumeFs};
use crate::copy::across::{From, across};
use crate::copy::{Copy, CopyProgress, Failed, HostSide, Progress, Side, weight_of};
use crate::usage::weigh::weigh_entry;

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
        let (from, to) = (Inner::new(from.as_ref())?, Inner::new(to.as_ref())?);
        self.copy_inner(&from, other, &to, progress)
    }

    fn copy_inner(&self, from: &Inner, other: &Self, to: &Inner, progress: &Progress) -> Result<(), FsError> {
        refuse_root(to)?;
        match (&self.files, &other.files) {
            (Files::Host { fs, .. }, _) => other.copy_from_host(&fs.root, from, to, progress),
            (Files::Disk(fs), Files::Host { fs: host, .. }) => {
                let mut refused = None;
                let copied = fs.copying_from(from, |side| {
                    let charged = match other.charge_for(side, from, to)? {
                        Ok(charged) => charged,
                        Err(error) => {
                            refused = Some(error);
                            return Err(Failed {
                                path: to.shown(),
                                source: std::io::ErrorKind::QuotaExceeded.into(),
                            });
                        }
                    };
                    let copied = across(side, from, &mut HostSide(&host.root), to, progress);
                    drop(charged);
                    copied
                });
                refused.map_or(copied, Err)
            }
            (Files::Disk(one), Files::Disk(same)) if one.is(same) => {
                one.copying_to(to, |source, target| across(source, from, target, to, progress))
            }
            (Files::Disk(one), Files::Disk(two)) => two.copying_to(to, |_, target| {
                let mut inner = None;
                let copied = one.copying_from(from, |source| {
                    let copied = across(source, from, target, to, progress);
                    copied.map_err(|failed| {
                        inner = Some(failed);
                        Failed {
                            path: from.shown(),
                            source: std::io::ErrorKind::Other.into(),
                        }
                    })
                });
                match (copied, inner) {
                    (Ok(()), _) => Ok(CopyProgress::default()),
                    (Err(_), Some(failed)) => Err(failed),
                    (Err(error), None) => Err(Failed {
                        path: from.shown(),
                        source: std::io::Error::other(error),
                    }),
                }
            }),
        }
    }

    /// Charges for what is to come from a disk, where there is a quota.
    fn charge_for(
        &self,
        side: &mut dyn From,
        from: &Inner,
        to: &Inner,
    ) -> Result<Result<Option<Charged>, FsError>, Failed> {
        if !self.has_quota() {
            return Ok(Ok(None));
        }
        let name = to.split().map_or(0, |(_, name)| name.len());
        let weight = weight_of(side, from, name)?;
        Ok(self.charge_tree(COPY, to, weight))
    }

    fn copy_from_host(
        &self,
        root: &Root,
        from: &Inner,
        to: &Inner,
        progress: &Progress,
    ) -> Result<(), FsError> {
        match &self.files {
            Files::Host { fs, .. } => {
                let name = to.split().map_or(0, |(_, name)| name.len());
                let _charged = if self.has_quota() {
                    let weight = weigh_entry(root, from, name).map_err(FsError::new(COPY, from))?;
                    self.charge_tree(COPY, to, weight)?
                } else {
                    None
                };
                let from = Side { root, path: from };
                let to = Side {
                    root: &fs.root,
                    path: to,
                };
                run(from, to, progress)
            }
            Files::Disk(fs) => fs.copying_to(to, |_, target| {
                across(&mut HostSide(root), from, target, to, progress)
            }),
        }
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
        refuse_root(&to)?;
        let (root, path) = host_side(host.as_ref())?;
        self.copy_from_host(&root, &path, &to, progress)
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
        match &self.files {
            Files::Host { fs, .. } => {
                let from = Side {
                    root: &fs.root,
                    path: &from,
                };
                let to = Side {
                    root: &root,
                    path: &path,
                };
                run(from, to, progress)
            }
            Files::Disk(fs) => fs.copying_from(&from, |side| {
                across(side, &from, &mut HostSide(&root), &path, progress)
            }),
        }
    }
}

/// The root is there always, and nothing may be where something is copied to.
fn refuse_root(to: &Inner) -> Result<(), FsError> {
    if to.is_root() {
        return Err(FsError::new(COPY, to)(rustix::io::Errno::EXIST.into()));
    }
    Ok(())
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
