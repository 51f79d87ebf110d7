//! Opening what is in a tree, without following links.
//!
//! What a command has left in a layer is read even where its mode forbids that, as long as it belongs to us:
//! it lends itself the permission, and gets its own mode back when the last user is done, at once for a file,
//! when it is closed for a directory, whose mode is asked for again at each lookup. Modes in a base are never
//! touched. Needs /proc. A process that is killed in between leaves the mode that was lent.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use sandbox_types::NodeKind;

use super::super::node::Meta;

/// A directory, held open.
#[derive(Debug)]
pub(crate) struct Opened {
    fd: OwnedFd,
    /// Dropped after the directory was closed.
    _lent: Option<Lent>,
}

impl Opened {
    /// Another handle of a directory that stays open elsewhere.
    pub(crate) fn borrowed(fd: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self {
            fd: fd.try_clone_to_owned()?,
            _lent: None,
        })
    }
}

impl AsFd for Opened {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A mode that is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Lent {
    entry: OwnedFd,
    mode: Mode,
}

impl Lent {
    /// Adds `wanted` to the mode of what is called `name`; none where it is there already, is not ours to
    /// change, or is not needed.
    pub(crate) fn grant(dir: BorrowedFd<'_>, name: &OsStr, wanted: Mode) -> io::Result<Option<Self>> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let entry = rustix::fs::openat(dir, name, flags, Mode::empty())?;
        let meta = Meta::of(&entry)?;
        let mode = Mode::from_raw_mode(meta.mode);
        let can_have_mode = matches!(meta.kind, NodeKind::File | NodeKind::Directory);
        let me = rustix::process::geteuid();
        if !can_have_mode || mode.contains(wanted) || me.is_root() || meta.uid != me.as_raw() {
            return Ok(None);
        }
        rustix::fs::chmod(by_descriptor(entry.as_fd()), mode | wanted)?;
        Ok(Some(Self { entry, mode }))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Err(errno) = rustix::fs::chmod(by_descriptor(self.entry.as_fd()), self.mode) {
            let mode = self.mode.as_raw_mode();
            tracing::warn!(%errno, mode, "a mode in a layer could not be given back");
        }
    }
}

fn by_descriptor(fd: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// The root of a base; its own path may lead through links, which are the caller's.
pub(crate) fn open_root(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// The root of a layer.
pub(crate) fn open_layer_root(path: &Path) -> io::Result<Opened> {
    let lent = Lent::grant(CWD, path.as_os_str(), Mode::RUSR | Mode::XUSR)?;
    let fd = open_root(path)?;
    Ok(Opened { fd, _lent: lent })
}

/// The directory `name` of a base.
pub(crate) fn open_dir(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(parent, name, flags, Mode::empty())?)
}

/// The directory `name` of a layer, of which `meta` is known.
pub(crate) fn open_layer_dir(parent: BorrowedFd<'_>, name: &OsStr, meta: &Meta) -> io::Result<Opened> {
    let wanted = Mode::RUSR | Mode::XUSR;
    let lent = if Mode::from_raw_mode(meta.mode).contains(wanted) {
        None
    } else {
        Lent::grant(parent, name, wanted)?
    };
    let fd = open_dir(parent, name)?;
    Ok(Opened { fd, _lent: lent })
}

/// The regular file `name` of a base.
pub(crate) fn open_file(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<File> {
    // O_NONBLOCK: what was a file a moment ago may be a pipe now.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    match Meta::of(&fd)?.kind {
        NodeKind::File => Ok(fd.into()),
        _ => Err(Errno::INVAL.into()),
    }
}

/// The regular file `name` of a layer.
pub(crate) fn open_layer_file(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<File> {
    match open_file(parent, name) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let _lent = Lent::grant(parent, name, Mode::RUSR)?;
            open_file(parent, name)
        }
        result => result,
    }
}
