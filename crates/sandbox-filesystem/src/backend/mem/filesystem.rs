//! [`MemFs`] itself, and where each operation is.

use std::ffi::OsStr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::builder::MemFsBuilder;
use super::dir::Listings;
use super::inode::{Inode, NewInode};
use super::lock::Waits;
use super::space::Space;
use super::table::Table;
use sandbox_types::CachePolicy;

use crate::fs::{
    AddEntry, AddEntryPlus, Attr, Capabilities, Context, Created, DataReader, DataWriter, DynFileSystem,
    Entry, FallocateMode, FlockOperation, FsResult, Handle, Ino, Lock, LockOwner, OpenFlags, Opened,
    ROOT_INO, ReadRequest, RenameFlags, SeekFrom, SetAttr, StatFs, SyncScope, WriteRequest, XattrFlags,
    XattrReply,
};

/// A filesystem in memory.
///
/// ```
/// use std::ffi::OsStr;
/// use sandbox_filesystem::backend::mem::MemFs;
/// use sandbox_filesystem::fs::{Context, DynFileSystem, ROOT_INO};
/// use sandbox_types::SizeExt;
///
/// let fs = MemFs::builder().capacity(64.mib()).build()?;
/// let ctx = Context::new(1000, 1000);
/// let made = fs.mkdir(&ctx, ROOT_INO, OsStr::new("src"), 0o777, 0o022).unwrap();
/// assert_eq!(made.attr.mode, libc::S_IFDIR | 0o755);
/// # Ok::<(), sandbox_filesystem::backend::mem::InvalidMemFs>(())
/// ```
#[derive(Debug)]
pub struct MemFs {
    pub(super) space: Arc<Space>,
    pub(super) table: Table,
    /// Held by every rename that moves a directory or goes from one directory to another.
    pub(super) renames: Mutex<()>,
    pub(super) listings: Listings,
    pub(super) waits: Waits,
    /// How many files were opened: the last one's handle.
    pub(super) last_handle: AtomicU64,
    pub(super) caching: Caching,
}

/// What the kernel may remember.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caching {
    pub(super) entry: Duration,
    pub(super) attr: Duration,
    pub(super) data: CachePolicy,
    pub(super) writeback: bool,
}

impl Caching {
    pub(super) fn of(policy: CachePolicy) -> Self {
        let timeout = match policy {
            CachePolicy::Never => Duration::ZERO,
            CachePolicy::Auto => Duration::from_secs(1),
            CachePolicy::Always => Duration::from_hours(24),
        };
        Self {
            entry: timeout,
            attr: timeout,
            data: policy,
            writeback: false,
        }
    }
}

impl MemFs {
    /// A filesystem that is still to be given its capacity.
    pub fn builder() -> MemFsBuilder {
        MemFsBuilder::new()
    }

    pub(super) fn new(space: Space, caching: Caching) -> FsResult<Self> {
        let space = Arc::new(space);
        let root = NewInode {
            kind: libc::S_IFDIR,
            mode: 0o755,
            uid: 0,
            gid: 0,
            rdev: 0,
            target: &[],
            parent: ROOT_INO,
        };
        let root = Inode::new(&space, ROOT_INO, &root)?;
        root.write().nlink = 2;
        let table = Table::new();
        table.insert(&root);
        Ok(Self {
            space,
            table,
            renames: Mutex::new(()),
            listings: Listings::default(),
            waits: Waits::default(),
            last_handle: AtomicU64::new(0),
            caching,
        })
    }
}

impl DynFileSystem for MemFs {
    fn init(&self, offered: Capabilities) -> FsResult<Capabilities> {
        Ok(offered & self.wanted())
    }

    fn destroy(&self) {
        self.forget_everything();
    }

    fn lookup(&self, _ctx: &Context<'_>, parent: Ino, name: &OsStr) -> FsResult<Entry> {
        self.find(parent, name)
    }

    fn forget(&self, ino: Ino, count: u64) {
        self.forget_inode(ino, count);
    }

    fn getattr(&self, _ctx: &Context<'_>, ino: Ino, _handle: Option<Handle>) -> FsResult<(Attr, Duration)> {
        self.attributes(ino)
    }

    fn setattr(&self, _ctx: &Context<'_>, ino: Ino, change: &SetAttr) -> FsResult<(Attr, Duration)> {
        self.change_attributes(ino, change)
    }

    fn readlink(&self, _ctx: &Context<'_>, ino: Ino) -> FsResult<Vec<u8>> {
        self.link_target(ino)
    }

    fn symlink(&self, ctx: &Context<'_>, parent: Ino, name: &OsStr, target: &OsStr) -> FsResult<Entry> {
        self.make_symlink(ctx, parent, name, target)
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
        self.make_node(ctx, parent, name, mode, rdev, umask)
    }

    fn mkdir(&self, ctx: &Context<'_>, parent: Ino, name: &OsStr, mode: u32, umask: u32) -> FsResult<Entry> {
        self.make_directory(ctx, parent, name, mode, umask)
    }

    fn unlink(&self, _ctx: &Context<'_>, parent: Ino, name: &OsStr) -> FsResult<()> {
        self.remove_file(parent, name)
    }

    fn rmdir(&self, _ctx: &Context<'_>, parent: Ino, name: &OsStr) -> FsResult<()> {
        self.remove_directory(parent, name)
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
        self.move_entry(ctx, (parent, name), (new_parent, new_name), flags)
    }

    fn link(&self, _ctx: &Context<'_>, ino: Ino, new_parent: Ino, new_name: &OsStr) -> FsResult<Entry> {
        self.add_name(ino, new_parent, new_name)
    }

