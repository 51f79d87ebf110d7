//! The superblock and its copies.

use std::io;

use zerocopy::{
    FromZeros, IntoBytes,
    little_endian::{U16, U32},
};

use super::{
    super::{
        disk::{
            group,
            inode::{self, FIRST},
            superblock::{
                FLAG_SIGNED_HASH, HASH_HALF_MD4, MAGIC, MOUNT_XATTR_ACL, OFFSET, STATE_VALID, Superblock,
                compat, incompat, ro_compat,
            },
            word,
        },
        geometry::Geometry,
        inventory::Format,
        plan::Plan,
    },
    Job, Sink, inodes,
};

/// Writes the superblock, after all else: before that there is no file system.
pub(super) fn write(superblock: &Superblock, sink: &mut Sink<'_>) -> io::Result<()> {
    sink.put(OFFSET, superblock.clone().sealed().as_bytes())
}

/// Writes the copy that belongs into `group`.
pub(crate) fn copy(
    superblock: &Superblock,
    geometry: &Geometry,
    group: u32,
    mut put: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut copy = superblock.clone();
    copy.block_group_nr = U16::new((group & 0xFFFF) as u16);
    put(
        geometry.byte(geometry.group_start(group)),
        copy.sealed().as_bytes(),
    )
}

/// That of a disk, as it is at the end.
pub(super) fn new(job: &Job<'_>) -> Superblock {
    let (plan, format) = (job.plan, job.format);
    let mut new = Superblock::new_zeroed();
    sizes(&mut new, plan);
    identity(&mut new, format, job.options.label());
    features(&mut new, plan);
    new.magic = U16::new(MAGIC);
    new.state = U16::new(STATE_VALID);
    // Continue after errors, as mke2fs has it.
    new.errors = U16::new(1);
    new.rev_level = U32::new(1);
    // Never checked because of how often it was mounted.
    new.max_mnt_count = U16::new(u16::MAX);
    new.first_ino = U32::new(FIRST);
    new.default_mount_opts = U32::new(MOUNT_XATTR_ACL);
    (new.min_extra_isize, new.want_extra_isize) = (U16::new(inode::EXTRA), U16::new(inode::EXTRA));
    new.log_groups_per_flex = Plan::LOG_FLEX;
    // crc32c.
    new.checksum_type = 1;
    if let Some(journal) = inodes::journal(job) {
        new.journal_inum = U32::new(inode::JOURNAL);
        new.jnl_backup_type = 1;
        let sizes = [journal.size_hi, journal.size_lo];
        let backup = journal.block.iter().chain(sizes.as_bytes());
        new.jnl_blocks
            .iter_mut()
            .zip(backup)
            .for_each(|(to, from)| *to = *from);
    }
    new
}

fn sizes(new: &mut Superblock, plan: &Plan) {
    let geometry = &plan.geometry;
    new.inodes_count = U32::new(geometry.inodes());
    new.set_blocks(geometry.blocks);
    new.set_reserved_blocks(plan.reserved_blocks);
    new.set_free_blocks(plan.free_blocks);
    new.free_inodes_count = U32::new(plan.free_inodes());
    new.first_data_block = U32::new(geometry.first_data_block());
    let log = geometry.block_size.trailing_zeros() - 10;
    (new.log_block_size, new.log_cluster_size) = (U32::new(log), U32::new(log));
    let per_group = U32::new(geometry.blocks_per_group());
    (new.blocks_per_group, new.clusters_per_group) = (per_group, per_group);
    new.inodes_per_group = U32::new(geometry.inodes_per_group);
    new.inode_size = U16::new((geometry.inode_size & 0xFFFF) as u16);
    new.desc_size = word(group::SIZE);
    new.overhead_clusters = U32::new(u32::try_from(plan.overhead).unwrap_or(0));
}

fn identity(new: &mut Superblock, format: &Format, label: &str) {
    new.uuid = format.uuid;
    new.hash_seed = format.hash_seed.map(U32::new);
    new.def_hash_version = HASH_HALF_MD4;
    new.flags = U32::new(FLAG_SIGNED_HASH);
    new.volume_name
        .iter_mut()
        .zip(label.bytes())
        .for_each(|(to, from)| *to = from);
    let seconds = format.time.seconds.cast_unsigned();
    let (low, high) = (
        U32::new((seconds & 0xFFFF_FFFF) as u32),
        (seconds >> 32 & 0xFF) as u8,
    );
    (new.wtime, new.lastcheck, new.mkfs_time) = (low, low, low);
    (new.wtime_hi, new.lastcheck_hi, new.mkfs_time_hi) = (high, high, high);
}

fn features(new: &mut Superblock, plan: &Plan) {
    let journal = if plan.journal.is_some() {
        compat::HAS_JOURNAL
    } else {
        0
    };
    new.feature_compat = U32::new(compat::EXT_ATTR | compat::DIR_INDEX | journal);
    new.feature_incompat = U32::new(incompat::REQUIRED);
    set_meta_bg(new, &plan.geometry);
    new.feature_ro_compat = U32::new(ro_compat::KNOWN);
}

/// Says that there are descriptors that lie with their groups, where there are any.
pub(crate) fn set_meta_bg(superblock: &mut Superblock, geometry: &Geometry) {
    if geometry.meta_bg() {
        superblock.feature_incompat |= U32::new(incompat::META_BG);
        superblock.first_meta_bg = U32::new(geometry.first_meta_bg);
    }
}
