//! A filesystem as a [`TreeSource`]: what an image is made of.
//!
//! It holds a reference on every inode that it has told of, as a kernel that remembers them does, so that a number means
//! the same file until the end, and two names of one file are told as such. All of them are given back when it is
//! dropped, or asked for its root again.
//!
//! # It is not
//! - a snapshot: of a filesystem that others write to, it tells what is there when it looks.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{FileType, major, minor};
use sandbox_types::{
    TreeDevice, TreeEntry, TreeFlags, TreeNode, TreeNodeId, TreeNodeKind, TreeSource, TreeTime, TreeXattr,
};

use super::opened;
use crate::fs::{
    Attr, Context, DataWriter, DynFileSystem, Errno, Fit, FsResult, Handle, Ino, OpenFlags, ROOT_INO,
    ReadRequest, SeekFrom, Timestamp, XattrReply,
};

/// How much is read in one call.
const PIECE: usize = 1 << 20;
/// The kernel takes no longer lists and values: `XATTR_SIZE_MAX`, `XATTR_LIST_MAX`.
const XATTR_MOST: u32 = 65536;

/// A filesystem, read as a tree; see the [module](crate::tree). A stack of layers is an
/// [`OverlayFs`](crate::backend::OverlayFs) that is read-only.
///
/// ```
/// use sandbox_filesystem::backend::MemFs;
/// use sandbox_filesystem::fs::Context;
/// use sandbox_filesystem::tree::{FsTree, Tree};
/// use sandbox_types::{SizeExt, TreeSource};
///
/// let fs = MemFs::builder().capacity(8.mib()).build()?;
/// Tree::new(&fs, Context::new(0, 0)).write("greeting", b"hello")?;
/// let source = FsTree::new(&fs, Context::new(0, 0));
/// let entries = source.list(source.root()?.id)?;
/// assert_eq!(entries[0].name, b"greeting");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FsTree<'a> {
    fs: &'a dyn DynFileSystem,
    ctx: Context<'a>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: HashMap<Ino, Known>,
    /// The file that was read last.
    open: Option<OpenFile>,
}

/// An inode that was told of.
struct Known {
    /// References on it that are held.
    references: u64,
    /// Whether less of it is allocated than it is long.
    has_holes: bool,
}

#[derive(Clone, Copy)]
struct OpenFile {
    ino: Ino,
    handle: Option<Handle>,
}

impl<'a> FsTree<'a> {
    /// The tree of `fs`, as `ctx` sees it. The filesystem's `init` is the caller's to call.
    pub fn new(fs: &'a dyn DynFileSystem, ctx: Context<'a>) -> Self {
        Self {
            fs,
            ctx,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What is kept are counts of what was done; a panic elsewhere leaves them right.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn names(&self, directory: Ino) -> FsResult<Vec<OsString>> {
        let handle = opened(self.fs.opendir(&self.ctx, directory, OpenFlags::DIRECTORY))?;
        let names = self.names_in(directory, handle);
        // As with closedir(3): nobody could do anything about it.
        self.fs.releasedir(&self.ctx, directory, handle).ok();
        names
    }

    fn names_in(&self, directory: Ino, handle: Option<Handle>) -> FsResult<Vec<OsString>> {
        let mut names = Vec::new();
        let mut offset = 0;
        loop {
            let before = offset;
            self.fs
                .readdir(&self.ctx, directory, handle, before, &mut |entry| {
                    offset = entry.next_offset;
                    if entry.name != "." && entry.name != ".." {
                        names.push(entry.name.to_owned());
                    }
                    Ok(Fit::Taken)
                })?;
            if offset == before {
                return Ok(names);
            }
        }
    }

    fn entry(&self, state: &mut State, directory: Ino, name: &OsStr) -> io::Result<TreeEntry> {
        let entry = self.fs.lookup(&self.ctx, directory, name)?;
        if entry.ino == 0 {
            return Err(Errno::ENOENT.into());
        }
        let known = state.known.entry(entry.ino).or_insert(Known {
            references: 0,
            has_holes: has_holes(&entry.attr),
        });
        known.references += 1;
        Ok(TreeEntry {
            name: name.as_bytes().to_vec(),
            node: node(entry.ino, &entry.attr)?,
        })
    }

    /// The file that is open: this one from now on.
    fn open(&self, state: &mut State, ino: Ino) -> FsResult<Option<Handle>> {
        if let Some(open) = state.open.filter(|open| open.ino == ino) {
            return Ok(open.handle);
        }
        self.close(state);
        let handle = opened(self.fs.open(&self.ctx, ino, OpenFlags::empty()))?;
        state.open = Some(OpenFile { ino, handle });
        Ok(handle)
    }

    fn close(&self, state: &mut State) {
        if let Some(OpenFile { ino, handle }) = state.open.take() {
            // As with close(2) of what was only read.
            self.fs
                .release(&self.ctx, ino, handle, OpenFlags::empty(), None)
                .ok();
        }
    }

    fn forget_all(&self, state: &mut State) {
        self.close(state);
        for (ino, known) in state.known.drain() {
            self.fs.forget(ino, known.references);
        }
    }

    fn seek(&self, ino: Ino, handle: Option<Handle>, from: SeekFrom) -> FsResult<u64> {
        self.fs.lseek(&self.ctx, ino, handle, from)
    }

    fn ranges(&self, ino: Ino, handle: Option<Handle>, len: u64) -> FsResult<Vec<Range<u64>>> {
        let mut ranges = Vec::new();
        let mut at = 0;
        while at < len {
            let start = match self.seek(ino, handle, SeekFrom::Data(at)) {
                Ok(start) => start,
                // Nothing but a hole is left.
                Err(Errno::ENXIO) => break,
                Err(error) => return Err(error),
            };
            let end = self.seek(ino, handle, SeekFrom::Hole(start))?.min(len);
            if start >= end {
                break;
            }
            ranges.push(start..end);
            at = end;
        }
        Ok(ranges)
    }
}

impl Drop for FsTree<'_> {
    fn drop(&mut self) {
        let mut state = std::mem::take(&mut *self.state());
        self.forget_all(&mut state);
    }
}

impl TreeSource for FsTree<'_> {
    fn root(&self) -> io::Result<TreeNode> {
        self.forget_all(&mut self.state());
        let (attr, _) = self.fs.getattr(&self.ctx, ROOT_INO, None)?;
        node(ROOT_INO, &attr)
    }

