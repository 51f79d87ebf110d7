//! A tree of files that something else reads: the joint between what holds files and what writes images.
//!
//! A filesystem backend, a host directory or a stack of layers implements [`TreeSource`]; the ext4 writer
//! reads it. Neither knows the other.

use std::{io, ops::Range};

/// A file within one [`TreeSource`], chosen by the source.
///
/// Two entries with the same id are two names of one file (hard links). An id stays valid as long as the
/// source does, and means nothing to another source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeNodeId(pub u64);

/// One name in a directory and what it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeEntry {
    /// 1 to 255 bytes, without `/` and NUL; never `.` or `..`.
    pub name: Vec<u8>,
    /// The file.
    pub node: TreeNode,
}

/// What a file is, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeNode {
    /// Names this file in later calls.
    pub id: TreeNodeId,
    /// The type, and what belongs to it.
    pub kind: TreeNodeKind,
    /// Permissions with setuid, setgid and sticky: the low 12 bits of `st_mode`.
    pub permissions: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last read.
    pub accessed: TreeTime,
    /// Last write.
    pub modified: TreeTime,
    /// Last change of the attributes.
    pub changed: TreeTime,
    /// Birth, where it is known.
    pub created: Option<TreeTime>,
    /// What chattr(1) sets.
    pub flags: TreeFlags,
}

/// The type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TreeNodeKind {
    /// A regular file of `len` bytes.
    File {
        /// Size in bytes.
        len: u64,
    },
    /// A directory.
    Directory,
    /// A symbolic link, see [`TreeSource::target`].
    Symlink,
    /// A character device.
    CharDevice(TreeDevice),
    /// A block device.
    BlockDevice(TreeDevice),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// The number of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeDevice {
    /// Major number, 12 bits on Linux.
    pub major: u32,
    /// Minor number, 20 bits on Linux.
    pub minor: u32,
}

/// A moment, relative to 1970-01-01 00:00:00 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TreeTime {
    /// Whole seconds, rounded down; negative before 1970.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanoseconds: u32,
}

/// What chattr(1) sets on a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeFlags {
    /// `i`: cannot be changed.
    pub immutable: bool,
    /// `a`: can only be appended to.
    pub append_only: bool,
    /// `d`: dump(8) leaves it out.
    pub no_dump: bool,
    /// `A`: reading does not change the time of access.
    pub no_atime: bool,
}

/// An extended attribute, as getxattr(2) returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeXattr {
    /// With its prefix: `user.x`, `security.capability`, `system.posix_acl_access`.
    pub name: Vec<u8>,
    /// Any bytes.
    pub value: Vec<u8>,
}

/// A tree of files that can be read.
///
/// The reader asks for the root, lists directories from the top, and reads the content of files later, in the
/// order in which it was told of them. A source whose files change meanwhile may answer either state; one that
/// has fewer bytes than it said makes the reader fail, never fill up.
///
/// ```
/// use sandbox_types::{
///     TreeEntry, TreeFlags, TreeNode, TreeNodeId, TreeNodeKind, TreeSource, TreeTime, TreeXattr,
/// };
/// use std::io;
///
/// struct Empty;
///
/// impl TreeSource for Empty {
///     fn root(&self) -> io::Result<TreeNode> {
///         let (accessed, modified, changed) = <(TreeTime, TreeTime, TreeTime)>::default();
///         let (kind, flags) = (TreeNodeKind::Directory, TreeFlags::default());
///         let (permissions, uid, gid, created) = (0o755, 0, 0, None);
///         let id = TreeNodeId(0);
///         Ok(TreeNode { id, kind, permissions, uid, gid, accessed, modified, changed, created, flags })
///     }
///     fn list(&self, _: TreeNodeId) -> io::Result<Vec<TreeEntry>> { Ok(Vec::new()) }
///     fn target(&self, _: TreeNodeId) -> io::Result<Vec<u8>> { Err(io::ErrorKind::InvalidInput.into()) }
///     fn xattrs(&self, _: TreeNodeId) -> io::Result<Vec<TreeXattr>> { Ok(Vec::new()) }
///     fn read_at(&self, _: TreeNodeId, _: u64, _: &mut [u8]) -> io::Result<usize> { Ok(0) }
/// }
/// ```
pub trait TreeSource {
    /// The directory at the top.
    fn root(&self) -> io::Result<TreeNode>;

    /// What a directory holds, in any order, without `.` and `..`.
    fn list(&self, directory: TreeNodeId) -> io::Result<Vec<TreeEntry>>;

    /// Where a symbolic link points to: any bytes but NUL.
    fn target(&self, link: TreeNodeId) -> io::Result<Vec<u8>>;

    /// The extended attributes of a file, in any order, each name once.
    fn xattrs(&self, node: TreeNodeId) -> io::Result<Vec<TreeXattr>>;

    /// The parts of a file of `len` bytes that are not holes, ascending and apart from one another.
    ///
    /// All of it by default.
    fn data(&self, file: TreeNodeId, len: u64) -> io::Result<Vec<Range<u64>>> {
        let _ = file;
        Ok(std::iter::once(0..len).filter(|all| !all.is_empty()).collect())
    }

    /// Reads from a file at `offset`; fewer bytes than asked for are no error, none are its end.
    fn read_at(&self, file: TreeNodeId, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}
