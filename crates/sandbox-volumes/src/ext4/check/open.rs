//! The superblock, and whether it makes sense.

use std::io::SeekFrom;

use zerocopy::FromBytes;

use super::{
    CheckError, SuperblockFault,
    reader::{ReadSeek, Reader, read},
};
use crate::ext4::{
    disk::{
        checksum::filesystem_seed,
        group, index,
        superblock::{
            self, HASH_HALF_MD4, MAGIC, OFFSET, STATE_VALID, Superblock, compat, incompat, ro_compat,
        },
    },
    geometry::Geometry,
};

pub(super) fn open(
    inner: &mut dyn ReadSeek,
) -> Result<(Reader<'_>, Superblock, Vec<SuperblockFault>), CheckError> {
    let size = inner.seek(SeekFrom::End(0))?;
    let end = OFFSET + superblock::SIZE as u64;
    if size < end {
        return Err(CheckError::NotExt4);
    }
    let bytes = read(inner, OFFSET, superblock::SIZE)?;
    let superblock = Superblock::read_from_bytes(&bytes).map_err(|_| CheckError::NotExt4)?;
    if superblock.magic.get() != MAGIC {
        return Err(CheckError::NotExt4);
    }
    features(&superblock)?;
    let geometry = geometry(&superblock)?;
    if geometry.byte(geometry.blocks) > size {
        return Err(CheckError::Superblock {
            field: "s_blocks_count",
            value: geometry.blocks,
        });
    }
    let faults = faults(&superblock);
    let seed = filesystem_seed(&superblock.uuid);
    Ok((
        Reader {
            inner,
            geometry,
            seed,
        },
        superblock,
        faults,
    ))
}

fn faults(superblock: &Superblock) -> Vec<SuperblockFault> {
    let recover = superblock.feature_incompat.get() & incompat::RECOVER != 0;
    [
        (!superblock.is_sealed(), SuperblockFault::Checksum),
        (superblock.state.get() != STATE_VALID, SuperblockFault::NotClean),
        (recover, SuperblockFault::NeedsRecovery),
        (superblock.last_orphan.get() != 0, SuperblockFault::Orphans),
    ]
    .into_iter()
    .filter_map(|(is_wrong, fault)| is_wrong.then_some(fault))
    .collect()
}

/// Refuses what is not known, or what everything else relies on and is missing.
pub(crate) fn features(superblock: &Superblock) -> Result<(), CheckError> {
    const COMPAT: u32 = compat::HAS_JOURNAL | compat::EXT_ATTR | compat::DIR_INDEX;
    let compat = superblock.feature_compat.get() & !COMPAT;
    let has = superblock.feature_incompat.get();
    let incompat = has & !incompat::KNOWN | incompat::REQUIRED & !has;
    let has = superblock.feature_ro_compat.get();
    let ro_compat = has & !ro_compat::KNOWN | ro_compat::REQUIRED & !has;
    if compat | incompat | ro_compat == 0 {
        Ok(())
    } else {
        Err(CheckError::Unsupported {
            compat,
            incompat,
            ro_compat,
        })
    }
}

/// The geometry that a superblock describes; an error where there is no such file system.
pub(crate) fn geometry(of: &Superblock) -> Result<Geometry, CheckError> {
    let bad = |field, value: u64| CheckError::Superblock { field, value };
    let log = of.log_block_size.get();
    if log > 2 {
        return Err(bad("s_log_block_size", log.into()));
    }
    let block_size = 1024 << log;
    let inode_size = u32::from(of.inode_size.get());
    let (per_group, inodes_per_group) = (of.blocks_per_group.get(), of.inodes_per_group.get());
    let first_meta_bg = of.first_meta_bg.get();
    let meta_bg = of.feature_incompat.get() & incompat::META_BG != 0;
    let mut geometry = Geometry {
        block_size,
        blocks: of.blocks(),
        groups: 0,
        inodes_per_group,
        inode_size,
        first_meta_bg,
    };
    let data = geometry
        .blocks
        .saturating_sub(u64::from(geometry.first_data_block()));
    let groups = data.div_ceil(u64::from(geometry.blocks_per_group()));
    let fits = |groups: u64| u64::from(inodes_per_group) * groups == u64::from(of.inodes_count.get());
    let checks = [
        ("s_rev_level", of.rev_level.get().into(), of.rev_level.get() == 1),
        (
            "s_log_cluster_size",
            of.log_cluster_size.get().into(),
            of.log_cluster_size.get() == log,
        ),
        (
            "s_inode_size",
            inode_size.into(),
            inode_size.is_power_of_two() && (256..=block_size).contains(&inode_size),
        ),
        (
            "s_desc_size",
            of.desc_size.get().into(),
            usize::from(of.desc_size.get()) == group::SIZE,
        ),
        (
            "s_blocks_per_group",
            per_group.into(),
            per_group == geometry.blocks_per_group(),
        ),
        (
            "s_inodes_per_group",
            inodes_per_group.into(),
            inodes_per_group >= 16
                && inodes_per_group.is_multiple_of(8)
                && inodes_per_group <= block_size * 8,
        ),
        (
            "s_first_data_block",
            of.first_data_block.get().into(),
            of.first_data_block.get() == geometry.first_data_block(),
        ),
        (
            "s_blocks_count",
            geometry.blocks,
            groups > 0 && geometry.blocks < 1 << 32,
        ),
        ("s_inodes_count", of.inodes_count.get().into(), fits(groups)),
        ("s_first_ino", of.first_ino.get().into(), of.first_ino.get() == 11),
        (
            "s_reserved_gdt_blocks",
            of.reserved_gdt_blocks.get().into(),
            of.reserved_gdt_blocks.get() == 0,
        ),
        ("s_checksum_type", of.checksum_type.into(), of.checksum_type == 1),
        (
            "s_def_hash_version",
            of.def_hash_version.into(),
            of.def_hash_version == HASH_HALF_MD4,
        ),
        (
            "s_flags",
            of.flags.get().into(),
            of.flags.get() & superblock::FLAG_SIGNED_HASH != 0,
        ),
    ];
    if let Some((field, value, _)) = checks.into_iter().find(|(_, _, is_right)| !is_right) {
        return Err(bad(field, value));
    }
    geometry.groups = u32::try_from(groups).map_err(|_| bad("s_blocks_count", groups))?;
    if !meta_bg {
        geometry.first_meta_bg = geometry.descriptor_blocks();
    } else if first_meta_bg > geometry.descriptor_blocks() {
        return Err(bad("s_first_meta_bg", first_meta_bg.into()));
    }
    // Each group has its superblock, descriptors and at least one block of a table.
    let last = geometry.groups - 1;
    if geometry.group_len(last) <= geometry.base_meta(last) || index(groups) == usize::MAX {
        return Err(bad("s_blocks_count", geometry.blocks));
    }
    Ok(geometry)
}
