//! Inodes: the 160 bytes that are fixed, and the checksum over all of one.

use sandbox_types::TreeTime;
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{U16, U32},
};

use super::{checksum, lo16};

/// Bytes of the fixed part.
pub(crate) const SIZE: usize = 160;
/// Bytes up to the part that the smallest inodes have.
pub(crate) const BASE: usize = 128;
/// `i_extra_isize`: bytes of the fixed part beyond [`BASE`].
pub(crate) const EXTRA: u16 = 32;
/// More links than this are counted as 1 in a directory (`dir_nlink`), and refused in a file.
pub(crate) const MAX_LINKS: u32 = 65000;
/// A link target of fewer bytes is in the inode.
pub(crate) const FAST_LINK: usize = 60;

pub(crate) const ROOT: u32 = 2;
pub(crate) const JOURNAL: u32 = 8;
/// The first one that is not reserved: lost+found.
pub(crate) const FIRST: u32 = 11;

/// `i_flags`.
pub(crate) mod flag {
    pub(crate) const IMMUTABLE: u32 = 0x10;
    pub(crate) const APPEND: u32 = 0x20;
    pub(crate) const NODUMP: u32 = 0x40;
    pub(crate) const NOATIME: u32 = 0x80;
    pub(crate) const INDEX: u32 = 0x1000;
    pub(crate) const HUGE_FILE: u32 = 0x4_0000;
    pub(crate) const EXTENTS: u32 = 0x8_0000;
    pub(crate) const EA_INODE: u32 = 0x20_0000;
    pub(crate) const INLINE_DATA: u32 = 0x1000_0000;
}

/// The type in `i_mode`.
pub(crate) mod mode {
    pub(crate) const TYPE: u16 = 0xF000;
    pub(crate) const FIFO: u16 = 0x1000;
    pub(crate) const CHAR: u16 = 0x2000;
    pub(crate) const DIR: u16 = 0x4000;
    pub(crate) const BLOCK: u16 = 0x6000;
    pub(crate) const FILE: u16 = 0x8000;
    pub(crate) const LINK: u16 = 0xA000;
    pub(crate) const SOCKET: u16 = 0xC000;
}

#[derive(Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct Inode {
    pub(crate) mode: U16,
    pub(crate) uid_lo: U16,
    pub(crate) size_lo: U32,
    pub(crate) atime: U32,
    pub(crate) ctime: U32,
    pub(crate) mtime: U32,
    pub(crate) dtime: U32,
    pub(crate) gid_lo: U16,
    pub(crate) links: U16,
    pub(crate) blocks_lo: U32,
    pub(crate) flags: U32,
    pub(crate) version: U32,
    pub(crate) block: [u8; 60],
    pub(crate) generation: U32,
    pub(crate) file_acl_lo: U32,
    pub(crate) size_hi: U32,
    pub(crate) obsolete_faddr: U32,
    pub(crate) blocks_hi: U16,
    pub(crate) file_acl_hi: U16,
    pub(crate) uid_hi: U16,
    pub(crate) gid_hi: U16,
    pub(crate) checksum_lo: U16,
    pub(crate) reserved: U16,
    pub(crate) extra_isize: U16,
    pub(crate) checksum_hi: U16,
    pub(crate) ctime_extra: U32,
    pub(crate) mtime_extra: U32,
    pub(crate) atime_extra: U32,
    pub(crate) crtime: U32,
    pub(crate) crtime_extra: U32,
    pub(crate) version_hi: U32,
    pub(crate) projid: U32,
}

const _: () = assert!(size_of::<Inode>() == SIZE);

impl Inode {
    pub(crate) fn size(&self) -> u64 {
        super::join(self.size_lo, self.size_hi)
    }

    /// In the unit that `flags` says, 512 bytes by default.
    pub(crate) fn sectors(&self) -> u64 {
        u64::from(self.blocks_lo.get()) | u64::from(self.blocks_hi.get()) << 32
    }

    pub(crate) fn file_acl(&self) -> u64 {
        u64::from(self.file_acl_lo.get()) | u64::from(self.file_acl_hi.get()) << 32
    }

    pub(crate) fn has(&self, flag: u32) -> bool {
        self.flags.get() & flag != 0
    }

    pub(crate) fn file_type(&self) -> u16 {
        self.mode.get() & mode::TYPE
    }
}

/// A moment as two fields: seconds, and nanoseconds with two more bits of seconds. What ext4 cannot say (before
/// 1901, after 2446) becomes the nearest that it can.
pub(crate) fn time(moment: TreeTime) -> (U32, U32) {
    const FIRST: i64 = -0x8000_0000;
    const LAST: i64 = 0x3_7FFF_FFFF;
    let seconds = moment.seconds.clamp(FIRST, LAST);
    let low = (seconds.cast_unsigned() & 0xFFFF_FFFF) as u32;
    // The low half is signed: what is beyond 2038 counts from the next multiple of 2^32 downwards.
    let above = seconds - i64::from(low.cast_signed());
    let epoch = (above.cast_unsigned() >> 32 & 3) as u32;
    let nanoseconds = moment.nanoseconds.min(999_999_999);
    (U32::new(low), U32::new(nanoseconds << 2 | epoch))
}

/// Writes the checksum of a whole inode (fixed part, xattrs, and the rest).
pub(crate) fn seal(bytes: &mut [u8], inode_seed: u32) {
    let Some((low, high)) = computed_checksum(bytes, inode_seed) else {
        return;
    };
    if let Ok((inode, _)) = Inode::mut_from_prefix(bytes) {
        (inode.checksum_lo, inode.checksum_hi) = (low, high);
    }
}

/// Whether the checksum is the one of the content.
pub(crate) fn is_sealed(bytes: &[u8], inode_seed: u32) -> bool {
    let Ok((inode, _)) = Inode::ref_from_prefix(bytes) else {
        return false;
    };
    computed_checksum(bytes, inode_seed) == Some((inode.checksum_lo, inode.checksum_hi))
}

fn computed_checksum(bytes: &[u8], seed: u32) -> Option<(U16, U16)> {
    let (inode, rest) = Inode::read_from_prefix(bytes).ok()?;
    let (checksum_lo, checksum_hi) = (U16::new(0), U16::new(0));
    let blank = Inode {
        checksum_lo,
        checksum_hi,
        ..inode
    };
    let sum = checksum::crc32c(checksum::crc32c(seed, blank.as_bytes()), rest);
    Some((lo16(sum), super::hi16(sum)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_beyond_2038_and_before_1970_keep_their_epoch() {
        // The table in Documentation/filesystems/ext4/inodes.rst, "Inode Timestamps".
        for (seconds, low, epoch) in [
            (-0x8000_0000_i64, 0x8000_0000, 0),
            (-1, 0xFFFF_FFFF, 0),
            (0, 0, 0),
            (0x7FFF_FFFF, 0x7FFF_FFFF, 0),
            (0x8000_0000, 0x8000_0000, 1),
            (0x1_0000_0000, 0, 1),
            (0x1_8000_0000, 0x8000_0000, 2),
            (0x3_7FFF_FFFF, 0x7FFF_FFFF, 3),
            (i64::MAX, 0x7FFF_FFFF, 3),
        ] {
            let (time, extra) = time(TreeTime {
                seconds,
                nanoseconds: 5,
            });
            assert_eq!((time.get(), extra.get()), (low, 5 << 2 | epoch), "{seconds}");
        }
    }
}
