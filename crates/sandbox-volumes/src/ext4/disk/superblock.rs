//! The superblock: 1024 bytes at offset 1024, and copies of it.

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{U16, U32, U64},
};

use super::{Uuid, checksum, join};

/// `s_magic`.
pub(crate) const MAGIC: u16 = 0xEF53;
/// Bytes a superblock has.
pub(crate) const SIZE: usize = 1024;
/// Where the first one is.
pub(crate) const OFFSET: u64 = 1024;

/// Features that a reader may ignore.
pub(crate) mod compat {
    pub(crate) const HAS_JOURNAL: u32 = 0x4;
    pub(crate) const EXT_ATTR: u32 = 0x8;
    pub(crate) const DIR_INDEX: u32 = 0x20;
}

/// Features that every reader must know.
pub(crate) mod incompat {
    pub(crate) const FILETYPE: u32 = 0x2;
    pub(crate) const RECOVER: u32 = 0x4;
    pub(crate) const META_BG: u32 = 0x10;
    pub(crate) const EXTENTS: u32 = 0x40;
    pub(crate) const BIT64: u32 = 0x80;
    pub(crate) const FLEX_BG: u32 = 0x200;
    pub(crate) const KNOWN: u32 = FILETYPE | RECOVER | META_BG | EXTENTS | BIT64 | FLEX_BG;
    pub(crate) const REQUIRED: u32 = FILETYPE | EXTENTS | BIT64 | FLEX_BG;
}

/// Features that a writer must know.
pub(crate) mod ro_compat {
    pub(crate) const SPARSE_SUPER: u32 = 0x1;
    pub(crate) const LARGE_FILE: u32 = 0x2;
    pub(crate) const HUGE_FILE: u32 = 0x8;
    pub(crate) const DIR_NLINK: u32 = 0x20;
    pub(crate) const EXTRA_ISIZE: u32 = 0x40;
    pub(crate) const METADATA_CSUM: u32 = 0x400;
    pub(crate) const KNOWN: u32 =
        SPARSE_SUPER | LARGE_FILE | HUGE_FILE | DIR_NLINK | EXTRA_ISIZE | METADATA_CSUM;
    pub(crate) const REQUIRED: u32 = SPARSE_SUPER | METADATA_CSUM;
}

/// `s_state`: unmounted cleanly.
pub(crate) const STATE_VALID: u16 = 1;
/// `s_flags`: names are hashed as signed bytes, as mke2fs has it on x86 and some readers take for granted.
pub(crate) const FLAG_SIGNED_HASH: u32 = 1;
/// `s_default_mount_opts`: user xattrs and ACLs.
pub(crate) const MOUNT_XATTR_ACL: u32 = 0xC;
/// `s_def_hash_version`: half MD4.
pub(crate) const HASH_HALF_MD4: u8 = 1;

