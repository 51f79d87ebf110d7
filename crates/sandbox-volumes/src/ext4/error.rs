//! What can go wrong while a disk is made.

use std::{io, path::PathBuf};

/// Why a disk was not made. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// Not even empty directories fit.
    #[error("size of {bytes} bytes is too small for this block size, journal and number of inodes")]
    TooSmall {
        /// What was asked for.
        bytes: u64,
    },
    /// Larger than ext4 can be with this block size.
    #[error("size of {bytes} bytes is more than 2^32 - 1 blocks of {block_size} bytes")]
    TooLarge {
        /// What was asked for, or what the tree needs.
        bytes: u64,
        /// Bytes of a block.
        block_size: u32,
    },
    /// More inodes than the groups can have.
    #[error("{inodes} inodes are more than a disk of {bytes} bytes can have")]
    TooManyInodes {
        /// What was asked for, or what the tree needs.
        inodes: u64,
        /// The size of the disk.
        bytes: u64,
    },
    /// The tree has more files than were asked for.
    #[error("the tree has {needed} files and directories, but {inodes} inodes were asked for")]
    TooFewInodes {
        /// Files and directories of the tree.
        needed: u64,
        /// The count in the options.
        inodes: u64,
    },
    /// The tree does not fit.
    #[error("the tree needs at least {missing} bytes more than the disk has")]
    NoSpace {
        /// At least so many bytes more.
        missing: u64,
    },
    /// The journal is larger than half of the disk.
    #[error("journal of {journal} blocks: the disk has {blocks}")]
    JournalTooLarge {
        /// Blocks of the journal.
        journal: u32,
        /// Blocks of the disk.
        blocks: u64,
    },
    /// A file of the tree could not be read.
    #[error("{path}: cannot be read", path = .path.display())]
    Source {
        /// Relative to the root of the tree.
        path: PathBuf,
        /// What the source says.
        #[source]
        source: io::Error,
    },
    /// A file of the tree has become shorter while it was read.
    #[error("{path}: became shorter while it was read", path = .path.display())]
    Changed {
        /// Relative to the root of the tree.
        path: PathBuf,
    },
    /// A name that no directory can hold.
    #[error("{path}: a name has 1 to 255 bytes, no slash and no NUL, and is there once", path = .path.display())]
    Name {
        /// Relative to the root of the tree.
        path: PathBuf,
    },
    /// A directory that is in two places, or an id that means two kinds of files.
    #[error("{path}: a directory can be in one place only", path = .path.display())]
    LinkedDirectory {
        /// Relative to the root of the tree.
        path: PathBuf,
    },
    /// The root of the tree is a file.
    #[error("the root of the tree is not a directory")]
    RootIsNoDirectory,
    /// More names of one file than ext4 counts.
    #[error("{path}: {links} hard links, ext4 counts 65000", path = .path.display())]
    TooManyLinks {
        /// Relative to the root of the tree.
        path: PathBuf,
        /// Names that the file has.
        links: u32,
    },
    /// A file larger than ext4 can hold with this block size.
    #[error("{path}: {len} bytes are more than 2^32 - 1 blocks", path = .path.display())]
    FileTooLarge {
        /// Relative to the root of the tree.
        path: PathBuf,
        /// Its size.
        len: u64,
    },
    /// A symbolic link whose target does not fit into a block.
    #[error("{path}: the target of a link has 1 to {most} bytes, this one {len}", path = .path.display())]
    LinkTarget {
        /// Relative to the root of the tree.
        path: PathBuf,
        /// Bytes that it has.
        len: usize,
        /// Bytes that fit.
        most: usize,
    },
    /// An extended attribute that ext4 has no place for.
    #[error("{path}: xattr {name:?} has no place", path = .path.display())]
    Xattr {
        /// Relative to the root of the tree.
        path: PathBuf,
        /// With its prefix.
        name: String,
        /// What stands against it.
        #[source]
        reason: XattrRefused,
    },
    /// A device number that ext4 cannot hold.
    #[error("{path}: device {major}:{minor} is out of range", path = .path.display())]
    Device {
        /// Relative to the root of the tree.
        path: PathBuf,
        /// At most 4095.
        major: u32,
        /// At most 1,048,575.
        minor: u32,
    },
    /// The image could not be created, written, synced or renamed.
    #[error("{step} {path}", path = .path.display())]
    Image {
        /// What was tried.
        step: &'static str,
        /// The image.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The device could not be written.
    #[error("write the image")]
    Write(#[source] io::Error),
}

/// Why an extended attribute cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum XattrRefused {
    /// Names start with user., trusted., security. or system. and go on.
    #[error("ext4 has no number for its prefix")]
    Prefix,
    /// More than 255 bytes.
    #[error("its name is longer than 255 bytes")]
    NameTooLong,
    /// All attributes of a file go into its inode and one block.
    #[error("the attributes of a file have room in its inode and one block")]
    NoRoom,
    /// Not what setfacl(1) would have written.
    #[error("it is no POSIX ACL of version 2")]
    Acl,
    /// The same name twice.
    #[error("it is there twice")]
    Twice,
}
