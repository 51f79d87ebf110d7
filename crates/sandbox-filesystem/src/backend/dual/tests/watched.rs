//! A backend of somebody else's: it counts what it gives and gets back, and can do no more than it is told to.

use std::ffi::OsStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::Fs;
use crate::fs::{
    AddEntry, Attr, Capabilities, Context, Created, DataReader, DataWriter, DynFileSystem, Entry, Errno,
    FallocateMode, FsResult, Handle, Ino, LockOwner, OpenFlags, Opened, ROOT_INO, ReadRequest, RenameFlags,
    SeekFrom, SetAttr, StatFs, SyncScope, WriteRequest, XattrFlags, XattrReply,
};

/// What it cannot do.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lacks {
    pub(super) xattrs: bool,
    pub(super) devices: bool,
    pub(super) exchange: bool,
    pub(super) whiteout_renames: bool,
    pub(super) links: bool,
    pub(super) seeking: bool,
}

pub(super) struct Watched {
    pub(super) inner: Fs,
    lacks: Lacks,
    /// References that were given and not given back, without those to the root.
    pub(super) references: AtomicI64,
    pub(super) handles: AtomicI64,
    pub(super) reads: AtomicU64,
    pub(super) bytes_written: AtomicU64,
    /// Whether it can be reached.
    pub(super) broken: AtomicBool,
    /// Whether it refuses what cuts something off at a client's request.
    pub(super) keeps_all: AtomicBool,
    /// Held by who wants reads to wait.
    pub(super) reading: Mutex<()>,
    pub(super) changes: AtomicU64,
}

impl Watched {
    pub(super) fn new(inner: Fs, lacks: Lacks) -> Self {
        Self {
            inner,
            lacks,
            references: AtomicI64::new(0),
            handles: AtomicI64::new(0),
            reads: AtomicU64::new(0),
            bytes_written: AtomicU64::new(0),
            broken: AtomicBool::new(false),
            keeps_all: AtomicBool::new(false),
            reading: Mutex::new(()),
            changes: AtomicU64::new(0),
        }
    }

    pub(super) fn held(&self) -> (i64, i64) {
        (
            self.references.load(Ordering::SeqCst),
            self.handles.load(Ordering::SeqCst),
        )
    }

    fn given(&self, entry: FsResult<Entry>) -> FsResult<Entry> {
        if let Ok(entry) = &entry
            && entry.ino > ROOT_INO
        {
            self.references.fetch_add(1, Ordering::SeqCst);
        }
        entry
    }

    fn made(&self, entry: FsResult<Entry>) -> FsResult<Entry> {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.given(entry)
    }

    fn opened<T>(&self, opened: FsResult<T>) -> FsResult<T> {
        if opened.is_ok() {
            self.handles.fetch_add(1, Ordering::SeqCst);
        }
        opened
    }

    fn created(&self, created: FsResult<Created>) -> FsResult<Created> {
        self.changes.fetch_add(1, Ordering::SeqCst);
        let created = self.opened(created)?;
        self.given(Ok(created.entry))?;
        Ok(created)
    }

    fn reached(&self) -> FsResult<()> {
        if self.broken.load(Ordering::SeqCst) {
            Err(Errno::EIO)
        } else {
            Ok(())
        }
    }

    fn cuts_off(&self, is_asked: bool) -> FsResult<()> {
        let refused = is_asked && self.keeps_all.load(Ordering::SeqCst);
        Self::has(refused, Errno::EACCES)
    }

    fn has(lacks: bool, error: Errno) -> FsResult<()> {
        if lacks { Err(error) } else { Ok(()) }
    }
}

impl DynFileSystem for Watched {
    fn init(&self, offered: Capabilities) -> FsResult<Capabilities> {
        self.inner.init(offered)
    }

    fn lookup(&self, ctx: &Context<'_>, parent: Ino, name: &OsStr) -> FsResult<Entry> {
        self.reached()?;
        self.given(self.inner.lookup(ctx, parent, name))
    }

