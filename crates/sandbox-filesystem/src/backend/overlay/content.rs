//! The content of a file that is copied up.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{OFlags, Statx};

use super::OverlayFs;
use crate::backend::passthrough::host;
use crate::content::{Copier, Reflink, Shape};
use crate::fs::FsResult;

/// How much of it will be left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// All.
    All,
    /// The first bytes, as many as there are of these.
    First(u64),
}

impl OverlayFs {
    /// Copies what is in `from` to the empty file `to`, by sharing it where that is possible. Holes stay holes.
    pub(super) fn copy_content(
        &self,
        from: BorrowedFd<'_>,
        stat: &Statx,
        to: BorrowedFd<'_>,
        content: Content,
    ) -> FsResult<()> {
        let len = match content {
            Content::All => stat.stx_size,
            Content::First(len) => len.min(stat.stx_size),
        };
        if len == 0 {
            return Ok(());
        }
        let open = || host::reopen(from, OFlags::RDONLY | OFlags::NONBLOCK);
        let from = File::from(self.host.with_descriptors(open)?);
        let to = File::from(to.try_clone_to_owned()?);
        let shape = Shape {
            device: rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor),
            size: stat.stx_size,
            allocated: stat.stx_blocks * 512,
        };
        let mut copier = Copier::new(Reflink::Try);
        if len == stat.stx_size {
            copier.copy(&from, &to, &shape, &mut |_| {})?;
        } else {
            copier.copy_start(&from, &to, &shape, len)?;
        }
        Ok(())
    }
}

/// Puts it on the disk, if that is wanted.
pub(super) fn sync(file: impl AsFd) -> FsResult<()> {
    Ok(rustix::fs::fsync(file)?)
}
