//! A whole tree: for branches in `copy` mode, and for snapshots of a base.
//!
//! Directories are reached anew from the root each time, so that neither depth nor breadth costs descriptors.
//! What is mounted inside is not entered. Sockets are left out, because nobody listens on a copy.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use sandbox_types::{NodeKind, RelPath};

use super::super::beneath::{Root, names, node_at};
use super::super::node::Meta;
use super::super::progress::{Phase, Progress};
use super::super::xattr::Reading;
use super::attributes::{Attributes, Refused};
use super::make;
use super::{Copier, Reflink};

/// How a tree is copied.
#[derive(Debug, Clone, Default)]
pub(crate) struct TreeOptions {
    pub(crate) reflink: Reflink,
    /// What is left out, with all that is in it.
    pub(crate) exclude: BTreeSet<RelPath>,
    /// Of these nothing is copied but that there is a directory; what is none is left out.
    pub(crate) hollow: BTreeSet<RelPath>,
}

/// What was copied.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TreeReport {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    /// What could not be set on the copy.
    pub(crate) refused: Vec<(RelPath, Refused)>,
    /// Those of the hollow that were met.
    pub(crate) hollow: Vec<RelPath>,
    /// Sockets.
    pub(crate) skipped: Vec<RelPath>,
    /// Files that somebody was writing to all the time, so that the copy may hold a mixture.
    pub(crate) unsteady: Vec<RelPath>,
}

