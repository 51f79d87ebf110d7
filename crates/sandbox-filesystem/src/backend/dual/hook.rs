//! What policies and hooks are told.

use std::path::Path;

use super::policy::Plan;
use crate::fs::{Errno, FsResult};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// A name is looked up.
    Lookup,
    /// Attributes are read.
    GetAttr,
    /// Attributes are changed.
    SetAttr,
    /// The target of a symbolic link is read.
    ReadLink,
    /// A symbolic link is made.
    Symlink,
    /// A file, FIFO, socket or device is made.
    MakeNode,
    /// A directory is made.
    MakeDirectory,
    /// A name is removed.
    Unlink,
    /// A directory is removed.
    RemoveDirectory,
    /// A name moves.
    Rename,
    /// A file gets another name.
    Link,
    /// A file is opened, to be read alone.
    Open,
    /// A file is opened, to be written, or emptied.
    OpenForWriting,
    /// A file is made, or opened where it is there.
    Create,
    /// A file without a name is made.
    TemporaryFile,
    /// Bytes are read.
    Read,
    /// Bytes are written.
    Write,
    /// What was written goes to the disk.
    Sync,
    /// Room, holes or zeros are made.
    Allocate,
    /// Data or a hole is looked for.
    Seek,
    /// Bytes are copied to this file.
    Copy,
    /// A directory is opened.
    OpenDirectory,
    /// A directory is listed.
    List,
    /// An extended attribute is set.
    SetXattr,
    /// An extended attribute is read.
    GetXattr,
    /// Extended attributes are listed.
    ListXattr,
    /// An extended attribute is removed.
    RemoveXattr,
    /// A lock is asked for, taken or given up.
    Lock,
    /// Permissions are asked for.
    Access,
    /// How large and how full it is.
    StatFs,
}

impl Operation {
    /// Whether it changes something when it succeeds, or may do so ([`Create`](Self::Create)).
    pub fn changes(self) -> bool {
        matches!(
            self,
            Self::SetAttr
                | Self::Symlink
                | Self::MakeNode
                | Self::MakeDirectory
                | Self::Unlink
                | Self::RemoveDirectory
                | Self::Rename
                | Self::Link
                | Self::OpenForWriting
                | Self::Create
                | Self::TemporaryFile
                | Self::Write
                | Self::Allocate
                | Self::Copy
                | Self::SetXattr
                | Self::RemoveXattr
        )
    }
}

/// A request, as plain data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request<'a> {
    /// What is asked for.
    pub operation: Operation,
    /// The path from the root, without a slash at its beginning; empty for the root. None for a file without a name.
    pub path: Option<&'a Path>,
    /// The other path of a rename or link.
    pub new_path: Option<&'a Path>,
    /// The caller's user id.
    pub uid: u32,
    /// The caller's group id.
    pub gid: u32,
    /// The caller's thread id; 0 where it is not known.
    pub pid: u32,
}

/// Watches requests, and may deny them.
///
/// Called with no lock held, by many threads at once, in the order in which hooks were given to the builder. What ends
/// something (forget, flush, release) is not asked about, since it cannot be denied.
pub trait Hook: Send + Sync {
    /// Before it is decided how the request is carried out. An error is its answer.
    fn before_plan(&self, request: &Request<'_>) -> FsResult<()> {
        let _ = request;
        Ok(())
    }

    /// When that is decided, before anything is done. An error is the request's answer.
    fn before_dispatch(&self, request: &Request<'_>, plan: &Plan) -> FsResult<()> {
        let _ = (request, plan);
        Ok(())
    }

    /// When it is done, or was denied by a hook or by the plan (then `plan` is none where there was no plan yet).
    fn after(&self, request: &Request<'_>, plan: Option<&Plan>, outcome: Result<(), Errno>) {
        let _ = (request, plan, outcome);
    }
}
