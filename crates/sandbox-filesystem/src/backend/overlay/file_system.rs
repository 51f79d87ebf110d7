//! [`DynFileSystem`] for [`OverlayFs`]: where each operation is.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use super::OverlayFs;
use crate::fs::{
    AddEntry, AddEntryPlus, Attr, Capabilities, Context, Created, DataReader, DataWriter, DynFileSystem,
    Entry, FallocateMode, FlockOperation, FsResult, Handle, Ino, Lock, LockOwner, OpenFlags, Opened,
    ReadRequest, RenameFlags, SeekFrom, SetAttr, StatFs, SyncScope, WriteRequest, XattrFlags, XattrReply,
};

impl DynFileSystem for OverlayFs {
    /// Locks are left to the kernel: everybody who sees this tree comes through the same mount, and a file may be another one
    /// after it was copied up.
    fn init(&self, offered: Capabilities) -> FsResult<Capabilities> {
        let locks = Capabilities::POSIX_LOCKS | Capabilities::FLOCK_LOCKS;
        self.host.init(offered - locks)
    }

    fn shows(&self) -> Vec<PathBuf> {
        self.shown.clone()
    }

    fn destroy(&self) {
        self.host.destroy();
    }

    fn lookup(&self, _ctx: &Context<'_>, parent: Ino, name: &OsStr) -> FsResult<Entry> {
        self.do_lookup(parent, name)
    }

    fn forget(&self, ino: Ino, count: u64) {
        self.host.do_forget(ino, count);
    }

    fn getattr(&self, _ctx: &Context<'_>, ino: Ino, handle: Option<Handle>) -> FsResult<(Attr, Duration)> {
        self.do_getattr(ino, handle)
    }

    fn setattr(&self, ctx: &Context<'_>, ino: Ino, change: &SetAttr) -> FsResult<(Attr, Duration)> {
        self.do_setattr(ctx, ino, change)
    }

    fn readlink(&self, _ctx: &Context<'_>, ino: Ino) -> FsResult<Vec<u8>> {
        self.host.do_readlink(ino)
    }

    fn symlink(&self, ctx: &Context<'_>, parent: Ino, name: &OsStr, target: &OsStr) -> FsResult<Entry> {
        self.do_symlink(ctx, parent, name, target)
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
        self.do_mknod(ctx, parent, name, mode, rdev, umask)
    }

    fn mkdir(&self, ctx: &Context<'_>, parent: Ino, name: &OsStr, mode: u32, umask: u32) -> FsResult<Entry> {
        self.do_mkdir(ctx, parent, name, mode, umask)
    }

    fn unlink(&self, _ctx: &Context<'_>, parent: Ino, name: &OsStr) -> FsResult<()> {
        self.do_unlink(parent, name)
    }

    fn rmdir(&self, _ctx: &Context<'_>, parent: Ino, name: &OsStr) -> FsResult<()> {
        self.do_rmdir(parent, name)
    }

    fn rename(
        &self,
        _ctx: &Context<'_>,
        parent: Ino,
        name: &OsStr,
        new_parent: Ino,
        new_name: &OsStr,
        flags: RenameFlags,
    ) -> FsResult<()> {
        self.do_rename(parent, name, new_parent, new_name, flags)
    }

    fn link(&self, _ctx: &Context<'_>, ino: Ino, new_parent: Ino, new_name: &OsStr) -> FsResult<Entry> {
        self.do_link(ino, new_parent, new_name)
    }

    fn open(&self, ctx: &Context<'_>, ino: Ino, flags: OpenFlags) -> FsResult<Opened> {
        self.do_open(ctx, ino, flags)
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
        self.do_create(ctx, parent, name, mode, flags, umask)
    }

    fn tmpfile(
        &self,
        ctx: &Context<'_>,
        parent: Ino,
        mode: u32,
        flags: OpenFlags,
        umask: u32,
    ) -> FsResult<Created> {
        self.do_tmpfile(ctx, parent, mode, flags, umask)
    }

    fn read(
        &self,
        _ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        request: &ReadRequest,
        data: &mut dyn DataWriter,
    ) -> FsResult<usize> {
        self.do_read(ino, handle, request, data)
    }

    fn write(
        &self,
        _ctx: &Context<'_>,
        _ino: Ino,
        handle: Option<Handle>,
        request: &WriteRequest,
        data: &mut dyn DataReader,
    ) -> FsResult<usize> {
        self.host.do_write(handle, request, data)
    }

    fn flush(&self, _ctx: &Context<'_>, _ino: Ino, handle: Option<Handle>, owner: LockOwner) -> FsResult<()> {
        self.host.do_flush(handle, owner)
    }