    fn list(&self, directory: TreeNodeId) -> io::Result<Vec<TreeEntry>> {
        let names = self.names(directory.0)?;
        let mut state = self.state();
        names
            .iter()
            .map(|name| self.entry(&mut state, directory.0, name))
            .collect()
    }

    fn target(&self, link: TreeNodeId) -> io::Result<Vec<u8>> {
        Ok(self.fs.readlink(&self.ctx, link.0)?)
    }

    fn xattrs(&self, node: TreeNodeId) -> io::Result<Vec<TreeXattr>> {
        let names = match self.fs.listxattr(&self.ctx, node.0, XATTR_MOST) {
            Ok(reply) => bytes(reply)?,
            // It has none of them.
            Err(Errno::ENOSYS | Errno::ENOTSUP) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut xattrs = Vec::new();
        for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            let value = self
                .fs
                .getxattr(&self.ctx, node.0, OsStr::from_bytes(name), XATTR_MOST);
            match value {
                Ok(reply) => xattrs.push(TreeXattr {
                    name: name.to_vec(),
                    value: bytes(reply)?,
                }),
                // Removed meanwhile.
                Err(Errno::ENODATA) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(xattrs)
    }

    fn data(&self, file: TreeNodeId, len: u64) -> io::Result<Vec<Range<u64>>> {
        let all = || std::iter::once(0..len).filter(|all| !all.is_empty()).collect();
        let mut state = self.state();
        if state.known.get(&file.0).is_some_and(|known| !known.has_holes) {
            return Ok(all());
        }
        let handle = self.open(&mut state, file.0)?;
        match self.ranges(file.0, handle, len) {
            // It knows no holes.
            Err(Errno::ENOSYS | Errno::ENOTSUP | Errno::EINVAL) => Ok(all()),
            ranges => Ok(ranges?),
        }
    }

    fn read_at(&self, file: TreeNodeId, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state();
        let handle = self.open(&mut state, file.0)?;
        let room = buffer.len().min(PIECE);
        let request = ReadRequest {
            offset,
            size: u32::try_from(room).map_err(|_| Errno::EINVAL)?,
            flags: OpenFlags::empty(),
        };
        let mut slice = Slice {
            room: buffer.get_mut(..room).unwrap_or_default(),
            filled: 0,
        };
        self.fs.read(&self.ctx, file.0, handle, &request, &mut slice)?;
        Ok(slice.filled)
    }
}

/// The buffer of whoever reads.
struct Slice<'b> {
    room: &'b mut [u8],
    filled: usize,
}

impl Slice<'_> {
    fn rest(&mut self, most: usize) -> &mut [u8] {
        let end = self.filled.saturating_add(most).min(self.room.len());
        self.room.get_mut(self.filled..end).unwrap_or_default()
    }
}

impl DataWriter for Slice<'_> {
    fn remaining(&self) -> usize {
        self.room.len() - self.filled
    }

    fn write(&mut self, from: &[u8]) -> FsResult<usize> {
        let rest = self.rest(from.len());
        let taken = rest.len();
        rest.copy_from_slice(from.get(..taken).unwrap_or_default());
        self.filled += taken;
        Ok(taken)
    }

    fn read_from(&mut self, file: BorrowedFd<'_>, count: usize, offset: u64) -> FsResult<usize> {
        let read = rustix::io::pread(file, self.rest(count), offset)?;
        self.filled += read;
        Ok(read)
    }
}

fn bytes(reply: XattrReply) -> io::Result<Vec<u8>> {
    match reply {
        XattrReply::Data(bytes) => Ok(bytes),
        // Nobody has asked for that.
        XattrReply::Size(_) => Err(Errno::EIO.into()),
    }
}

fn has_holes(attr: &Attr) -> bool {
    attr.blocks.saturating_mul(512) < attr.size
}

