//! Who carries operations out, and how what came of them is shown.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;

use super::op::{HandleName, Op};
use crate::fs::{Errno, FsResult, Timestamp};

/// Carries operations out, in a directory of its own.
pub trait Subject {
    /// What came of it, or the error. Two subjects that did the same give the same text.
    fn apply(&mut self, step: &Op) -> Result<String, Errno>;
}

/// What stat(2) says and filesystems agree about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) mode: u32,
    pub(super) nlink: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    pub(super) blocks: u64,
    pub(super) rdev: u64,
}

/// Access, modification, change.
pub(super) type Times = [Timestamp; 3];

impl Shown {
    /// The size of a directory is the filesystem's own business.
    pub(super) fn stat(&self) -> String {
        let kind = kind_name(self.mode);
        let size = if kind == "directory" { 0 } else { self.size };
        let Self {
            nlink,
            uid,
            gid,
            rdev,
            ..
        } = self;
        format!(
            "{kind} {:o} nlink {nlink} owner {uid}:{gid} size {size} rdev {rdev}",
            self.mode & 0o7777
        )
    }

    /// How much of it has blocks of its own.
    pub(super) fn blocks(&self) -> String {
        let text = match self.blocks * 512 {
            0 => "none",
            bytes if bytes >= self.size => "all",
            _ => "some",
        };
        text.to_owned()
    }
}

/// The name of a type.
pub(super) fn kind_name(mode: u32) -> &'static str {
    match mode & libc::S_IFMT {
        libc::S_IFREG => "file",
        libc::S_IFDIR => "directory",
        libc::S_IFLNK => "link",
        libc::S_IFIFO => "fifo",
        libc::S_IFSOCK => "socket",
        libc::S_IFCHR => "character device",
        libc::S_IFBLK => "block device",
        _ => "unknown",
    }
}

/// The name of a type in a directory.
pub(super) fn entry_kind(kind: u8) -> &'static str {
    kind_name(u32::from(kind) << 12)
}

/// Runs of equal bytes.
pub(super) fn show_bytes(bytes: &[u8]) -> String {
    let mut text = format!("{} bytes:", bytes.len());
    for run in bytes.chunk_by(|one, next| one == next) {
        if let Some(byte) = run.first() {
            // Writing to a string cannot fail.
            let _ = write!(text, " {:?}*{}", char::from(*byte), run.len());
        }
    }
    text
}

/// Names with types, sorted.
pub(super) fn show_names(mut names: Vec<(OsString, &'static str)>) -> String {
    names.sort();
    names
        .iter()
        .map(|(name, kind)| format!("{}:{kind}", name.as_bytes().escape_ascii()))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Attributes of the test itself, out of a list in which each name ends with a zero byte.
pub(super) fn show_xattrs(list: &[u8]) -> String {
    let mut names: Vec<String> = list
        .split(|byte| *byte == 0)
        .filter(|name| name.starts_with(b"user.t"))
        .map(|name| name.escape_ascii().to_string())
        .collect();
    names.sort();
    names.join(" ")
}

/// Which of the times differ.
pub(super) fn show_changed(before: &Times, now: &Times) -> String {
    let names = ["atime", "mtime", "ctime"];
    let changed = before
        .iter()
        .zip(now)
        .zip(names)
        .filter(|((before, now), _)| before != now);
    changed.map(|(_, name)| name).collect::<Vec<_>>().join(" ")
}

pub(super) fn show_times(times: &Times) -> String {
    let [atime, mtime, _] = times;
    format!(
        "{}.{} {}.{}",
        atime.seconds, atime.nanoseconds, mtime.seconds, mtime.nanoseconds
    )
}

/// Times by path.
#[derive(Debug, Default)]
pub(super) struct Marks(BTreeMap<OsString, Times>);

impl Marks {
    pub(super) fn set(&mut self, path: &OsStr, times: Times) {
        self.0.insert(path.to_owned(), times);
    }

    pub(super) fn changed(&self, path: &OsStr, now: &Times) -> String {
        self.0
            .get(path)
            .map_or_else(|| "not marked".to_owned(), |before| show_changed(before, now))
    }
}

/// Open files by name.
#[derive(Debug)]
pub(super) struct Handles<T>(BTreeMap<HandleName, T>);

impl<T> Default for Handles<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Handles<T> {
    /// `EBADF` where it is not open.
    pub(super) fn get(&self, name: HandleName) -> FsResult<&T> {
        self.0.get(&name).ok_or(Errno::EBADF)
    }

    /// What had the name before.
    pub(super) fn insert(&mut self, name: HandleName, handle: T) -> Option<T> {
        self.0.insert(name, handle)
    }

    pub(super) fn remove(&mut self, name: HandleName) -> FsResult<T> {
        self.0.remove(&name).ok_or(Errno::EBADF)
    }

    pub(super) fn take_all(&mut self) -> Vec<T> {
        std::mem::take(&mut self.0).into_values().collect()
    }
}
