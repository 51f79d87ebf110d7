//! Each operation, through the gate to where it is.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::DualFs;
use super::gate::Ask;
use super::hook::Operation as Op;
use super::invalidate::Translate;
use super::side::{Side, ourselves};
use crate::fs::{
    AddEntry, AddEntryPlus, Attr, Capabilities, Context, Created, DataReader, DataWriter, DynFileSystem,
    Entry, Errno, FallocateMode, FlockOperation, FsResult, Handle, Ino, Invalidate, Lock, LockOwner,
    OpenFlags, Opened, ReadRequest, RenameFlags, SeekFrom, SetAttr, StatFs, SyncScope, WriteRequest,
    XattrFlags, XattrReply,
};

/// What cannot be agreed on, since files change their backend, and need handles for that.
const NOT_HERE: Capabilities = Capabilities::NO_OPEN_SUPPORT
    .union(Capabilities::NO_OPENDIR_SUPPORT)
    .union(Capabilities::EXPLICIT_INVAL_DATA)
    .union(Capabilities::MAP_ALIGNMENT)
    .union(Capabilities::SUBMOUNTS);

impl DynFileSystem for DualFs {
    /// What A wants is agreed on, since everything that is made or changed is in A.
    fn init(&self, offered: Capabilities) -> FsResult<Capabilities> {
        let locks = Capabilities::POSIX_LOCKS | Capabilities::FLOCK_LOCKS;
        let shown = offered - NOT_HERE;
        let agreed = (self.a.init(shown)? & shown) | (locks & offered);
        self.b.init(agreed)?;
        Ok(agreed)
    }

    /// The backends are not told: others may use them too. They get back all that was taken.
    fn destroy(&self) {
        self.handles.clear();
        self.table.forget_everything();
        self.end_staging();
    }

    fn shows(&self) -> Vec<PathBuf> {
        let mut shown = self.a.shows();
        shown.extend(self.b.shows());
        shown
    }

    fn attach_invalidate(&self, channel: Arc<dyn Invalidate>) {
        for (fs, side) in [(&self.a, Side::A), (&self.b, Side::B)] {
            fs.attach_invalidate(Arc::new(Translate {
                channel: Arc::clone(&channel),
                table: self.table.clone(),
                side,
            }));
        }
    }

    fn lookup(&self, ctx: &Context<'_>, parent: Ino, name: &OsStr) -> FsResult<Entry> {
        self.gate(Ask::name(ctx, Op::Lookup, parent, name), |plan| {
            self.do_lookup(ctx, parent, name, plan)
        })
    }

    fn forget(&self, ino: Ino, count: u64) {
        self.table.forget(ino, count);
    }

    fn getattr(&self, ctx: &Context<'_>, ino: Ino, handle: Option<Handle>) -> FsResult<(Attr, Duration)> {
        self.gate(Ask::node(ctx, Op::GetAttr, ino), |_| {
            self.do_getattr(ctx, ino, handle)
        })
    }

    fn setattr(&self, ctx: &Context<'_>, ino: Ino, change: &SetAttr) -> FsResult<(Attr, Duration)> {
        self.gate(Ask::node(ctx, Op::SetAttr, ino), |_| {
            self.do_setattr(ctx, ino, change)
        })
    }

    fn readlink(&self, ctx: &Context<'_>, ino: Ino) -> FsResult<Vec<u8>> {
        self.gate(Ask::node(ctx, Op::ReadLink, ino), |_| self.do_readlink(ctx, ino))
    }

    fn symlink(&self, ctx: &Context<'_>, parent: Ino, name: &OsStr, target: &OsStr) -> FsResult<Entry> {
        self.gate(Ask::name(ctx, Op::Symlink, parent, name), |plan| {
            self.do_symlink(ctx, (parent, name), target, plan)
        })
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
        self.gate(Ask::name(ctx, Op::MakeNode, parent, name), |plan| {
            self.do_mknod(ctx, (parent, name), mode, rdev, umask, plan)
        })
    }

    fn mkdir(&self, ctx: &Context<'_>, parent: Ino, name: &OsStr, mode: u32, umask: u32) -> FsResult<Entry> {
        self.gate(Ask::name(ctx, Op::MakeDirectory, parent, name), |plan| {
            self.do_mkdir(ctx, (parent, name), mode, umask, plan)
        })
    }

    fn unlink(&self, ctx: &Context<'_>, parent: Ino, name: &OsStr) -> FsResult<()> {
        self.gate(Ask::name(ctx, Op::Unlink, parent, name), |plan| {
            self.do_unlink(ctx, parent, name, plan)
        })
    }

