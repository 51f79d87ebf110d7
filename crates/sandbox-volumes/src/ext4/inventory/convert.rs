//! What a source says of a file, in ext4's terms.

use std::ops::Range;

use sandbox_types::{TreeDevice, TreeFlags, TreeNode, TreeNodeKind};

use super::Times;
use crate::ext4::disk::inode::{flag, mode};

/// `i_mode`; none for a kind that this version does not know.
pub(super) fn mode_of(node: &TreeNode) -> Option<u16> {
    let kind = match node.kind {
        TreeNodeKind::File { .. } => mode::FILE,
        TreeNodeKind::Directory => mode::DIR,
        TreeNodeKind::Symlink => mode::LINK,
        TreeNodeKind::CharDevice(_) => mode::CHAR,
        TreeNodeKind::BlockDevice(_) => mode::BLOCK,
        TreeNodeKind::Fifo => mode::FIFO,
        TreeNodeKind::Socket => mode::SOCKET,
        _ => return None,
    };
    Some(kind | node.permissions & 0o7777)
}

/// `i_flags` that a user sets.
pub(super) fn flags_of(flags: TreeFlags) -> u32 {
    [
        (flags.immutable, flag::IMMUTABLE),
        (flags.append_only, flag::APPEND),
        (flags.no_dump, flag::NODUMP),
        (flags.no_atime, flag::NOATIME),
    ]
    .into_iter()
    .filter_map(|(is_set, flag)| is_set.then_some(flag))
    .sum()
}

pub(super) fn times_of(node: &TreeNode) -> Times {
    Times {
        accessed: node.accessed,
        modified: node.modified,
        changed: node.changed,
        created: node.created.unwrap_or(node.changed),
    }
}

/// A device number in `i_block`: the old form where it fits, else the new one. None where it is out of range.
pub(super) fn device(TreeDevice { major, minor }: TreeDevice) -> Option<[u32; 2]> {
    if major > 0xFFF || minor > 0xF_FFFF {
        None
    } else if major < 256 && minor < 256 {
        Some([major << 8 | minor, 0])
    } else {
        Some([0, minor & 0xFF | major << 8 | (minor & !0xFF) << 12])
    }
}

/// Ranges of bytes as ranges of whole blocks; those that touch become one.
pub(super) fn blocks(ranges: &[Range<u64>], len: u64, block_size: u32) -> Vec<Range<u32>> {
    let size = u64::from(block_size);
    let mut blocks: Vec<Range<u32>> = Vec::new();
    for range in ranges {
        let (start, end) = (range.start.min(len) / size, range.end.min(len).div_ceil(size));
        let clamp = |block: u64| u32::try_from(block).unwrap_or(u32::MAX);
        let (start, end) = (clamp(start), clamp(end));
        match blocks.last_mut() {
            Some(last) if start <= last.end => last.end = last.end.max(end),
            _ if start < end => blocks.push(start..end),
            _ => {}
        }
    }
    blocks
}
