//! The connection to the kernel, for as long as there is one.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::fs::{Errno, FsResult};

/// The device. Whoever uses it takes a reference for that moment, so that it is closed soon after it was given up.
#[derive(Debug)]
pub(super) struct Link {
    device: Mutex<Option<Arc<OwnedFd>>>,
}

impl Link {
    pub(super) fn new(device: OwnedFd) -> Self {
        Self {
            device: Mutex::new(Some(Arc::new(device))),
        }
    }

    /// Nothing once it was given up.
    pub(super) fn device(&self) -> Option<Arc<OwnedFd>> {
        self.lock().clone()
    }

    /// Gives it up. It is closed, which ends the connection, when the last who uses it is done.
    pub(super) fn give_up(&self) -> Option<Arc<OwnedFd>> {
        self.lock().take()
    }

    /// Sends a message of our own (`fuse_out_header` with a code in place of the error).
    pub(super) fn notify(&self, code: i32, body: &[u8]) -> FsResult<()> {
        let device = self.device().ok_or(Errno::ENODEV)?;
        notify(&device, code, body)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<OwnedFd>>> {
        self.device.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn notify(device: &OwnedFd, code: i32, body: &[u8]) -> FsResult<()> {
    let length = u32::try_from(16 + body.len()).map_err(|_| Errno::EINVAL)?;
    let mut message = Vec::with_capacity(16 + body.len());
    message.extend_from_slice(&length.to_ne_bytes());
    message.extend_from_slice(&code.to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(body);
    rustix::io::write(device.as_fd(), &message)?;
    Ok(())
}
