//! One inode, read and written whole.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::io::Errno;
use sandbox_types::TreeTime;
use zerocopy::{FromBytes, IntoBytes, little_endian::U16, little_endian::U32};

use super::{Editor, damaged};
use crate::ext4::disk::checksum::inode_seed;
use crate::ext4::disk::inode::{self, FIRST, Inode, ROOT, flag, is_sealed, mode, seal};
use crate::ext4::disk::{hi16, index, join16, lo16, split};

/// An inode with all that is in its place on the disk.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) number: u32,
    pub(crate) fixed: Inode,
    /// What is behind the fixed part: attributes.
    pub(super) rest: Vec<u8>,
}

impl Editor {
    /// The inode of that number, which is in use.
    ///
    /// # Errors
    /// `EUCLEAN` for one that nothing may point to.
    pub(crate) fn node(&mut self, number: u32) -> io::Result<Node> {
        let is_possible = number == ROOT || number >= FIRST && number <= self.geometry.inodes();
        if !is_possible {
            return Err(damaged());
        }
        let (block, at) = self.node_place(number)?;
        let bytes = self.block(block)?;
        let len = index(u64::from(self.geometry.inode_size));
        let bytes = bytes.get(at..at + len).ok_or_else(damaged)?;
        let (fixed, rest) = Inode::read_from_prefix(bytes).map_err(|_| damaged())?;
        let node = Node {
            number,
            fixed,
            rest: rest.to_vec(),
        };
        if !is_sealed(bytes, self.seed_of(&node)) || node.fixed.links.get() == 0 {
            return Err(damaged());
        }
        if node
            .fixed
            .has(flag::INLINE_DATA | flag::HUGE_FILE | flag::EA_INODE)
        {
            return Err(Errno::OPNOTSUPP.into());
        }
        Ok(node)
    }

    /// Writes it, with the transaction.
    pub(super) fn set_node(&mut self, node: &Node) -> io::Result<()> {
        let (block, at) = self.node_place(node.number)?;
        let mut bytes = self.block(block)?;
        let len = index(u64::from(self.geometry.inode_size));
        let place = bytes.get_mut(at..at + len).ok_or_else(damaged)?;
        let (fixed, rest) = place.split_at_mut_checked(inode::SIZE).ok_or_else(damaged)?;
        fixed.copy_from_slice(node.fixed.as_bytes());
        rest.iter_mut().zip(&node.rest).for_each(|(to, from)| *to = *from);
        seal(
            place,
            inode_seed(self.seed, node.number, node.fixed.generation.get()),
        );
        self.set_block(block, bytes);
        Ok(())
    }

    /// What the checksums of its blocks start with.
    pub(super) fn seed_of(&self, node: &Node) -> u32 {
        inode_seed(self.seed, node.number, node.fixed.generation.get())
    }

    fn node_place(&mut self, number: u32) -> io::Result<(u64, usize)> {
        let (group, byte) = self.geometry.inode_place(number);
        let table = self.descriptor(group)?.tables().inode_table;
        self.check_block(table, u64::from(self.geometry.table_blocks()))?;
        let size = u64::from(self.geometry.block_size);
        Ok((table + byte / size, index(byte % size)))
    }

    /// An inode with nothing in it.
    pub(super) fn empty_node(&self, number: u32) -> Node {
        let len = index(u64::from(self.geometry.inode_size)) - inode::SIZE;
        let mut fixed: Inode = zerocopy::FromZeros::new_zeroed();
        fixed.extra_isize = U16::new(inode::EXTRA);
        fixed.generation = U32::new(now().nanoseconds ^ number);
        Node {
            number,
            fixed,
            rest: vec![0; len],
        }
    }
}

impl Node {
    pub(crate) fn is_directory(&self) -> bool {
        self.fixed.file_type() == mode::DIR
    }

    pub(crate) fn is_file(&self) -> bool {
        self.fixed.file_type() == mode::FILE
    }

