//! Entries of a directory.

use zerocopy::FromBytes;

use super::{Check, DirectoryFault, dirents::Directory, index::Index};
use crate::ext4::disk::{
    checksum::crc32c,
    dirent::{self, HEADER, Header, TAIL, TAIL_TYPE},
    inode::mode,
};

impl Check<'_> {
    /// Reads a block of entries.
    pub(super) fn read_entries(
        &mut self,
        directory: &Directory,
        number: u32,
        block: &[u8],
        index: Option<&Index>,
    ) {
        let (entries, tail) = block
            .split_at_checked(block.len().saturating_sub(TAIL))
            .unwrap_or_default();
        let (header, sum) = tail.split_at_checked(HEADER).unwrap_or_default();
        let is_tail = Header::read_from_bytes(header).is_ok_and(|header| {
            header.inode.get() == 0
                && usize::from(header.rec_len.get()) == TAIL
                && (header.name_len, header.file_type) == (0, TAIL_TYPE)
        });
        if !is_tail || sum != crc32c(directory.seed, entries).to_le_bytes() {
            self.directory_fault(directory.inode, number, DirectoryFault::Checksum);
        }
        let (mut at, mut count) = (0, 0);
        while at < entries.len() {
            let Some((header, name, len)) = entry(entries, at) else {
                self.directory_fault(directory.inode, number, DirectoryFault::Entries);
                return;
            };
            let is_dots = number == 0 && count < 2;
            if is_dots {
                self.dots(directory, count, header, name);
            } else if header.inode.get() != 0 {
                self.name(directory, number, header, name);
                if index.is_some_and(|index| !index.holds(number, name)) {
                    self.directory_fault(directory.inode, number, DirectoryFault::Hash);
                }
            }
            at += len;
            count += 1;
        }
    }

    /// `.` and `..`, by their number.
    pub(super) fn dots(&mut self, directory: &Directory, count: u32, header: Header, name: &[u8]) {
        let target = header.inode.get();
        let is_right = match count {
            0 => name == b"." && target == directory.inode,
            _ => name == b"..",
        };
        if !is_right || header.file_type != dirent::file_type(mode::DIR) {
            self.directory_fault(directory.inode, 0, DirectoryFault::Dots);
        }
        if count == 1
            && let Some(known) = self.inodes.get_mut(&directory.inode)
        {
            known.dots = target;
        }
    }

    fn name(&mut self, directory: &Directory, number: u32, header: Header, name: &[u8]) {
        let target = header.inode.get();
        if name.is_empty() || name.iter().any(|byte| matches!(byte, 0 | b'/')) || matches!(name, b"." | b"..")
        {
            self.directory_fault(directory.inode, number, DirectoryFault::Name);
        }
        let Some(known) = self.inodes.get_mut(&target) else {
            return self.directory_fault(directory.inode, number, DirectoryFault::NotInUse(target));
        };
        known.names = known.names.saturating_add(1);
        let (file_type, is_directory) = (
            dirent::file_type(known.mode),
            known.mode & mode::TYPE == mode::DIR,
        );
        let mut linked = false;
        if is_directory {
            linked = known.parent != 0;
            known.parent = directory.inode;
            if let Some(parent) = self.inodes.get_mut(&directory.inode) {
                parent.children = parent.children.saturating_add(1);
            }
        }
        if linked {
            self.directory_fault(directory.inode, number, DirectoryFault::LinkedDirectory(target));
        }
        if header.file_type != file_type {
            self.directory_fault(directory.inode, number, DirectoryFault::FileType(target));
        }
    }
}

/// The entry at `at`: its header, its name, and the bytes up to the next one.
pub(super) fn entry(entries: &[u8], at: usize) -> Option<(Header, &[u8], usize)> {
    let rest = entries.get(at..)?;
    let (header, names) = Header::read_from_prefix(rest).ok()?;
    let (len, name) = (usize::from(header.rec_len.get()), usize::from(header.name_len));
    let fits = len.is_multiple_of(4) && len >= dirent::len(name).max(dirent::len(1)) && len <= rest.len();
    if fits {
        Some((header, names.get(..name)?, len))
    } else {
        None
    }
}
