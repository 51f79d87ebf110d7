//! A model of a filesystem: a table of nodes, bytes in vectors, and nothing clever.
//!
//! It answers what [`random_steps`](super::random_steps) asks, as the kernel does; a property test holds it against the
//! host.

mod files;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use super::op::{Locking, NodeKind, Op, Opening, Renaming, XattrMode, split};
use super::subject::{Handles, Shown, Subject, kind_name, show_bytes, show_names};
use crate::fs::{Errno, FsResult};

type Done = Result<String, Errno>;
type Id = u64;

const ROOT: Id = 0;
const PAGE: u64 = 4096;

/// A filesystem in a table.
#[derive(Debug)]
pub struct Model {
    nodes: BTreeMap<Id, Node>,
    next: Id,
    handles: Handles<Open>,
    umask: u32,
    owner: (u32, u32),
}

#[derive(Debug, Clone, Default)]
struct Node {
    /// Type and permissions.
    mode: u32,
    nlink: u32,
    bytes: Vec<u8>,
    entries: BTreeMap<OsString, Id>,
    xattrs: BTreeMap<OsString, Vec<u8>>,
    linkable: bool,
    /// For each owner what is locked, byte by byte; a length of 0 is to the end of this.
    records: BTreeMap<Id, [Option<Locking>; 48]>,
    flocks: BTreeMap<Id, Locking>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    node: Id,
    flags: Opening,
    owner: Id,
}

impl Model {
    /// An empty directory, seen by a process with this umask and these ids.
    pub fn new(umask: u32, owner: (u32, u32)) -> Self {
        let root = Node {
            mode: libc::S_IFDIR | 0o755,
            nlink: 2,
            ..Node::default()
        };
        Self {
            nodes: BTreeMap::from([(ROOT, root)]),
            next: ROOT + 1,
            handles: Handles::default(),
            umask,
            owner,
        }
    }

    fn node(&self, id: Id) -> FsResult<&Node> {
        self.nodes.get(&id).ok_or(Errno::ESTALE)
    }

    fn node_mut(&mut self, id: Id) -> FsResult<&mut Node> {
        self.nodes.get_mut(&id).ok_or(Errno::ESTALE)
    }

    fn child(&self, parent: Id, name: &OsStr) -> FsResult<Id> {
        if name.len() > 255 {
            return Err(Errno::ENAMETOOLONG);
        }
        self.node(parent)?.entries.get(name).copied().ok_or(Errno::ENOENT)
    }

