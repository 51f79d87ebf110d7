//! The directories that are made, emptied and removed with an overlay.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::super::handle::boot_id;
use super::super::lock::Held;
use super::super::place;
use super::super::remove::remove_tree;
use super::check::Directories;
use super::config::OverlayConfig;
use super::error::OverlayError;
use super::manager::hold;

/// In the work directory: in which boot of the machine it was mounted.
const BOOT: &str = "boot";

/// What overlayfs and we make in a work directory.
const OURS: &[&str] = &["work", "index", BOOT];

/// Makes the work directory as for the first mount, and takes its lock.
pub(super) fn make(directories: &Directories) -> Result<Held, OverlayError> {
    let Directories { work, upper, .. } = directories;
    fs::create_dir_all(work).map_err(OverlayError::io("make", work))?;
    let held = hold(work)?;
    if !is_ours(work).map_err(OverlayError::io("read", work))? {
        return Err(OverlayError::WorkInUse { path: work.clone() });
    }
    let last = fs::read_to_string(work.join(BOOT)).ok();
    if last.is_some_and(|boot| boot != boot_id()) {
        return Err(OverlayError::Unsettled {
            upper: upper.clone(),
            work: work.clone(),
        });
    }
    // Overlayfs does not mount over the mark of a volatile mount.
    let clear = || {
        empty(work)?;
        fs::write(work.join(BOOT), boot_id())
    };
    clear().map_err(OverlayError::io("clear", work))?;
    Ok(held)
}

/// The work directory of a configuration, where there is one and it is nothing else.
pub(super) fn find(config: &OverlayConfig) -> Result<Option<PathBuf>, OverlayError> {
    let work = place::resolve(&config.work).map_err(OverlayError::io("find", &config.work))?;
    match is_ours(&work) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Ok(false) => Err(OverlayError::WorkInUse { path: work }),
        Ok(true) => Ok(Some(work)),
        Err(error) => Err(OverlayError::io("read", &work)(error)),
    }
}

/// Removes the work directory, whose own directory has mode 000.
pub(super) fn remove(work: &Path) -> io::Result<()> {
    remove_tree(work)
}

/// Removes everything in an upper, and what it says of the layers beneath it.
pub(super) fn empty_upper(upper: &Path) -> io::Result<()> {
    empty(upper)?;
    match rustix::fs::removexattr(upper, c"user.overlay.opaque") {
        Ok(()) | Err(rustix::io::Errno::NODATA | rustix::io::Errno::NOTSUP) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn empty(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn is_ours(work: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(work)? {
        let name = entry?.file_name();
        if !OURS.iter().any(|ours| name == OsStr::new(ours)) {
            return Ok(false);
        }
    }
    Ok(true)
}