    fn forget(&self, ino: Ino, count: u64) {
        self.references
            .fetch_sub(i64::try_from(count).unwrap(), Ordering::SeqCst);
        self.inner.forget(ino, count);
    }

    fn getattr(&self, ctx: &Context<'_>, ino: Ino, handle: Option<Handle>) -> FsResult<(Attr, Duration)> {
        self.inner.getattr(ctx, ino, handle)
    }

    fn setattr(&self, ctx: &Context<'_>, ino: Ino, change: &SetAttr) -> FsResult<(Attr, Duration)> {
        // Copies set size and times one after the other.
        self.cuts_off(change.size.is_some() && change.mtime.is_some())?;
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.inner.setattr(ctx, ino, change)
    }

    fn readlink(&self, ctx: &Context<'_>, ino: Ino) -> FsResult<Vec<u8>> {
        self.inner.readlink(ctx, ino)
    }

    fn symlink(&self, ctx: &Context<'_>, parent: Ino, name: &OsStr, target: &OsStr) -> FsResult<Entry> {
        self.made(self.inner.symlink(ctx, parent, name, target))
    }

    fn mknod(
        &self,
        ctx: &Context<'_>,
        parent: Ino,
        name: &OsStr,
        mode: u32,
        rdev: u64,
        umask: u32,
    ) -> FsResult<Entry> {
        let device = mode & libc::S_IFMT == libc::S_IFCHR;
        Self::has(device && self.lacks.devices, Errno::EPERM)?;
        self.made(self.inner.mknod(ctx, parent, name, mode, rdev, umask))
    }

    fn mkdir(&self, ctx: &Context<'_>, parent: Ino, name: &OsStr, mode: u32, umask: u32) -> FsResult<Entry> {
        self.made(self.inner.mkdir(ctx, parent, name, mode, umask))
    }

    fn unlink(&self, ctx: &Context<'_>, parent: Ino, name: &OsStr) -> FsResult<()> {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.inner.unlink(ctx, parent, name)
    }

    fn rmdir(&self, ctx: &Context<'_>, parent: Ino, name: &OsStr) -> FsResult<()> {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.inner.rmdir(ctx, parent, name)
    }

    fn rename(
        &self,
        ctx: &Context<'_>,
        parent: Ino,
        name: &OsStr,
        new_parent: Ino,
        new_name: &OsStr,
        flags: RenameFlags,
    ) -> FsResult<()> {
        let exchange = flags.contains(RenameFlags::EXCHANGE);
        Self::has(exchange && self.lacks.exchange, Errno::EINVAL)?;
        let whiteout = flags.contains(RenameFlags::WHITEOUT);
        Self::has(whiteout && self.lacks.whiteout_renames, Errno::EINVAL)?;
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.inner.rename(ctx, parent, name, new_parent, new_name, flags)
    }

    fn link(&self, ctx: &Context<'_>, ino: Ino, new_parent: Ino, new_name: &OsStr) -> FsResult<Entry> {
        Self::has(self.lacks.links, Errno::EPERM)?;
        self.made(self.inner.link(ctx, ino, new_parent, new_name))
    }

    fn open(&self, ctx: &Context<'_>, ino: Ino, flags: OpenFlags) -> FsResult<Opened> {
        self.cuts_off(flags.contains(OpenFlags::TRUNC))?;
        self.opened(self.inner.open(ctx, ino, flags))
    }

    fn create(
        &self,
        ctx: &Context<'_>,
        parent: Ino,
        name: &OsStr,
        mode: u32,
        flags: OpenFlags,
        umask: u32,
    ) -> FsResult<Created> {
        self.created(self.inner.create(ctx, parent, name, mode, flags, umask))
    }

