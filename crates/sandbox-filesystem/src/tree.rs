//! A filesystem by paths, without a mount: for tests and for programs that embed one.
//!
//! [`Tree`] walks from the root by looking up one name after the other, and gives every reference back that it was
//! given. It keeps nothing between two calls. Nothing is followed: a symbolic link in the middle of a path is `ENOTDIR`,
//! at its end it is the link itself. [`FsTree`] reads all of a filesystem, for whoever makes an image of it.
//!
//! # It is not
//! - a cache: a path of ten names costs ten lookups;
//! - a check of permissions: that is a server's and its kernel's.

mod source;

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path};

pub use source::FsTree;

use crate::fs::{
    Attr, Buffer, Context, DynFileSystem, Entry, Errno, Fit, FsResult, Handle, Ino, LockOwner, OpenFlags,
    ROOT_INO, ReadRequest, RenameFlags, SetAttr, WriteRequest,
};

/// How much is read and written in one call.
const PIECE: u32 = 1 << 20;
const OWNER: LockOwner = LockOwner(0);

/// A filesystem by paths. See the [module](self).
pub struct Tree<'a> {
    fs: &'a dyn DynFileSystem,
    ctx: Context<'a>,
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: OsString,
    /// Its type, as `d_type`.
    pub kind: u8,
}

/// An inode, for as long as this lives.
struct Held<'a> {
    fs: &'a dyn DynFileSystem,
    ino: Ino,
    attr: Attr,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.ino != ROOT_INO {
            self.fs.forget(self.ino, 1);
        }
    }
}

/// An open file or directory, for as long as this lives.
struct Open<'a> {
    tree: &'a Tree<'a>,
    held: Held<'a>,
    handle: Option<Handle>,
    flags: OpenFlags,
    is_dir: bool,
}

impl Open<'_> {
    /// Says what a close(2) would.
    fn flush(&self) -> FsResult<()> {
        let Tree { fs, ctx } = self.tree;
        match fs.flush(ctx, self.held.ino, self.handle, OWNER) {
            Err(Errno::ENOSYS) => Ok(()),
            result => result,
        }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let Tree { fs, ctx } = self.tree;
        let released = if self.is_dir {
            fs.releasedir(ctx, self.held.ino, self.handle)
        } else {
            fs.release(ctx, self.held.ino, self.handle, self.flags, None)
        };
        // As with close(2): nobody could do anything about it.
        if let Err(error) = released {
            tracing::trace!(%error, "a release");
        }
    }
}

impl<'a> Tree<'a> {
    /// The tree of `fs`, used by `ctx`. The filesystem's `init` is the caller's to call.
    pub fn new(fs: &'a dyn DynFileSystem, ctx: Context<'a>) -> Self {
        Self { fs, ctx }
    }

    /// Attributes of what is at `path`.
    pub fn stat(&self, path: impl AsRef<Path>) -> FsResult<Attr> {
        let held = self.find(path.as_ref())?;
        self.fs.getattr(&self.ctx, held.ino, None).map(|(attr, _)| attr)
    }

