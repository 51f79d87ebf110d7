//! Writing files: whole or not at all, and in place.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::HostFs;
use crate::fs::beneath::{Links, kind_of, look};
use crate::fs::error::FsError;
use crate::fs::path::Inner;

const WRITE: &str = "write";

/// A file that is being written. It takes its place with [`HostWriter::finish`]; dropped before, it is gone.
#[derive(Debug)]
#[must_use = "what is written is gone unless it is finished"]
pub(in crate::fs) struct HostWriter {
    file: File,
    directory: OwnedFd,
    /// What it is called until then; nothing where the file system has files without a name.
    temporary: Option<OsString>,
    name: OsString,
    path: PathBuf,
    is_finished: bool,
}

impl Write for HostWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl HostWriter {
    /// Whether it has no name until it is finished.
    pub(in crate::fs) fn is_nameless(&self) -> bool {
        self.temporary.is_none()
    }

    /// Puts it in its place, in one step. It survives the machine when this returns.
    pub(in crate::fs) fn finish(mut self) -> Result<(), FsError> {
        self.put().map_err(FsError::at(WRITE, &self.path))?;
        self.is_finished = true;
        rustix::fs::fsync(&self.directory).map_err(|errno| FsError::at(WRITE, &self.path)(errno.into()))
    }

    fn put(&mut self) -> io::Result<()> {
        self.keep_permissions()?;
        self.file.sync_all()?;
        let temporary = match self.temporary.take() {
            Some(name) => name,
            None => match link(&self.file, &self.directory, &self.name) {
                // It replaces another: only a rename does that in one step.
                Err(Errno::EXIST) => self.give_temporary_name()?,
                result => return Ok(result?),
            },
        };
        let temporary = self.temporary.insert(temporary);
        Ok(rustix::fs::renameat(
            &self.directory,
            &*temporary,
            &self.directory,
            &self.name,
        )?)
    }

    fn give_temporary_name(&self) -> io::Result<OsString> {
        loop {
            let name = temporary_name()?;
            match link(&self.file, &self.directory, &name) {
                Err(Errno::EXIST) => {}
                result => return Ok(result.map(|()| name)?),
            }
        }
    }

    /// Whoever replaces a file keeps who may read it.
    fn keep_permissions(&self) -> io::Result<()> {
        match look(self.directory.as_fd(), &self.name)? {
            Some(stat) if kind_of(&stat) == FileType::RegularFile => Ok(rustix::fs::fchmod(
                &self.file,
                Mode::from_raw_mode(stat.st_mode & 0o777),
            )?),
            _ => Ok(()),
        }
    }
}

impl Drop for HostWriter {
    fn drop(&mut self) {
        if !self.is_finished
            && let Some(temporary) = &self.temporary
            && let Err(error) = rustix::fs::unlinkat(&self.directory, temporary, AtFlags::empty())
        {
            tracing::debug!(path = %self.path.display(), %error, "a temporary file is left");
        }
    }
}

impl HostFs {
    /// Makes or replaces a file piece by piece: what is written takes its place with [`HostWriter::finish`].
    /// Where it replaces none, it has `permissions` as far as the umask lets it, else those that new files have.
    pub(in crate::fs) fn write_stream(
        &self,
        path: &Inner,
        permissions: Option<u32>,
    ) -> Result<HostWriter, FsError> {
        let failed = FsError::new(WRITE, path);
        let (directory, name) = self.root.parent(path, Links::Follow).map_err(&failed)?;
        if look(directory.as_fd(), name)
            .map_err(&failed)?
            .is_some_and(|stat| kind_of(&stat) == FileType::Directory)
        {
            return Err(failed(Errno::ISDIR.into()));
        }
        let mode = permissions.map_or_else(new_file, |mode| Mode::from_raw_mode(mode & 0o777));
        let (file, temporary) = temporary(&directory, mode).map_err(&failed)?;
        Ok(HostWriter {
            file,
            directory,
            temporary,
            name: name.to_owned(),
            path: path.shown(),
            is_finished: false,
        })
    }

    /// Overwrites the file at `path` from `offset` on, in place, and makes it where there is none. A crash in the
    /// middle leaves a part of it.
    pub(in crate::fs) fn write_range(
        &self,
        path: &Inner,
        offset: u64,
        content: &[u8],
    ) -> Result<(), FsError> {
        self.in_place(path, OFlags::CREATE, |file| {
            file.write_all_at(content, offset)?;
            file.sync_data()
        })
    }

    /// Adds to the end of the file at `path`, and makes it where there is none.
    pub(in crate::fs) fn append(&self, path: &Inner, content: &[u8]) -> Result<(), FsError> {
        self.in_place(path, OFlags::CREATE | OFlags::APPEND, |mut file| {
            file.write_all(content)?;
            file.sync_data()
        })
    }

    /// Cuts the file at `path`, or makes it longer by a hole.
    pub(in crate::fs) fn set_len(&self, path: &Inner, length: u64) -> Result<(), FsError> {
        self.in_place(path, OFlags::empty(), |file| {
            file.set_len(length)?;
            file.sync_all()
        })
    }

    fn in_place(
        &self,
        path: &Inner,
        flags: OFlags,
        work: impl FnOnce(&File) -> io::Result<()>,
    ) -> Result<(), FsError> {
        let failed = FsError::new(WRITE, path);
        let mode = if flags.contains(OFlags::CREATE) {
            new_file()
        } else {
            Mode::empty()
        };
        // O_NONBLOCK: a pipe that nobody reads from would not be opened.
        let flags = flags | OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file: File = self
            .root
            .resolve(path, flags, mode, Links::Follow)
            .map_err(&failed)?
            .into();
        if !file.metadata().map_err(&failed)?.is_file() {
            let path = path.shown();
            return Err(FsError::NotAFile { what: WRITE, path });
        }
        work(&file).map_err(failed)
    }
}

fn new_file() -> Mode {
    Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH
}

/// A file in the same directory: without a name where that can be, so that nothing is left of it whatever ends this
/// process, else of one that nothing had.
fn temporary(directory: &OwnedFd, mode: Mode) -> io::Result<(File, Option<OsString>)> {
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    match rustix::fs::openat(directory, ".", flags, mode) {
        Ok(fd) => return Ok((fd.into(), None)),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT) => {}
        Err(errno) => return Err(errno.into()),
    }
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    loop {
        let name = temporary_name()?;
        match rustix::fs::openat(directory, &name, flags, mode) {
            Ok(fd) => return Ok((fd.into(), Some(name))),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn temporary_name() -> io::Result<OsString> {
    Ok(format!(".{}.tmp", crate::pending::random_name()?).into())
}

/// Gives a file without a name one that nothing has.
fn link(file: &File, directory: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
    // By way of /proc: with the descriptor alone it would take CAP_DAC_READ_SEARCH.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::linkat(CWD, path, directory, name, AtFlags::SYMLINK_FOLLOW)
}
