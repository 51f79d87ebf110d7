//! The same operations through [`DynFileSystem`], with what a kernel does before it asks a filesystem: it resolves
//! paths, and knows what files are open for.

mod attributes;
mod convert;
mod files;
mod listing;

use std::ffi::{OsStr, OsString};

use super::op::{NodeKind, Op, Renaming, split};
use super::subject::{Handles, Marks, Subject, Times, show_bytes};
use crate::fs::{
    Attr, Capabilities, Context, DynFileSystem, Entry, Errno, FsResult, Handle, Ino, LockOwner, OpenFlags,
};
use convert::{node_type, rename_flags, shown};

type Done = Result<String, Errno>;

/// The last byte there is, which a lock of length 0 reaches to.
const END: u64 = i64::MAX as u64;

/// A directory of a backend.
pub struct Backend<'a> {
    fs: &'a dyn DynFileSystem,
    agreed: Capabilities,
    ctx: Context<'static>,
    umask: u32,
    root: Held<'a>,
    handles: Handles<OpenFile<'a>>,
    next_owner: u64,
    marks: Marks,
}

/// A reference to an inode, given back when it is dropped.
struct Held<'a> {
    fs: &'a dyn DynFileSystem,
    ino: Ino,
    /// How many: none where the root of the case is looked at.
    count: u64,
}

struct OpenFile<'a> {
    held: Held<'a>,
    handle: Option<Handle>,
    flags: OpenFlags,
    owner: LockOwner,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.count > 0 {
            self.fs.forget(self.ino, self.count);
        }
    }
}

impl<'a> Backend<'a> {
    /// Works in the directory `name`, which it makes in the root of `fs`. `agreed` is what `init` answered.
    pub fn new(fs: &'a dyn DynFileSystem, agreed: Capabilities, name: &OsStr, umask: u32) -> FsResult<Self> {
        let made = fs.mkdir(&caller(), crate::fs::ROOT_INO, name, 0o755, 0)?;
        let mut backend = Self::beneath(fs, agreed, made.ino, umask);
        backend.root.count = 1;
        Ok(backend)
    }

    /// Works in a directory that somebody else holds a reference to.
    pub fn beneath(fs: &'a dyn DynFileSystem, agreed: Capabilities, root: Ino, umask: u32) -> Self {
        Self {
            fs,
            agreed,
            ctx: caller(),
            umask,
            root: Held {
                fs,
                ino: root,
                count: 0,
            },
            handles: Handles::default(),
            next_owner: 1,
            marks: Marks::default(),
        }
    }