    fn parent<'p>(&self, path: &'p OsStr) -> FsResult<(Id, &'p OsStr)> {
        let (names, last) = split(path).ok_or(Errno::EBUSY)?;
        let mut at = ROOT;
        for name in names {
            at = self.child(at, name)?;
            match self.node(at)?.kind() {
                libc::S_IFDIR => {}
                libc::S_IFLNK => return Err(Errno::ENOENT),
                _ => return Err(Errno::ENOTDIR),
            }
        }
        Ok((at, last))
    }

    fn find(&self, path: &OsStr) -> FsResult<Id> {
        if path == "." {
            return Ok(ROOT);
        }
        let (parent, name) = self.parent(path)?;
        self.child(parent, name)
    }

    fn add(&mut self, mode: u32) -> Id {
        let id = self.next;
        self.next += 1;
        let kind = mode & libc::S_IFMT;
        let mask = if kind == libc::S_IFLNK { 0 } else { self.umask };
        let node = Node {
            mode: mode & !mask,
            nlink: if kind == libc::S_IFDIR { 2 } else { 1 },
            ..Node::default()
        };
        self.nodes.insert(id, node);
        id
    }

    fn make(&mut self, path: &OsStr, mode: u32) -> FsResult<Id> {
        let (parent, name) = self.parent(path)?;
        match self.child(parent, name) {
            Err(Errno::ENOENT) => {}
            Ok(_) => return Err(Errno::EEXIST),
            Err(error) => return Err(error),
        }
        let id = self.add(mode);
        self.enter(parent, name, id)?;
        if mode & libc::S_IFMT == libc::S_IFDIR {
            self.node_mut(parent)?.nlink += 1;
        }
        Ok(id)
    }

    fn enter(&mut self, parent: Id, name: &OsStr, id: Id) -> FsResult<()> {
        self.node_mut(parent)?.entries.insert(name.to_owned(), id);
        Ok(())
    }

    fn link(&mut self, id: Id, path: &OsStr) -> Done {
        let (parent, name) = self.parent(path)?;
        match self.child(parent, name) {
            Err(Errno::ENOENT) => {}
            Ok(_) => return Err(Errno::EEXIST),
            Err(error) => return Err(error),
        }
        let node = self.node_mut(id)?;
        if node.is_directory() {
            return Err(Errno::EPERM);
        }
        if node.nlink == 0 && !node.linkable {
            return Err(Errno::ENOENT);
        }
        node.nlink += 1;
        node.linkable = false;
        self.enter(parent, name, id)?;
        DONE
    }

    fn unlink(&mut self, path: &OsStr) -> Done {
        let (parent, name) = self.parent(path)?;
        let id = self.child(parent, name)?;
        if self.node(id)?.is_directory() {
            return Err(Errno::EISDIR);
        }
        self.node_mut(parent)?.entries.remove(name);
        self.node_mut(id)?.nlink -= 1;
        DONE
    }

    fn rmdir(&mut self, path: &OsStr) -> Done {
        let (parent, name) = self.parent(path)?;
        let id = self.child(parent, name)?;
        self.check_empty(id)?;
        self.node_mut(parent)?.entries.remove(name);
        self.node_mut(parent)?.nlink -= 1;
        self.node_mut(id)?.nlink = 0;
        DONE
    }

    fn check_empty(&self, id: Id) -> FsResult<()> {
        let node = self.node(id)?;
        match node.is_directory() {
            false => Err(Errno::ENOTDIR),
            true if node.entries.is_empty() => Ok(()),
            true => Err(Errno::ENOTEMPTY),
        }
    }

    /// Whether `id` is `top` or below it.
    fn is_below(&self, id: Id, top: Id) -> bool {
        id == top
            || self
                .nodes
                .get(&top)
                .is_some_and(|node| node.entries.values().any(|child| self.is_below(id, *child)))
    }

    fn rename(&mut self, old: &OsStr, new: &OsStr, flags: Renaming) -> Done {
        if flags.exchange && (flags.noreplace || flags.whiteout) {
            return Err(Errno::EINVAL);
        }
        let (from, name) = self.parent(old)?;
        let (to, new_name) = self.parent(new)?;
        let source = self.child(from, name)?;
        let target = match self.child(to, new_name) {
            Err(Errno::ENOENT) => None,
            found => Some(found?),
        };
        self.check_rename((from, source), (to, target), flags)?;
        let target = match target {
            Some(target) if target == source => return DONE,
            target => target,
        };
        let moves = self.node(source)?.is_directory();
        if let (true, Some(target)) = (flags.exchange, target) {
            self.enter(from, name, target)?;
            self.enter(to, new_name, source)?;
            self.count_directories(from, to, moves)?;
            let back = self.node(target)?.is_directory();
            self.count_directories(to, from, back)?;
            return DONE;
        }
        if let Some(target) = target {
            let replaced = self.node_mut(target)?;
            if replaced.is_directory() {
                replaced.nlink = 0;
                self.node_mut(to)?.nlink -= 1;
            } else {
                replaced.nlink -= 1;
            }
        }
        self.node_mut(from)?.entries.remove(name);
        self.enter(to, new_name, source)?;
        self.count_directories(from, to, moves)?;
        if flags.whiteout {
            let umask = std::mem::take(&mut self.umask);
            let whiteout = self.add(libc::S_IFCHR);
            self.umask = umask;
            self.enter(from, name, whiteout)?;
        }
        DONE
    }

    fn check_rename(&self, from: (Id, Id), to: (Id, Option<Id>), flags: Renaming) -> FsResult<()> {
        match to.1 {
            Some(_) if flags.noreplace => return Err(Errno::EEXIST),
            None if flags.exchange => return Err(Errno::ENOENT),
            _ => {}
        }
        if self.is_below(to.0, from.1) {
            return Err(Errno::EINVAL);
        }
        let Some(target) = to.1 else { return Ok(()) };
        if self.is_below(from.0, target) {
            return Err(if flags.exchange {
                Errno::EINVAL
            } else {
                Errno::ENOTEMPTY
            });
        }
        if target == from.1 || flags.exchange {
            return Ok(());
        }
        match (
            self.node(from.1)?.is_directory(),
            self.node(target)?.is_directory(),
        ) {
            (true, false) => Err(Errno::ENOTDIR),
            (false, true) => Err(Errno::EISDIR),
            (true, true) => self.check_empty(target),
            (false, false) => Ok(()),
        }
    }

    fn count_directories(&mut self, from: Id, to: Id, moves: bool) -> FsResult<()> {
        if moves {
            self.node_mut(from)?.nlink -= 1;
            self.node_mut(to)?.nlink += 1;
        }
        Ok(())
    }

    fn stat(&self, id: Id) -> Done {
        let node = self.node(id)?;
        let shown = Shown {
            mode: node.mode,
            nlink: node.nlink,
            uid: self.owner.0,
            gid: self.owner.1,
            size: node.bytes.len() as u64,
            blocks: 0,
            rdev: 0,
        };
        Ok(shown.stat())
    }

    fn list(&self, path: &OsStr) -> Done {
        let node = self.node(self.find(path)?)?;
        if !node.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        let mut names = Vec::new();
        for (name, id) in &node.entries {
            names.push((name.clone(), kind_name(self.node(*id)?.mode)));
        }
        Ok(show_names(names))
    }

    fn chmod(&mut self, path: &OsStr, mode: u32) -> Done {
        let id = self.find(path)?;
        let node = self.node_mut(id)?;
        if node.kind() == libc::S_IFLNK {
            return Err(Errno::ENOTSUP);
        }
        node.mode = node.kind() | mode & 0o7777;
        DONE
    }

    fn xattrs(&mut self, path: &OsStr, otherwise: Errno) -> FsResult<&mut BTreeMap<OsString, Vec<u8>>> {
        let id = self.find(path)?;
        let node = self.node_mut(id)?;
        match node.kind() {
            libc::S_IFREG | libc::S_IFDIR => Ok(&mut node.xattrs),
            _ => Err(otherwise),
        }
    }

    fn set_xattr(&mut self, path: &OsStr, name: &OsStr, value: &[u8], mode: XattrMode) -> Done {
        let xattrs = self.xattrs(path, Errno::EPERM)?;
        match (mode, xattrs.contains_key(name)) {
            (XattrMode::Create, true) => return Err(Errno::EEXIST),
            (XattrMode::Replace, false) => return Err(Errno::ENODATA),
            _ => {}
        }
        xattrs.insert(name.to_owned(), value.to_vec());
        DONE
    }

    fn get_xattr(&mut self, path: &OsStr, name: &OsStr, size: u32) -> Done {
        let value = self
            .xattrs(path, Errno::ENODATA)?
            .get(name)
            .ok_or(Errno::ENODATA)?;
        match size as usize {
            0 => Ok(format!("size {}", value.len())),
            size if size < value.len() => Err(Errno::ERANGE),
            _ => Ok(show_bytes(value)),
        }
    }

    fn readlink(&self, path: &OsStr) -> Done {
        let node = self.node(self.find(path)?)?;
        if node.kind() == libc::S_IFLNK {
            Ok(show_bytes(&node.bytes))
        } else {
            Err(Errno::EINVAL)
        }
    }
}