    fn release(
        &self,
        _ctx: &Context<'_>,
        _ino: Ino,
        handle: Option<Handle>,
        _flags: OpenFlags,
        flock_owner: Option<LockOwner>,
    ) -> FsResult<()> {
        self.host.do_release(handle, flock_owner)
    }

    fn fsync(&self, _ctx: &Context<'_>, _ino: Ino, handle: Option<Handle>, scope: SyncScope) -> FsResult<()> {
        self.check_syncs()?;
        self.host.do_fsync(handle, scope)
    }

    fn fallocate(
        &self,
        _ctx: &Context<'_>,
        _ino: Ino,
        handle: Option<Handle>,
        mode: FallocateMode,
        offset: u64,
        len: u64,
    ) -> FsResult<()> {
        self.host.do_fallocate(handle, mode, offset, len)
    }

    fn lseek(&self, _ctx: &Context<'_>, _ino: Ino, handle: Option<Handle>, from: SeekFrom) -> FsResult<u64> {
        self.do_lseek(handle, from)
    }

    fn copy_file_range(
        &self,
        _ctx: &Context<'_>,
        from: (Ino, Option<Handle>, u64),
        to: (Ino, Option<Handle>, u64),
        len: u64,
    ) -> FsResult<u64> {
        self.do_copy(from, to, len)
    }

    fn statfs(&self, _ctx: &Context<'_>, _ino: Ino) -> FsResult<StatFs> {
        self.host.do_statfs()
    }

    fn syncfs(&self, _ctx: &Context<'_>, _ino: Ino) -> FsResult<()> {
        self.check_syncs()?;
        self.host.do_syncfs()
    }

    fn statx(
        &self,
        _ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        _sync: u32,
        _mask: u32,
    ) -> FsResult<(Attr, Duration)> {
        self.do_getattr(ino, handle)
    }

    fn setxattr(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        name: &OsStr,
        value: &[u8],
        flags: XattrFlags,
    ) -> FsResult<()> {
        self.do_setxattr(ctx, ino, name, value, flags)
    }

    fn getxattr(&self, _ctx: &Context<'_>, ino: Ino, name: &OsStr, size: u32) -> FsResult<XattrReply> {
        self.host.do_getxattr(ino, name, size)
    }

    fn listxattr(&self, ctx: &Context<'_>, ino: Ino, size: u32) -> FsResult<XattrReply> {
        self.host.do_listxattr(ctx, ino, size)
    }

    fn removexattr(&self, _ctx: &Context<'_>, ino: Ino, name: &OsStr) -> FsResult<()> {
        self.do_removexattr(ino, name)
    }

    fn opendir(&self, _ctx: &Context<'_>, ino: Ino, _flags: OpenFlags) -> FsResult<Opened> {
        self.do_opendir(ino)
    }

    fn readdir(
        &self,
        _ctx: &Context<'_>,
        _ino: Ino,
        handle: Option<Handle>,
        offset: u64,
        add: &mut AddEntry<'_>,
    ) -> FsResult<()> {
        self.do_readdir(handle, offset, add)
    }

    fn readdirplus(
        &self,
        _ctx: &Context<'_>,
        _ino: Ino,
        handle: Option<Handle>,
        offset: u64,
        add: &mut AddEntryPlus<'_>,
    ) -> FsResult<()> {
        self.do_readdirplus(handle, offset, add)
    }

    fn releasedir(&self, _ctx: &Context<'_>, _ino: Ino, handle: Option<Handle>) -> FsResult<()> {
        self.host.do_releasedir(handle)
    }

    fn fsyncdir(
        &self,
        _ctx: &Context<'_>,
        _ino: Ino,
        handle: Option<Handle>,
        scope: SyncScope,
    ) -> FsResult<()> {
        self.check_syncs()?;
        self.host.do_fsyncdir(handle, scope)
    }

    fn getlk(
        &self,
        _ctx: &Context<'_>,
        ino: Ino,
        _handle: Option<Handle>,
        owner: LockOwner,
        lock: Lock,
    ) -> FsResult<Lock> {
        self.host.do_getlk(ino, owner, lock)
    }

    fn setlk(
        &self,
        _ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        owner: LockOwner,
        lock: Lock,
    ) -> FsResult<()> {
        self.host.do_setlk(ino, handle, owner, lock)
    }

    fn setlkw(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        owner: LockOwner,
        lock: Lock,
    ) -> FsResult<()> {
        self.host.do_setlkw(ctx, ino, handle, owner, lock)
    }

    fn flock(
        &self,
        ctx: &Context<'_>,
        _ino: Ino,
        handle: Option<Handle>,
        _owner: LockOwner,
        operation: FlockOperation,
    ) -> FsResult<()> {
        self.host.do_flock(ctx, handle, operation)
    }

    fn backing_file(&self, ino: Ino, handle: Option<Handle>) -> FsResult<OwnedFd> {
        self.do_backing_file(ino, handle)
    }
}
