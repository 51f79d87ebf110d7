//! The smallest disk that holds a tree.

use super::{
    super::{
        error::FormatError,
        inventory::{Format, Inventory},
        options::{Ext4FormatOptions, MAX_SIZE, MIN_SIZE},
    },
    Misfit, Misplaced, Plan, attempt,
    sizes::Demand,
};

/// Tries sizes from below, each larger by what was missing. Tables grow with the disk, so that takes a few
/// attempts; each is arithmetic over the tree.
pub(super) fn plan(
    headroom: u64,
    inodes: Demand,
    inventory: &Inventory,
    format: &Format,
    options: &Ext4FormatOptions,
) -> Result<Plan, FormatError> {
    let block = u64::from(format.block_size);
    let wanted = headroom.div_ceil(block);
    let mut bytes = MIN_SIZE.bytes().max(headroom).next_multiple_of(block);
    loop {
        let count = inodes.for_bytes(bytes);
        let missing = match attempt(bytes, count, inventory, format, options) {
            Ok(mut plan) => {
                let free = plan.free_blocks.saturating_sub(plan.reserved_blocks);
                if free >= wanted {
                    plan.bytes = plan.geometry.byte(plan.geometry.blocks);
                    return Ok(plan);
                }
                wanted - free
            }
            Err(Misplaced::Full(missing)) => missing,
            Err(Misplaced::JournalTooLarge { journal, .. }) => u64::from(journal),
            Err(Misplaced::Misfit(Misfit::Small | Misfit::Inodes)) => 64,
            Err(why @ Misplaced::Misfit(Misfit::Large)) => return Err(why.for_user(bytes, count, format)),
        };
        // Progress even where a small last group is left out again and again.
        bytes = bytes.saturating_add(missing.max(bytes / block / 1024).saturating_mul(block));
        if bytes > MAX_SIZE.bytes() {
            return Err(FormatError::TooLarge {
                bytes,
                block_size: format.block_size,
            });
        }
    }
}
