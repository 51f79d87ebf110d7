//! Reads a whole disk and says what is wrong with it. Writes nothing.
//!
//! Checked is what this crate relies on: superblock, descriptors, bitmaps, inodes, extent trees, directories with
//! their indexes, xattrs, counts and all checksums. It is not e2fsck: features that this crate does not write are
//! refused, not guessed.
//!
//! Memory is bounded by one bit a block (512 MiB for 16 TiB, less where groups are untouched) and about 40 bytes
//! an inode in use.

mod blocks;
mod connect;
mod counts;
mod dirents;
mod entries;
mod extents;
mod index;
mod inodes;
mod open;
mod problem;
mod reader;
mod xattrs;

pub(crate) use open::{features, geometry};
pub use problem::{
    CheckError, CheckProblem, CheckReport, DirectoryFault, GroupFault, InodeFault, SuperblockFault,
};

use std::{
    collections::HashMap,
    io::{Read, Seek},
};

use super::disk::{group::GroupDescriptor, superblock::Superblock};
use blocks::Blocks;
use reader::Reader;

/// Problems that are kept; the others are counted.
const KEPT: usize = 100;

/// Checks the disk that `reader` holds.
///
/// `Ok` with problems is a disk that is damaged; an error is one that could not be checked.
///
/// ```
/// use sandbox_types::SizeExt;
/// use sandbox_volumes::ext4::{self, Ext4FormatOptions, Size, Source};
///
/// let options = Ext4FormatOptions::builder(Size::Bytes(1.mib())).build()?;
/// let mut disk = std::io::Cursor::new(Vec::new());
/// ext4::write(&mut disk, Source::Empty, &options)?;
/// assert!(ext4::check(&mut disk)?.is_clean());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn check(mut reader: impl Read + Seek) -> Result<CheckReport, CheckError> {
    let (reader, superblock, problems) = open::open(&mut reader)?;
    let mut check = Check {
        blocks: Blocks::new(&reader.geometry),
        reader,
        superblock,
        groups: Vec::new(),
        report: CheckReport::default(),
        inodes: HashMap::new(),
        xattr_blocks: HashMap::new(),
        counted: Vec::new(),
    };
    for problem in problems {
        check.report(CheckProblem::Superblock(problem));
    }
    check.read_groups()?;
    check.read_inodes()?;
    check.read_directories()?;
    check.connect();
    check.count()?;
    Ok(check.report)
}

struct Check<'a> {
    reader: Reader<'a>,
    superblock: Superblock,
    groups: Vec<GroupDescriptor>,
    /// Blocks that something claims.
    blocks: Blocks,
    report: CheckReport,
    /// Inodes in use.
    inodes: HashMap<u32, Known>,
    /// Of each block of xattrs: how often it says it is used, and how often it is.
    xattr_blocks: HashMap<u64, (u32, u32)>,
    /// By group.
    counted: Vec<Counted>,
}

/// What is counted in a group while inodes are read.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    inodes: u32,
    directories: u32,
}

/// An inode in use.
#[derive(Clone, Copy, Debug)]
struct Known {
    mode: u16,
    links: u16,
    /// Names that were found.
    names: u32,
    /// Of a directory: directories in it.
    children: u32,
    /// Of a directory: the one in which its name is; 0 if none.
    parent: u32,
    /// Of a directory: where `..` leads; 0 if nowhere.
    dots: u32,
}

impl Check<'_> {
    fn report(&mut self, problem: CheckProblem) {
        if self.report.problems.len() < KEPT {
            self.report.problems.push(problem);
        } else {
            self.report.more += 1;
        }
    }

    fn group_fault(&mut self, group: u32, fault: GroupFault) {
        self.report(CheckProblem::Group { group, fault });
    }

    fn inode_fault(&mut self, inode: u32, fault: InodeFault) {
        self.report(CheckProblem::Inode { inode, fault });
    }

    fn directory_fault(&mut self, inode: u32, block: u32, fault: DirectoryFault) {
        self.report(CheckProblem::Directory { inode, block, fault });
    }
}
