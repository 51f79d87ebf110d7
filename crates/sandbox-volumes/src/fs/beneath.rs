//! Resolution that never leaves a directory (openat2(2)).

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::path::Inner;

/// Longer paths are resolved in parts, since the kernel takes 4096 bytes at once.
const PART: usize = 3500;

/// A directory that paths are resolved beneath.
#[derive(Debug)]
pub(crate) struct Root(OwnedFd);

/// Whether links are followed; never out of the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// All of them.
    Follow,
    /// All but the last name.
    FollowParents,
    /// None: where there is one, it is ELOOP.
    Refuse,
}

impl Root {
    /// The directory at `path`, which may lead through links: they are the caller's.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// Opens what is at `path`, however long that is. In one of several parts, links lead nowhere but beneath the part that
    /// they are in.
    pub(crate) fn resolve(
        &self,
        path: &Inner,
        flags: OFlags,
        mode: Mode,
        links: Links,
    ) -> io::Result<OwnedFd> {
        let mut above: Option<OwnedFd> = None;
        let mut rest = path.as_path();
        while let Some((part, behind)) = first_part(rest) {
            let step = OFlags::PATH | OFlags::DIRECTORY;
            let on_the_way = if links == Links::Refuse {
                links
            } else {
                Links::Follow
            };
            let from = above.as_ref().unwrap_or(&self.0);
            above = Some(open_beneath(from, part, step, Mode::empty(), on_the_way)?);
            rest = behind;
        }
        open_beneath(above.as_ref().unwrap_or(&self.0), rest, flags, mode, links)
    }

    /// The directory at `path`, to be listed.
    pub(crate) fn directory(&self, path: &Inner, links: Links) -> io::Result<OwnedFd> {
        self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty(), links)
    }

    /// The directory that `path` is in, and its name there; EBUSY for the root.
    pub(crate) fn parent<'p>(&self, path: &'p Inner, links: Links) -> io::Result<(OwnedFd, &'p OsStr)> {
        let (parent, name) = path.split().ok_or(Errno::BUSY)?;
        Ok((self.directory(&parent, links)?, name))
    }

    /// The regular file at `path`, for reading; none where it is something else.
    pub(crate) fn file(&self, path: &Inner, links: Links) -> io::Result<Option<File>> {
        // O_NONBLOCK: a pipe that nobody writes to would not be opened.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = match self.resolve(path, flags, Mode::empty(), links) {
            // A socket.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NXIO) => return Ok(None),
            result => result?,
        };
        Ok((kind_of(&rustix::fs::fstat(&fd)?) == FileType::RegularFile).then(|| fd.into()))
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What of a path the kernel takes at once, and what is behind; none where that is all of it.
fn first_part(path: &Path) -> Option<(&Path, &Path)> {
    let bytes = path.as_os_str().as_bytes();
    // No name is longer than what is left of a part.
    let at = bytes.get(..PART)?.iter().rposition(|byte| *byte == b'/')?;
    let (part, behind) = bytes.split_at_checked(at)?;
    let path = |bytes| Path::new(OsStr::from_bytes(bytes));
    Some((path(part), path(behind.get(1..)?)))
}

fn open_beneath(at: &OwnedFd, path: &Path, flags: OFlags, mode: Mode, links: Links) -> io::Result<OwnedFd> {
    let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    let mut flags = flags | OFlags::CLOEXEC;
    match links {
        Links::Follow => {}
        Links::FollowParents => flags |= OFlags::NOFOLLOW,
        Links::Refuse => {
            flags |= OFlags::NOFOLLOW;
            resolve |= ResolveFlags::NO_SYMLINKS;
        }
    }
    // EAGAIN: something was renamed meanwhile, so that the kernel cannot be sure. It passes.
    let mut attempts = 0;
    loop {
        match rustix::fs::openat2(at, path, flags, mode, resolve) {
            Err(Errno::AGAIN) if attempts < 1000 => attempts += 1,
            result => return Ok(result?),
        }
    }
}

/// What kind of thing it is.
pub(crate) fn kind_of(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// What is called `name`; none where there is nothing. Links are not followed.
pub(crate) fn look(directory: BorrowedFd<'_>, name: &OsStr) -> io::Result<Option<Stat>> {
    match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// The names in a directory that is open for reading.
pub(crate) fn names(directory: BorrowedFd<'_>) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(directory)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_longer_than_the_kernel_takes_are_resolved_and_links_in_them_refused() {
        let place = tempfile::tempdir().unwrap();
        let root = Root::open(place.path()).unwrap();
        let name = "n".repeat(200);
        let mut path = Inner::root();
        for _ in 0..60 {
            let directory = root.directory(&path, Links::Refuse).unwrap();
            rustix::fs::mkdirat(&directory, name.as_str(), Mode::RWXU).unwrap();
            path = path.join(OsStr::new(&name));
        }
        let directory = root.directory(&path, Links::Refuse).unwrap();
        rustix::fs::symlinkat("..", &directory, "link").unwrap();
        let link = path.join(OsStr::new("link"));
        let behind = link.join(OsStr::new(&name));
        let refused = root.directory(&behind, Links::Refuse).unwrap_err();
        assert_eq!(Errno::from_io_error(&refused), Some(Errno::LOOP));
        assert!(root.directory(&link, Links::Follow).is_ok());
        assert!(root.parent(&link, Links::FollowParents).is_ok());
        // Nothing of it can be removed by its whole path.
        crate::remove::remove_at(&root, OsStr::new(&name)).unwrap();
    }
}
