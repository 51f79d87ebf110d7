//! Where a journal is.

use std::io;

use zerocopy::FromBytes;

use super::super::{
    device::BlockDevice,
    disk::{
        extent::{ENTRY, Header, IN_INODE, Index, Leaf, MAGIC, MAX_LEN, Run, per_block},
        group::GroupDescriptor,
        inode::{Inode, JOURNAL},
        superblock::{Superblock, compat},
    },
    geometry::Geometry,
};

/// Blocks of a journal that is behind the end of a disk without one.
pub(crate) const TAIL_BLOCKS: u32 = 512;
/// No journal has more extents, and no tree is deeper.
const MOST_RUNS: usize = 1 << 20;
const MAX_DEPTH: u16 = 5;

/// Where the blocks of a journal are.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) block_size: u32,
    pub(crate) blocks: u32,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// A file of the disk.
    File(Vec<Run>),
    /// Behind the end of the disk, from this byte on.
    Tail(u64),
}

impl Place {
    /// The journal of a disk: its file, or, where it has none, what is behind the end of the device.
    pub(crate) fn find(
        device: &mut dyn BlockDevice,
        superblock: &Superblock,
        geometry: &Geometry,
    ) -> io::Result<Option<Self>> {
        if superblock.feature_compat.get() & compat::HAS_JOURNAL != 0 {
            return file(device, geometry).map(Some);
        }
        let size = device.size()?;
        let tail = size
            .checked_sub(tail_bytes(geometry))
            .filter(|at| *at >= geometry.byte(geometry.blocks));
        Ok(tail.map(|at| Self::tail(geometry, at)))
    }

    /// A journal behind the end of a disk.
    pub(crate) fn tail(geometry: &Geometry, at: u64) -> Self {
        Self {
            block_size: geometry.block_size,
            blocks: TAIL_BLOCKS,
            kind: Kind::Tail(at),
        }
    }

    /// Bytes that such a journal takes.
    pub(crate) fn tail_len(geometry: &Geometry) -> u64 {
        tail_bytes(geometry)
    }

    pub(crate) fn is_tail(&self) -> bool {
        matches!(self.kind, Kind::Tail(_))
    }

    /// The byte at which a block of the journal is.
    pub(crate) fn byte(&self, block: u32) -> io::Result<u64> {
        let size = u64::from(self.block_size);
        match &self.kind {
            Kind::Tail(at) => Ok(at + u64::from(block) * size),
            Kind::File(runs) => {
                let number = runs.partition_point(|run| run.logical.saturating_add(run.len) <= block);
                let run = runs
                    .get(number)
                    .filter(|run| run.logical <= block)
                    .ok_or(io::ErrorKind::InvalidData)?;
                Ok((run.physical + u64::from(block - run.logical)) * size)
            }
        }
    }
}

fn tail_bytes(geometry: &Geometry) -> u64 {
    geometry.byte(u64::from(TAIL_BLOCKS))
}

fn file(device: &mut dyn BlockDevice, geometry: &Geometry) -> io::Result<Place> {
    let (group, at) = geometry.inode_place(JOURNAL);
    let descriptors = geometry
        .descriptor_places(0)
        .first()
        .copied()
        .ok_or(io::ErrorKind::InvalidData)?;
    let mut bytes = [0; size_of::<GroupDescriptor>()];
    device.read_at(
        geometry.byte(descriptors) + u64::from(group) * bytes.len() as u64,
        &mut bytes,
    )?;
    let descriptor = GroupDescriptor::read_from_bytes(&bytes).map_err(|_| io::ErrorKind::InvalidData)?;
    let table = descriptor.tables().inode_table;
    if table >= geometry.blocks {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = [0; size_of::<Inode>()];
    device.read_at(geometry.byte(table) + at, &mut bytes)?;
    let inode = Inode::read_from_bytes(&bytes).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut runs = Vec::new();
    node(device, geometry, &inode.block, IN_INODE, None, &mut runs)?;
    let blocks = u32::try_from(inode.size() / u64::from(geometry.block_size)).unwrap_or(u32::MAX);
    Ok(Place {
        block_size: geometry.block_size,
        blocks,
        kind: Kind::File(runs),
    })
}

fn node(
    device: &mut dyn BlockDevice,
    geometry: &Geometry,
    bytes: &[u8],
    room: usize,
    depth: Option<u16>,
    runs: &mut Vec<Run>,
) -> io::Result<()> {
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    let (header, _) = Header::read_from_prefix(bytes).map_err(|_| bad())?;
    let (entries, level) = (usize::from(header.entries.get()), header.depth.get());
    let is_sound = header.magic.get() == MAGIC
        && entries <= room
        && level <= MAX_DEPTH
        && depth.is_none_or(|depth| depth == level);
    if !is_sound || runs.len() > MOST_RUNS {
        return Err(bad());
    }
    for entry in bytes.chunks_exact(ENTRY).skip(1).take(entries) {
        if level == 0 {
            let leaf = Leaf::read_from_bytes(entry).map_err(|_| bad())?;
            let run = Run {
                logical: leaf.logical.get(),
                physical: leaf.physical(),
                len: leaf.len.get().into(),
            };
            let follows = runs
                .last()
                .is_none_or(|last| last.logical + last.len <= run.logical);
            let fits = run.len <= MAX_LEN && run.physical + u64::from(run.len) <= geometry.blocks;
            if !fits || !follows || run.logical > u32::MAX - run.len {
                return Err(bad());
            }
            runs.push(run);
        } else {
            let child = Index::read_from_bytes(entry).map_err(|_| bad())?.child();
            if child >= geometry.blocks {
                return Err(bad());
            }
            let mut block = vec![0; geometry.block_len()];
            device.read_at(geometry.byte(child), &mut block)?;
            let room = per_block(geometry.block_size);
            node(device, geometry, &block, room, Some(level - 1), runs)?;
        }
    }
    Ok(())
}