    fn tmpfile(
        &self,
        ctx: &Context<'_>,
        parent: Ino,
        mode: u32,
        flags: OpenFlags,
        umask: u32,
    ) -> FsResult<Created> {
        self.created(self.inner.tmpfile(ctx, parent, mode, flags, umask))
    }

    fn read(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        request: &ReadRequest,
        data: &mut dyn DataWriter,
    ) -> FsResult<usize> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        drop(self.reading.lock().unwrap());
        self.inner.read(ctx, ino, handle, request, data)
    }

    fn write(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        request: &WriteRequest,
        data: &mut dyn DataReader,
    ) -> FsResult<usize> {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.bytes_written
            .fetch_add(u64::from(request.size), Ordering::SeqCst);
        self.inner.write(ctx, ino, handle, request, data)
    }

    fn flush(&self, ctx: &Context<'_>, ino: Ino, handle: Option<Handle>, owner: LockOwner) -> FsResult<()> {
        self.inner.flush(ctx, ino, handle, owner)
    }

    fn release(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        flags: OpenFlags,
        flock_owner: Option<LockOwner>,
    ) -> FsResult<()> {
        self.handles.fetch_sub(1, Ordering::SeqCst);
        self.inner.release(ctx, ino, handle, flags, flock_owner)
    }

    fn fsync(&self, ctx: &Context<'_>, ino: Ino, handle: Option<Handle>, scope: SyncScope) -> FsResult<()> {
        self.inner.fsync(ctx, ino, handle, scope)
    }

    fn fallocate(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        mode: FallocateMode,
        offset: u64,
        len: u64,
    ) -> FsResult<()> {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.inner.fallocate(ctx, ino, handle, mode, offset, len)
    }

    fn lseek(&self, ctx: &Context<'_>, ino: Ino, handle: Option<Handle>, from: SeekFrom) -> FsResult<u64> {
        Self::has(self.lacks.seeking, Errno::ENOSYS)?;
        self.inner.lseek(ctx, ino, handle, from)
    }

    fn statfs(&self, ctx: &Context<'_>, ino: Ino) -> FsResult<StatFs> {
        self.inner.statfs(ctx, ino)
    }

    fn setxattr(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        name: &OsStr,
        value: &[u8],
        flags: XattrFlags,
    ) -> FsResult<()> {
        Self::has(self.lacks.xattrs, Errno::ENOTSUP)?;
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.inner.setxattr(ctx, ino, name, value, flags)
    }

    fn getxattr(&self, ctx: &Context<'_>, ino: Ino, name: &OsStr, size: u32) -> FsResult<XattrReply> {
        Self::has(self.lacks.xattrs, Errno::ENOTSUP)?;
        self.inner.getxattr(ctx, ino, name, size)
    }

    fn listxattr(&self, ctx: &Context<'_>, ino: Ino, size: u32) -> FsResult<XattrReply> {
        Self::has(self.lacks.xattrs, Errno::ENOTSUP)?;
        self.inner.listxattr(ctx, ino, size)
    }

    fn removexattr(&self, ctx: &Context<'_>, ino: Ino, name: &OsStr) -> FsResult<()> {
        Self::has(self.lacks.xattrs, Errno::ENOTSUP)?;
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.inner.removexattr(ctx, ino, name)
    }

    fn opendir(&self, ctx: &Context<'_>, ino: Ino, flags: OpenFlags) -> FsResult<Opened> {
        self.reached()?;
        self.opened(self.inner.opendir(ctx, ino, flags))
    }

    fn readdir(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        offset: u64,
        add: &mut AddEntry<'_>,
    ) -> FsResult<()> {
        self.inner.readdir(ctx, ino, handle, offset, add)
    }

    fn releasedir(&self, ctx: &Context<'_>, ino: Ino, handle: Option<Handle>) -> FsResult<()> {
        self.handles.fetch_sub(1, Ordering::SeqCst);
        self.inner.releasedir(ctx, ino, handle)
    }
}