fn node(ino: Ino, attr: &Attr) -> io::Result<TreeNode> {
    Ok(TreeNode {
        id: TreeNodeId(ino),
        kind: kind(attr)?,
        permissions: u16::try_from(attr.mode & 0o7777).unwrap_or(0),
        uid: attr.uid,
        gid: attr.gid,
        accessed: time(attr.atime),
        modified: time(attr.mtime),
        changed: time(attr.ctime),
        created: attr.btime.map(time),
        // No request of the protocol tells them.
        flags: TreeFlags::default(),
    })
}

fn kind(attr: &Attr) -> io::Result<TreeNodeKind> {
    let device = TreeDevice {
        major: major(attr.rdev),
        minor: minor(attr.rdev),
    };
    Ok(match FileType::from_raw_mode(attr.mode) {
        FileType::RegularFile => TreeNodeKind::File { len: attr.size },
        FileType::Directory => TreeNodeKind::Directory,
        FileType::Symlink => TreeNodeKind::Symlink,
        FileType::CharacterDevice => TreeNodeKind::CharDevice(device),
        FileType::BlockDevice => TreeNodeKind::BlockDevice(device),
        FileType::Fifo => TreeNodeKind::Fifo,
        FileType::Socket => TreeNodeKind::Socket,
        FileType::Unknown => return Err(io::ErrorKind::Unsupported.into()),
    })
}

fn time(time: Timestamp) -> TreeTime {
    TreeTime {
        seconds: time.seconds,
        nanoseconds: time.nanoseconds,
    }
}

#[cfg(test)]
mod tests {
    use sandbox_types::SizeExt;

    use super::*;
    use crate::backend::MemFs;
    use crate::fs::XattrFlags;
    use crate::tree::Tree;

    fn find<'e>(entries: &'e [TreeEntry], name: &str) -> &'e TreeNode {
        let found = entries.iter().find(|entry| entry.name == name.as_bytes());
        &found.unwrap().node
    }

    #[test]
    fn what_is_in_a_filesystem_is_told_and_every_reference_comes_back() {
        let ctx = Context::new(0, 0);
        let fs = MemFs::builder().capacity(8.mib()).build().unwrap();
        let tree = Tree::new(&fs, ctx);
        let before = fs.statfs(&ctx, ROOT_INO).unwrap();
        let content: Vec<u8> = (0..2_500_000_u32).map(|n| (n % 253) as u8).collect();
        tree.write("file", &content).unwrap();
        tree.mkdir("d", 0o700).unwrap();
        tree.link("file", "d/again").unwrap();
        tree.symlink("../file", "d/link").unwrap();
        let ino = fs.lookup(&ctx, ROOT_INO, "file".as_ref()).unwrap().ino;
        fs.setxattr(&ctx, ino, "user.a".as_ref(), b"value", XattrFlags::empty())
            .unwrap();
        fs.forget(ino, 1);

        let source = FsTree::new(&fs, ctx);
        let root = source.list(source.root().unwrap().id).unwrap();
        let (file, dir) = (find(&root, "file"), find(&root, "d"));
        assert_eq!(file.kind, TreeNodeKind::File { len: 2_500_000 });
        assert_eq!((dir.kind, dir.permissions), (TreeNodeKind::Directory, 0o700));
        let inner = source.list(dir.id).unwrap();
        assert_eq!(find(&inner, "again").id, file.id, "two names of one file");
        assert_eq!(source.target(find(&inner, "link").id).unwrap(), b"../file");
        let value = TreeXattr {
            name: b"user.a".to_vec(),
            value: b"value".to_vec(),
        };
        assert_eq!(source.xattrs(file.id).unwrap(), [value]);
        let mut read = vec![0; 3_000_000];
        let mut filled = 0;
        loop {
            match source
                .read_at(file.id, filled as u64, &mut read[filled..])
                .unwrap()
            {
                0 => break,
                more => filled += more,
            }
        }
        assert!(read[..filled] == content);
        drop(source);

        for path in ["d/link", "d/again", "file"] {
            tree.remove_file(path).unwrap();
        }
        tree.remove_dir("d").unwrap();
        let after = fs.statfs(&ctx, ROOT_INO).unwrap();
        assert_eq!(
            (after.files_free, after.blocks_free),
            (before.files_free, before.blocks_free)
        );
    }

    #[test]
    fn holes_are_told_apart() {
        let ctx = Context::new(0, 0);
        let fs = MemFs::builder().capacity(8.mib()).build().unwrap();
        let tree = Tree::new(&fs, ctx);
        tree.write("file", b"begin").unwrap();
        let longer = crate::fs::SetAttr {
            size: Some(1 << 30),
            ..Default::default()
        };
        tree.set_attr("file", &longer).unwrap();
        let source = FsTree::new(&fs, ctx);
        let root = source.list(source.root().unwrap().id).unwrap();
        let ranges = source.data(find(&root, "file").id, 1 << 30).unwrap();
        assert_eq!(ranges.len(), 1);
        assert!(ranges[0].start == 0 && ranges[0].end < 1 << 20, "{ranges:?}");
    }
}
