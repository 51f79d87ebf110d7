//! A private directory on the host, for sandboxes that cannot have a file system of their own.
//!
//! Named `sandbox-UID-PID-STARTTIME-N` in the host's temporary directory, so that what a killed supervisor
//! has left can be told from what is in use. One that others use as well carries their mark ([`mark`]).

mod remove;

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use remove::remove;

use crate::mark;

/// A directory that is removed, with all that is in it, when dropped.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes an empty directory that only this user may enter.
    pub(crate) fn new() -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let uid = rustix::process::getuid().as_raw();
        let pid = std::process::id();
        let start = start_time(pid).unwrap_or(0);
        loop {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("sandbox-{uid}-{pid}-{start}-{number}"));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The directory of a sandbox that this process has joined.
    pub(crate) fn joined(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Leaves it to others, who need it still.
    pub(crate) fn leave(self) {
        std::mem::forget(self);
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove a scratch directory");
        }
    }
}

/// Directories whose supervisor is gone, and which nobody else uses.
pub(crate) fn leftovers() -> io::Result<Vec<PathBuf>> {
    let uid = rustix::process::getuid().as_raw();
    let mut found = Vec::new();
    for entry in fs::read_dir(std::env::temp_dir())? {
        let entry = entry?;
        let name = entry.file_name();
        // Anybody can put a name of ours, or a link, into a shared directory. Root gives its own away to whom the
        // command becomes.
        let is_ours = || {
            let metadata = entry.path().symlink_metadata();
            metadata.is_ok_and(|metadata| metadata.is_dir() && (metadata.uid() == uid || uid == 0))
        };
        if let Some((pid, start)) = maker(&name)
            && start_time(pid) != Some(start)
            && is_ours()
            && !mark::is_held(&entry.path())
        {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Whether a path is that of a private directory of this user.
pub(crate) fn is_private(path: &Path) -> bool {
    path.is_absolute() && path.file_name().and_then(maker).is_some()
}

/// Pid and start time of the process of this user that has made a directory of that name.
fn maker(name: &OsStr) -> Option<(u32, u64)> {
    let mut parts = name.to_str()?.split('-');
    let is_ours = parts.next() == Some("sandbox")
        && parts.next()?.parse().ok() == Some(rustix::process::getuid().as_raw());
    let made_by = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    is_ours.then_some(made_by)
}

/// When a process started, in clock ticks since boot (proc_pid_stat(5), field 22).
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_link_with_a_name_of_ours_is_not_a_left_over_directory() {
        let uid = rustix::process::getuid().as_raw();
        let (link, directory) = ["1", "2"]
            .map(|n| std::env::temp_dir().join(format!("sandbox-{uid}-{}-{n}-0", std::process::id())))
            .into();
        fs::create_dir(&directory).expect("temporary directory");
        std::os::unix::fs::symlink("/nowhere", &link).expect("temporary directory");
        let found = leftovers().expect("readable");
        fs::remove_file(&link).expect("made above");
        fs::remove_dir(&directory).expect("made above");
        assert!(found.contains(&directory) && !found.contains(&link), "{found:?}");
    }

    #[test]
    fn a_scratch_directory_goes_even_when_its_content_has_no_permissions() {
        let scratch = Scratch::new().expect("temporary directory");
        let path = scratch.path().to_owned();
        fs::create_dir_all(path.join("a/b")).expect("mkdir");
        fs::set_permissions(path.join("a"), fs::Permissions::from_mode(0o000)).expect("chmod");
        assert!(!leftovers().expect("readable").contains(&path), "its owner lives");
        drop(scratch);
        assert!(!path.exists());
    }
}