    pub(crate) fn is_link(&self) -> bool {
        self.fixed.file_type() == mode::LINK
    }

    pub(crate) fn size(&self) -> u64 {
        self.fixed.size()
    }

    pub(super) fn set_size(&mut self, size: u64) {
        (self.fixed.size_lo, self.fixed.size_hi) = split(size);
    }

    pub(crate) fn owner(&self) -> (u32, u32) {
        (
            join16(self.fixed.uid_lo, self.fixed.uid_hi),
            join16(self.fixed.gid_lo, self.fixed.gid_hi),
        )
    }

    pub(super) fn set_owner(&mut self, uid: u32, gid: u32) {
        (self.fixed.uid_lo, self.fixed.uid_hi) = (lo16(uid), hi16(uid));
        (self.fixed.gid_lo, self.fixed.gid_hi) = (lo16(gid), hi16(gid));
    }

    /// In units of 512 bytes.
    pub(super) fn set_sectors(&mut self, sectors: u64) {
        let (low, high) = split(sectors);
        (self.fixed.blocks_lo, self.fixed.blocks_hi) = (low, lo16(high.get()));
    }

    /// The number of a device: the old form, then the new one (`old_encode_dev` and `new_encode_dev` of the kernel).
    pub(crate) fn device(&self) -> (u32, u32) {
        let word = |at: usize| {
            let bytes = self.fixed.block.get(at..at + 4).unwrap_or_default();
            bytes.try_into().map_or(0, u32::from_le_bytes)
        };
        match (word(0), word(4)) {
            (0, new) => ((new >> 8) & 0xFFF, (new & 0xFF) | ((new >> 12) & 0xF_FF00)),
            (old, _) => ((old >> 8) & 0xFF, old & 0xFF),
        }
    }

    pub(crate) fn modified(&self) -> TreeTime {
        moment(self.fixed.mtime, self.fixed.mtime_extra)
    }

    pub(crate) fn accessed(&self) -> TreeTime {
        moment(self.fixed.atime, self.fixed.atime_extra)
    }

    pub(super) fn set_modified(&mut self, time: TreeTime) {
        (self.fixed.mtime, self.fixed.mtime_extra) = inode::time(time);
    }

    pub(super) fn set_accessed(&mut self, time: TreeTime) {
        (self.fixed.atime, self.fixed.atime_extra) = inode::time(time);
    }

    pub(super) fn set_changed(&mut self, time: TreeTime) {
        (self.fixed.ctime, self.fixed.ctime_extra) = inode::time(time);
    }

    /// It was written now.
    pub(super) fn touch(&mut self) {
        let time = now();
        self.set_modified(time);
        self.set_changed(time);
    }
}

/// The opposite of [`Node::device`].
pub(crate) fn device_numbers((major, minor): (u32, u32)) -> [u32; 2] {
    if major < 256 && minor < 256 {
        [(major << 8) | minor, 0]
    } else {
        [0, (minor & 0xFF) | (major << 8) | ((minor & !0xFF) << 12)]
    }
}

/// The opposite of [`inode::time`].
fn moment(seconds: U32, extra: U32) -> TreeTime {
    let epoch = i64::from(extra.get() & 3) << 32;
    TreeTime {
        seconds: i64::from(seconds.get().cast_signed()) + epoch,
        nanoseconds: (extra.get() >> 2).min(999_999_999),
    }
}

pub(super) fn now() -> TreeTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TreeTime {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanoseconds: since.subsec_nanos(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_as_it_was_written() {
        for seconds in [
            -0x8000_0000_i64,
            -1,
            0,
            0x7FFF_FFFF,
            0x8000_0000,
            0x1_8000_0000,
            0x3_7FFF_FFFF,
        ] {
            let time = TreeTime {
                seconds,
                nanoseconds: 123_456_789,
            };
            let (low, extra) = inode::time(time);
            assert_eq!(moment(low, extra), time);
        }
    }
}
