//! Mounting and unmounting: by root, by the helper, detached.

mod helper;
mod kernel;
mod point;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};

use super::error::{MountError, UnmountError};
use crate::sys::guard::Guard;

pub(super) use helper::Helper;
pub(super) use kernel::{NotHere, anywhere, attach, here};
pub(super) use point::Point;

/// What the mount is like.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) fs_name: String,
    pub(super) subtype: String,
    pub(super) allow_other: bool,
    pub(super) default_permissions: bool,
    pub(super) read_only: bool,
    pub(super) non_empty: bool,
    pub(super) is_directory: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            fs_name: "sandbox".to_owned(),
            subtype: "sandbox".to_owned(),
            allow_other: false,
            default_permissions: true,
            read_only: false,
            non_empty: false,
            is_directory: false,
        }
    }
}

/// Mounts at `path` what nobody serves yet: what was mounted, and the device.
pub(super) fn unserved(options: &Options, path: &Path) -> Result<(Mounted, OwnedFd), MountError> {
    let point = Point::check(path, options)?;
    match here(options, point.kind()) {
        Ok(detached) => Ok((attach(&detached.mount, &point)?, detached.device)),
        Err(NotHere::NotPrivileged) => {
            let (device, mounted) = Helper::mount(options, &point)?;
            Ok((mounted, device))
        }
        Err(NotHere::Failed(error)) => Err(error),
    }
}

/// What was mounted, and how it is unmounted.
#[derive(Debug)]
pub(super) enum Mounted {
    /// In the mount table, by root. The guard unmounts when this process is killed.
    Here { path: PathBuf, guard: Guard },
    /// In the mount table, by the helper, which the guard calls when this process is killed.
    ByHelper { path: PathBuf, helper: Helper },
    /// Nowhere.
    Detached(OwnedFd),
    /// By somebody else, or not any more.
    Elsewhere,
}

impl Mounted {
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Here { path, .. } | Self::ByHelper { path, .. } => Some(path),
            Self::Detached(_) | Self::Elsewhere => None,
        }
    }

    pub(super) fn root(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Detached(mount) => Some(mount.as_fd()),
            _ => None,
        }
    }

    /// Unmounts what nobody uses. Afterwards there is nothing to unmount any more.
    pub(super) fn unmount(&mut self) -> Result<(), UnmountError> {
        match self {
            Self::Here { guard, .. } => guard.unmount().map_err(failed)?,
            Self::ByHelper { path, helper } => helper.unmount(path)?,
            // Who uses it cannot be told; the last who does ends it.
            Self::Detached(_) | Self::Elsewhere => {}
        }
        self.close();
        Ok(())
    }

    /// Takes it out of the tree, whoever uses it.
    pub(super) fn detach(&mut self) {
        let result = match self {
            Self::Here { guard, .. } => guard.detach(),
            Self::ByHelper { path, helper } => helper.detach(path),
            Self::Detached(_) | Self::Elsewhere => Ok(()),
        };
        if let Err(error) = result {
            tracing::warn!(%error, path = ?self.path(), "a mount stays in the tree");
        }
    }

    /// What the kernel has not written yet is written, as far as that is done in time.
    pub(super) fn sync(&self, at_most: Duration) {
        let Some(path) = self.path().map(Path::to_owned) else {
            return;
        };
        let (done, waits) = mpsc::channel();
        let started = thread::Builder::new()
            .name("fuse sync".to_owned())
            .spawn(move || {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let synced = rustix::fs::open(&path, flags, Mode::empty()).and_then(rustix::fs::syncfs);
                // Nobody listens any more where it took too long.
                let _ = done.send(synced);
            });
        if started.is_err() || !matches!(waits.recv_timeout(at_most), Ok(Ok(()))) {
            tracing::warn!(path = ?self.path(), "what was written last may be lost");
        }
    }

    pub(super) fn close(&mut self) {
        *self = Self::Elsewhere;
    }
}

fn failed(error: std::io::Error) -> UnmountError {
    if error.kind() == std::io::ErrorKind::ResourceBusy {
        UnmountError::Busy
    } else {
        UnmountError::Failed { source: error }
    }
}
