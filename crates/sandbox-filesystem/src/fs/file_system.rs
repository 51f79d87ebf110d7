//! [`DynFileSystem`]: every operation of a filesystem.
#![expect(
    unused_variables,
    reason = "the default of an operation takes what it does not use"
)]

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{
    AddEntry, AddEntryPlus, Attr, Capabilities, Context, Created, DataReader, DataWriter, DaxMapper,
    DaxRange, Entry, Errno, FallocateMode, FlockOperation, FsResult, Handle, Ino, Invalidate, IoctlReply,
    IoctlRequest, Lock, LockOwner, OpenFlags, Opened, ReadRequest, RenameFlags, SeekFrom, SetAttr, StatFs,
    SyncScope, WriteRequest, XattrFlags, XattrReply,
};

/// A filesystem, as the kernel talks to one.
///
/// An operation that is not written answers `ENOSYS`, on which the kernel falls back where it can, and often asks no
/// more. Every operation may be called from several threads at once, for the same file too. None may panic; a request
/// that makes no sense is an error.
///
/// # References
///
/// Whatever gives an [`Entry`] (`lookup`, `mknod`, `mkdir`, `symlink`, `link`, `create`, `tmpfile`, `readdirplus`)
/// adds one reference to its inode, which lives at least until [`forget`](Self::forget) has given all of them back,
/// whether or not it still has a name. [`ROOT_INO`](super::ROOT_INO) is always there.
///
/// # Names
///
/// A name is one component: a server passes no name on that is empty, longer than 255 bytes, contains a slash or a zero
/// byte, or is "." or ".." (except in `lookup`). Any other bytes are a name.
pub trait DynFileSystem: Send + Sync {
    /// `FUSE_INIT`: the kernel offers `offered`; the answer is what of it the filesystem wants, by default
    /// [`Capabilities::USUAL`]. Called once, before anything else; again when the filesystem is mounted anew.
    fn init(&self, offered: Capabilities) -> FsResult<Capabilities> {
        Ok(offered & Capabilities::USUAL)
    }

    /// `FUSE_DESTROY`: the mount is gone, and with it every reference and every handle.
    fn destroy(&self) {}

