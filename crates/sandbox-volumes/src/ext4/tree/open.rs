//! Finds and opens nodes beneath the root.

use std::{
    ffi::OsStr,
    fs::File,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, openat2};

use super::{Known, ROOT, State};

/// Longer paths are walked in parts: the kernel takes 4096 bytes at once.
const PART: usize = 3500;

/// Opens a directory by its path from the root.
pub(super) fn directory(root: &OwnedFd, state: &State, number: usize) -> io::Result<OwnedFd> {
    let mut names = Vec::new();
    let mut at = number;
    while at != ROOT {
        let Known { parent, name, .. } = state.get(at)?;
        names.push(name);
        at = *parent;
    }
    let mut fd = root.try_clone()?;
    let mut part = b".".to_vec();
    for name in names.into_iter().rev() {
        if part.len() + name.len() > PART {
            fd = beneath(&fd, &part)?;
            part = b".".to_vec();
        }
        part.push(b'/');
        part.extend_from_slice(name);
    }
    beneath(&fd, &part)
}

fn beneath(fd: &OwnedFd, path: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat2(
        fd,
        OsStr::from_bytes(path),
        flags,
        Mode::empty(),
        resolve(),
    )?)
}

fn resolve() -> ResolveFlags {
    ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS
}

/// The directory that a node is in, and its name there; empty for the root.
pub(super) fn place<'a>(
    root: &OwnedFd,
    state: &'a mut State,
    number: usize,
) -> io::Result<(&'a OwnedFd, Box<[u8]>)> {
    let Known { parent, name, .. } = state.get(number)?;
    let (parent, name) = (*parent, name.clone());
    if state.directory.as_ref().is_none_or(|(open, _)| *open != parent) {
        let fd = directory(root, state, parent)?;
        state.directory = Some((parent, fd));
    }
    let (_, fd) = state.directory.as_ref().ok_or(io::ErrorKind::NotFound)?;
    Ok((fd, name))
}

/// Opens a regular file for reading; never waits for what it is not.
pub(super) fn file<'a>(root: &OwnedFd, state: &'a mut State, number: usize) -> io::Result<&'a File> {
    if state.file.as_ref().is_none_or(|(open, _)| *open != number) {
        let wanted = state.get(number)?.host.identity();
        let (directory, name) = place(root, state, number)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let fd = openat2(
            directory.as_fd(),
            OsStr::from_bytes(&name),
            flags,
            Mode::empty(),
            resolve(),
        )?;
        let now = rustix::fs::fstat(&fd)?;
        let is_file = FileType::from_raw_mode(now.st_mode) == FileType::RegularFile;
        if !is_file || (now.st_dev, now.st_ino) != wanted {
            return Err(rustix::io::Errno::STALE.into());
        }
        state.file = Some((number, File::from(fd)));
    }
    state
        .file
        .as_ref()
        .map(|(_, file)| file)
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}