    fn open(&self, _ctx: &Context<'_>, ino: Ino, flags: OpenFlags) -> FsResult<Opened> {
        self.open_file(ino, flags)
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
        self.create_file(ctx, parent, name, mode, flags, umask)
    }

    fn tmpfile(
        &self,
        ctx: &Context<'_>,
        parent: Ino,
        mode: u32,
        flags: OpenFlags,
        umask: u32,
    ) -> FsResult<Created> {
        self.create_unnamed(ctx, parent, mode, flags, umask)
    }

    fn read(
        &self,
        _ctx: &Context<'_>,
        ino: Ino,
        _handle: Option<Handle>,
        request: &ReadRequest,
        data: &mut dyn DataWriter,
    ) -> FsResult<usize> {
        self.read_file(ino, request, data)
    }

    fn write(
        &self,
        _ctx: &Context<'_>,
        ino: Ino,
        _handle: Option<Handle>,
        request: &WriteRequest,
        data: &mut dyn DataReader,
    ) -> FsResult<usize> {
        self.write_file(ino, request, data)
    }

    fn flush(&self, _ctx: &Context<'_>, ino: Ino, _handle: Option<Handle>, owner: LockOwner) -> FsResult<()> {
        self.drop_record_locks(ino, owner)
    }

    fn release(
        &self,
        _ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        _flags: OpenFlags,
        flock_owner: Option<LockOwner>,
    ) -> FsResult<()> {
        self.drop_locks_of(ino, handle, flock_owner)
    }

    fn fsync(
        &self,
        _ctx: &Context<'_>,
        ino: Ino,
        _handle: Option<Handle>,
        _scope: SyncScope,
    ) -> FsResult<()> {
        self.table.get(ino).map(|_| ())
    }

    fn fallocate(
        &self,
        _ctx: &Context<'_>,
        ino: Ino,
        _handle: Option<Handle>,
        mode: FallocateMode,
        offset: u64,
        len: u64,
    ) -> FsResult<()> {
        self.allocate(ino, mode, offset, len)
    }

    fn lseek(&self, _ctx: &Context<'_>, ino: Ino, _handle: Option<Handle>, from: SeekFrom) -> FsResult<u64> {
        self.seek(ino, from)
    }

    fn copy_file_range(
        &self,
        _ctx: &Context<'_>,
        from: (Ino, Option<Handle>, u64),
        to: (Ino, Option<Handle>, u64),
        len: u64,
    ) -> FsResult<u64> {
        self.copy_range((from.0, from.2), (to.0, to.2), len)
    }

    fn statfs(&self, _ctx: &Context<'_>, _ino: Ino) -> FsResult<StatFs> {
        Ok(self.usage())
    }

    fn syncfs(&self, _ctx: &Context<'_>, _ino: Ino) -> FsResult<()> {
        Ok(())
    }

    fn statx(
        &self,
        _ctx: &Context<'_>,
        ino: Ino,
        _handle: Option<Handle>,
        _sync: u32,
        _mask: u32,
    ) -> FsResult<(Attr, Duration)> {
        self.attributes(ino)
    }

    fn setxattr(
        &self,
        _ctx: &Context<'_>,
        ino: Ino,
        name: &OsStr,
        value: &[u8],
        flags: XattrFlags,
    ) -> FsResult<()> {
        self.set_xattr(ino, name, value, flags)
    }

    fn getxattr(&self, _ctx: &Context<'_>, ino: Ino, name: &OsStr, size: u32) -> FsResult<XattrReply> {
        self.get_xattr(ino, name, size)
    }

    fn listxattr(&self, _ctx: &Context<'_>, ino: Ino, size: u32) -> FsResult<XattrReply> {
        self.list_xattrs(ino, size)
    }

    fn removexattr(&self, _ctx: &Context<'_>, ino: Ino, name: &OsStr) -> FsResult<()> {
        self.remove_xattr(ino, name)
    }

    fn opendir(&self, _ctx: &Context<'_>, ino: Ino, _flags: OpenFlags) -> FsResult<Opened> {
        self.open_directory(ino)
    }

    fn readdir(
        &self,
        _ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        offset: u64,
        add: &mut AddEntry<'_>,
    ) -> FsResult<()> {
        self.list(ino, handle, offset, &mut |entry, _| add(entry))
    }

    fn readdirplus(
        &self,
        _ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        offset: u64,
        add: &mut AddEntryPlus<'_>,
    ) -> FsResult<()> {
        self.list(ino, handle, offset, add)
    }

    fn releasedir(&self, _ctx: &Context<'_>, _ino: Ino, handle: Option<Handle>) -> FsResult<()> {
        self.close_directory(handle);
        Ok(())
    }

    fn fsyncdir(
        &self,
        _ctx: &Context<'_>,
        ino: Ino,
        _handle: Option<Handle>,
        _scope: SyncScope,
    ) -> FsResult<()> {
        self.table.get(ino).map(|_| ())
    }

    fn getlk(
        &self,
        _ctx: &Context<'_>,
        ino: Ino,
        _handle: Option<Handle>,
        owner: LockOwner,
        lock: Lock,
    ) -> FsResult<Lock> {
        self.find_conflict(ino, owner, lock)
    }

    fn setlk(
        &self,
        _ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        owner: LockOwner,
        lock: Lock,
    ) -> FsResult<()> {
        self.lock_records(ino, handle, owner, lock)
    }

    fn setlkw(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        owner: LockOwner,
        lock: Lock,
    ) -> FsResult<()> {
        self.lock_records_waiting(ctx, ino, handle, owner, lock)
    }

    fn flock(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        _handle: Option<Handle>,
        owner: LockOwner,
        operation: FlockOperation,
    ) -> FsResult<()> {
        self.lock_file(ctx, ino, owner, operation)
    }
}