    /// The directories of the host that it shows, the topmost first, where it shows any: what is hidden of them in a
    /// sandbox is hidden in what shows them too.
    fn shows(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Gives the filesystem a way to tell the kernel what has changed. Called before `init`, where there is one.
    fn attach_invalidate(&self, channel: Arc<dyn Invalidate>) {}

    /// `FUSE_LOOKUP`: the entry `name` of `parent`. `ENOENT` where there is none, or an [`Entry`] with inode 0, which
    /// may be remembered for its `entry_timeout`; `ENOTDIR`.
    fn lookup(&self, ctx: &Context<'_>, parent: Ino, name: &OsStr) -> FsResult<Entry> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_FORGET`, `FUSE_BATCH_FORGET`: gives back `count` references to `ino`. There is no answer.
    fn forget(&self, ino: Ino, count: u64) {}

    /// `FUSE_GETATTR`: the attributes, and how long they may be believed. `handle` is the open file that is asked
    /// through, where the kernel says so; an unlinked file still has attributes.
    fn getattr(&self, ctx: &Context<'_>, ino: Ino, handle: Option<Handle>) -> FsResult<(Attr, Duration)> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_SETATTR`: changes what `change` names, and answers the attributes after it. `EPERM`, `EACCES`, `EROFS`,
    /// `ENOSPC`, `EFBIG`; a size is set on regular files only.
    fn setattr(&self, ctx: &Context<'_>, ino: Ino, change: &SetAttr) -> FsResult<(Attr, Duration)> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_READLINK`: the target of a symbolic link, without a zero byte at its end. `EINVAL` where it is none.
    fn readlink(&self, ctx: &Context<'_>, ino: Ino) -> FsResult<Vec<u8>> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_SYMLINK`: makes the symbolic link `name` to `target`. `EEXIST`, `ENAMETOOLONG`.
    fn symlink(&self, ctx: &Context<'_>, parent: Ino, name: &OsStr, target: &OsStr) -> FsResult<Entry> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_MKNOD`: makes a node of the type in `mode` (a file, FIFO, socket or device `rdev`), with the permission bits
    /// of `mode` less those of `umask` where [`Capabilities::DONT_MASK`] was agreed on. `EEXIST`, `EPERM`.
    fn mknod(
        &self,
        ctx: &Context<'_>,
        parent: Ino,
        name: &OsStr,
        mode: u32,
        rdev: u64,
        umask: u32,
    ) -> FsResult<Entry> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_MKDIR`: makes a directory. `EEXIST`, also where something else has the name; `EMLINK`.
    fn mkdir(&self, ctx: &Context<'_>, parent: Ino, name: &OsStr, mode: u32, umask: u32) -> FsResult<Entry> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_UNLINK`: removes a name of what is no directory. `EISDIR`, `ENOENT`.
    fn unlink(&self, ctx: &Context<'_>, parent: Ino, name: &OsStr) -> FsResult<()> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_RMDIR`: removes an empty directory. `ENOTEMPTY`, `ENOTDIR`, `ENOENT`.
    fn rmdir(&self, ctx: &Context<'_>, parent: Ino, name: &OsStr) -> FsResult<()> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_RENAME`, `FUSE_RENAME2`: moves an entry, in one step for every observer, over what has the new name unless
    /// `flags` say otherwise. `EXDEV`, `EEXIST`, `ENOTEMPTY`, `EINVAL` for flags that cannot be kept and for a directory
    /// into itself.
    fn rename(
        &self,
        ctx: &Context<'_>,
        parent: Ino,
        name: &OsStr,
        new_parent: Ino,
        new_name: &OsStr,
        flags: RenameFlags,
    ) -> FsResult<()> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_LINK`: another name for `ino`. `EPERM` for a directory, `EMLINK`, `EEXIST`.
    fn link(&self, ctx: &Context<'_>, ino: Ino, new_parent: Ino, new_name: &OsStr) -> FsResult<Entry> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_OPEN`: opens a regular file; `O_CREAT` and `O_EXCL` never come along, `O_TRUNC` where
    /// [`Capabilities::ATOMIC_O_TRUNC`] was agreed on. `ENOSYS` means that opening needs no request.
    fn open(&self, ctx: &Context<'_>, ino: Ino, flags: OpenFlags) -> FsResult<Opened> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_CREATE`: makes and opens a regular file, or opens the one that is there (`EEXIST` with `O_EXCL`), whose owner
    /// and mode stay. The new file is open as `flags` say even where `mode` forbids it.
    fn create(
        &self,
        ctx: &Context<'_>,
        parent: Ino,
        name: &OsStr,
        mode: u32,
        flags: OpenFlags,
        umask: u32,
    ) -> FsResult<Created> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_TMPFILE`: makes and opens a regular file without a name, which `link` may give one. `EOPNOTSUPP`.
    fn tmpfile(
        &self,
        ctx: &Context<'_>,
        parent: Ino,
        mode: u32,
        flags: OpenFlags,
        umask: u32,
    ) -> FsResult<Created> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_READ`: puts what was asked for into `data`, and answers how many bytes. Fewer only at the end of the file.
    fn read(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        request: &ReadRequest,
        data: &mut dyn DataWriter,
    ) -> FsResult<usize> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_WRITE`: writes from `data`, and answers how many bytes. `ENOSPC`, `EDQUOT`, `EFBIG`.
    fn write(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        request: &WriteRequest,
        data: &mut dyn DataReader,
    ) -> FsResult<usize> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_FLUSH`: close(2) of one of the descriptors of an open file; gives up `owner`'s fcntl(2) locks. Its error is
    /// close's. `ENOSYS` means that there is never anything to flush.
    fn flush(&self, ctx: &Context<'_>, ino: Ino, handle: Option<Handle>, owner: LockOwner) -> FsResult<()> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_RELEASE`: the last descriptor of an open file is closed. Its error is seen by nobody. `flock_owner` holds a
    /// flock(2) lock that goes with it.
    fn release(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        flags: OpenFlags,
        flock_owner: Option<LockOwner>,
    ) -> FsResult<()> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_FSYNC`: what was written is on the disk.
    fn fsync(&self, ctx: &Context<'_>, ino: Ino, handle: Option<Handle>, scope: SyncScope) -> FsResult<()> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_FALLOCATE`: makes room, a hole, or zeros. `EOPNOTSUPP` for a mode that cannot be kept, `ENOSPC`, `EFBIG`.
    fn fallocate(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        mode: FallocateMode,
        offset: u64,
        len: u64,
    ) -> FsResult<()> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_LSEEK`: where data or a hole begins. `ENXIO` past the end of the file.
    fn lseek(&self, ctx: &Context<'_>, ino: Ino, handle: Option<Handle>, from: SeekFrom) -> FsResult<u64> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_COPY_FILE_RANGE`: copies up to `len` bytes between two open files of this filesystem, sharing blocks where that
    /// is possible, and answers how many. `ENOSYS` and `EOPNOTSUPP` make the kernel copy by reading and writing.
    fn copy_file_range(
        &self,
        ctx: &Context<'_>,
        from: (Ino, Option<Handle>, u64),
        to: (Ino, Option<Handle>, u64),
        len: u64,
    ) -> FsResult<u64> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_STATFS`: how large and how full the filesystem is.
    fn statfs(&self, ctx: &Context<'_>, ino: Ino) -> FsResult<StatFs> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_SYNCFS`: everything is on the disk.
    fn syncfs(&self, ctx: &Context<'_>, ino: Ino) -> FsResult<()> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_STATX`: as `getattr`, with the time of creation. `mask` is what is asked for (`STATX_*`), `sync` the
    /// `AT_STATX_*` flags. The kernel asks by `getattr` where this is `ENOSYS`.
    fn statx(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        sync: u32,
        mask: u32,
    ) -> FsResult<(Attr, Duration)> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_ACCESS`: whether access(2) would allow `mask`. Not asked where the kernel checks permissions itself.
    fn access(&self, ctx: &Context<'_>, ino: Ino, mask: u32) -> FsResult<()> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_SETXATTR`: sets an extended attribute. `EEXIST`, `ENODATA` by `flags`, `ENOTSUP`, `EPERM`, `ENOSPC`, `E2BIG`.
    fn setxattr(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        name: &OsStr,
        value: &[u8],
        flags: XattrFlags,
    ) -> FsResult<()> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_GETXATTR`: the value of an attribute, or its length where `size` is 0. `ENODATA`; `ERANGE` where it is longer.
    fn getxattr(&self, ctx: &Context<'_>, ino: Ino, name: &OsStr, size: u32) -> FsResult<XattrReply> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_LISTXATTR`: the names of all attributes, or how long that list is where `size` is 0. `ERANGE`.
    fn listxattr(&self, ctx: &Context<'_>, ino: Ino, size: u32) -> FsResult<XattrReply> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_REMOVEXATTR`: removes an attribute. `ENODATA`.
    fn removexattr(&self, ctx: &Context<'_>, ino: Ino, name: &OsStr) -> FsResult<()> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_OPENDIR`: opens a directory. `ENOSYS` means that opening needs no request.
    fn opendir(&self, ctx: &Context<'_>, ino: Ino, flags: OpenFlags) -> FsResult<Opened> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_READDIR`: gives the entries after `offset` (0: from the beginning, and read anew), "." and ".." among them, to
    /// `add` until it is full. An entry that is there during the whole listing is given exactly once.
    fn readdir(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        offset: u64,
        add: &mut AddEntry<'_>,
    ) -> FsResult<()> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_READDIRPLUS`: as `readdir`, with what `lookup` would give for each entry.
    fn readdirplus(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        offset: u64,
        add: &mut AddEntryPlus<'_>,
    ) -> FsResult<()> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_RELEASEDIR`: the last descriptor of an open directory is closed.
    fn releasedir(&self, ctx: &Context<'_>, ino: Ino, handle: Option<Handle>) -> FsResult<()> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_FSYNCDIR`: the entries of a directory are on the disk.
    fn fsyncdir(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        scope: SyncScope,
    ) -> FsResult<()> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_GETLK`: the lock of somebody else that is in `lock`'s way, or `lock` with [`LockKind::Unlocked`].
    ///
    /// [`LockKind::Unlocked`]: super::LockKind::Unlocked
    fn getlk(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        owner: LockOwner,
        lock: Lock,
    ) -> FsResult<Lock> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_SETLK`: takes or gives up a fcntl(2) lock. `EAGAIN` where somebody else holds it.
    fn setlk(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        owner: LockOwner,
        lock: Lock,
    ) -> FsResult<()> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_SETLKW`: as `setlk`, and waits. `EINTR` when the caller is interrupted; `EDEADLK` where it can be told.
    fn setlkw(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        owner: LockOwner,
        lock: Lock,
    ) -> FsResult<()> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_SETLK` with `FUSE_LK_FLOCK`: flock(2). `EAGAIN`, `EINTR`.
    fn flock(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        owner: LockOwner,
        operation: FlockOperation,
    ) -> FsResult<()> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_IOCTL`: `ENOTTY` for what is not known.
    fn ioctl(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        request: &IoctlRequest<'_>,
    ) -> FsResult<IoctlReply> {
        Err(Errno::ENOTTY)
    }

    /// `FUSE_POLL`: which of `events` (poll(2)) are so now. `ENOSYS`: the file is always ready.
    fn poll(&self, ctx: &Context<'_>, ino: Ino, handle: Option<Handle>, events: u32) -> FsResult<u32> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_BMAP`: the device's block of a file's block, for filesystems on block devices.
    fn bmap(&self, ctx: &Context<'_>, ino: Ino, block: u64, block_size: u32) -> FsResult<u64> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_SETUPMAPPING`: shows a piece of a file in a guest's memory (virtiofs DAX).
    fn setupmapping(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        range: DaxRange,
        mapper: &mut dyn DaxMapper,
    ) -> FsResult<()> {
        Err(Errno::ENOSYS)
    }

    /// `FUSE_REMOVEMAPPING`: ends that, for `(window_offset, len)` in bytes each.
    fn removemapping(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        ranges: &[(u64, u64)],
        mapper: &mut dyn DaxMapper,
    ) -> FsResult<()> {
        Err(Errno::ENOSYS)
    }

    /// The host's file behind an open file, for a server that lets the kernel read and write it directly
    /// (`FUSE_DEV_IOC_BACKING_OPEN`). `ENOSYS` where there is none, or where what is in it is not what is read.
    fn backing_file(&self, ino: Ino, handle: Option<Handle>) -> FsResult<OwnedFd> {
        Err(Errno::ENOSYS)
    }
}
