//! mknod, mkdir, symlink, create, tmpfile.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use super::directory::entry_cost;
use super::filesystem::MemFs;
use super::inode::{Inode, NewInode, State};
use super::name;
use crate::fs::{Context, Created, Entry, Errno, FsResult, Ino, OpenFlags};

/// What is made: its type and permission bits, what the umask takes from them, and what only some types have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Make<'a> {
    pub(super) ctx: &'a Context<'a>,
    pub(super) mode: u32,
    pub(super) umask: u32,
    pub(super) rdev: u64,
    pub(super) target: &'a [u8],
}

impl<'a> Make<'a> {
    pub(super) fn new(ctx: &'a Context<'a>, mode: u32, umask: u32) -> Self {
        Self {
            ctx,
            mode,
            umask,
            rdev: 0,
            target: &[],
        }
    }
}

impl MemFs {
    pub(super) fn make_node(
        &self,
        ctx: &Context<'_>,
        parent: Ino,
        name: &OsStr,
        mode: u32,
        rdev: u64,
        umask: u32,
    ) -> FsResult<Entry> {
        let (mode, rdev) = match mode & libc::S_IFMT {
            0 => (libc::S_IFREG | mode, 0),
            libc::S_IFREG | libc::S_IFIFO | libc::S_IFSOCK => (mode, 0),
            libc::S_IFCHR | libc::S_IFBLK => (mode, rdev),
            _ => return Err(Errno::EINVAL),
        };
        let make = Make {
            rdev,
            ..Make::new(ctx, mode, umask)
        };
        self.make(parent, name, &make)
    }

    pub(super) fn make_directory(
        &self,
        ctx: &Context<'_>,
        parent: Ino,
        name: &OsStr,
        mode: u32,
        umask: u32,
    ) -> FsResult<Entry> {
        self.make(
            parent,
            name,
            &Make::new(ctx, libc::S_IFDIR | mode & 0o7777, umask),
        )
    }

    pub(super) fn make_symlink(
        &self,
        ctx: &Context<'_>,
        parent: Ino,
        name: &OsStr,
        target: &OsStr,
    ) -> FsResult<Entry> {
        match target.len() {
            0 => return Err(Errno::ENOENT),
            1..=name::TARGET_MAX => {}
            _ => return Err(Errno::ENAMETOOLONG),
        }
        let make = Make {
            target: target.as_bytes(),
            ..Make::new(ctx, libc::S_IFLNK | 0o777, 0)
        };
        self.make(parent, name, &make)
    }

    pub(super) fn create_file(
        &self,
        ctx: &Context<'_>,
        parent: Ino,
        name: &OsStr,
        mode: u32,
        flags: OpenFlags,
        umask: u32,
    ) -> FsResult<Created> {
        let parent = self.table.get(parent)?;
        let mut state = parent.write();
        let there = state.directory()?.get(name).map(|entry| Arc::clone(&entry.inode));
        if let Some(inode) = there {
            drop(state);
            return self.open_existing(&inode, flags);
        }
        let make = Make::new(ctx, libc::S_IFREG | mode & 0o7777, umask);
        let inode = self.make_in(&parent, &mut state, name, &make)?;
        Ok(self.created(&inode))
    }

    pub(super) fn create_unnamed(
        &self,
        ctx: &Context<'_>,
        parent: Ino,
        mode: u32,
        flags: OpenFlags,
        umask: u32,
    ) -> FsResult<Created> {
        let parent = self.table.get(parent)?;
        let mut state = parent.write();
        state.live_directory()?;
        let make = Make::new(ctx, libc::S_IFREG | mode & 0o7777, umask);
        let inode = self.make_inode(parent.ino, &state, &make)?;
        inode.write().linkable = !flags.contains(OpenFlags::EXCL);
        self.table.insert(&inode);
        Ok(self.created(&inode))
    }

    /// Makes an inode, without a name, as its directory says.
    pub(super) fn make_inode(&self, parent: Ino, directory: &State, make: &Make<'_>) -> FsResult<Arc<Inode>> {
        let kind = make.mode & libc::S_IFMT;
        let inherits_group = directory.mode & libc::S_ISGID != 0;
        let mark = if inherits_group && kind == libc::S_IFDIR {
            libc::S_ISGID
        } else {
            0
        };
        let new = NewInode {
            kind,
            mode: make.mode | mark,
            uid: make.ctx.uid,
            gid: if inherits_group {
                directory.gid
            } else {
                make.ctx.gid
            },
            rdev: make.rdev,
            target: make.target,
            parent,
        };
        let inode = Inode::new(&self.space, self.table.next_ino(), &new)?;
        if kind != libc::S_IFLNK {
            self.inherit_acl(directory, &inode, make.umask)?;
        }
        Ok(inode)
    }

    /// Makes an inode and gives it a name in a directory that is locked.
    pub(super) fn make_in(
        &self,
        parent: &Arc<Inode>,
        directory: &mut State,
        name: &OsStr,
        make: &Make<'_>,
    ) -> FsResult<Arc<Inode>> {
        name::check_new(name)?;
        if directory.directory()?.get(name).is_some() {
            return Err(Errno::EEXIST);
        }
        directory.live_directory()?;
        let is_directory = make.mode & libc::S_IFMT == libc::S_IFDIR;
        let links = directory
            .nlink
            .checked_add(u32::from(is_directory))
            .ok_or(Errno::EMLINK)?;
        let inode = self.make_inode(parent.ino, directory, make)?;
        self.space.charge(entry_cost(name))?;
        inode.write().nlink = 1 + u32::from(is_directory);
        self.table.insert(&inode);
        directory.live_directory()?.insert(name, &inode);
        directory.nlink = links;
        directory.modified();
        Ok(inode)
    }

    fn make(&self, parent: Ino, name: &OsStr, make: &Make<'_>) -> FsResult<Entry> {
        let parent = self.table.get(parent)?;
        let mut state = parent.write();
        let inode = self.make_in(&parent, &mut state, name, make)?;
        let entry = self.entry(&inode, &inode.read());
        Ok(entry)
    }

    /// The file was there: it is opened. Its owner and mode stay.
    fn open_existing(&self, inode: &Arc<Inode>, flags: OpenFlags) -> FsResult<Created> {
        if flags.contains(OpenFlags::EXCL) {
            return Err(Errno::EEXIST);
        }
        match inode.kind {
            libc::S_IFREG => {}
            libc::S_IFDIR => return Err(Errno::EISDIR),
            libc::S_IFLNK => return Err(Errno::ELOOP),
            _ => return Err(Errno::ENXIO),
        }
        self.truncate_at_open(inode, flags)?;
        Ok(self.created(inode))
    }

    fn created(&self, inode: &Arc<Inode>) -> Created {
        Created {
            entry: self.entry(inode, &inode.read()),
            opened: self.opened(),
        }
    }
}