impl Subject for Model {
    fn apply(&mut self, step: &Op) -> Done {
        match step {
            Op::Mkdir(path, mode) => self.make(path, libc::S_IFDIR | mode & 0o1777).map(drop)?,
            Op::Mknod(path, kind, mode) => self.make(path, node_type(*kind) | mode).map(drop)?,
            Op::Symlink(path, target) => {
                use std::os::unix::ffi::OsStrExt;
                let id = self.make(path, libc::S_IFLNK | 0o777)?;
                self.node_mut(id)?.bytes = target.as_bytes().to_vec();
            }
            Op::Link(old, new) => {
                let id = self.find(old)?;
                return self.link(id, new);
            }
            Op::Unlink(path) => return self.unlink(path),
            Op::Rmdir(path) => return self.rmdir(path),
            Op::Rename(old, new, flags) => return self.rename(old, new, *flags),
            Op::Open(name, path, flags, mode) => return self.open(*name, path, *flags, *mode),
            Op::Tmpfile(name, path, exclusive) => return self.tmpfile(*name, path, *exclusive),
            Op::LinkHandle(name, path) => return self.link(self.handles.get(*name)?.node, path),
            Op::Close(name) => {
                let open = self.handles.remove(*name)?;
                self.drop_locks(open);
            }
            Op::Read(name, offset, len) => return self.read(*name, *offset, *len),
            Op::Write(name, offset, byte, len) => return self.write(*name, *offset, *byte, *len),
            Op::Truncate(path, len) => return self.truncate(path, *len),
            Op::TruncateHandle(name, len) => {
                let open = self.writable(*name, Errno::EINVAL)?;
                self.node_mut(open.node)?.bytes.resize(index(*len), 0);
            }
            Op::Allocate(name, mode, offset, len) => return self.allocate(*name, *mode, *offset, *len),
            Op::Copy(from, to, len) => return self.copy(*from, *to, *len),
            Op::Stat(path) => return self.stat(self.find(path)?),
            Op::StatHandle(name) => return self.stat(self.handles.get(*name)?.node),
            Op::Chmod(path, mode) => return self.chmod(path, *mode),
            Op::Utimes(path, _, _) => self.find(path).map(drop)?,
            Op::SetXattr(path, name, value, mode) => return self.set_xattr(path, name, value, *mode),
            Op::GetXattr(path, name, size) => return self.get_xattr(path, name, *size),
            Op::RemoveXattr(path, name) => {
                self.xattrs(path, Errno::EPERM)?
                    .remove(name)
                    .ok_or(Errno::ENODATA)?;
            }
            Op::Readlink(path) => return self.readlink(path),
            Op::List(path) => return self.list(path),
            Op::Lock(name, kind, start, len) => return self.lock(*name, *kind, *start, *len),
            Op::Flock(name, kind) => return self.flock(*name, *kind),
            Op::Seek(..)
            | Op::Blocks(_)
            | Op::Chown(..)
            | Op::ShowTimes(_)
            | Op::Mark(_)
            | Op::Changed(_)
            | Op::ListXattr(..)
            | Op::GetLock(..) => return Err(Errno::ENOSYS),
        }
        DONE
    }
}

