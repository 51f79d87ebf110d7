//! The same operations through [`DynFileSystem`], with what a kernel does before it asks a filesystem: it resolves
//! paths, and knows what files are open for.

use std::ffi::{OsStr, OsString};

use super::host::wait_for_tick;
use super::op::{
    Allocation, Exclusive, HandleName, Locking, NodeKind, Op, Opening, Renaming, Time, Whence, XattrMode,
    split,
};
use super::subject::{
    Handles, Marks, Shown, Subject, Times, entry_kind, kind_name, show_bytes, show_names, show_times,
    show_xattrs,
};
use crate::fs::{
    Attr, Buffer, Capabilities, Context, DirEntry, DynFileSystem, Entry, Errno, FallocateMode, Fit,
    FlockOperation, FsResult, Handle, Ino, Lock, LockKind, LockOwner, OpenFlags, Opened, ReadRequest,
    RenameFlags, SeekFrom, SetAttr, SetTime, Timestamp, WriteRequest, XattrFlags, XattrReply,
};

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

    fn open(&mut self, name: HandleName, path: &OsStr, flags: Opening, mode: u32) -> Done {
        let raw = open_flags(flags);
        let (held, opened) = if flags.create {
            let (parent, last) = self.parent(path)?;
            self.check_existing(&parent, last, flags)?;
            let (mode, umask) = self.umask_for(mode);
            let made = self
                .fs
                .create(&self.ctx, parent.ino, last, libc::S_IFREG | mode, raw, umask)?;
            (self.hold(made.entry)?, made.opened)
        } else {
            let (held, attr) = self.find(path)?;
            let opened = self.open_found(&held, &attr, raw)?;
            (held, opened)
        };
        if flags.truncate && !self.agreed.contains(Capabilities::ATOMIC_O_TRUNC) {
            self.set_size(held.ino, opened.handle, 0)?;
        }
        self.keep_open(name, held, opened, raw);
        done()
    }

    /// A kernel looks first; it lets a filesystem make only what it believes not to be there. The backend is asked all the
    /// same for a file that is there, as it would be where somebody else has just made it.
    fn check_existing(&self, parent: &Held<'_>, name: &OsStr, flags: Opening) -> FsResult<()> {
        let found = match self.lookup(parent.ino, name) {
            Err(Errno::ENOENT) => return Ok(()),
            found => found?,
        };
        match found.1.mode & libc::S_IFMT {
            _ if flags.exclusive => Err(Errno::EEXIST),
            libc::S_IFREG => Ok(()),
            libc::S_IFDIR => Err(Errno::EISDIR),
            libc::S_IFLNK => Err(Errno::ELOOP),
            _ => Err(Errno::ENXIO),
        }
    }

    /// What is neither a file nor a directory is not opened here.
    fn open_found(&self, held: &Held<'_>, attr: &Attr, raw: OpenFlags) -> FsResult<Opened> {
        match attr.mode & libc::S_IFMT {
            libc::S_IFLNK => Err(Errno::ELOOP),
            libc::S_IFDIR if raw.writes() || raw.contains(OpenFlags::TRUNC) => Err(Errno::EISDIR),
            libc::S_IFDIR => Ok(Opened::default()),
            libc::S_IFREG => match self.fs.open(&self.ctx, held.ino, raw) {
                Err(Errno::ENOSYS) => Ok(Opened::default()),
                answer => answer,
            },
            _ => Err(Errno::ENXIO),
        }
    }

    fn tmpfile(&mut self, name: HandleName, path: &OsStr, exclusive: Exclusive) -> Done {
        let (parent, attr) = self.find(path)?;
        match attr.mode & libc::S_IFMT {
            libc::S_IFDIR => {}
            libc::S_IFLNK => return Err(Errno::ENOENT),
            _ => return Err(Errno::ENOTDIR),
        }
        let mut raw = OpenFlags::RDWR;
        raw.set(OpenFlags::EXCL, exclusive == Exclusive::Yes);
        let (mode, umask) = self.umask_for(0o666);
        let made = self
            .fs
            .tmpfile(&self.ctx, parent.ino, libc::S_IFREG | mode, raw, umask)?;
        let held = self.hold(made.entry)?;
        self.keep_open(name, held, made.opened, raw);
        done()
    }

    fn keep_open(&mut self, name: HandleName, held: Held<'a>, opened: Opened, flags: OpenFlags) {
        let owner = LockOwner(self.next_owner);
        self.next_owner += 1;
        let before = self.handles.insert(
            name,
            OpenFile {
                held,
                handle: opened.handle,
                flags,
                owner,
            },
        );
        if let Some(before) = before {
            self.close(&before);
        }
    }

    /// Its errors are close(2)'s, which nobody looks at here either.
    fn close(&self, file: &OpenFile<'_>) {
        let flushed = self.fs.flush(&self.ctx, file.held.ino, file.handle, file.owner);
        let released = self.fs.release(
            &self.ctx,
            file.held.ino,
            file.handle,
            file.flags,
            Some(file.owner),
        );
        tracing::trace!(?flushed, ?released, "closed");
    }

    fn read(&self, name: HandleName, offset: u64, len: u64) -> Done {
        let file = self.handles.get(name)?;
        if !file.flags.reads() {
            return Err(Errno::EBADF);
        }
        let size = u32::try_from(len).map_err(|_| Errno::EINVAL)?;
        let request = ReadRequest {
            offset,
            size,
            flags: file.flags,
        };
        let mut data = Buffer::with_room(size as usize);
        let count = self
            .fs
            .read(&self.ctx, file.held.ino, file.handle, &request, &mut data)?;
        let bytes = data.into_bytes();
        let consistent = if count == bytes.len() {
            ""
        } else {
            " but another count"
        };
        Ok(show_bytes(&bytes) + consistent)
    }

    fn write(&self, name: HandleName, offset: u64, byte: u8, len: u64) -> Done {
        let file = self.writable(name)?;
        let bytes = vec![byte; usize::try_from(len).map_err(|_| Errno::EINVAL)?];
        let mut count = 0_u64;
        for chunk in bytes.chunks(1 << 20) {
            let request = WriteRequest {
                offset: offset + count,
                size: u32::try_from(chunk.len()).map_err(|_| Errno::EINVAL)?,
                flags: file.flags,
                delayed: false,
                kill_privileges: !rustix::process::geteuid().is_root(),
            };
            let mut data = chunk;
            match self
                .fs
                .write(&self.ctx, file.held.ino, file.handle, &request, &mut data)
            {
                Ok(written) => count += written as u64,
                Err(error) if count == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(format!("{count} written"))
    }

    fn writable(&self, name: HandleName) -> FsResult<&OpenFile<'a>> {
        let file = self.handles.get(name)?;
        if file.flags.writes() {
            Ok(file)
        } else {
            Err(Errno::EBADF)
        }
    }

    fn set_size(&self, ino: Ino, handle: Option<Handle>, size: u64) -> FsResult<()> {
        let change = SetAttr {
            size: Some(size),
            handle,
            kill_privileges: !rustix::process::geteuid().is_root(),
            ..SetAttr::default()
        };
        self.fs.setattr(&self.ctx, ino, &change).map(drop)
    }

    fn truncate(&self, path: &OsStr, len: u64) -> Done {
        let (held, attr) = self.find(path)?;
        match attr.mode & libc::S_IFMT {
            libc::S_IFDIR => return Err(Errno::EISDIR),
            libc::S_IFREG => self.set_size(held.ino, None, len)?,
            _ => return Err(Errno::EINVAL),
        }
        done()
    }

    fn truncate_handle(&self, name: HandleName, len: u64) -> Done {
        let file = self.handles.get(name)?;
        if !file.flags.writes() {
            return Err(Errno::EINVAL);
        }
        self.set_size(file.held.ino, file.handle, len)?;
        done()
    }

    fn allocate(&self, name: HandleName, mode: Allocation, offset: u64, len: u64) -> Done {
        let file = self.handles.get(name)?;
        if len == 0 {
            return Err(Errno::EINVAL);
        }
        if mode == Allocation::PunchAlone {
            return Err(Errno::ENOTSUP);
        }
        if !file.flags.writes() {
            return Err(Errno::EBADF);
        }
        self.fs.fallocate(
            &self.ctx,
            file.held.ino,
            file.handle,
            allocation(mode),
            offset,
            len,
        )?;
        done()
    }

    fn seek(&self, name: HandleName, whence: Whence, offset: u64) -> Done {
        let file = self.handles.get(name)?;
        let from = match whence {
            Whence::Data => SeekFrom::Data(offset),
            Whence::Hole => SeekFrom::Hole(offset),
        };
        Ok(self
            .fs
            .lseek(&self.ctx, file.held.ino, file.handle, from)?
            .to_string())
    }

    fn copy(&self, from: (HandleName, u64), to: (HandleName, u64), len: u64) -> Done {
        let (source, target) = (self.handles.get(from.0)?, self.handles.get(to.0)?);
        if !source.flags.reads() || !target.flags.writes() || target.flags.contains(OpenFlags::APPEND) {
            return Err(Errno::EBADF);
        }
        // Up to the end of the source, as the kernel has it before it asks.
        let (attr, _) = self.fs.getattr(&self.ctx, source.held.ino, source.handle)?;
        let len = len.min(attr.size.saturating_sub(from.1));
        if source.held.ino == target.held.ino && len > 0 && from.1.abs_diff(to.1) < len {
            return Err(Errno::EINVAL);
        }
        if len == 0 {
            return Ok("0 copied".to_owned());
        }
        let copied = self.fs.copy_file_range(
            &self.ctx,
            (source.held.ino, source.handle, from.1),
            (target.held.ino, target.handle, to.1),
            len,
        )?;
        Ok(format!("{copied} copied"))
    }

    fn attr(&self, path: &OsStr) -> FsResult<(Held<'a>, Attr)> {
        let (held, _) = self.find(path)?;
        let (attr, _) = self.fs.getattr(&self.ctx, held.ino, None)?;
        Ok((held, attr))
    }

    fn change(&self, path: &OsStr, change: &SetAttr) -> Done {
        let (held, _) = self.find(path)?;
        self.fs.setattr(&self.ctx, held.ino, change)?;
        done()
    }

    fn get_xattr(&self, path: &OsStr, name: &OsStr, size: u32) -> Done {
        let (held, _) = self.find(path)?;
        Ok(match self.fs.getxattr(&self.ctx, held.ino, name, size)? {
            XattrReply::Size(size) => format!("size {size}"),
            XattrReply::Data(value) => show_bytes(&value),
        })
    }

    fn list_xattr(&self, path: &OsStr, size: u32) -> Done {
        let (held, _) = self.find(path)?;
        match self.fs.listxattr(&self.ctx, held.ino, size)? {
            XattrReply::Data(list) => Ok(show_xattrs(&list)),
            XattrReply::Size(0) => Ok("as long as the list".to_owned()),
            XattrReply::Size(needed) => match self.fs.listxattr(&self.ctx, held.ino, needed)? {
                XattrReply::Data(list) if list.len() == needed as usize => {
                    Ok("as long as the list".to_owned())
                }
                other => Ok(format!("{needed} for {other:?}")),
            },
        }
    }

    /// user.* is for regular files and directories (xattr(7)), and links have no ACL.
    fn check_xattr(&self, path: &OsStr, name: &OsStr, otherwise: Errno) -> FsResult<Held<'a>> {
        use std::os::unix::ffi::OsStrExt;
        let (held, attr) = self.find(path)?;
        let kind = attr.mode & libc::S_IFMT;
        let plain = matches!(kind, libc::S_IFREG | libc::S_IFDIR);
        match name.as_bytes() {
            name if name.starts_with(b"user.") && !plain => Err(otherwise),
            name if name.starts_with(b"system.posix_acl") && kind == libc::S_IFLNK => Err(Errno::ENOTSUP),
            _ => Ok(held),
        }
    }

    fn chown(&self, path: &OsStr, uid: Option<u32>, gid: Option<u32>) -> Done {
        let (held, attr) = self.find(path)?;
        let change = SetAttr {
            uid,
            gid,
            kill_privileges: attr.mode & libc::S_IFMT != libc::S_IFDIR,
            ..SetAttr::default()
        };
        self.fs.setattr(&self.ctx, held.ino, &change)?;
        done()
    }

    fn utimes(&self, path: &OsStr, atime: Time, mtime: Time) -> Done {
        if (atime, mtime) == (Time::Omit, Time::Omit) {
            return done();
        }
        let change = SetAttr {
            atime: set_time(atime),
            mtime: set_time(mtime),
            ..SetAttr::default()
        };
        self.change(path, &change)
    }

    fn chmod(&self, path: &OsStr, mode: u32) -> Done {
        let (held, attr) = self.find(path)?;
        if attr.mode & libc::S_IFMT == libc::S_IFLNK {
            return Err(Errno::ENOTSUP);
        }
        let change = SetAttr {
            mode: Some(mode & 0o7777),
            ..SetAttr::default()
        };
        self.fs.setattr(&self.ctx, held.ino, &change)?;
        done()
    }

    fn list(&self, path: &OsStr) -> Done {
        let (held, _) = self.find(path)?;
        let opened = match self.fs.opendir(&self.ctx, held.ino, OpenFlags::empty()) {
            Err(Errno::ENOSYS) => Opened::default(),
            opened => opened?,
        };
        let plain = self.read_directory(held.ino, opened.handle);
        let plus = self.read_directory_plus(held.ino, opened.handle);
        let closed = self.fs.releasedir(&self.ctx, held.ino, opened.handle);
        tracing::trace!(?closed, "closed");
        let (plain, plus) = (plain?, plus?);
        let text = show_names(without_dots(&plain));
        let other = show_names(without_dots(&plus));
        if text != other {
            return Ok(format!("readdir: {text}; readdirplus: {other}"));
        }
        Ok(text + dots_in(&plain) + dots_in(&plus))
    }

    fn read_directory(&self, ino: Ino, handle: Option<Handle>) -> FsResult<Names> {
        let mut names = Names::new();
        let mut offset = 0;
        loop {
            let mut room = 7;
            let before = offset;
            self.fs.readdir(&self.ctx, ino, handle, offset, &mut |entry| {
                if room == 0 {
                    return Ok(Fit::Full);
                }
                room -= 1;
                offset = entry.next_offset;
                names.push((entry.name.to_owned(), entry_kind(entry.kind)));
                Ok(Fit::Taken)
            })?;
            if before == offset {
                return Ok(names);
            }
        }
    }

    fn read_directory_plus(&self, ino: Ino, handle: Option<Handle>) -> FsResult<Names> {
        let mut names = Names::new();
        let mut offset = 0;
        loop {
            let mut room = 5;
            let before = offset;
            self.fs
                .readdirplus(&self.ctx, ino, handle, offset, &mut |entry, look| {
                    if room == 0 {
                        return Ok(Fit::Full);
                    }
                    room -= 1;
                    offset = entry.next_offset;
                    names.push(self.taken(&entry, look()?)?);
                    Ok(Fit::Taken)
                })?;
            if before == offset {
                return Ok(names);
            }
        }
    }

    fn taken(&self, shown: &DirEntry<'_>, entry: Option<Entry>) -> FsResult<(OsString, &'static str)> {
        let mut kind = entry_kind(shown.kind);
        if let Some(entry) = entry {
            let _held = self.hold(entry)?;
            let found = kind_name(entry.attr.mode);
            if kind != found || entry.attr.ino != shown.ino {
                kind = "another than lookup says";
            }
        }
        Ok((shown.name.to_owned(), kind))
    }

    fn lock(&self, name: HandleName, kind: Locking, start: u64, len: u64) -> Done {
        let file = self.handles.get(name)?;
        match kind {
            Locking::Shared if !file.flags.reads() => return Err(Errno::EBADF),
            Locking::Exclusive if !file.flags.writes() => return Err(Errno::EBADF),
            _ => {}
        }
        self.fs.setlk(
            &self.ctx,
            file.held.ino,
            file.handle,
            file.owner,
            range(kind, start, len)?,
        )?;
        done()
    }

    fn get_lock(&self, name: HandleName, kind: Locking, start: u64, len: u64) -> Done {
        let file = self.handles.get(name)?;
        let asked = range(kind, start, len)?;
        let found = self
            .fs
            .getlk(&self.ctx, file.held.ino, file.handle, file.owner, asked)?;
        let len = if found.end >= END {
            0
        } else {
            found.end - found.start + 1
        };
        Ok(match found.kind {
            LockKind::Unlocked => "free".to_owned(),
            LockKind::Shared => format!("shared {}+{len}", found.start),
            LockKind::Exclusive => format!("exclusive {}+{len}", found.start),
        })
    }

    fn flock(&self, name: HandleName, kind: Locking) -> Done {
        let file = self.handles.get(name)?;
        let operation = FlockOperation {
            kind: lock_kind(kind),
            wait: false,
        };
        self.fs
            .flock(&self.ctx, file.held.ino, file.handle, file.owner, operation)?;
        done()
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
        done()
    }

    fn rename(&self, old: &OsStr, new: &OsStr, flags: Renaming) -> Done {
        let (from, name) = self.parent(old)?;
        let (to, new_name) = self.parent(new)?;
        self.fs
            .rename(&self.ctx, from.ino, name, to.ino, new_name, rename_flags(flags))?;
        done()
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
                .and_then(|()| done()),
            Op::Rmdir(path) => self
                .parent(path)
                .and_then(|(parent, name)| self.fs.rmdir(&self.ctx, parent.ino, name))
                .and_then(|()| done()),
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

    fn on_attributes(&mut self, step: &Op) -> Option<Done> {
        Some(match step {
            Op::Chmod(path, mode) => self.chmod(path, *mode),
            Op::Chown(path, uid, gid) => self.chown(path, *uid, *gid),
            Op::Utimes(path, atime, mtime) => self.utimes(path, *atime, *mtime),
            Op::ShowTimes(path) => self.times(path).map(|times| show_times(&times)),
            Op::Mark(path) => self.times(path).and_then(|times| {
                self.marks.set(path, times);
                wait_for_tick();
                done()
            }),
            Op::Changed(path) => self.times(path).map(|now| self.marks.changed(path, &now)),
            Op::SetXattr(path, name, value, mode) => {
                let flags = xattr_flags(*mode);
                self.check_xattr(path, name, Errno::EPERM)
                    .and_then(|held| self.fs.setxattr(&self.ctx, held.ino, name, value, flags))
                    .and_then(|()| done())
            }
            Op::GetXattr(path, name, size) => self
                .check_xattr(path, name, Errno::ENODATA)
                .and_then(|_| self.get_xattr(path, name, *size)),
            Op::ListXattr(path, size) => self.list_xattr(path, *size),
            Op::RemoveXattr(path, name) => self
                .check_xattr(path, name, Errno::EPERM)
                .and_then(|held| self.fs.removexattr(&self.ctx, held.ino, name))
                .and_then(|()| done()),
            _ => return None,
        })
    }

    fn on_handles(&mut self, step: &Op) -> Done {
        match step {
            Op::Open(name, path, flags, mode) => self.open(*name, path, *flags, *mode),
            Op::Tmpfile(name, path, exclusive) => self.tmpfile(*name, path, *exclusive),
            Op::LinkHandle(name, path) => self.link(self.handles.get(*name)?.held.ino, path),
            Op::Close(name) => {
                let file = self.handles.remove(*name)?;
                self.close(&file);
                done()
            }
            Op::Read(name, offset, len) => self.read(*name, *offset, *len),
            Op::Write(name, offset, byte, len) => self.write(*name, *offset, *byte, *len),
            Op::TruncateHandle(name, len) => self.truncate_handle(*name, *len),
            Op::Allocate(name, mode, offset, len) => self.allocate(*name, *mode, *offset, *len),
            Op::Seek(name, whence, offset) => self.seek(*name, *whence, *offset),
            Op::Copy(from, to, len) => self.copy(*from, *to, *len),
            Op::StatHandle(name) => {
                let file = self.handles.get(*name)?;
                let (attr, _) = self.fs.getattr(&self.ctx, file.held.ino, file.handle)?;
                Ok(shown(&attr).stat())
            }
            Op::Lock(name, kind, start, len) => self.lock(*name, *kind, *start, *len),
            Op::GetLock(name, kind, start, len) => self.get_lock(*name, *kind, *start, *len),
            Op::Flock(name, kind) => self.flock(*name, *kind),
            _ => Err(Errno::ENOSYS),
        }
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

fn is_dots(name: &OsStr) -> bool {
    name == "." || name == ".."
}

fn without_dots(names: &Names) -> Names {
    names.iter().filter(|(name, _)| !is_dots(name)).cloned().collect()
}

/// Each of them has to be there once.
fn dots_in(names: &Names) -> &'static str {
    let count = |wanted: &str| names.iter().filter(|(name, _)| name == wanted).count();
    if (count("."), count("..")) == (1, 1) {
        ""
    } else {
        " but no dots"
    }
}

fn done() -> Done {
    Ok(String::new())
}

/// The root of a case is there.
fn existing(error: Errno) -> Errno {
    if error == Errno::EBUSY {
        Errno::EEXIST
    } else {
        error
    }
}

fn shown(attr: &Attr) -> Shown {
    Shown {
        mode: attr.mode,
        nlink: attr.nlink,
        uid: attr.uid,
        gid: attr.gid,
        size: attr.size,
        blocks: attr.blocks,
        rdev: attr.rdev,
    }
}

fn set_time(time: Time) -> Option<SetTime> {
    match time {
        Time::Omit => None,
        Time::Now => Some(SetTime::Now),
        Time::At(seconds, nanoseconds) => Some(SetTime::At(Timestamp { seconds, nanoseconds })),
    }
}

fn open_flags(flags: Opening) -> OpenFlags {
    let mut raw = match (flags.read, flags.write) {
        (_, false) => OpenFlags::empty(),
        (false, true) => OpenFlags::WRONLY,
        (true, true) => OpenFlags::RDWR,
    };
    raw.set(OpenFlags::EXCL, flags.exclusive && flags.create);
    raw.set(OpenFlags::TRUNC, flags.truncate);
    raw.set(OpenFlags::APPEND, flags.append);
    raw.set(OpenFlags::NOATIME, flags.noatime);
    raw
}

fn rename_flags(flags: Renaming) -> RenameFlags {
    let mut raw = RenameFlags::empty();
    raw.set(RenameFlags::NOREPLACE, flags.noreplace);
    raw.set(RenameFlags::EXCHANGE, flags.exchange);
    raw.set(RenameFlags::WHITEOUT, flags.whiteout);
    raw
}

fn xattr_flags(mode: XattrMode) -> XattrFlags {
    match mode {
        XattrMode::Set => XattrFlags::empty(),
        XattrMode::Create => XattrFlags::CREATE,
        XattrMode::Replace => XattrFlags::REPLACE,
    }
}

fn node_type(kind: NodeKind) -> u32 {
    match kind {
        NodeKind::File => libc::S_IFREG,
        NodeKind::Fifo => libc::S_IFIFO,
        NodeKind::Socket => libc::S_IFSOCK,
        NodeKind::Whiteout => libc::S_IFCHR,
    }
}

fn allocation(mode: Allocation) -> FallocateMode {
    match mode {
        Allocation::Plain => FallocateMode::empty(),
        Allocation::Keep => FallocateMode::KEEP_SIZE,
        Allocation::Punch => FallocateMode::PUNCH_HOLE | FallocateMode::KEEP_SIZE,
        Allocation::PunchAlone => FallocateMode::PUNCH_HOLE,
        Allocation::Zero => FallocateMode::ZERO_RANGE,
        Allocation::ZeroKeep => FallocateMode::ZERO_RANGE | FallocateMode::KEEP_SIZE,
        Allocation::Collapse => FallocateMode::COLLAPSE_RANGE,
        Allocation::Insert => FallocateMode::INSERT_RANGE,
    }
}

fn lock_kind(kind: Locking) -> LockKind {
    match kind {
        Locking::Shared => LockKind::Shared,
        Locking::Exclusive => LockKind::Exclusive,
        Locking::Unlocked => LockKind::Unlocked,
    }
}

fn range(kind: Locking, start: u64, len: u64) -> FsResult<Lock> {
    let end = match len {
        0 => END,
        _ => start
            .checked_add(len - 1)
            .filter(|end| *end <= END)
            .ok_or(Errno::EOVERFLOW)?,
    };
    Ok(Lock {
        start,
        end,
        kind: lock_kind(kind),
        pid: 0,
    })
}
