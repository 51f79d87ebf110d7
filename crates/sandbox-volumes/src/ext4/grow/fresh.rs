//! What is written behind the old end of a disk.

use std::io;

use super::{
    super::{
        device::BlockDevice,
        disk::group::Tables,
        execute::{
            groups::{Described, Use, describe},
            superblock::copy,
        },
        layout::FlexLayout,
    },
    plan::GrowPlan,
};

/// A new group: nothing is in use but tables.
pub(super) fn describe_new(plan: &GrowPlan, layout: &FlexLayout, group: u32, tables: Tables) -> Described {
    let used = Use {
        blocks: layout.used(&plan.geometry, group, 0),
        inodes: 0,
        directories: 0,
    };
    describe(&plan.geometry, group, tables, &used, plan.seed)
}

/// Bitmaps, descriptors and copies of the superblock. Inode tables are zero.
pub(super) fn write(device: &mut dyn BlockDevice, plan: &GrowPlan) -> io::Result<()> {
    let geometry = &plan.geometry;
    for layout in plan.layouts() {
        let layout = layout.ok_or(io::ErrorKind::InvalidInput)?;
        for (group, tables) in layout.iter() {
            if let Some(bitmap) = describe_new(plan, &layout, group, tables).block_bitmap {
                device.write_at(geometry.byte(tables.block_bitmap), &bitmap)?;
            }
        }
    }
    for number in plan.first_descriptor_block..geometry.descriptor_blocks() {
        let block = plan.descriptor_block(number);
        let places = geometry.descriptor_places(number);
        for place in places.into_iter().filter(|place| *place >= plan.old.blocks) {
            device.write_at(geometry.byte(place), &block)?;
        }
    }
    for group in geometry.superblocks().filter(|group| *group >= plan.old.groups) {
        copy(&plan.superblock, geometry, group, |at, bytes| {
            device.write_at(at, bytes)
        })?;
    }
    Ok(())
}
