//! From an inode to a descriptor of its file on the host.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno as HostErrno;

use super::inode::{Identity, Inode, Layer, Names, Part, Step};
use super::{PassthroughFs, host};
use crate::fs::{Errno, FsResult};

/// A descriptor that only stands for a file: nothing is opened, so nothing waits and no device notices.
pub(in crate::backend) const STAND_IN: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A directory that can also be asked for its attributes directly. Opening one waits for nothing, and what is none is not
/// opened.
const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

pub(in crate::backend) const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_SYMLINKS);

/// Bytes of a path that is opened at once; PATH_MAX, less a name.
const LONGEST_WAY: usize = 4096 - 256 - 1;

/// Descriptors that are closed at once when there is none left.
const HANDFUL: usize = 64;

/// How often a path may change under a walk before the inode counts as gone.
const TRIES: usize = 4;

/// Whether a way goes in a circle. Places are where things were seen last: what the host has moved into what was in it, and
/// only one of the two was seen since, are each other's parents.
struct Circle {
    /// One of the inodes on the way, twice as far each time (Brent's algorithm): a circle leads back to it.
    seen: Arc<Inode>,
    steps: usize,
    until: usize,
}

impl Circle {
    fn new(at: &Arc<Inode>) -> Self {
        Self {
            seen: Arc::clone(at),
            steps: 0,
            until: 1,
        }
    }

    /// The next one; `ESTALE` in a circle.
    fn unless_closed(&mut self, next: Arc<Inode>) -> FsResult<Arc<Inode>> {
        if Arc::ptr_eq(&self.seen, &next) {
            return Err(Errno::ESTALE);
        }
        self.steps += 1;
        if self.steps == self.until {
            self.seen = Arc::clone(&next);
            self.steps = 0;
            self.until = self.until.saturating_mul(2);
        }
        Ok(next)
    }
}

/// `ESTALE` where the way up from a directory has no end.
fn leads_up(from: &Arc<Inode>, layer: Layer) -> FsResult<()> {
    let (mut at, mut circle) = (Arc::clone(from), Circle::new(from));
    while let Step::Up(parent) = at.step(layer, &mut Names::default()) {
        at = circle.unless_closed(parent)?;
    }
    Ok(())
}

/// How an inode is reached.
enum Way {
    /// It has a descriptor by now.
    There(Arc<OwnedFd>),
    /// By these names from a directory.
    Beneath(Arc<OwnedFd>, Vec<u8>),
}

impl PassthroughFs {
    /// The file itself, whatever has its name by now. `ESTALE` where it cannot be found any more.
    pub(in crate::backend) fn descriptor(&self, inode: &Arc<Inode>) -> FsResult<Arc<OwnedFd>> {
        for _ in 0..TRIES {
            if let Some(found) = inode.descriptor() {
                return Ok(found);
            }
            match self.walk(inode) {
                Err(Errno::ESTALE) => {}
                other => return other,
            }
        }
        self.of_who_has_it_open(inode)
    }

    /// Of a file without a name: whoever was known to have it open may have closed it, and others may not.
    fn of_who_has_it_open(&self, inode: &Arc<Inode>) -> FsResult<Arc<OwnedFd>> {
        let identity = inode.identity();
        for open in self.handles.of(inode) {
            let found = Identity::of(&host::stat(open.file.as_fd())?).in_layer(identity.layer());
            if found == identity {
                inode.opened(&open.file);
                return Ok(Arc::clone(&open.file));
            }
        }
        Err(Errno::ESTALE)
    }

    /// The descriptor of a directory, to name its entries.
    pub(in crate::backend) fn directory(
        &self,
        number: crate::fs::Ino,
    ) -> FsResult<(Arc<Inode>, Arc<OwnedFd>)> {
        let inode = self.table.get(number)?;
        if inode.type_bits() != libc::S_IFDIR {
            return Err(Errno::ENOTDIR);
        }
        let fd = self.descriptor(&inode)?;
        Ok((inode, fd))
    }