    /// Whether there is something at `path`.
    pub fn exists(&self, path: impl AsRef<Path>) -> FsResult<bool> {
        match self.find(path.as_ref()) {
            Ok(_) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// All of a file.
    pub fn read(&self, path: impl AsRef<Path>) -> FsResult<Vec<u8>> {
        let open = self.open(path.as_ref(), OpenFlags::empty())?;
        let mut content = Vec::new();
        loop {
            let request = ReadRequest {
                offset: u64::try_from(content.len()).map_err(|_| Errno::EFBIG)?,
                size: PIECE,
                flags: open.flags,
            };
            let mut buffer = Buffer::with_room(PIECE as usize);
            self.fs
                .read(&self.ctx, open.held.ino, open.handle, &request, &mut buffer)?;
            let piece = buffer.into_bytes();
            if piece.is_empty() {
                return Ok(content);
            }
            content.extend(piece);
        }
    }

    /// Makes a file with this content, or gives the one that is there this content and nothing else. A new one has mode
    /// 0644.
    pub fn write(&self, path: impl AsRef<Path>, content: &[u8]) -> FsResult<()> {
        let open = self.open_for_writing(path.as_ref())?;
        let mut done = 0;
        while let Some(rest) = content.get(done..).filter(|rest| !rest.is_empty()) {
            let piece = rest.get(..PIECE as usize).unwrap_or(rest);
            let request = WriteRequest {
                offset: u64::try_from(done).map_err(|_| Errno::EFBIG)?,
                size: u32::try_from(piece.len()).map_err(|_| Errno::EFBIG)?,
                flags: open.flags,
                delayed: false,
                kill_privileges: true,
            };
            let mut data = piece;
            match self
                .fs
                .write(&self.ctx, open.held.ino, open.handle, &request, &mut data)?
            {
                0 => return Err(Errno::EIO),
                written => done += written,
            }
        }
        open.flush()
    }

    /// The entries of a directory, without "." and "..", in its own order.
    pub fn list(&self, path: impl AsRef<Path>) -> FsResult<Vec<Listed>> {
        let open = self.open_dir(path.as_ref())?;
        let mut listed = Vec::new();
        let mut offset = 0;
        loop {
            let before = offset;
            self.fs
                .readdir(&self.ctx, open.held.ino, open.handle, before, &mut |entry| {
                    offset = entry.next_offset;
                    if entry.name != "." && entry.name != ".." {
                        listed.push(Listed {
                            name: entry.name.to_owned(),
                            kind: entry.kind,
                        });
                    }
                    Ok(Fit::Taken)
                })?;
            if offset == before {
                return Ok(listed);
            }
        }
    }

    /// Makes a directory with this mode.
    pub fn mkdir(&self, path: impl AsRef<Path>, mode: u32) -> FsResult<()> {
        let (parent, name) = self.parent(path.as_ref())?;
        let entry = self.fs.mkdir(&self.ctx, parent.ino, name, mode, 0)?;
        drop(self.held(&entry));
        Ok(())
    }

    /// Makes a symbolic link.
    pub fn symlink(&self, target: impl AsRef<OsStr>, path: impl AsRef<Path>) -> FsResult<()> {
        let (parent, name) = self.parent(path.as_ref())?;
        let entry = self.fs.symlink(&self.ctx, parent.ino, name, target.as_ref())?;
        drop(self.held(&entry));
        Ok(())
    }

    /// The target of a symbolic link.
    pub fn readlink(&self, path: impl AsRef<Path>) -> FsResult<Vec<u8>> {
        let held = self.find(path.as_ref())?;
        self.fs.readlink(&self.ctx, held.ino)
    }

    /// Gives a file another name.
    pub fn link(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> FsResult<()> {
        let held = self.find(from.as_ref())?;
        let (parent, name) = self.parent(to.as_ref())?;
        let entry = self.fs.link(&self.ctx, held.ino, parent.ino, name)?;
        drop(self.held(&entry));
        Ok(())
    }

    /// Removes a name of what is no directory.
    pub fn remove_file(&self, path: impl AsRef<Path>) -> FsResult<()> {
        let (parent, name) = self.parent(path.as_ref())?;
        self.fs.unlink(&self.ctx, parent.ino, name)
    }

    /// Removes an empty directory.
    pub fn remove_dir(&self, path: impl AsRef<Path>) -> FsResult<()> {
        let (parent, name) = self.parent(path.as_ref())?;
        self.fs.rmdir(&self.ctx, parent.ino, name)
    }

    /// Moves an entry, over what is there.
    pub fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> FsResult<()> {
        let (parent, name) = self.parent(from.as_ref())?;
        let (new_parent, new_name) = self.parent(to.as_ref())?;
        let flags = RenameFlags::empty();
        self.fs
            .rename(&self.ctx, parent.ino, name, new_parent.ino, new_name, flags)
    }

    /// Changes attributes.
    pub fn set_attr(&self, path: impl AsRef<Path>, change: &SetAttr) -> FsResult<Attr> {
        let held = self.find(path.as_ref())?;
        self.fs.setattr(&self.ctx, held.ino, change).map(|(attr, _)| attr)
    }

    fn held(&self, entry: &Entry) -> Held<'a> {
        Held {
            fs: self.fs,
            ino: entry.ino,
            attr: entry.attr,
        }
    }

    fn root(&self) -> FsResult<Held<'a>> {
        let (attr, _) = self.fs.getattr(&self.ctx, ROOT_INO, None)?;
        Ok(Held {
            fs: self.fs,
            ino: ROOT_INO,
            attr,
        })
    }

    fn find(&self, path: &Path) -> FsResult<Held<'a>> {
        let mut held = self.root()?;
        for name in names(path)? {
            held = self.child(&held, name)?;
        }
        Ok(held)
    }

    fn child(&self, held: &Held<'_>, name: &OsStr) -> FsResult<Held<'a>> {
        if !is_dir(&held.attr) {
            return Err(Errno::ENOTDIR);
        }
        let entry = self.fs.lookup(&self.ctx, held.ino, name)?;
        if entry.ino == 0 {
            return Err(Errno::ENOENT);
        }
        Ok(self.held(&entry))
    }

    /// The directory that `path` is in, and its name there.
    fn parent<'p>(&self, path: &'p Path) -> FsResult<(Held<'a>, &'p OsStr)> {
        let mut all = names(path)?;
        let name = all.pop().ok_or(Errno::EBUSY)?;
        let mut held = self.root()?;
        for name in all {
            held = self.child(&held, name)?;
        }
        if is_dir(&held.attr) {
            Ok((held, name))
        } else {
            Err(Errno::ENOTDIR)
        }
    }