    fn rmdir(&self, ctx: &Context<'_>, parent: Ino, name: &OsStr) -> FsResult<()> {
        self.gate(Ask::name(ctx, Op::RemoveDirectory, parent, name), |plan| {
            self.do_rmdir(ctx, parent, name, plan)
        })
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
        let ask = Ask::name(ctx, Op::Rename, parent, name).to(new_parent, new_name);
        self.gate(ask, |plan| {
            self.do_rename(ctx, (parent, name), (new_parent, new_name), flags, plan)
        })
    }

    fn link(&self, ctx: &Context<'_>, ino: Ino, new_parent: Ino, new_name: &OsStr) -> FsResult<Entry> {
        let ask = Ask::node(ctx, Op::Link, ino).to(new_parent, new_name);
        self.gate(ask, |plan| self.do_link(ctx, ino, new_parent, new_name, plan))
    }

    fn open(&self, ctx: &Context<'_>, ino: Ino, flags: OpenFlags) -> FsResult<Opened> {
        let operation = if flags.writes() || flags.contains(OpenFlags::TRUNC) {
            Op::OpenForWriting
        } else {
            Op::Open
        };
        self.gate(Ask::node(ctx, operation, ino), |_| self.do_open(ctx, ino, flags))
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
        self.gate(Ask::name(ctx, Op::Create, parent, name), |plan| {
            self.do_create(ctx, (parent, name), mode, flags, umask, plan)
        })
    }

    fn tmpfile(
        &self,
        ctx: &Context<'_>,
        parent: Ino,
        mode: u32,
        flags: OpenFlags,
        umask: u32,
    ) -> FsResult<Created> {
        self.gate(Ask::node(ctx, Op::TemporaryFile, parent), |_| {
            self.do_tmpfile(ctx, parent, mode, flags, umask)
        })
    }

    fn read(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        request: &ReadRequest,
        data: &mut dyn DataWriter,
    ) -> FsResult<usize> {
        self.gate(Ask::node(ctx, Op::Read, ino), |_| {
            self.do_read(ctx, handle, request, data)
        })
    }

    fn write(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        request: &WriteRequest,
        data: &mut dyn DataReader,
    ) -> FsResult<usize> {
        self.gate(Ask::node(ctx, Op::Write, ino), |_| {
            self.do_write(ctx, handle, request, data)
        })
    }

    fn flush(&self, ctx: &Context<'_>, ino: Ino, handle: Option<Handle>, owner: LockOwner) -> FsResult<()> {
        self.do_flush(ctx, ino, handle, owner)
    }

    fn release(
        &self,
        _ctx: &Context<'_>,
        _ino: Ino,
        handle: Option<Handle>,
        _flags: OpenFlags,
        flock_owner: Option<LockOwner>,
    ) -> FsResult<()> {
        self.do_release(handle, flock_owner);
        Ok(())
    }

    fn fsync(&self, ctx: &Context<'_>, ino: Ino, handle: Option<Handle>, scope: SyncScope) -> FsResult<()> {
        self.gate(Ask::node(ctx, Op::Sync, ino), |_| {
            self.do_fsync(ctx, handle, scope)
        })
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
        self.gate(Ask::node(ctx, Op::Allocate, ino), |_| {
            self.do_fallocate(ctx, handle, mode, offset, len)
        })
    }

    fn lseek(&self, ctx: &Context<'_>, ino: Ino, handle: Option<Handle>, from: SeekFrom) -> FsResult<u64> {
        self.gate(Ask::node(ctx, Op::Seek, ino), |_| {
            self.do_lseek(ctx, handle, from)
        })
    }

    fn copy_file_range(
        &self,
        ctx: &Context<'_>,
        from: (Ino, Option<Handle>, u64),
        to: (Ino, Option<Handle>, u64),
        len: u64,
    ) -> FsResult<u64> {
        self.gate(Ask::node(ctx, Op::Copy, to.0), |_| {
            self.do_copy(ctx, (from.1, from.2), (to.1, to.2), len)
        })
    }

    fn statfs(&self, ctx: &Context<'_>, ino: Ino) -> FsResult<StatFs> {
        self.gate(Ask::node(ctx, Op::StatFs, ino), |_| self.do_statfs(ctx, ino))
    }

    fn syncfs(&self, ctx: &Context<'_>, ino: Ino) -> FsResult<()> {
        self.gate(Ask::node(ctx, Op::Sync, ino), |_| self.do_syncfs(ctx, ino))
    }