#[derive(Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct Superblock {
    pub(crate) inodes_count: U32,
    pub(crate) blocks_count_lo: U32,
    pub(crate) r_blocks_count_lo: U32,
    pub(crate) free_blocks_count_lo: U32,
    pub(crate) free_inodes_count: U32,
    pub(crate) first_data_block: U32,
    pub(crate) log_block_size: U32,
    pub(crate) log_cluster_size: U32,
    pub(crate) blocks_per_group: U32,
    pub(crate) clusters_per_group: U32,
    pub(crate) inodes_per_group: U32,
    pub(crate) mtime: U32,
    pub(crate) wtime: U32,
    pub(crate) mnt_count: U16,
    pub(crate) max_mnt_count: U16,
    pub(crate) magic: U16,
    pub(crate) state: U16,
    pub(crate) errors: U16,
    pub(crate) minor_rev_level: U16,
    pub(crate) lastcheck: U32,
    pub(crate) checkinterval: U32,
    pub(crate) creator_os: U32,
    pub(crate) rev_level: U32,
    pub(crate) def_resuid: U16,
    pub(crate) def_resgid: U16,
    pub(crate) first_ino: U32,
    pub(crate) inode_size: U16,
    pub(crate) block_group_nr: U16,
    pub(crate) feature_compat: U32,
    pub(crate) feature_incompat: U32,
    pub(crate) feature_ro_compat: U32,
    pub(crate) uuid: Uuid,
    pub(crate) volume_name: [u8; 16],
    pub(crate) last_mounted: [u8; 64],
    pub(crate) algorithm_usage_bitmap: U32,
    pub(crate) prealloc_blocks: u8,
    pub(crate) prealloc_dir_blocks: u8,
    pub(crate) reserved_gdt_blocks: U16,
    pub(crate) journal_uuid: [u8; 16],
    pub(crate) journal_inum: U32,
    pub(crate) journal_dev: U32,
    pub(crate) last_orphan: U32,
    pub(crate) hash_seed: [U32; 4],
    pub(crate) def_hash_version: u8,
    pub(crate) jnl_backup_type: u8,
    pub(crate) desc_size: U16,
    pub(crate) default_mount_opts: U32,
    pub(crate) first_meta_bg: U32,
    pub(crate) mkfs_time: U32,
    /// The journal inode's `i_block`, `i_size_high` and `i_size_lo`.
    pub(crate) jnl_blocks: [u8; 68],
    pub(crate) blocks_count_hi: U32,
    pub(crate) r_blocks_count_hi: U32,
    pub(crate) free_blocks_count_hi: U32,
    pub(crate) min_extra_isize: U16,
    pub(crate) want_extra_isize: U16,
    pub(crate) flags: U32,
    pub(crate) raid_stride: U16,
    pub(crate) mmp_interval: U16,
    pub(crate) mmp_block: U64,
    pub(crate) raid_stripe_width: U32,
    pub(crate) log_groups_per_flex: u8,
    pub(crate) checksum_type: u8,
    pub(crate) encryption_level: u8,
    pub(crate) reserved_pad: u8,
    pub(crate) kbytes_written: U64,
    /// Snapshots (never merged) and the history of errors.
    pub(crate) snapshots_and_errors: [u8; 128],
    pub(crate) mount_opts: [u8; 64],
    pub(crate) usr_quota_inum: U32,
    pub(crate) grp_quota_inum: U32,
    pub(crate) overhead_clusters: U32,
    pub(crate) backup_bgs: [U32; 2],
    pub(crate) encryption: [u8; 20],
    pub(crate) lpf_ino: U32,
    pub(crate) prj_quota_inum: U32,
    pub(crate) checksum_seed: U32,
    pub(crate) wtime_hi: u8,
    pub(crate) mtime_hi: u8,
    pub(crate) mkfs_time_hi: u8,
    pub(crate) lastcheck_hi: u8,
    pub(crate) error_times_and_codes: [u8; 4],
    pub(crate) encoding: U16,
    pub(crate) encoding_flags: U16,
    pub(crate) orphan_file_inum: U32,
    pub(crate) reserved: [u8; 376],
    pub(crate) checksum: U32,
}

const _: () = assert!(size_of::<Superblock>() == SIZE);

impl Superblock {
    /// `s_blocks_count`, both halves.
    pub(crate) fn blocks(&self) -> u64 {
        join(self.blocks_count_lo, self.blocks_count_hi)
    }

    /// Sets `s_blocks_count`.
    pub(crate) fn set_blocks(&mut self, blocks: u64) {
        (self.blocks_count_lo, self.blocks_count_hi) = super::split(blocks);
    }

    /// Sets `s_r_blocks_count`.
    pub(crate) fn set_reserved_blocks(&mut self, blocks: u64) {
        (self.r_blocks_count_lo, self.r_blocks_count_hi) = super::split(blocks);
    }

    /// `s_r_blocks_count`, both halves.
    pub(crate) fn reserved_blocks(&self) -> u64 {
        join(self.r_blocks_count_lo, self.r_blocks_count_hi)
    }

    /// Sets `s_free_blocks_count`.
    pub(crate) fn set_free_blocks(&mut self, blocks: u64) {
        (self.free_blocks_count_lo, self.free_blocks_count_hi) = super::split(blocks);
    }

    /// `s_free_blocks_count`, both halves.
    pub(crate) fn free_blocks(&self) -> u64 {
        join(self.free_blocks_count_lo, self.free_blocks_count_hi)
    }

    /// With its own checksum, as it goes to disk.
    pub(crate) fn sealed(mut self) -> Self {
        self.checksum = U32::new(self.computed_checksum());
        self
    }

    /// Whether the checksum is the one of the content.
    pub(crate) fn is_sealed(&self) -> bool {
        self.checksum.get() == self.computed_checksum()
    }

    fn computed_checksum(&self) -> u32 {
        let bytes = self.as_bytes();
        checksum::crc32c(!0, bytes.get(..SIZE - 4).unwrap_or_default())
    }
}
