//! Reaching what is beneath a directory without ever leaving it.
//!
//! It guarantees: resolution follows no link and crosses no mount (EXDEV), also while somebody swaps directories for
//! links (openat2(2)). Needs Linux 5.6.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use sandbox_types::RelPath;

use super::node::Meta;

/// A directory that paths are resolved beneath.
#[derive(Debug)]
pub(crate) struct Root(OwnedFd);

/// The entry that a path names: a name in a directory, or the root itself.
#[derive(Debug)]
pub(crate) struct Place {
    /// An O_PATH descriptor.
    pub(crate) parent: Rc<OwnedFd>,
    name: Option<Box<OsStr>>,
}

impl Root {
    /// The directory at `path`, which may lead through links: they are the caller's.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// The directory at `path`, to name entries in.
    pub(crate) fn dir(&self, path: &RelPath) -> io::Result<OwnedFd> {
        self.resolve(path, OFlags::PATH | OFlags::DIRECTORY)
    }

    /// The directory at `path`, to be listed or synced.
    pub(crate) fn list_dir(&self, path: &RelPath) -> io::Result<OwnedFd> {
        self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// The regular file at `path`, for reading.
    pub(crate) fn file(&self, path: &RelPath) -> io::Result<File> {
        // O_NONBLOCK: what was a file a moment ago may be a pipe now.
        let fd = self.resolve(path, OFlags::RDONLY | OFlags::NONBLOCK)?;
        if Meta::of(&fd)?.kind == sandbox_types::NodeKind::File {
            Ok(fd.into())
        } else {
            Err(Errno::INVAL.into())
        }
    }

    /// Where `path` is.
    pub(crate) fn place(&self, path: &RelPath) -> io::Result<Place> {
        let parent = self.dir(&path.parent().unwrap_or_default())?;
        let name = path.name().map(Into::into);
        Ok(Place {
            parent: Rc::new(parent),
            name,
        })
    }

    /// What is at `path`; none where there is nothing, or no directory to hold it.
    pub(crate) fn meta(&self, path: &RelPath) -> io::Result<Option<Meta>> {
        match self.place(path) {
            Ok(place) => place.meta(),
            Err(error) => match Errno::from_io_error(&error) {
                // ELOOP: a link where a directory is expected.
                Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
                _ => Err(error),
            },
        }
    }

    fn resolve(&self, path: &RelPath, flags: OFlags) -> io::Result<OwnedFd> {
        let resolve = ResolveFlags::BENEATH
            | ResolveFlags::NO_SYMLINKS
            | ResolveFlags::NO_MAGICLINKS
            | ResolveFlags::NO_XDEV;
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let path = if path.is_root() {
            Path::new(".")
        } else {
            path.as_path()
        };
        // EAGAIN: something was renamed meanwhile, so that the kernel cannot be sure. It passes.
        let mut attempts = 0;
        loop {
            match rustix::fs::openat2(&self.0, path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN) if attempts < 1000 => attempts += 1,
                result => return Ok(result?),
            }
        }
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Place {
    /// Its name in `parent`; of the root, `.`.
    pub(crate) fn name(&self) -> &Path {
        Path::new(self.name.as_deref().unwrap_or(OsStr::new(".")))
    }

    /// Another name in the same directory.
    pub(crate) fn beside(&self, name: &str) -> Self {
        Self {
            parent: Rc::clone(&self.parent),
            name: Some(OsStr::new(name).into()),
        }
    }

    /// What is there; none where there is nothing.
    pub(crate) fn meta(&self) -> io::Result<Option<Meta>> {
        Meta::at(&self.parent, self.name())
    }

    /// An O_PATH descriptor of what is there.
    pub(crate) fn node(&self) -> io::Result<OwnedFd> {
        node_at(self.parent.as_fd(), self.name())
    }
}

/// An O_PATH descriptor of `name` in `dir`, links not followed.
pub(crate) fn node_at(dir: BorrowedFd<'_>, name: impl AsRef<Path>) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, name.as_ref(), flags, Mode::empty())?)
}

/// The names in a directory that is open for reading.
pub(crate) fn names(dir: BorrowedFd<'_>) -> io::Result<Vec<std::ffi::OsString>> {
    use std::os::unix::ffi::OsStrExt;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(dir)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}
