//! How large and how full it is.

use super::PassthroughFs;
use crate::fs::{FsResult, StatFs};

impl PassthroughFs {
    pub(in crate::backend) fn do_statfs(&self) -> FsResult<StatFs> {
        let host = rustix::fs::fstatvfs(&self.root)?;
        let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let mut found = StatFs {
            blocks: host.f_blocks,
            blocks_free: host.f_bfree,
            blocks_available: host.f_bavail,
            files: host.f_files,
            files_free: host.f_ffree,
            block_size: narrow(host.f_bsize),
            name_max: narrow(host.f_namemax),
            fragment_size: narrow(host.f_frsize),
        };
        if let Some(quota) = &self.quota {
            let unit = host.f_frsize.max(1);
            let (total, used) = (quota.limits(), quota.usage());
            if total.bytes < u64::MAX {
                let free = total.bytes.saturating_sub(used.bytes) / unit;
                found.blocks = total.bytes / unit;
                // What is used is the difference of these two, also where the host has less room than the quota.
                found.blocks_free = free;
                found.blocks_available = free.min(host.f_bavail);
            }
            if let Some(inodes) = total.inodes {
                found.files = inodes;
                // As above: the protocol has no third figure for what the host has room for.
                found.files_free = inodes.saturating_sub(used.inodes);
            }
        }
        Ok(found)
    }

    /// Everything on the host's filesystem is on the disk.
    pub(in crate::backend) fn do_syncfs(&self) -> FsResult<()> {
        Ok(rustix::fs::syncfs(&self.root)?)
    }
}