    fn statx(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        sync: u32,
        mask: u32,
    ) -> FsResult<(Attr, Duration)> {
        self.gate(Ask::node(ctx, Op::GetAttr, ino), |_| {
            self.do_statx(ctx, ino, handle, sync, mask)
        })
    }

    fn access(&self, ctx: &Context<'_>, ino: Ino, mask: u32) -> FsResult<()> {
        self.gate(Ask::node(ctx, Op::Access, ino), |_| {
            self.do_access(ctx, ino, mask)
        })
    }

    fn setxattr(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        name: &OsStr,
        value: &[u8],
        flags: XattrFlags,
    ) -> FsResult<()> {
        self.gate(Ask::node(ctx, Op::SetXattr, ino), |_| {
            self.do_setxattr(ctx, ino, name, value, flags)
        })
    }

    fn getxattr(&self, ctx: &Context<'_>, ino: Ino, name: &OsStr, size: u32) -> FsResult<XattrReply> {
        self.gate(Ask::node(ctx, Op::GetXattr, ino), |_| {
            self.do_getxattr(ctx, ino, name, size)
        })
    }

    fn listxattr(&self, ctx: &Context<'_>, ino: Ino, size: u32) -> FsResult<XattrReply> {
        self.gate(Ask::node(ctx, Op::ListXattr, ino), |_| {
            self.do_listxattr(ctx, ino, size)
        })
    }

    fn removexattr(&self, ctx: &Context<'_>, ino: Ino, name: &OsStr) -> FsResult<()> {
        self.gate(Ask::node(ctx, Op::RemoveXattr, ino), |_| {
            self.do_removexattr(ctx, ino, name)
        })
    }

    fn opendir(&self, ctx: &Context<'_>, ino: Ino, _flags: OpenFlags) -> FsResult<Opened> {
        self.gate(Ask::node(ctx, Op::OpenDirectory, ino), |_| self.do_opendir(ino))
    }

    fn readdir(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        offset: u64,
        add: &mut AddEntry<'_>,
    ) -> FsResult<()> {
        self.gate(Ask::node(ctx, Op::List, ino), |plan| {
            self.do_readdir(handle, offset, add, plan)
        })
    }

    fn readdirplus(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        offset: u64,
        add: &mut AddEntryPlus<'_>,
    ) -> FsResult<()> {
        self.gate(Ask::node(ctx, Op::List, ino), |plan| {
            self.do_readdirplus(ctx, handle, offset, add, plan)
        })
    }

    fn releasedir(&self, _ctx: &Context<'_>, _ino: Ino, handle: Option<Handle>) -> FsResult<()> {
        self.do_releasedir(handle);
        Ok(())
    }

    fn fsyncdir(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        scope: SyncScope,
    ) -> FsResult<()> {
        self.gate(Ask::node(ctx, Op::Sync, ino), |_| {
            self.do_fsyncdir(ctx, handle, scope)
        })
    }

    fn getlk(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        _handle: Option<Handle>,
        owner: LockOwner,
        lock: Lock,
    ) -> FsResult<Lock> {
        self.gate(Ask::node(ctx, Op::Lock, ino), |_| self.do_getlk(ino, owner, lock))
    }

    fn setlk(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        owner: LockOwner,
        lock: Lock,
    ) -> FsResult<()> {
        self.gate(Ask::node(ctx, Op::Lock, ino), |_| {
            self.do_setlk(ino, handle, owner, lock)
        })
    }

    fn setlkw(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        owner: LockOwner,
        lock: Lock,
    ) -> FsResult<()> {
        self.gate(Ask::node(ctx, Op::Lock, ino), |_| {
            self.do_setlkw(ctx, ino, handle, owner, lock)
        })
    }

    fn flock(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        _handle: Option<Handle>,
        owner: LockOwner,
        operation: FlockOperation,
    ) -> FsResult<()> {
        self.gate(Ask::node(ctx, Op::Lock, ino), |_| {
            self.do_flock(ctx, ino, owner, operation)
        })
    }

    /// Of what is in A: what is in B may be in A the next moment, and hooks are told of each read and write.
    fn backing_file(&self, _ino: Ino, handle: Option<Handle>) -> FsResult<OwnedFd> {
        if !self.hooks.is_empty() {
            return Err(Errno::ENOSYS);
        }
        let file = self.opened(&ourselves(), handle)?;
        match file.held.side {
            Side::A => file.held.fs.backing_file(file.held.ino, file.handle),
            Side::B => Err(Errno::ENOSYS),
        }
    }
}
