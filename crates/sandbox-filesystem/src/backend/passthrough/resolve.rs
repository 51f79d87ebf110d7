//! From an inode to a descriptor of its file on the host.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno as HostErrno;

use super::inode::{Identity, Inode};
use super::{PassthroughFs, host};
use crate::fs::{Errno, FsResult};

/// A descriptor that only stands for a file: nothing is opened, so nothing waits and no device notices.
pub(super) const STAND_IN: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A directory that can also be asked for its attributes directly. Opening one waits for nothing, and what is none is not
/// opened.
const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_SYMLINKS);

/// Descriptors that are closed at once when there is none left.
const HANDFUL: usize = 64;

/// How often a path may change under a walk before the inode counts as gone.
const TRIES: usize = 4;

impl PassthroughFs {
    /// The file itself, whatever has its name by now. `ESTALE` where it cannot be found any more.
    pub(super) fn descriptor(&self, inode: &Arc<Inode>) -> FsResult<Arc<OwnedFd>> {
        for _ in 0..TRIES {
            if let Some(found) = inode.descriptor() {
                return Ok(found);
            }
            match self.walk(inode) {
                Err(Errno::ESTALE) => {}
                other => return other,
            }
        }
        Err(Errno::ESTALE)
    }

    /// The descriptor of a directory, to name its entries.
    pub(super) fn directory(&self, number: crate::fs::Ino) -> FsResult<(Arc<Inode>, Arc<OwnedFd>)> {
        let inode = self.table.get(number)?;
        if inode.type_bits() != libc::S_IFDIR {
            return Err(Errno::ENOTDIR);
        }
        let fd = self.descriptor(&inode)?;
        Ok((inode, fd))
    }

    /// Opens it from the nearest ancestor that has a descriptor, in one call whatever the depth.
    fn walk(&self, inode: &Arc<Inode>) -> FsResult<Arc<OwnedFd>> {
        let mut names = Vec::new();
        let mut place = inode.place().ok_or(Errno::ESTALE)?;
        let start = loop {
            let parent = place.parent;
            names.push(place.name);
            if let Some(found) = parent.descriptor() {
                break found;
            }
            place = parent.place().ok_or(Errno::ESTALE)?;
        };
        let path: PathBuf = names.iter().rev().map(|name| &**name).collect();
        let open = |flags| {
            self.with_descriptors(|| rustix::fs::openat2(start.as_fd(), &path, flags, Mode::empty(), BENEATH))
        };
        let opened = if inode.type_bits() == libc::S_IFDIR {
            match open(DIRECTORY) {
                // Who may not read it may still name what is in it.
                Err(Errno::EACCES | Errno::EPERM) => open(STAND_IN),
                other => other,
            }
        } else {
            open(STAND_IN)
        };
        let opened = match opened {
            Ok(opened) => Arc::new(opened),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::EXDEV | Errno::EAGAIN) => {
                return Err(Errno::ESTALE);
            }
            Err(error) => return Err(error),
        };
        if Identity::of(&host::stat(opened.as_fd())?) != inode.identity() {
            return Err(Errno::ESTALE);
        }
        self.cache.keep(inode, Arc::clone(&opened));
        Ok(opened)
    }

    /// Makes a call that needs a descriptor; when there is none left, a handful of the cached ones are closed and it is
    /// made once more.
    pub(super) fn with_descriptors<T>(&self, mut call: impl FnMut() -> Result<T, HostErrno>) -> FsResult<T> {
        match call() {
            Err(HostErrno::MFILE | HostErrno::NFILE) => {
                self.cache.shrink(HANDFUL);
                Ok(call()?)
            }
            other => Ok(other?),
        }
    }

    /// Keeps a way to a file that is about to lose the name it is known by.
    pub(super) fn pin(&self, inode: &Arc<Inode>) -> FsResult<()> {
        self.descriptor(inode).map(drop)
    }
}