    fn open(&self, path: &Path, flags: OpenFlags) -> FsResult<Open<'_>> {
        let held = self.find(path)?;
        self.open_held(held, flags)
    }

    fn open_held<'s>(&'s self, held: Held<'s>, flags: OpenFlags) -> FsResult<Open<'s>> {
        match held.attr.mode & libc::S_IFMT {
            libc::S_IFREG => {}
            libc::S_IFDIR => return Err(Errno::EISDIR),
            _ => return Err(Errno::ELOOP),
        }
        let handle = opened(self.fs.open(&self.ctx, held.ino, flags))?;
        Ok(Open {
            tree: self,
            held,
            handle,
            flags,
            is_dir: false,
        })
    }

    fn open_dir(&self, path: &Path) -> FsResult<Open<'_>> {
        let held = self.find(path)?;
        if !is_dir(&held.attr) {
            return Err(Errno::ENOTDIR);
        }
        let flags = OpenFlags::DIRECTORY;
        let handle = opened(self.fs.opendir(&self.ctx, held.ino, flags))?;
        Ok(Open {
            tree: self,
            held,
            handle,
            flags,
            is_dir: true,
        })
    }

    fn open_for_writing(&self, path: &Path) -> FsResult<Open<'_>> {
        let flags = OpenFlags::WRONLY;
        let (parent, name) = self.parent(path)?;
        match self.child(&parent, name) {
            Ok(held) => {
                let open = self.open_held(held, flags)?;
                let empty = SetAttr {
                    size: Some(0),
                    handle: open.handle,
                    ..SetAttr::default()
                };
                self.fs.setattr(&self.ctx, open.held.ino, &empty)?;
                Ok(open)
            }
            Err(Errno::ENOENT) => {
                let flags = flags | OpenFlags::EXCL;
                let created = self
                    .fs
                    .create(&self.ctx, parent.ino, name, libc::S_IFREG | 0o644, flags, 0)?;
                Ok(Open {
                    tree: self,
                    held: self.held(&created.entry),
                    handle: created.opened.handle,
                    flags,
                    is_dir: false,
                })
            }
            Err(error) => Err(error),
        }
    }
}

/// A filesystem that needs no opening says `ENOSYS`.
fn opened(result: FsResult<crate::fs::Opened>) -> FsResult<Option<Handle>> {
    match result {
        Ok(opened) => Ok(opened.handle),
        Err(Errno::ENOSYS) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_dir(attr: &Attr) -> bool {
    attr.mode & libc::S_IFMT == libc::S_IFDIR
}

/// The names that a path consists of. "..", which could only be guessed at without a current directory, is `EINVAL`.
fn names(path: &Path) -> FsResult<Vec<&OsStr>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) if name.len() <= 255 => names.push(name),
            Component::Normal(_) => return Err(Errno::ENAMETOOLONG),
            Component::ParentDir | Component::Prefix(_) => return Err(Errno::EINVAL),
        }
    }
    Ok(names)
}

#[cfg(test)]
impl Tree<'_> {
    /// What is in a directory, in order.
    pub(crate) fn names(&self, path: impl AsRef<Path>) -> Vec<String> {
        let listed = self.list(path).unwrap().into_iter();
        let mut names: Vec<_> = listed.map(|entry| entry.name.into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[cfg(test)]
mod tests {
    use sandbox_types::SizeExt;

    use super::*;
    use crate::backend::MemFs;

    #[test]
    fn a_tree_is_made_and_read_and_taken_apart_by_paths() {
        let fs = MemFs::builder().capacity(8.mib()).build().unwrap();
        let tree = Tree::new(&fs, Context::new(0, 0));
        let before = fs.statfs(&Context::new(0, 0), ROOT_INO).unwrap();
        tree.mkdir("a", 0o755).unwrap();
        let content: Vec<u8> = (0..2_500_000_u32).map(|n| (n % 253) as u8).collect();
        tree.write("a/file", &content).unwrap();
        assert!(tree.read("/a/file").unwrap() == content);
        tree.write("a/file", b"short").unwrap();
        assert_eq!(tree.stat("a/file").unwrap().size, 5);
        tree.link("a/file", "a/other").unwrap();
        tree.symlink("file", "a/link").unwrap();
        assert_eq!(tree.readlink("a/link").unwrap(), b"file");
        assert_eq!(tree.read("a/link"), Err(Errno::ELOOP));
        tree.rename("a/file", "moved").unwrap();
        let mut names: Vec<_> = tree
            .list("a")
            .unwrap()
            .into_iter()
            .map(|entry| entry.name)
            .collect();
        names.sort();
        assert_eq!(names, ["link", "other"]);
        assert_eq!(tree.exists("a/file"), Ok(false));
        assert_eq!(tree.read("a/other/x"), Err(Errno::ENOTDIR));
        assert_eq!(tree.read("../x"), Err(Errno::EINVAL));
        assert_eq!(tree.read("a"), Err(Errno::EISDIR));

        for path in ["a/link", "a/other", "moved"] {
            tree.remove_file(path).unwrap();
        }
        tree.remove_dir("a").unwrap();
        // Every reference was given back, so nothing of it is left.
        let after = fs.statfs(&Context::new(0, 0), ROOT_INO).unwrap();
        assert_eq!(after.files_free, before.files_free);
        assert_eq!(after.blocks_free, before.blocks_free);
    }
}
