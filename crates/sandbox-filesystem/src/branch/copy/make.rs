//! Entries that are not regular files.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{FileType, Mode};
use rustix::io::Errno;
use sandbox_types::NodeKind;

use super::super::beneath::node_at;
use super::super::raw::Bytes;

/// Makes a link that leads to `target`; an O_PATH descriptor of it.
pub(crate) fn symlink(dir: BorrowedFd<'_>, name: &Path, target: &Bytes) -> io::Result<OwnedFd> {
    rustix::fs::symlinkat(OsStr::from_bytes(&target.0), dir, name)?;
    node_at(dir, name)
}

/// Where the link `name` leads.
pub(crate) fn symlink_target(dir: BorrowedFd<'_>, name: &Path) -> io::Result<Bytes> {
    let target = rustix::fs::readlinkat(dir, name, Vec::new())?;
    Ok(Bytes(target.into_bytes()))
}

/// Makes a pipe, a socket that nobody listens on, or a device; an O_PATH descriptor of it.
pub(crate) fn special(dir: BorrowedFd<'_>, name: &Path, kind: NodeKind, rdev: u64) -> io::Result<OwnedFd> {
    let file_type = match kind {
        NodeKind::Fifo => FileType::Fifo,
        NodeKind::Socket => FileType::Socket,
        NodeKind::CharDevice => FileType::CharacterDevice,
        NodeKind::BlockDevice => FileType::BlockDevice,
        NodeKind::File | NodeKind::Directory | NodeKind::Symlink => return Err(Errno::INVAL.into()),
    };
    rustix::fs::mknodat(dir, name, file_type, Mode::RUSR | Mode::WUSR, rdev)?;
    node_at(dir, name)
}
