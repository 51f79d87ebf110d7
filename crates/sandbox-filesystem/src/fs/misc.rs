//! What single operations take and give.

use std::os::fd::BorrowedFd;

use super::{Entry, FsResult, OpenFlags, OpenReplyFlags};

/// The number by which requests name a file. Chosen by the filesystem; not what programs see.
pub type Ino = u64;

/// The root of every filesystem (`FUSE_ROOT_ID`). It is never forgotten.
pub const ROOT_INO: Ino = 1;

/// The number of an open file or directory. Chosen by the filesystem; any but `u64::MAX`.
pub type Handle = u64;

/// An opened file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Opened {
    /// Its number; `None` where the filesystem needs none.
    pub handle: Option<Handle>,
    /// How the kernel shall treat it.
    pub flags: OpenReplyFlags,
}

impl Opened {
    /// A file that needs no number, read and written past the page cache, which would go by the size.
    pub fn uncached() -> Self {
        Self {
            handle: None,
            flags: OpenReplyFlags::DIRECT_IO,
        }
    }
}

/// A file that was made and opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Created {
    /// The entry.
    pub entry: Entry,
    /// The open file.
    pub opened: Opened,
}

/// What a read asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadRequest {
    /// From where, in bytes.
    pub offset: u64,
    /// How many bytes.
    pub size: u32,
    /// The flags that the file is open with now (fcntl(2) may have changed some).
    pub flags: OpenFlags,
}

/// What a write asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteRequest {
    /// Where to, in bytes. With `APPEND` in `flags` the end of the file, unless the kernel caches writes.
    pub offset: u64,
    /// How many bytes.
    pub size: u32,
    /// The flags that the file is open with now.
    pub flags: OpenFlags,
    /// It comes from the kernel's cache, for nobody in particular (`FUSE_WRITE_CACHE`).
    pub delayed: bool,
    /// setuid and setgid bits and file capabilities must go (`FUSE_WRITE_KILL_SUIDGID`).
    pub kill_privileges: bool,
}

/// How much of a file must be on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncScope {
    /// The content, and what is needed to read it again (fdatasync(2)).
    Data,
    /// All of it (fsync(2)).
    Everything,
}

/// The answer to a request for extended attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum XattrReply {
    /// The value, or names that each end with a zero byte. At most as long as was asked for.
    Data(Vec<u8>),
    /// How long it is, in bytes: the answer where a size of 0 was asked for. Exactly what a call with room enough
    /// would give.
    Size(u32),
}

/// What lseek(2) is asked that the kernel cannot answer itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeekFrom {
    /// The next byte at or after an offset that is data (`SEEK_DATA`).
    Data(u64),
    /// The next one in a hole, or the end of the file (`SEEK_HOLE`).
    Hole(u64),
}

/// A call of ioctl(2) whose sizes are encoded in its number.
#[derive(Debug, Clone, Copy)]
pub struct IoctlRequest<'a> {
    /// `FUSE_IOCTL_*` flags, as the kernel sent them.
    pub flags: u32,
    /// The number of the request.
    pub command: u32,
    /// The argument, where it is no address.
    pub argument: u64,
    /// What the caller gives.
    pub data: &'a [u8],
    /// How much the caller takes, in bytes.
    pub output_size: u32,
}

/// What ioctl(2) returns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IoctlReply {
    /// The result of the call.
    pub result: i32,
    /// What the caller gets, at most `output_size` bytes.
    pub data: Vec<u8>,
}

/// A piece of a file that a guest wants to see in its memory (virtiofs DAX).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DaxRange {
    /// Where in the file, in bytes.
    pub file_offset: u64,
    /// How long, in bytes.
    pub len: u64,
    /// Where in the window of memory that the guest sees.
    pub window_offset: u64,
    /// Whether the guest may write there.
    pub writable: bool,
}

/// Maps pieces of files into the memory of a guest.
pub trait DaxMapper {
    /// Makes this piece of `file` visible.
    fn map(&mut self, file: BorrowedFd<'_>, range: DaxRange) -> FsResult<()>;

    /// Makes `len` bytes at `window_offset` vanish.
    fn unmap(&mut self, window_offset: u64, len: u64) -> FsResult<()>;
}
