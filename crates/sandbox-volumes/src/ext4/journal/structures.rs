//! The structures of a journal.

use zerocopy::{
    FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned,
    big_endian::{U16, U32},
};

use super::super::disk::checksum::crc32c;

/// `h_magic`.
pub(crate) const MAGIC: u32 = 0xC03B_3998;

/// `h_blocktype`.
pub(crate) mod block {
    pub(crate) const DESCRIPTOR: u32 = 1;
    pub(crate) const COMMIT: u32 = 2;
    pub(crate) const SUPERBLOCK_V2: u32 = 4;
    pub(crate) const REVOKE: u32 = 5;
}

/// Incompatible features.
pub(crate) mod feature {
    pub(crate) const REVOKE: u32 = 1;
    pub(crate) const BIT64: u32 = 2;
    pub(crate) const CSUM_V3: u32 = 16;
    pub(crate) const KNOWN: u32 = REVOKE | BIT64 | CSUM_V3;
}

/// `t_flags` of a tag.
pub(crate) mod tag {
    /// The block began with the magic number, which was made zero in the journal.
    pub(crate) const ESCAPED: u32 = 1;
    /// There is no UUID behind the tag.
    pub(crate) const SAME_UUID: u32 = 2;
    pub(crate) const LAST: u32 = 8;
}

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct Header {
    pub(crate) magic: U32,
    pub(crate) block_type: U32,
    pub(crate) sequence: U32,
}

#[derive(Clone, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct JournalSuperblock {
    pub(crate) header: Header,
    pub(crate) block_size: U32,
    pub(crate) max_len: U32,
    pub(crate) first: U32,
    pub(crate) sequence: U32,
    /// The block at which the log starts; 0 where it is empty.
    pub(crate) start: U32,
    pub(crate) errno: U32,
    pub(crate) feature_compat: U32,
    pub(crate) feature_incompat: U32,
    pub(crate) feature_ro_compat: U32,
    pub(crate) uuid: [u8; 16],
    pub(crate) users: U32,
    pub(crate) dyn_super: U32,
    pub(crate) max_transaction: U32,
    pub(crate) max_trans_data: U32,
    pub(crate) checksum_type: u8,
    pub(crate) padding: [u8; 3],
    pub(crate) fast_commit_blocks: U32,
    pub(crate) head: U32,
    pub(crate) reserved: [u8; 160],
    pub(crate) checksum: U32,
    pub(crate) user_ids: [u8; 768],
}

const _: () = assert!(size_of::<JournalSuperblock>() == 1024);

/// A tag of a descriptor block, in the form with `CSUM_V3`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct Tag3 {
    pub(crate) block_lo: U32,
    pub(crate) flags: U32,
    pub(crate) block_hi: U32,
    pub(crate) checksum: U32,
}

/// A tag without `CSUM_V3`; with `BIT64` four bytes follow.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct Tag {
    pub(crate) block_lo: U32,
    pub(crate) checksum: U16,
    pub(crate) flags: U16,
}

/// A commit block.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct Commit {
    pub(crate) header: Header,
    pub(crate) checksum_type: u8,
    pub(crate) checksum_size: u8,
    pub(crate) padding: [u8; 2],
    pub(crate) checksums: [U32; 8],
    pub(crate) seconds: zerocopy::big_endian::U64,
    pub(crate) nanoseconds: U32,
}

impl Header {
    pub(crate) fn new(block_type: u32, sequence: u32) -> Self {
        let (magic, block_type, sequence) = (U32::new(MAGIC), U32::new(block_type), U32::new(sequence));
        Self {
            magic,
            block_type,
            sequence,
        }
    }
}

impl JournalSuperblock {
    /// A journal without transactions.
    pub(crate) fn empty(block_size: u32, blocks: u32) -> Self {
        let mut new = Self::new_zeroed();
        new.header = Header::new(block::SUPERBLOCK_V2, 0);
        new.block_size = U32::new(block_size);
        new.max_len = U32::new(blocks);
        new.first = U32::new(1);
        new.sequence = U32::new(1);
        new.users = U32::new(1);
        new
    }

    /// Notes, in a journal behind a disk, the checksums of the superblocks between which it leads.
    pub(crate) fn set_states(&mut self, sums: [u32; 2]) {
        let sums = sums.map(U32::new);
        self.user_ids
            .iter_mut()
            .zip(sums.as_bytes())
            .for_each(|(to, from)| *to = *from);
        self.feature_incompat |= U32::new(feature::CSUM_V3 | feature::BIT64);
        // crc32c.
        self.checksum_type = 4;
    }

    /// Whether a superblock is one of those: nobody has used the disk since.
    pub(crate) fn leads_from(&self, sum: u32) -> bool {
        <[U32; 2]>::read_from_prefix(&self.user_ids)
            .is_ok_and(|(sums, _)| sums.iter().any(|one| one.get() == sum))
    }

    /// With its checksum, where the journal has checksums.
    pub(crate) fn sealed(mut self) -> Self {
        if self.feature_incompat.get() & feature::CSUM_V3 != 0 {
            self.checksum = U32::new(self.computed_checksum());
        }
        self
    }

    /// Whether the checksum is the one of the content, where there is one.
    pub(crate) fn is_sealed(&self) -> bool {
        self.feature_incompat.get() & feature::CSUM_V3 == 0 || self.checksum.get() == self.computed_checksum()
    }

    fn computed_checksum(&self) -> u32 {
        let blank = Self {
            checksum: U32::new(0),
            ..self.clone()
        };
        crc32c(!0, blank.as_bytes())
    }
}
