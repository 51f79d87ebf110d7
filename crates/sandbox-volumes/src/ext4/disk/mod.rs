//! The structures of an ext4 file system as they lie on disk: typed, little-endian, without padding.
//!
//! Source: the kernel's Documentation/filesystems/ext4. What is big-endian is the journal's, see
//! [`super::journal`].

pub(crate) mod checksum;
pub(crate) mod dirent;
pub(crate) mod extent;
pub(crate) mod group;
pub(crate) mod hash;
pub(crate) mod inode;
pub(crate) mod superblock;
pub(crate) mod xattr;

use zerocopy::little_endian::{U16, U32};

/// A UUID in the order in which it is written and printed.
pub(crate) type Uuid = [u8; 16];

/// The low 16 bits.
pub(crate) const fn lo16(value: u32) -> U16 {
    U16::new((value & 0xFFFF) as u16)
}

/// Bits 16 to 31.
pub(crate) const fn hi16(value: u32) -> U16 {
    U16::new((value >> 16) as u16)
}

/// The low 32 bits and the rest.
pub(crate) const fn split(value: u64) -> (U32, U32) {
    (
        U32::new((value & 0xFFFF_FFFF) as u32),
        U32::new((value >> 32) as u32),
    )
}

/// The opposite of [`split`].
pub(crate) const fn join(low: U32, high: U32) -> u64 {
    low.get() as u64 | (high.get() as u64) << 32
}

/// The opposite of [`lo16`] and [`hi16`].
pub(crate) const fn join16(low: U16, high: U16) -> u32 {
    low.get() as u32 | (high.get() as u32) << 16
}

/// The low 16 bits of a number that fits, as every size and count that it is used for does.
pub(crate) const fn word(value: usize) -> U16 {
    U16::new((value as u64 & 0xFFFF) as u16)
}

/// As `usize`; on a 32-bit machine what does not fit becomes a length that nothing has.
pub(crate) fn index(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
