//! What can be wrong with a disk.

use std::io;

/// Why a disk could not be checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// No superblock of ext4.
    #[error("this is no ext4 file system")]
    NotExt4,
    /// Sizes that no file system has, or more than there are bytes.
    #[error("the superblock is damaged: {field} is {value}")]
    Superblock {
        /// Its name in the kernel's documentation.
        field: &'static str,
        /// What it is.
        value: u64,
    },
    /// Features that this version does not check.
    #[error(
        "features are not supported: {compat:#x} (compatible), {incompat:#x}, {ro_compat:#x} (read-only)"
    )]
    Unsupported {
        /// Of `s_feature_compat`, what is unknown.
        compat: u32,
        /// Of `s_feature_incompat`, what is unknown or missing.
        incompat: u32,
        /// Of `s_feature_ro_compat`, what is unknown or missing.
        ro_compat: u32,
    },
    /// The disk could not be read.
    #[error("read the disk")]
    Read(#[from] io::Error),
}

/// What a check has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckReport {
    /// The first hundred problems.
    pub problems: Vec<CheckProblem>,
    /// How many more there are.
    pub more: u64,
    /// Files of all types that are in use, reserved ones included.
    pub inodes: u64,
    /// Directories.
    pub directories: u64,
    /// Blocks that are in use.
    pub used_blocks: u64,
}

impl CheckReport {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages say it")]
pub enum CheckProblem {
    #[error("superblock: {0}")]
    Superblock(SuperblockFault),
    #[error("group {group}: {fault}")]
    Group { group: u32, fault: GroupFault },
    #[error("inode {inode}: {fault}")]
    Inode { inode: u32, fault: InodeFault },
    #[error("directory {inode}, block {block}: {fault}")]
    Directory {
        inode: u32,
        block: u32,
        fault: DirectoryFault,
    },
}

/// Of the superblock.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages say it")]
pub enum SuperblockFault {
    #[error("wrong checksum")]
    Checksum,
    #[error("not unmounted cleanly, or errors were found")]
    NotClean,
    #[error("the journal has to be replayed")]
    NeedsRecovery,
    #[error("files are to be removed at the next mount")]
    Orphans,
    #[error("the copy in group {0} is damaged or of another file system")]
    Copy(u32),
    #[error("{stored} free blocks, counted {counted}")]
    FreeBlocks { stored: u64, counted: u64 },
    #[error("{stored} free inodes, counted {counted}")]
    FreeInodes { stored: u64, counted: u64 },
    #[error("the journal's superblock is damaged")]
    Journal,
}

/// Of a group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages say it")]
pub enum GroupFault {
    #[error("wrong checksum of the descriptor")]
    Checksum,
    #[error("tables outside of the disk")]
    OutOfRange,
    #[error("tables where something else is")]
    Overlap,
    #[error("wrong checksum of the block bitmap")]
    BlockBitmapChecksum,
    #[error("wrong checksum of the inode bitmap")]
    InodeBitmapChecksum,
    #[error("the block bitmap is not what is in use")]
    BlockBitmap,
    #[error("inodes are in use behind what the descriptor says")]
    UnusedInodes,
    #[error("{stored} free blocks, counted {counted}")]
    FreeBlocks { stored: u32, counted: u32 },
    #[error("{stored} free inodes, counted {counted}")]
    FreeInodes { stored: u32, counted: u32 },
    #[error("{stored} directories, counted {counted}")]
    Directories { stored: u32, counted: u32 },
}

/// Of an inode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages say it")]
pub enum InodeFault {
    #[error("wrong checksum")]
    Checksum,
    #[error("unknown type in mode {0:#o}")]
    Mode(u16),
    #[error("in the bitmap, but not in use")]
    NotInUse,
    #[error("in use, but not in the bitmap")]
    NotInBitmap,
    #[error("flags {0:#x} are not supported")]
    Flags(u32),
    #[error("damaged extent tree")]
    ExtentTree,
    #[error("wrong checksum of block {0} of the extent tree")]
    ExtentChecksum(u64),
    #[error("block {0} is outside of the disk or used by something else")]
    Block(u64),
    #[error("{stored} sectors, counted {counted}")]
    Sectors { stored: u64, counted: u64 },
    #[error("size of {0} bytes does not fit to the content")]
    Size(u64),
    #[error("damaged xattrs")]
    Xattrs,
    #[error("wrong checksum of the block of xattrs")]
    XattrChecksum,
    #[error("{stored} links, counted {counted}")]
    Links { stored: u16, counted: u32 },
    #[error("the root directory is missing")]
    NoRoot,
    #[error("cannot be reached from the root")]
    Unconnected,
    #[error("`..` leads to inode {0}")]
    Dots(u32),
}

/// Of a block of a directory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages say it")]
pub enum DirectoryFault {
    #[error("wrong checksum")]
    Checksum,
    #[error("damaged entries")]
    Entries,
    #[error("`.` or `..` is missing or wrong")]
    Dots,
    #[error("an entry leads to inode {0}, which is not in use")]
    NotInUse(u32),
    #[error("the type of the entry for inode {0} is wrong")]
    FileType(u32),
    #[error("an entry with a bad name")]
    Name,
    #[error("a second name of directory {0}")]
    LinkedDirectory(u32),
    #[error("damaged index")]
    Index,
    #[error("a name where its hash does not belong")]
    Hash,
    #[error("a hole")]
    Hole,
}