    /// The descriptor of a directory's part in a layer. `ESTALE` where it has none there.
    pub(in crate::backend) fn part_descriptor(
        &self,
        dir: &Arc<Inode>,
        layer: Layer,
    ) -> FsResult<Arc<OwnedFd>> {
        for _ in 0..TRIES {
            if let Some(found) = dir.descriptor_in(layer) {
                return Ok(found);
            }
            if dir.layer() == layer {
                match self.walk(dir) {
                    Err(Errno::ESTALE) => continue,
                    other => return other,
                }
            }
            // Copied up in between, its own part has become one of those beneath.
            let part = dir.parts.get().and_then(|parts| parts.in_layer(layer));
            let Some(part) = part else { continue };
            match self.open_part(dir, &part) {
                Err(Errno::ESTALE) => {}
                other => return other,
            }
        }
        Err(Errno::ESTALE)
    }

    fn open_part(&self, dir: &Arc<Inode>, part: &Arc<Part>) -> FsResult<Arc<OwnedFd>> {
        let opened = match self.way(dir, part.layer())? {
            Way::There(held) => return Ok(held),
            Way::Beneath(start, path) => self.open_beneath(&start, &path, part.identity, libc::S_IFDIR)?,
        };
        self.cache.keep_part(part, Arc::clone(&opened));
        Ok(opened)
    }

    fn root_part(&self, layer: Layer) -> FsResult<Arc<OwnedFd>> {
        self.table.root().descriptor_in(layer).ok_or(Errno::ESTALE)
    }

    /// Opens it from the nearest ancestor that has a descriptor, in one call whatever the depth.
    fn walk(&self, inode: &Arc<Inode>) -> FsResult<Arc<OwnedFd>> {
        let identity = inode.identity();
        let opened = match self.way(inode, identity.layer())? {
            Way::There(held) => return Ok(held),
            Way::Beneath(start, path) => self.open_beneath(&start, &path, identity, inode.type_bits())?,
        };
        self.cache.keep(inode, identity, Arc::clone(&opened));
        Ok(opened)
    }

    /// Where to begin, and the names from there on.
    fn way(&self, inode: &Arc<Inode>, layer: Layer) -> FsResult<Way> {
        let mut names = Names::default();
        let mut at = Arc::clone(inode);
        let mut circle = Circle::new(inode);
        let start = loop {
            match at.step(layer, &mut names) {
                Step::Here(held) => break held,
                Step::FromRoot => break self.root_part(layer)?,
                Step::Lost => return Err(Errno::ESTALE),
                Step::Up(parent) => at = circle.unless_closed(parent)?,
            }
            // More than one call takes: from a directory in between.
            if names.len() > LONGEST_WAY {
                leads_up(&at, layer)?;
                break self.part_descriptor(&at, layer)?;
            }
        };
        Ok(if names.len() == 0 {
            Way::There(start)
        } else {
            Way::Beneath(start, names.into_path())
        })
    }

    fn open_beneath(
        &self,
        start: &OwnedFd,
        path: &[u8],
        identity: Identity,
        type_bits: u32,
    ) -> FsResult<Arc<OwnedFd>> {
        let open = |flags| {
            self.with_descriptors(|| rustix::fs::openat2(start.as_fd(), path, flags, Mode::empty(), BENEATH))
        };
        let opened = if type_bits == libc::S_IFDIR {
            // Where nothing is kept beside the host's attributes, a directory is only there to name what is in it.
            match open(if self.config.is_virtual() {
                DIRECTORY
            } else {
                STAND_IN
            }) {
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
        let found = Identity::of(&host::stat(opened.as_fd())?).in_layer(identity.layer());
        if found == identity {
            Ok(opened)
        } else {
            Err(Errno::ESTALE)
        }
    }

    /// Makes a call that needs a descriptor; when there is none left, a handful of the cached ones are closed and it is
    /// made once more.
    pub(in crate::backend) fn with_descriptors<T>(
        &self,
        mut call: impl FnMut() -> Result<T, HostErrno>,
    ) -> FsResult<T> {
        match call() {
            Err(HostErrno::MFILE | HostErrno::NFILE) => {
                self.cache.shrink(HANDFUL);
                Ok(call()?)
            }
            other => Ok(other?),
        }
    }

    /// Keeps a way to a file that is about to lose the name it is known by.
    pub(in crate::backend) fn pin(&self, inode: &Arc<Inode>) -> FsResult<()> {
        self.descriptor(inode).map(drop)
    }
}
