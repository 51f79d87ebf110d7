//! What a tree will weigh in a directory with a quota, before it is there: see [`sandbox_types::quota`].

use std::collections::HashSet;

use sandbox_types::quota::{INODE_WEIGHT, QuotaRecord, name_weight, xattr_weight};

use super::across::{From, Item, Kind};
use super::tree::Failed;
use crate::fs::path::Inner;

/// Data is allocated in blocks; those of host file systems are no larger as a rule.
const BLOCK: u64 = 4096;

/// The most that what is at `start` can weigh under a name of `name` bytes.
pub(crate) fn weight_of(from: &mut dyn From, start: &Inner, name: usize) -> Result<QuotaRecord, Failed> {
    let mut total = QuotaRecord {
        exact: false,
        bytes: 0,
        inodes: 0,
    };
    let mut seen = HashSet::new();
    let mut waiting = vec![(start.clone(), name)];
    while let Some((path, name)) = waiting.pop() {
        let failed = |source| Failed {
            path: path.shown(),
            source,
        };
        let item = from.item(&path).map_err(failed)?;
        total.bytes = total.bytes.saturating_add(name_weight(name));
        if item.shared.is_none_or(|shared| seen.insert(shared)) {
            total.bytes = total.bytes.saturating_add(inode(&item));
            total.inodes += 1;
        }
        if item.kind == Kind::Directory {
            let names = from.names(&path).map_err(failed)?;
            waiting.extend(names.iter().map(|name| (path.join(name), name.len())));
        }
    }
    Ok(total)
}

fn inode(item: &Item) -> u64 {
    let content = match &item.kind {
        Kind::File => item.size.div_ceil(BLOCK).saturating_mul(BLOCK),
        Kind::Link(target) => target.len() as u64,
        _ => 0,
    };
    let attributes = item.xattrs.iter().fold(0_u64, |sum, one| {
        sum.saturating_add(xattr_weight(&one.name, one.value.len()))
    });
    INODE_WEIGHT.saturating_add(content).saturating_add(attributes)
}
