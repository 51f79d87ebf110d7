//! Attributes of files and of whole filesystems.

use std::time::Duration;

use super::{Handle, Ino};

/// A moment since the epoch, as in statx(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp {
    /// Seconds, negative before 1970.
    pub seconds: i64,
    /// Nanoseconds on top of them, below 1,000,000,000.
    pub nanoseconds: u32,
}

/// What stat(2) and statx(2) say of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attr {
    /// The inode number that programs see (`st_ino`), which need not be the one that requests name.
    pub ino: u64,
    /// Bytes.
    pub size: u64,
    /// Allocated, in units of 512 bytes.
    pub blocks: u64,
    /// Last access.
    pub atime: Timestamp,
    /// Last change of the content.
    pub mtime: Timestamp,
    /// Last change of anything.
    pub ctime: Timestamp,
    /// Creation, where it is known.
    pub btime: Option<Timestamp>,
    /// Type and permission bits, as `st_mode`.
    pub mode: u32,
    /// Hard links.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Of a device node, as makedev(3) makes it; otherwise 0.
    pub rdev: u64,
    /// The preferred size of I/O, in bytes.
    pub blksize: u32,
}

impl Attr {
    /// Of something empty that is root's, with one name and no times. `mode` is the type and the permission bits, as `st_mode`.
    pub fn new(ino: u64, mode: u32) -> Self {
        Self {
            ino,
            mode,
            nlink: 1,
            ..Self::default()
        }
    }
}

/// An entry that was found or made. It holds one reference on `ino`, which [`forget`] gives back.
///
/// [`forget`]: super::DynFileSystem::forget
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// What requests name. 0 is the answer "there is nothing, and you may remember that" (a negative entry).
    pub ino: Ino,
    /// Together with `ino` unique for as long as the filesystem exists.
    pub generation: u64,
    /// Its attributes.
    pub attr: Attr,
    /// How long the kernel may believe `attr`.
    pub attr_timeout: Duration,
    /// How long the kernel may believe that the name leads here.
    pub entry_timeout: Duration,
}

impl Entry {
    /// What requests name by the number that programs see, and nothing of it may be believed: the kernel asks each time.
    pub fn new(attr: Attr) -> Self {
        Self {
            ino: attr.ino,
            generation: 0,
            attr,
            attr_timeout: Duration::ZERO,
            entry_timeout: Duration::ZERO,
        }
    }
}

/// What a change of attributes asks for: what is `None` stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SetAttr {
    /// Permission bits (with setuid, setgid, sticky).
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// A new length in bytes.
    pub size: Option<u64>,
    /// Last access.
    pub atime: Option<SetTime>,
    /// Last change of the content.
    pub mtime: Option<SetTime>,
    /// Last change of anything; sent by a kernel that caches writes.
    pub ctime: Option<Timestamp>,
    /// The open file through which it is asked (ftruncate(2), fchmod(2)), where the kernel says so.
    pub handle: Option<Handle>,
    /// setuid and setgid bits and file capabilities must go (`FATTR_KILL_SUIDGID`).
    pub kill_privileges: bool,
}

/// A moment to set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetTime {
    /// The moment at which it is carried out.
    Now,
    /// This one.
    At(Timestamp),
}

/// What statvfs(3) says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StatFs {
    /// Size in units of `fragment_size`.
    pub blocks: u64,
    /// Free blocks.
    pub blocks_free: u64,
    /// Free blocks for users without privileges.
    pub blocks_available: u64,
    /// Inodes.
    pub files: u64,
    /// Free inodes.
    pub files_free: u64,
    /// The preferred size of I/O, in bytes.
    pub block_size: u32,
    /// The longest name, in bytes.
    pub name_max: u32,
    /// The unit of blocks, in bytes.
    pub fragment_size: u32,
}
