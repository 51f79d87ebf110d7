//! Files that the kernel reads and writes itself.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::link::Link;
use crate::fs::{Errno, FsResult};
use crate::serve::Backing;
use crate::sys::fuse::{backing_close, backing_open};

/// The calls of ioctl(2) on a device, for as long as there is one.
#[derive(Debug)]
pub(super) struct DeviceBacking(pub(super) Arc<Link>);

impl Backing for DeviceBacking {
    fn open(&self, file: BorrowedFd<'_>) -> FsResult<u32> {
        let device = self.0.device().ok_or(Errno::ENODEV)?;
        Ok(backing_open(device.as_fd(), file)?)
    }

    fn close(&self, id: u32) {
        let Some(device) = self.0.device() else {
            return;
        };
        if let Err(error) = backing_close(device.as_fd(), id) {
            tracing::debug!(%error, id, "a backing file is not given up");
        }
    }
}
