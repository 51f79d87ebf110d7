//! What can be asked of a filesystem: operations on paths and on open files.

use std::ffi::{OsStr, OsString};

/// A path below the root of a case, `.` itself, with slashes between names. Links in it are not followed.
pub type Path = OsString;

/// Names an open file within a case.
pub type HandleName = u8;

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// mkdir(2).
    Mkdir(Path, u32),
    /// mknod(2) of a file, FIFO, socket or a device with number 0.
    Mknod(Path, NodeKind, u32),
    /// symlink(2): path, target.
    Symlink(Path, OsString),
    /// link(2).
    Link(Path, Path),
    /// unlink(2).
    Unlink(Path),
    /// rmdir(2).
    Rmdir(Path),
    /// renameat2(2).
    Rename(Path, Path, Renaming),
    /// open(2) with these flags, and this mode where it makes the file.
    Open(HandleName, Path, Opening, u32),
    /// `O_TMPFILE` in a directory, which can be linked unless it is exclusive.
    Tmpfile(HandleName, Path, Exclusive),
    /// linkat(2) of an open file.
    LinkHandle(HandleName, Path),
    /// close(2).
    Close(HandleName),
    /// pread(2): offset, length.
    Read(HandleName, u64, u64),
    /// pwrite(2) at an offset of a byte so many times.
    Write(HandleName, u64, u8, u64),
    /// truncate(2).
    Truncate(Path, u64),
    /// ftruncate(2).
    TruncateHandle(HandleName, u64),
    /// fallocate(2): mode, offset, length.
    Allocate(HandleName, Allocation, u64, u64),
    /// lseek(2) from an offset.
    Seek(HandleName, Whence, u64),
    /// copy_file_range(2): from, to, length.
    Copy((HandleName, u64), (HandleName, u64), u64),
    /// stat(2), without the times.
    Stat(Path),
    /// fstat(2).
    StatHandle(HandleName),
    /// Whether none, some or all of a file's bytes have blocks.
    Blocks(Path),
    /// chmod(2).
    Chmod(Path, u32),
    /// chown(2); `None` leaves it.
    Chown(Path, Option<u32>, Option<u32>),
    /// utimensat(2) of access and modification.
    Utimes(Path, Time, Time),
    /// The times as seconds and nanoseconds: access, modification.
    ShowTimes(Path),
    /// Remembers the times.
    Mark(Path),
    /// Which times are others than were remembered.
    Changed(Path),
    /// setxattr(2).
    SetXattr(Path, OsString, Vec<u8>, XattrMode),
    /// getxattr(2) with a buffer of this size.
    GetXattr(Path, OsString, u32),
    /// listxattr(2) with a buffer of this size; shown sorted, without what is not the case's.
    ListXattr(Path, u32),
    /// removexattr(2).
    RemoveXattr(Path, OsString),
    /// readlink(2).
    Readlink(Path),
    /// The names in a directory, sorted, with their types.
    List(Path),
    /// fcntl(2) locks, owned by the open file: start, length (0: to the end).
    Lock(HandleName, Locking, u64, u64),
    /// What is in the way of such a lock.
    GetLock(HandleName, Locking, u64, u64),
    /// flock(2), without waiting.
    Flock(HandleName, Locking),
}

/// What mknod(2) makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// A regular file.
    File,
    /// A FIFO.
    Fifo,
    /// A socket.
    Socket,
    /// The character device 0/0, which a plain user may make too.
    Whiteout,
}

/// Flags of renameat2(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Renaming {
    /// `RENAME_NOREPLACE`
    pub noreplace: bool,
    /// `RENAME_EXCHANGE`
    pub exchange: bool,
    /// `RENAME_WHITEOUT`
    pub whiteout: bool,
}

/// Flags of open(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Opening {
    /// Not `O_WRONLY`.
    pub read: bool,
    /// `O_WRONLY` or `O_RDWR`.
    pub write: bool,
    /// `O_CREAT`
    pub create: bool,
    /// `O_EXCL`
    pub exclusive: bool,
    /// `O_TRUNC`
    pub truncate: bool,
    /// `O_APPEND`
    pub append: bool,
    /// `O_NOATIME`
    pub noatime: bool,
}

/// Whether a temporary file can be linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exclusive {
    /// It can.
    No,
    /// `O_EXCL`
    Yes,
}

/// Modes of fallocate(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocation {
    /// Mode 0.
    Plain,
    /// `KEEP_SIZE`
    Keep,
    /// `PUNCH_HOLE | KEEP_SIZE`
    Punch,
    /// `PUNCH_HOLE` alone, which is an error.
    PunchAlone,
    /// `ZERO_RANGE`
    Zero,
    /// `ZERO_RANGE | KEEP_SIZE`
    ZeroKeep,
    /// `COLLAPSE_RANGE`
    Collapse,
    /// `INSERT_RANGE`
    Insert,
}

/// What is sought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whence {
    /// `SEEK_DATA`
    Data,
    /// `SEEK_HOLE`
    Hole,
}

/// A time to set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// `UTIME_OMIT`
    Omit,
    /// `UTIME_NOW`
    Now,
    /// Seconds and nanoseconds.
    At(i64, u32),
}

/// Flags of setxattr(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XattrMode {
    /// None.
    Set,
    /// `XATTR_CREATE`
    Create,
    /// `XATTR_REPLACE`
    Replace,
}

/// A kind of lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locking {
    /// For reading.
    Shared,
    /// For writing.
    Exclusive,
    /// None.
    Unlocked,
}

/// Directory and name of a path; `None` for the root of the case.
pub(super) fn split(path: &OsStr) -> Option<(Vec<&OsStr>, &OsStr)> {
    use std::os::unix::ffi::OsStrExt;
    if path == "." {
        return None;
    }
    let mut names: Vec<&OsStr> = path
        .as_bytes()
        .split(|byte| *byte == b'/')
        .map(OsStr::from_bytes)
        .collect();
    let last = names.pop()?;
    Some((names, last))
}