    fn hold(&self, entry: Entry) -> FsResult<Held<'a>> {
        match entry.ino {
            0 => Err(Errno::ENOENT),
            ino => Ok(Held {
                fs: self.fs,
                ino,
                count: 1,
            }),
        }
    }

    fn lookup(&self, parent: Ino, name: &OsStr) -> FsResult<(Held<'a>, Attr)> {
        let entry = self.fs.lookup(&self.ctx, parent, name)?;
        Ok((self.hold(entry)?, entry.attr))
    }

    /// The directory that a path is in, and the name there.
    fn parent<'p>(&self, path: &'p OsStr) -> FsResult<(Held<'a>, &'p OsStr)> {
        let (names, last) = split(path).ok_or(Errno::EBUSY)?;
        let (mut at, _) = self.lookup_root()?;
        for name in names {
            let (next, attr) = self.lookup(at.ino, name)?;
            at = next;
            match attr.mode & libc::S_IFMT {
                libc::S_IFDIR => {}
                // A kernel follows it; links of cases lead nowhere.
                libc::S_IFLNK => return Err(Errno::ENOENT),
                _ => return Err(Errno::ENOTDIR),
            }
        }
        Ok((at, last))
    }

    fn lookup_root(&self) -> FsResult<(Held<'a>, Attr)> {
        let (attr, _) = self.fs.getattr(&self.ctx, self.root.ino, None)?;
        let root = Held {
            fs: self.fs,
            ino: self.root.ino,
            count: 0,
        };
        Ok((root, attr))
    }

    fn find(&self, path: &OsStr) -> FsResult<(Held<'a>, Attr)> {
        if path == "." {
            return self.lookup_root();
        }
        let (parent, name) = self.parent(path)?;
        self.lookup(parent.ino, name)
    }

    fn umask_for(&self, mode: u32) -> (u32, u32) {
        if self.agreed.contains(Capabilities::DONT_MASK) {
            (mode, self.umask)
        } else {
            (mode & !self.umask, 0)
        }
    }

    fn attr(&self, path: &OsStr) -> FsResult<(Held<'a>, Attr)> {
        let (held, _) = self.find(path)?;
        let (attr, _) = self.fs.getattr(&self.ctx, held.ino, None)?;
        Ok((held, attr))
    }

    fn make(&self, path: &OsStr, how: impl FnOnce(Ino, &OsStr) -> FsResult<Entry>) -> Done {
        let (parent, name) = self.parent(path).map_err(existing)?;
        // A kernel looks first, and asks no more where there is something.
        match self.lookup(parent.ino, name) {
            Ok(_) => return Err(Errno::EEXIST),
            Err(Errno::ENOENT) => {}
            Err(error) => return Err(error),
        }
        drop(self.hold(how(parent.ino, name)?)?);
        DONE
    }

    fn rename(&self, old: &OsStr, new: &OsStr, flags: Renaming) -> Done {
        if flags.exchange && (flags.noreplace || flags.whiteout) {
            return Err(Errno::EINVAL);
        }
        let (from, name) = self.parent(old)?;
        let (to, new_name) = self.parent(new)?;
        self.fs
            .rename(&self.ctx, from.ino, name, to.ino, new_name, rename_flags(flags))?;
        DONE
    }

    fn link(&self, ino: Ino, new: &OsStr) -> Done {
        self.make(new, |parent, name| self.fs.link(&self.ctx, ino, parent, name))
    }

    fn times(&self, path: &OsStr) -> FsResult<Times> {
        let (_, attr) = self.attr(path)?;
        Ok([attr.atime, attr.mtime, attr.ctime])
    }

    fn make_node(&self, path: &OsStr, kind: NodeKind, mode: u32) -> Done {
        let (mode, umask) = self.umask_for(node_type(kind) | mode);
        self.make(path, |parent, name| {
            self.fs.mknod(&self.ctx, parent, name, mode, 0, umask)
        })
    }

    fn on_paths(&mut self, step: &Op) -> Option<Done> {
        Some(match step {
            Op::Mkdir(path, mode) => {
                let (mode, umask) = self.umask_for(*mode & 0o1777);
                self.make(path, |parent, name| {
                    self.fs.mkdir(&self.ctx, parent, name, mode, umask)
                })
            }
            Op::Mknod(path, kind, mode) => self.make_node(path, *kind, *mode),
            Op::Symlink(path, target) => self.make(path, |parent, name| {
                self.fs.symlink(&self.ctx, parent, name, target)
            }),
            Op::Link(old, new) => self.find(old).and_then(|(held, _)| self.link(held.ino, new)),
            Op::Unlink(path) => self
                .parent(path)
                .and_then(|(parent, name)| self.fs.unlink(&self.ctx, parent.ino, name))
                .and(DONE),
            Op::Rmdir(path) => self
                .parent(path)
                .and_then(|(parent, name)| self.fs.rmdir(&self.ctx, parent.ino, name))
                .and(DONE),
            Op::Rename(old, new, flags) => self.rename(old, new, *flags),
            Op::Truncate(path, len) => self.truncate(path, *len),
            Op::Stat(path) => self.attr(path).map(|(_, attr)| shown(&attr).stat()),
            Op::Blocks(path) => self.attr(path).map(|(_, attr)| shown(&attr).blocks()),
            Op::Readlink(path) => self
                .find(path)
                .and_then(|(held, _)| self.fs.readlink(&self.ctx, held.ino))
                .map(|target| show_bytes(&target)),
            Op::List(path) => self.list(path),
            _ => return None,
        })
    }
}

impl Subject for Backend<'_> {
    fn apply(&mut self, step: &Op) -> Done {
        if let Some(done) = self.on_paths(step) {
            return done;
        }
        if let Some(done) = self.on_attributes(step) {
            return done;
        }
        self.on_handles(step)
    }
}

/// What is open is closed, so that nothing is left but what has a name.
impl Drop for Backend<'_> {
    fn drop(&mut self) {
        for file in self.handles.take_all() {
            self.close(&file);
        }
    }
}

fn caller() -> Context<'static> {
    Context::new(
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    )
}

type Names = Vec<(OsString, &'static str)>;

/// Nothing to show.
const DONE: Done = Ok(String::new());

/// The root of a case is there.
fn existing(error: Errno) -> Errno {
    if error == Errno::EBUSY {
        Errno::EEXIST
    } else {
        error
    }
}