impl Node {
    fn kind(&self) -> u32 {
        self.mode & libc::S_IFMT
    }

    fn is_directory(&self) -> bool {
        self.kind() == libc::S_IFDIR
    }

    fn range(&self, offset: u64, len: u64) -> &[u8] {
        let end = self.bytes.len().min(index(offset + len));
        self.bytes.get(index(offset)..end).unwrap_or_default()
    }

    fn put(&mut self, offset: u64, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let end = index(offset) + bytes.len();
        self.bytes.resize(self.bytes.len().max(end), 0);
        if let Some(into) = self.bytes.get_mut(index(offset)..end) {
            into.copy_from_slice(bytes);
        }
    }

    fn clear(&mut self, offset: u64, end: u64) {
        let end = self.bytes.len().min(index(end));
        if let Some(bytes) = self.bytes.get_mut(index(offset)..end) {
            bytes.fill(0);
        }
    }
}

/// Nothing to show.
const DONE: Done = Ok(String::new());

fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

fn node_type(kind: NodeKind) -> u32 {
    match kind {
        NodeKind::File => libc::S_IFREG,
        NodeKind::Fifo => libc::S_IFIFO,
        NodeKind::Socket => libc::S_IFSOCK,
        NodeKind::Whiteout => libc::S_IFCHR,
    }
}
