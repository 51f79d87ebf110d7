//! A host directory as a [`TreeSource`].
//!
//! Files are found beneath the directory's descriptor by openat2(2) without following links, so nothing outside
//! is ever read. Needs Linux 5.6, and /proc for extended attributes.

mod attributes;
mod holes;
mod open;
mod overrides;

pub use overrides::Overrides;

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs::File,
    io,
    ops::Range,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::FileExt},
    },
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, readlinkat};
use sandbox_types::{TreeEntry, TreeNode, TreeNodeId, TreeSource, TreeXattr};

use attributes::Host;

/// A directory of the host and everything in it, mounts below it included.
///
/// Sockets, FIFOs and devices are what they are, not what is behind them. Names that appear and disappear while
/// it is read are an error of that call, not a wrong answer.
#[derive(Debug)]
pub struct DirectoryTree {
    root: OwnedFd,
    overrides: Overrides,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By [`TreeNodeId`].
    nodes: Vec<Known>,
    /// Files with several names, by device and inode.
    links: HashMap<(u64, u64), usize>,
    /// The directory and the file that were used last.
    directory: Option<(usize, OwnedFd)>,
    file: Option<(usize, File)>,
}

/// Where a node was found first, and what it was.
#[derive(Debug)]
struct Known {
    parent: usize,
    name: Box<[u8]>,
    host: Host,
}

const ROOT: usize = 0;

impl DirectoryTree {
    /// Opens a directory. Owners, modes and types are those of the host.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::with_overrides(path, Overrides::Ignore)
    }

    /// Opens a directory, and says whether owners, modes and types are to be taken from
    /// `user.containers.override_stat`.
    pub fn with_overrides(path: impl AsRef<Path>, overrides: Overrides) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path.as_ref(), flags, Mode::empty())?;
        Ok(Self {
            root,
            overrides,
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What is kept is only where things are; a panic elsewhere leaves it usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Describes what `name` in `directory` is; an empty name is the directory itself.
    fn node(
        &self,
        state: &mut State,
        parent: usize,
        directory: &OwnedFd,
        name: &[u8],
    ) -> io::Result<TreeNode> {
        let host = attributes::stat(directory, name)?;
        let known = host
            .has_several_names()
            .then(|| state.links.get(&host.identity()).copied())
            .flatten();
        let id = known.unwrap_or(state.nodes.len());
        let mut node = host.node(TreeNodeId(id as u64));
        if self.overrides == Overrides::Honor
            && let Some(value) = attributes::override_of(directory, name)?
        {
            overrides::apply(&value, &mut node)?;
        }
        if known.is_none() {
            if host.has_several_names() {
                state.links.insert(host.identity(), id);
            }
            state.nodes.push(Known {
                parent,
                name: name.into(),
                host,
            });
        }
        Ok(node)
    }
}

impl TreeSource for DirectoryTree {
    fn root(&self) -> io::Result<TreeNode> {
        let mut state = self.state();
        *state = State::default();
        let directory = self.root.try_clone()?;
        self.node(&mut state, ROOT, &directory, b"")
    }

    fn list(&self, directory: TreeNodeId) -> io::Result<Vec<TreeEntry>> {
        let mut state = self.state();
        let number = number(directory);
        let fd = open::directory(&self.root, &state, number)?;
        let mut entries = Vec::new();
        for entry in Dir::read_from(&fd)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let node = self.node(&mut state, number, &fd, name)?;
            entries.push(TreeEntry {
                name: name.to_vec(),
                node,
            });
        }
        state.directory = Some((number, fd));
        Ok(entries)
    }

    fn target(&self, link: TreeNodeId) -> io::Result<Vec<u8>> {
        let mut state = self.state();
        if state.get(number(link))?.host.is_symlink() {
            let (directory, name) = open::place(&self.root, &mut state, number(link))?;
            return Ok(readlinkat(directory, OsStr::from_bytes(&name), Vec::new())?.into_bytes());
        }
        // An override made a link of a file: the content is the target.
        let file = open::file(&self.root, &mut state, number(link))?;
        let mut target = vec![0; 4096];
        let len = file.read_at(&mut target, 0)?;
        target.truncate(len);
        Ok(target)
    }

    fn xattrs(&self, node: TreeNodeId) -> io::Result<Vec<TreeXattr>> {
        let mut state = self.state();
        let (directory, name) = open::place(&self.root, &mut state, number(node))?;
        let hidden = (self.overrides == Overrides::Honor).then_some(overrides::XATTR);
        attributes::xattrs(directory.as_raw_fd(), &name, hidden)
    }

    fn data(&self, file: TreeNodeId, len: u64) -> io::Result<Vec<Range<u64>>> {
        let mut state = self.state();
        if !state.get(number(file))?.host.has_holes() {
            return Ok(if len == 0 {
                Vec::new()
            } else {
                std::iter::once(0..len).collect()
            });
        }
        holes::data(open::file(&self.root, &mut state, number(file))?, len)
    }

    fn read_at(&self, file: TreeNodeId, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state();
        open::file(&self.root, &mut state, number(file))?.read_at(buffer, offset)
    }
}

impl State {
    fn get(&self, number: usize) -> io::Result<&Known> {
        self.nodes
            .get(number)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn number(id: TreeNodeId) -> usize {
    usize::try_from(id.0).unwrap_or(usize::MAX)
}

/// Flags that [`AtFlags`] needs for the directory itself.
fn itself(name: &[u8]) -> AtFlags {
    if name.is_empty() {
        AtFlags::EMPTY_PATH
    } else {
        AtFlags::empty()
    }
}
