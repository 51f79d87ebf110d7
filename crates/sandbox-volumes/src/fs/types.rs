//! What is known of files: plain data.

use std::ffi::OsString;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What kind of thing an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A pipe, socket or device.
    Special,
}

impl EntryKind {
    /// As it is written in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Link => "link",
            Self::Special => "special",
        }
    }
}

/// What is known of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileStat {
    /// What kind of thing it is.
    pub kind: EntryKind,
    /// Bytes in it.
    pub size: u64,
    /// Permissions, with the set-id bits.
    pub mode: u32,
    /// Its owner's number.
    pub uid: u32,
    /// Its group's number.
    pub gid: u32,
    /// Names it has.
    pub links: u64,
    /// When it was written.
    pub modified: SystemTime,
}

/// A name in a directory, and what it names; links are not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DirEntry {
    /// The name.
    pub name: OsString,
    /// What is known of it.
    pub stat: FileStat,
}

/// A moment as stat(2) has it; what cannot be said is 1970.
pub(super) fn time(seconds: i64, nanos: u64) -> SystemTime {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let base = if seconds < 0 {
        UNIX_EPOCH.checked_sub(whole)
    } else {
        UNIX_EPOCH.checked_add(whole)
    };
    let base = base.unwrap_or(UNIX_EPOCH);
    base.checked_add(Duration::from_nanos(nanos)).unwrap_or(base)
}
