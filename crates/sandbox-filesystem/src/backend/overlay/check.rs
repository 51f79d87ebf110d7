//! How the directories of an overlay lie to each other.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno as HostErrno;

use super::error::OverlayProblem;
use crate::mount_table;

/// A directory that was opened, as `O_PATH`.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) path: PathBuf,
    pub(super) fd: OwnedFd,
    /// Device and inode.
    pub(super) id: (u64, u64),
}

/// Opens a directory; links in the path are followed.
pub(super) fn open(path: &Path) -> Result<Opened, OverlayProblem> {
    let failed = |source: HostErrno| OverlayProblem::Open {
        path: path.to_path_buf(),
        source: source.into(),
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(HostErrno::NOTDIR) if std::fs::metadata(path).is_ok() => {
            return Err(OverlayProblem::NotADirectory {
                path: path.to_path_buf(),
            });
        }
        other => other.map_err(failed)?,
    };
    let stat = rustix::fs::fstat(&fd).map_err(failed)?;
    Ok(Opened {
        path: path.to_path_buf(),
        fd,
        id: (stat.st_dev, stat.st_ino),
    })
}

/// No directory may be another one, or in it: what is written to one would be seen in the other.
/// What is in something that is left out is in nobody's way.
pub(super) fn apart<'a>(
    all: impl IntoIterator<Item = &'a Opened>,
    left_out: &[PathBuf],
) -> Vec<OverlayProblem> {
    let left_out: Vec<_> = left_out
        .iter()
        .filter_map(|path| path.canonicalize().ok())
        .collect();
    let is_left_out = |path: &Path| {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        left_out.iter().any(|left_out| path.starts_with(left_out))
    };
    let mut problems = Vec::new();
    let mut known: HashMap<(u64, u64), &Opened> = HashMap::new();
    for directory in all {
        if let Some(other) = known.insert(directory.id, directory) {
            problems.push(OverlayProblem::Twice {
                path: directory.path.clone(),
                other: other.path.clone(),
            });
        }
    }
    let mut inside: Vec<_> = known
        .values()
        .filter(|inner| !is_left_out(&inner.path))
        .flat_map(|inner| above(&inner.path).into_iter().map(move |id| (inner, id)))
        .filter_map(|(inner, id)| Some((inner, known.get(&id)?)))
        .map(|(inner, outer)| (inner.path.clone(), outer.path.clone()))
        .collect();
    inside.sort();
    problems.extend(
        inside
            .into_iter()
            .map(|(inner, outer)| OverlayProblem::Inside { inner, outer }),
    );
    problems
}

/// Device and inode of each directory above this one.
fn above(path: &Path) -> Vec<(u64, u64)> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    path.ancestors()
        .skip(1)
        .filter_map(|path| rustix::fs::stat(path).ok())
        .map(|stat| (stat.st_dev, stat.st_ino))
        .collect()
}

/// Where the kernel's overlayfs has the directory as one that it writes to, as far as this process can see it.
pub(super) fn mounted(directory: &Opened) -> Option<PathBuf> {
    let is_it = |path: &PathBuf| {
        let found = rustix::fs::stat(path.as_path());
        found.is_ok_and(|stat| (stat.st_dev, stat.st_ino) == directory.id)
    };
    let table = mount_table::read();
    let mut overlays = mount_table::overlays(&table);
    overlays
        .find(|(_, written)| written.iter().any(is_it))
        .map(|(point, _)| point)
}

/// Whether files can be renamed from one directory to the other.
pub(super) fn on_one_mount(one: &Opened, other: &Opened) -> bool {
    let mount = |fd: &OwnedFd| {
        let flags = rustix::fs::AtFlags::EMPTY_PATH;
        rustix::fs::statx(fd, c"", flags, rustix::fs::StatxFlags::MNT_ID)
            .ok()
            .filter(|stat| stat.stx_mask & rustix::fs::StatxFlags::MNT_ID.bits() != 0)
            .map(|stat| stat.stx_mnt_id)
    };
    one.id.0 == other.id.0 && mount(&one.fd) == mount(&other.fd)
}
