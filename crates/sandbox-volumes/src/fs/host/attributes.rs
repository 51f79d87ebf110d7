//! Permissions and times.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps};

use super::HostFs;
use crate::fs::beneath::Links;
use crate::fs::error::FsError;
use crate::fs::path::Inner;

impl HostFs {
    /// Sets the permissions of what is at `path`; links are followed beneath the root.
    pub(in crate::fs) fn set_permissions(&self, path: &Inner, mode: u32) -> Result<(), FsError> {
        self.through_its_descriptor(path, "chmod", |node| {
            Ok(rustix::fs::chmod(node, Mode::from_raw_mode(mode & 0o7777))?)
        })
    }

    /// Sets when what is at `path` was read and written; links are followed beneath the root.
    pub(in crate::fs) fn set_times(
        &self,
        path: &Inner,
        accessed: SystemTime,
        modified: SystemTime,
    ) -> Result<(), FsError> {
        let times = Timestamps {
            last_access: timespec(accessed),
            last_modification: timespec(modified),
        };
        self.through_its_descriptor(path, "utimens", |node| {
            Ok(rustix::fs::utimensat(CWD, node, &times, AtFlags::empty())?)
        })
    }

    /// An O_PATH descriptor cannot be changed, and another kind needs a permission that is not to be needed here.
    fn through_its_descriptor(
        &self,
        path: &Inner,
        what: &'static str,
        work: impl FnOnce(&Path) -> io::Result<()>,
    ) -> Result<(), FsError> {
        let change = || {
            let node = self
                .root
                .resolve(path, OFlags::PATH, Mode::empty(), Links::Follow)?;
            work(&in_proc(&node))
        };
        change().map_err(FsError::new(what, path))
    }
}

fn in_proc(node: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", node.as_raw_fd()))
}

fn timespec(time: SystemTime) -> Timespec {
    let (seconds, nanos) = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => (
            i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            after.subsec_nanos(),
        ),
        Err(before) => {
            let before = before.duration();
            let seconds = i64::try_from(before.as_secs()).map_or(i64::MIN, |seconds| -seconds);
            match before.subsec_nanos() {
                0 => (seconds, 0),
                nanos => (seconds.saturating_sub(1), 1_000_000_000 - nanos),
            }
        }
    };
    Timespec {
        tv_sec: seconds,
        tv_nsec: nanos.into(),
    }
}
