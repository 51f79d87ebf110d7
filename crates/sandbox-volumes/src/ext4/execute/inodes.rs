//! The parts of the inode tables that are in use.

use std::io;

use zerocopy::{
    FromZeros, IntoBytes,
    little_endian::{U16, U32},
};

use super::{
    super::{
        disk::{
            index,
            inode::{self, BASE, Inode, MAX_LINKS, flag, mode},
            lo16, split,
        },
        inventory::{Content, Inventory, Node, Shape},
        layout::FlexLayout,
        plan::{Placed, Plan},
    },
    Job, Sink,
    extents::tree,
    xattrs,
};

pub(super) fn write(job: &Job<'_>, sink: &mut Sink<'_>) -> io::Result<()> {
    let geometry = &job.plan.geometry;
    let per_group = u64::from(geometry.inodes_per_group);
    let groups = u32::try_from(job.plan.inodes_in_use.div_ceil(per_group)).unwrap_or(geometry.groups);
    for flex in 0..geometry.flexes() {
        let of_flex = geometry.flex_groups(flex);
        if of_flex.start >= groups {
            break;
        }
        let layout = FlexLayout::new(geometry, of_flex).ok_or(io::ErrorKind::InvalidInput)?;
        for (group, tables) in layout.iter().filter(|(group, _)| *group < groups) {
            table(job, sink, group, geometry.byte(tables.inode_table))?;
        }
    }
    Ok(())
}

/// Writes the used part of a table, in whole blocks.
fn table(job: &Job<'_>, sink: &mut Sink<'_>, group: u32, at: u64) -> io::Result<()> {
    let geometry = &job.plan.geometry;
    let size = index(u64::from(geometry.inode_size));
    let used = job.plan.used_inodes(group);
    let per_block = geometry.block_size / geometry.inode_size;
    for block in 0..used.div_ceil(per_block) {
        let first = group * geometry.inodes_per_group + block * per_block + 1;
        let place = at + geometry.byte(u64::from(block));
        sink.put_with(place, geometry.block_len(), |bytes| {
            for (number, bytes) in (first..).zip(bytes.chunks_exact_mut(size)) {
                encode(job, number, bytes);
            }
            Ok::<(), io::Error>(())
        })?;
    }
    Ok(())
}

fn encode(job: &Job<'_>, number: u32, bytes: &mut [u8]) {
    if number == inode::JOURNAL {
        if let Some(journal) = journal(job) {
            put(job, number, &journal, bytes);
        }
        return;
    }
    let Some(at) = Plan::node_of(number) else { return };
    let (Some(node), Some(placed)) = (job.inventory.nodes.get(at), job.plan.placed.get(at)) else {
        return;
    };
    put(job, number, &fixed(job, number, node, placed), bytes);
    xattrs::in_inode(
        &node.xattrs.in_inode,
        bytes.get_mut(inode::SIZE..).unwrap_or_default(),
    );
    inode::seal(bytes, job.inode_seed(number));
}

fn put(job: &Job<'_>, number: u32, inode: &Inode, bytes: &mut [u8]) {
    if let Some(place) = bytes.get_mut(..inode::SIZE) {
        place.copy_from_slice(inode.as_bytes());
    }
    inode::seal(bytes, job.inode_seed(number));
}

/// The journal's inode, also as the superblock keeps a copy of it.
pub(super) fn journal(job: &Job<'_>) -> Option<Inode> {
    let journal = job.plan.journal.as_ref()?;
    let time = inode::time(job.format.time);
    let mut new = Inode::new_zeroed();
    new.mode = U16::new(mode::FILE | 0o600);
    new.links = U16::new(1);
    (new.atime, new.mtime, new.ctime, new.crtime) = (time.0, time.0, time.0, time.0);
    (
        new.atime_extra,
        new.mtime_extra,
        new.ctime_extra,
        new.crtime_extra,
    ) = (time.1, time.1, time.1, time.1);
    new.extra_isize = U16::new(inode::EXTRA);
    (new.size_lo, new.size_hi) = split(job.plan.geometry.byte(u64::from(journal.blocks)));
    blocks(job, &journal.placed, &mut new);
    map(job, inode::JOURNAL, &journal.placed, &mut new);
    Some(new)
}

fn fixed(job: &Job<'_>, number: u32, node: &Node, placed: &Placed) -> Inode {
    let mut new = Inode::new_zeroed();
    new.mode = U16::new(node.mode);
    (new.uid_lo, new.uid_hi) = (lo16(node.uid), super::super::disk::hi16(node.uid));
    (new.gid_lo, new.gid_hi) = (lo16(node.gid), super::super::disk::hi16(node.gid));
    (new.size_lo, new.size_hi) = split(node.size(&job.plan.geometry));
    new.links = lo16(if node.links > MAX_LINKS { 1 } else { node.links });
    (new.atime, new.atime_extra) = inode::time(node.times.accessed);
    (new.mtime, new.mtime_extra) = inode::time(node.times.modified);
    (new.ctime, new.ctime_extra) = inode::time(node.times.changed);
    (new.crtime, new.crtime_extra) = inode::time(node.times.created);
    new.extra_isize = U16::new(inode::EXTRA);
    new.flags = U32::new(node.flags);
    if let Some(block) = placed.xattrs {
        let (low, high) = split(block);
        (new.file_acl_lo, new.file_acl_hi) = (low, lo16(high.get()));
    }
    blocks(job, placed, &mut new);
    match &node.content {
        Content::None => {}
        Content::Device([old, new_form]) => {
            let numbers = [U32::new(*old), U32::new(*new_form)];
            fill(&mut new.block, numbers.as_bytes());
        }
        Content::FastLink(target) => fill(&mut new.block, target),
        Content::Directory(directory) => {
            if matches!(directory.shape, Shape::Indexed { .. }) {
                new.flags |= U32::new(flag::INDEX);
            }
            map(job, number, placed, &mut new);
        }
        Content::File { .. } | Content::SlowLink(_) => map(job, number, placed, &mut new),
    }
    new
}

fn fill(place: &mut [u8], bytes: &[u8]) {
    place.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
}

/// `i_blocks`, in 512 bytes; it has 48 bits, which is more than a file of 2^32 blocks needs.
fn blocks(job: &Job<'_>, placed: &Placed, inode: &mut Inode) {
    let sectors = job.plan.geometry.byte(placed.blocks()) / 512;
    let (low, high) = split(sectors);
    (inode.blocks_lo, inode.blocks_hi) = (low, lo16(high.get()));
}

fn map(job: &Job<'_>, number: u32, placed: &Placed, inode: &mut Inode) {
    inode.flags |= U32::new(flag::EXTENTS);
    inode.block = tree(placed, &job.plan.geometry, job.inode_seed(number)).root;
}

const _: () = assert!(BASE + inode::EXTRA as usize == inode::SIZE);
const _: () = assert!(Inventory::inode(0) == inode::ROOT);