/// Why a tree could not be copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// Something in the tree cannot be read.
    #[error("{path}: cannot be read: {source}")]
    Read {
        /// Where, beneath its root.
        path: RelPath,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its copy cannot be made.
    #[error("{path}: cannot be copied: {source}")]
    Write {
        /// Where, beneath its root.
        path: RelPath,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl CopyError {
    /// What a user can do about it.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        let (Self::Read { source, .. } | Self::Write { source, .. }) = self;
        match Errno::from_io_error(source) {
            Some(Errno::ACCESS | Errno::PERM) => Some("give yourself permission to read it, or leave it out"),
            Some(Errno::NOSPC | Errno::DQUOT) => {
                Some("free some space, or keep branches on another file system")
            }
            Some(Errno::XDEV) => Some("something has just been mounted there: try again"),
            _ => None,
        }
    }

    fn read(path: &RelPath) -> impl FnOnce(io::Error) -> Self {
        let path = path.clone();
        move |source| Self::Read { path, source }
    }

    fn write(path: &RelPath) -> impl FnOnce(io::Error) -> Self {
        let path = path.clone();
        move |source| Self::Write { path, source }
    }
}

/// Copies what is in the directory `from` to the directory `to`, which is made, or is there and empty.
pub(crate) fn tree(
    from: &Path,
    to: &Path,
    options: &TreeOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<TreeReport, CopyError> {
    let root = RelPath::root();
    match rustix::fs::mkdir(to, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(CopyError::write(&root)(errno.into())),
    }
    let from = Root::open(from).map_err(CopyError::read(&root))?;
    let to = Root::open(to).map_err(CopyError::write(&root))?;
    let target = Meta::of(&to).map_err(CopyError::write(&root))?;
    let mut copy = TreeCopy {
        from,
        to,
        target,
        options,
        copier: Copier::new(options.reflink),
        links: BTreeMap::new(),
        state: Progress::start(Phase::Copying, None, None),
        progress,
        report: TreeReport::default(),
    };
    copy.run()?;
    Ok(TreeReport {
        entries: copy.state.entries,
        bytes: copy.state.bytes,
        ..copy.report
    })
}

/// Attempts to copy a file that somebody is writing to.
const ATTEMPTS: u32 = 3;

struct TreeCopy<'a> {
    from: Root,
    to: Root,
    target: Meta,
    options: &'a TreeOptions,
    copier: Copier,
    /// Where the first link of a file with several has been copied to.
    links: BTreeMap<(u64, u64), RelPath>,
    state: Progress,
    progress: &'a mut dyn FnMut(Progress),
    report: TreeReport,
}

impl TreeCopy<'_> {
    fn run(&mut self) -> Result<(), CopyError> {
        let mut left = vec![RelPath::root()];
        let mut directories = Vec::new();
        while let Some(path) = left.pop() {
            let attributes = self.directory(&path, &mut left)?;
            directories.push((path, attributes));
        }
        // What is in a directory changes its time, and its mode may forbid further changes.
        for (path, attributes) in directories.iter().rev() {
            let dir = self.to.dir(path).map_err(CopyError::write(path))?;
            self.put(attributes, dir.as_fd(), path)?;
        }
        Ok(())
    }

    /// Copies what is in a directory but for its directories, which are made and added to `left`.
    fn directory(&mut self, path: &RelPath, left: &mut Vec<RelPath>) -> Result<Attributes, CopyError> {
        let from = self.from.list_dir(path).map_err(CopyError::read(path))?;
        let to = self.to.dir(path).map_err(CopyError::write(path))?;
        let meta = Meta::of(&from).map_err(CopyError::read(path))?;
        let attributes = Attributes::read(from.as_fd(), &meta, Reading::Exact);
        for name in names(from.as_fd()).map_err(CopyError::read(path))? {
            let inner = path
                .join(&name)
                .map_err(|error| CopyError::read(path)(io::Error::other(error)))?;
            if self.options.exclude.contains(&inner) {
                continue;
            }
            self.entry(&from, &to, &name, &inner, left)?;
        }
        attributes.map_err(CopyError::read(path))
    }

    fn entry(
        &mut self,
        from: &OwnedFd,
        to: &OwnedFd,
        name: &OsStr,
        path: &RelPath,
        left: &mut Vec<RelPath>,
    ) -> Result<(), CopyError> {
        let Some(meta) = Meta::at(from, name).map_err(CopyError::read(path))? else {
            return Ok(()); // gone meanwhile
        };
        if self.is_target(&meta) {
            return Ok(());
        }
        self.state.entries += 1;
        if self.options.hollow.contains(path) {
            return self.hollow(to, name, path, &meta);
        }
        match meta.kind {
            NodeKind::Directory => {
                rustix::fs::mkdirat(to, name, Mode::RWXU)
                    .map_err(|errno| CopyError::write(path)(errno.into()))?;
                left.push(path.clone());
            }
            NodeKind::Socket => self.report.skipped.push(path.clone()),
            _ if meta.nlink > 1 && self.link(to, name, path, &meta)? => {}
            NodeKind::File => self.file(from, to, name, path)?,
            _ => self.other(from, to, name, path, &meta)?,
        }
        (self.progress)(self.state);
        Ok(())
    }

    /// An empty directory stands for one, with its mode: programs expect it.
    fn hollow(&mut self, to: &OwnedFd, name: &OsStr, path: &RelPath, meta: &Meta) -> Result<(), CopyError> {
        self.report.hollow.push(path.clone());
        if !meta.is_dir() {
            return Ok(());
        }
        let made = rustix::fs::mkdirat(to, name, Mode::RWXU)
            .and_then(|()| rustix::fs::chmodat(to, name, Mode::from_raw_mode(meta.mode), AtFlags::empty()));
        made.map_err(|errno| CopyError::write(path)(errno.into()))
    }

    /// Whether it is the copy itself, which may be beneath what is copied.
    fn is_target(&self, meta: &Meta) -> bool {
        (meta.dev, meta.ino) == (self.target.dev, self.target.ino)
    }

    /// Links to what has been copied already; false where this is the first link.
    fn link(&mut self, to: &OwnedFd, name: &OsStr, path: &RelPath, meta: &Meta) -> Result<bool, CopyError> {
        let Some(first) = self.links.get(&(meta.dev, meta.ino)) else {
            self.links.insert((meta.dev, meta.ino), path.clone());
            return Ok(false);
        };
        let first = self.to.place(first).map_err(CopyError::write(path))?;
        match rustix::fs::linkat(&first.parent, first.name(), to, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            // The file system has too few links for that.
            Err(Errno::MLINK | Errno::PERM) => Ok(false),
            Err(errno) => Err(CopyError::write(path)(errno.into())),
        }
    }

    fn file(&mut self, from: &OwnedFd, to: &OwnedFd, name: &OsStr, path: &RelPath) -> Result<(), CopyError> {
        let source = open_file(from.as_fd(), name).map_err(CopyError::read(path))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let target = rustix::fs::openat(to, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| CopyError::write(path)(errno.into()))?;
        let target = File::from(target);
        let mut attempt = 1;
        let attributes = loop {
            let meta = Meta::of(&source).map_err(CopyError::read(path))?;
            let attributes = Attributes::read(source.as_fd(), &meta, Reading::Exact);
            self.content(&source, &target, &meta)
                .map_err(CopyError::write(path))?;
            if is_steady(&meta, &Meta::of(&source).map_err(CopyError::read(path))?) {
                break attributes;
            }
            if attempt == ATTEMPTS {
                self.report.unsteady.push(path.clone());
                break attributes;
            }
            attempt += 1;
            target.set_len(0).map_err(CopyError::write(path))?;
        };
        self.put(&attributes.map_err(CopyError::read(path))?, target.as_fd(), path)
    }

    fn content(&mut self, source: &File, target: &File, meta: &Meta) -> io::Result<()> {
        let (state, progress) = (&mut self.state, &mut self.progress);
        self.copier.copy(source, target, &meta.shape(), &mut |copied| {
            state.bytes += copied;
            progress(*state);
        })
    }

    fn other(
        &mut self,
        from: &OwnedFd,
        to: &OwnedFd,
        name: &OsStr,
        path: &RelPath,
        meta: &Meta,
    ) -> Result<(), CopyError> {
        let name = Path::new(name);
        let source = node_at(from.as_fd(), name).map_err(CopyError::read(path))?;
        let attributes =
            Attributes::read(source.as_fd(), meta, Reading::Exact).map_err(CopyError::read(path))?;
        let made = if meta.kind == NodeKind::Symlink {
            let target = make::symlink_target(from.as_fd(), name).map_err(CopyError::read(path))?;
            make::symlink(to.as_fd(), name, &target)
        } else {
            make::special(to.as_fd(), name, meta.kind, meta.rdev)
        };
        self.put(&attributes, made.map_err(CopyError::write(path))?.as_fd(), path)
    }

    fn put(
        &mut self,
        attributes: &Attributes,
        node: BorrowedFd<'_>,
        path: &RelPath,
    ) -> Result<(), CopyError> {
        let refused = attributes.put(node).map_err(CopyError::write(path))?;
        let refused = refused.into_iter().map(|refused| (path.clone(), refused));
        self.report.refused.extend(refused);
        Ok(())
    }
}

/// Whether nobody has written between.
fn is_steady(before: &Meta, after: &Meta) -> bool {
    (before.size, before.mtime, before.ctime) == (after.size, after.mtime, after.ctime)
}

fn open_file(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, name, flags, Mode::empty())?.into())
}
