//! Sets of flags, with the kernel's numbers.

use bitflags::bitflags;

bitflags! {
    /// Flags of open(2), with the numbers of Linux on this architecture. Unknown ones are kept.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct OpenFlags: u32 {
        /// For writing only; with neither this nor `RDWR` for reading only.
        const WRONLY = libc::O_WRONLY.cast_unsigned();
        /// For reading and writing.
        const RDWR = libc::O_RDWR.cast_unsigned();
        /// The file must not be there yet.
        const EXCL = libc::O_EXCL.cast_unsigned();
        /// What is in it goes.
        const TRUNC = libc::O_TRUNC.cast_unsigned();
        /// Every write goes to the end.
        const APPEND = libc::O_APPEND.cast_unsigned();
        /// Do not wait.
        const NONBLOCK = libc::O_NONBLOCK.cast_unsigned();
        /// Past the page cache.
        const DIRECT = libc::O_DIRECT.cast_unsigned();
        /// Every write is on the disk when it returns.
        const DSYNC = libc::O_DSYNC.cast_unsigned();
        /// It must be a directory.
        const DIRECTORY = libc::O_DIRECTORY.cast_unsigned();
        /// It must not be a link.
        const NOFOLLOW = libc::O_NOFOLLOW.cast_unsigned();
        /// The time of access stays.
        const NOATIME = libc::O_NOATIME.cast_unsigned();
        const _ = !0;
    }

    /// How the kernel shall treat an open file or directory (`FOPEN_*`).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct OpenReplyFlags: u32 {
        /// Past the page cache.
        const DIRECT_IO = 1 << 0;
        /// What the page cache has of the file is still so.
        const KEEP_CACHE = 1 << 1;
        /// There are no positions in it.
        const NONSEEKABLE = 1 << 2;
        /// The listing of the directory may be remembered.
        const CACHE_DIR = 1 << 3;
        /// Read and written as a stream.
        const STREAM = 1 << 4;
        /// There is nothing to flush on close(2).
        const NOFLUSH = 1 << 5;
        /// Writes past the page cache may come at the same time.
        const PARALLEL_DIRECT_WRITES = 1 << 6;
    }

    /// What the kernel and a filesystem agree on when it is mounted (`FUSE_*` flags of `FUSE_INIT`).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct Capabilities: u64 {
        /// Several reads of one file at the same time.
        const ASYNC_READ = 1 << 0;
        /// fcntl(2) locks come to the filesystem; otherwise the kernel keeps them for this mount alone.
        const POSIX_LOCKS = 1 << 1;
        /// `O_TRUNC` comes with the open instead of as a change of attributes before it.
        const ATOMIC_O_TRUNC = 1 << 3;
        /// The filesystem has file handles that stay valid (`EXPORT_SUPPORT`), with "." and ".." looked up.
        const EXPORT_SUPPORT = 1 << 4;
        /// Writes larger than a page.
        const BIG_WRITES = 1 << 5;
        /// The kernel leaves the mode as it is and sends the umask along.
        const DONT_MASK = 1 << 6;
        /// flock(2) locks come to the filesystem.
        const FLOCK_LOCKS = 1 << 10;
        /// The kernel drops the data of a file whose size or time of change is another than it knew.
        const AUTO_INVAL_DATA = 1 << 12;
        /// Entries and their attributes in one listing.
        const READDIRPLUS = 1 << 13;
        /// The kernel decides when a listing shall have attributes.
        const READDIRPLUS_AUTO = 1 << 14;
        /// Direct I/O may be asynchronous.
        const ASYNC_DIO = 1 << 15;
        /// The kernel collects writes and keeps times and sizes itself.
        const WRITEBACK_CACHE = 1 << 16;
        /// Opening files needs no request: the first `ENOSYS` ends it.
        const NO_OPEN_SUPPORT = 1 << 17;
        /// Lookups and listings of one directory at the same time.
        const PARALLEL_DIROPS = 1 << 18;
        /// The filesystem clears setuid and setgid bits on write, truncate and chown.
        const HANDLE_KILLPRIV = 1 << 19;
        /// ACLs are enforced by the kernel, and kept by the filesystem.
        const POSIX_ACL = 1 << 20;
        /// Requests may be longer than 32 pages.
        const MAX_PAGES = 1 << 22;
        /// Targets of symbolic links are remembered.
        const CACHE_SYMLINKS = 1 << 23;
        /// Opening directories needs no request.
        const NO_OPENDIR_SUPPORT = 1 << 24;
        /// Data is dropped only when the filesystem says so.
        const EXPLICIT_INVAL_DATA = 1 << 25;
        /// The kernel says when setuid and setgid bits must go; otherwise they stay.
        const HANDLE_KILLPRIV_V2 = 1 << 28;
        /// Files of a guest can be mapped into its memory.
        const MAP_ALIGNMENT = 1 << 26;
        /// Submounts are announced.
        const SUBMOUNTS = 1 << 27;
        /// Files past the page cache can be mapped shared (`FUSE_DIRECT_IO_ALLOW_MMAP`).
        const DIRECT_IO_ALLOW_MMAP = 1 << 36;
    }

    /// Flags of renameat2(2).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct RenameFlags: u32 {
        /// The new name must not be there yet.
        const NOREPLACE = libc::RENAME_NOREPLACE;
        /// Both names swap what they lead to.
        const EXCHANGE = libc::RENAME_EXCHANGE;
        /// A whiteout is left at the old name.
        const WHITEOUT = libc::RENAME_WHITEOUT;
    }

    /// Flags of setxattr(2).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct XattrFlags: u32 {
        /// The attribute must not be there yet.
        const CREATE = libc::XATTR_CREATE.cast_unsigned();
        /// It must be there.
        const REPLACE = libc::XATTR_REPLACE.cast_unsigned();
        /// Not of setxattr(2): an ACL is set by somebody who may not keep the setgid bit, so it goes
        /// (`FUSE_SETXATTR_ACL_KILL_SGID`). Sent only where [`Capabilities::POSIX_ACL`] was agreed on.
        const KILL_SGID = 1 << 31;
    }

    /// Modes of fallocate(2).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct FallocateMode: u32 {
        /// The size stays.
        const KEEP_SIZE = libc::FALLOC_FL_KEEP_SIZE.cast_unsigned();
        /// A hole is made.
        const PUNCH_HOLE = libc::FALLOC_FL_PUNCH_HOLE.cast_unsigned();
        /// The range goes, and what follows moves.
        const COLLAPSE_RANGE = libc::FALLOC_FL_COLLAPSE_RANGE.cast_unsigned();
        /// The range reads as zeros.
        const ZERO_RANGE = libc::FALLOC_FL_ZERO_RANGE.cast_unsigned();
        /// A range is inserted, and what follows moves.
        const INSERT_RANGE = libc::FALLOC_FL_INSERT_RANGE.cast_unsigned();
        /// Shared blocks are made its own.
        const UNSHARE_RANGE = libc::FALLOC_FL_UNSHARE_RANGE.cast_unsigned();
    }
}

impl Capabilities {
    /// What costs a filesystem nothing, and makes it faster.
    pub const USUAL: Self = Self::ASYNC_READ
        .union(Self::ASYNC_DIO)
        .union(Self::AUTO_INVAL_DATA)
        .union(Self::BIG_WRITES)
        .union(Self::MAX_PAGES)
        .union(Self::PARALLEL_DIROPS);
}

impl OpenFlags {
    /// Whether what is opened can be read.
    pub fn reads(self) -> bool {
        !self.contains(Self::WRONLY)
    }

    /// Whether what is opened can be written.
    pub fn writes(self) -> bool {
        self.intersects(Self::WRONLY | Self::RDWR)
    }
}
