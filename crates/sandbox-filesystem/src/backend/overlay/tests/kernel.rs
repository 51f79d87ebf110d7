//! The kernel's own overlayfs, mounted where only this process sees it.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::sys::overlay::Assembly;

/// A mount without a place in any table; it goes with this.
pub(super) struct Mounted(OwnedFd);

impl Mounted {
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}

/// With `userxattr`, as root or in a user namespace; none where this host has no such mounts.
pub(super) fn mount(lowers: &[&Path], upper: &Path, work: &Path) -> Option<Mounted> {
    let lowers: Vec<PathBuf> = lowers.iter().map(|path| path.to_path_buf()).collect();
    let mut assembly = Assembly::new(&lowers, upper, work).unwrap();
    match assembly.here().or_else(|_| assembly.in_namespaces()) {
        Ok(mount) => Some(Mounted(mount)),
        Err(failure) => {
            println!("SKIP: the kernel's overlayfs cannot be mounted: {failure:?}");
            None
        }
    }
}

/// Removes what a mount leaves in its work directory, which says that it was volatile.
pub(super) fn settle(work: &Path) {
    for below in ["work", "work/incompat", "work/incompat/volatile"] {
        let inner = work.join(below);
        if inner.exists() {
            fs::set_permissions(&inner, fs::Permissions::from_mode(0o700)).unwrap();
        }
    }
    fs::remove_dir_all(work.join("work")).unwrap();
}
