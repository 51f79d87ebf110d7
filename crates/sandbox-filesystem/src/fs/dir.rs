//! Entries of a directory, handed over one by one.

use std::ffi::OsStr;

use super::{Entry, FsResult};

/// An entry of a directory that is listed.
#[derive(Debug, Clone, Copy)]
pub struct DirEntry<'a> {
    /// The inode number that programs see (`d_ino`).
    pub ino: u64,
    /// Where a later call goes on *after* this entry. Not 0, and valid for as long as the handle is open.
    pub next_offset: u64,
    /// The type, as `d_type`: `DT_DIR` and so on; `DT_UNKNOWN` where it is not known.
    pub kind: u8,
    /// The name, without a slash or a zero byte.
    pub name: &'a OsStr,
}

/// Whether there was room for an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Fit {
    /// It was taken.
    Taken,
    /// There was no room: the listing ends before it.
    Full,
}

/// Takes the entries of `readdir`.
pub type AddEntry<'a> = dyn FnMut(DirEntry<'_>) -> FsResult<Fit> + 'a;

/// Takes the entries of `readdirplus`. The second argument is called only when there is room, so an [`Entry`] is
/// looked up, and its reference taken, only for what the kernel gets to know of. "." and ".." have none.
pub type AddEntryPlus<'a> =
    dyn FnMut(DirEntry<'_>, &mut dyn FnMut() -> FsResult<Option<Entry>>) -> FsResult<Fit> + 'a;
