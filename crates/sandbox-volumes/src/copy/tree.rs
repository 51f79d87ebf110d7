//! Whole trees.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::{AtFlags, Dev, FileType, Mode, OFlags, Stat};

use super::attributes::{apply, apply_at, apply_to_special, mode_of};
use super::bytes::copy_file;
use super::{CopyProgress, Progress};
use crate::fs::beneath::{Links, Root, kind_of, look, names};
use crate::fs::path::Inner;

/// One end of a copy: a path beneath a root.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Side<'r> {
    pub(crate) root: &'r Root,
    pub(crate) path: &'r Inner,
}

/// A copy under way.
#[derive(Debug)]
pub(crate) struct Copy<'r> {
    from: Side<'r>,
    to: Side<'r>,
    progress: &'r Progress,
    done: CopyProgress,
    /// Where files with more names than one have been copied to.
    seen: HashMap<(u64, u64), Inner>,
    /// Directories whose permissions and times are still to be set, those further down later.
    directories: Vec<(Inner, Inner)>,
}

/// What could not be copied.
#[derive(Debug)]
pub(crate) struct Failed {
    /// Beneath the source.
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
}

impl<'r> Copy<'r> {
    pub(crate) fn new(from: Side<'r>, to: Side<'r>, total: Option<u64>, progress: &'r Progress) -> Self {
        Self {
            from,
            to,
            progress,
            done: CopyProgress {
                bytes_total: total,
                ..CopyProgress::default()
            },
            seen: HashMap::new(),
            directories: Vec::new(),
        }
    }

    /// Copies what is in the one directory into the other, which is there already and empty.
    pub(crate) fn contents(mut self) -> Result<CopyProgress, Failed> {
        self.fill(vec![(self.from.path.clone(), self.to.path.clone())])
    }

    /// Copies what is at the one path to the other, where there is nothing.
    pub(crate) fn entry(mut self) -> Result<CopyProgress, Failed> {
        let (from, to) = (self.from.path.clone(), self.to.path.clone());
        let failed = failed_at(&from);
        let copied = self.one(&from, &to).map_err(&failed)?;
        self.fill(if copied == FileType::Directory {
            vec![(from, to)]
        } else {
            Vec::new()
        })
    }

    fn one(&mut self, from: &Inner, to: &Inner) -> io::Result<FileType> {
        let (target, new_name) = self.to.root.parent(to, Links::FollowParents)?;
        if from.is_root() {
            rustix::fs::mkdirat(&target, new_name, Mode::RWXU)?;
            self.done.entries += 1;
            return Ok(FileType::Directory);
        }
        let (source, name) = self.from.root.parent(from, Links::FollowParents)?;
        let stat = look(source.as_fd(), name)?.ok_or(io::ErrorKind::NotFound)?;
        self.copy(source.as_fd(), name, &stat, target.as_fd(), new_name, to)?;
        Ok(kind_of(&stat))
    }

    fn fill(&mut self, mut waiting: Vec<(Inner, Inner)>) -> Result<CopyProgress, Failed> {
        while let Some((from, to)) = waiting.pop() {
            let inner = self.directory(&from, &to).map_err(failed_at(&from))?;
            waiting.extend(inner);
            self.directories.push((from, to));
        }
        while let Some((from, to)) = self.directories.pop() {
            self.finish_directory(&from, &to).map_err(failed_at(&from))?;
        }
        Ok(self.done)
    }

    /// Copies what is in one directory; those that are in it are given back.
    fn directory(&mut self, from: &Inner, to: &Inner) -> io::Result<Vec<(Inner, Inner)>> {
        let source = self.from.root.directory(from, self.links(from))?;
        let target = self.to.root.directory(to, Links::FollowParents)?;
        let mut inner = Vec::new();
        for name in names(source.as_fd())? {
            let Some(stat) = look(source.as_fd(), &name)? else {
                continue;
            };
            let new = to.join(&name);
            self.copy(source.as_fd(), &name, &stat, target.as_fd(), &name, &new)?;
            if kind_of(&stat) == FileType::Directory {
                inner.push((from.join(&name), new));
            }
        }
        Ok(inner)
    }

    /// Links on the way to where it starts are the caller's; further down none is followed.
    fn links(&self, from: &Inner) -> Links {
        if from == self.from.path {
            Links::FollowParents
        } else {
            Links::Refuse
        }
    }

    fn copy(
        &mut self,
        source: BorrowedFd<'_>,
        name: &OsStr,
        stat: &Stat,
        target: BorrowedFd<'_>,
        new_name: &OsStr,
        new: &Inner,
    ) -> io::Result<()> {
        match kind_of(stat) {
            FileType::Directory => rustix::fs::mkdirat(target, new_name, Mode::RWXU)?,
            FileType::RegularFile => self.file(source, name, stat, target, new_name, new)?,
            FileType::Symlink => {
                let to = rustix::fs::readlinkat(source, name, Vec::new())?;
                rustix::fs::symlinkat(OsStr::from_bytes(to.to_bytes()), target, new_name)?;
                apply_at(stat, target, new_name)?;
            }
            // It is of no use without whoever listens there.
            FileType::Socket => {}
            kind => {
                let device: Dev = stat.st_rdev;
                rustix::fs::mknodat(target, new_name, kind, mode_of(stat), device)?;
                apply_to_special(stat, target, new_name)?;
            }
        }
        self.done.entries += 1;
        self.progress.tell(self.done);
        Ok(())
    }

    fn file(
        &mut self,
        source: BorrowedFd<'_>,
        name: &OsStr,
        stat: &Stat,
        target: BorrowedFd<'_>,
        new_name: &OsStr,
        new: &Inner,
    ) -> io::Result<()> {
        let identity = (stat.st_dev, stat.st_ino);
        if stat.st_nlink > 1
            && let Some(first) = self.seen.get(&identity)
        {
            let (directory, first) = self.to.root.parent(first, Links::FollowParents)?;
            return Ok(rustix::fs::linkat(
                &directory,
                first,
                target,
                new_name,
                AtFlags::empty(),
            )?);
        }
        self.content(source, name, target, new_name)?;
        if stat.st_nlink > 1 {
            self.seen.insert(identity, new.clone());
        }
        Ok(())
    }

    fn content(
        &mut self,
        source: BorrowedFd<'_>,
        name: &OsStr,
        target: BorrowedFd<'_>,
        new_name: &OsStr,
    ) -> io::Result<()> {
        // O_NONBLOCK: what was a file a moment ago may be a pipe now.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let from = rustix::fs::openat(source, name, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&from)?;
        if kind_of(&stat) != FileType::RegularFile {
            return Err(io::Error::other(
                "was swapped for something else while it was copied",
            ));
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let to = rustix::fs::openat(target, new_name, flags, Mode::RUSR | Mode::WUSR)?;
        let (from, to) = (std::fs::File::from(from), std::fs::File::from(to));
        let (progress, done) = (self.progress, &mut self.done);
        copy_file(&from, &to, &mut |bytes| {
            done.bytes += bytes;
            progress.tell(*done);
        })?;
        apply(from.as_fd(), &stat, to.as_fd())
    }

    fn finish_directory(&self, from: &Inner, to: &Inner) -> io::Result<()> {
        let source: OwnedFd = self.from.root.directory(from, self.links(from))?;
        let target = self.to.root.directory(to, Links::FollowParents)?;
        apply(source.as_fd(), &rustix::fs::fstat(&source)?, target.as_fd())
    }
}

fn failed_at(path: &Inner) -> impl Fn(io::Error) -> Failed + use<> {
    let path = path.shown();
    move |source| Failed {
        path: path.clone(),
        source,
    }
}
