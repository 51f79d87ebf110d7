//! What the filesystem of the writable directory can do, tried out in staging; and staging made ready.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, RawDir, RenameFlags};
use rustix::io::Errno as HostErrno;

use super::attributes::mark;
use super::error::OverlayProblem;
use super::index::Index;
use super::staging::{Means, Staging, Whiteouts, make_whiteout, remove};
use crate::backend::passthrough::dir::CHUNK;
use crate::backend::union::marks;
use crate::fs::{Errno, FsResult};

/// Whether whiteouts may be attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum AttributeWhiteouts {
    #[default]
    Never,
    WhereNeeded,
}

/// Everything of ours in the staging directory is in here.
const OURS: &str = "sandbox";
const STAGE: &str = "stage";
const INDEX: &str = "index";

/// Makes `WORK/sandbox` ready: what a crash has left in `stage` goes, the index stays.
pub(super) fn ready(work: BorrowedFd<'_>, path: &Path) -> Result<(Staging, Index), OverlayProblem> {
    let failed = |name: &'static str| {
        let path = path.join(OURS).join(name);
        move |source: Errno| OverlayProblem::Staging {
            path,
            source: source.into(),
        }
    };
    let ours = directory(work, OURS).map_err(failed(""))?;
    let stage = directory(ours.as_fd(), STAGE).map_err(failed(STAGE))?;
    for name in names(stage.as_fd()).map_err(failed(STAGE))? {
        remove(stage.as_fd(), OsStr::from_bytes(&name)).map_err(failed(STAGE))?;
    }
    let index = directory(ours.as_fd(), INDEX).map_err(failed(INDEX))?;
    let used = !names(index.as_fd()).map_err(failed(INDEX))?.is_empty();
    Ok((Staging::new(stage), Index::new(index, used)))
}

/// Whether a mount of the kernel's has left word that it must not be trusted.
pub(super) fn is_volatile(work: BorrowedFd<'_>) -> bool {
    rustix::fs::statat(work, "work/incompat/volatile", AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

/// Tries everything that is needed: what there is for whiteouts.
pub(super) fn probe(
    staging: &Staging,
    path: &Path,
    attributes: AttributeWhiteouts,
) -> Result<Means, OverlayProblem> {
    let unsuitable = |feature: &'static str| {
        move |source: Errno| OverlayProblem::Unsuitable {
            path: path.to_path_buf(),
            feature,
            source: source.into(),
        }
    };
    let fd = staging.fd();
    let (one, other) = (staging.name(), staging.name());
    let made = rustix::fs::mkdirat(fd, &one.name, Mode::RWXU).map_err(Errno::from);
    made.and_then(|()| open(fd, &one.name))
        .and_then(|dir| mark(dir.as_fd(), marks::OPAQUE, b"y"))
        .map_err(unsuitable("keep user extended attributes"))?;
    let is_allowed = attributes == AttributeWhiteouts::WhereNeeded;
    let whiteouts = match make_whiteout(fd, &other.name, Whiteouts::Devices) {
        Ok(()) => Whiteouts::Devices,
        Err(_) if is_allowed => {
            let made = make_whiteout(fd, &other.name, Whiteouts::Attributes);
            made.map_err(unsuitable("keep whiteouts"))?;
            Whiteouts::Attributes
        }
        Err(error) => return Err(unsuitable("keep whiteouts (devices 0/0)")(error)),
    };
    other
        .exchange(fd, &one.name)
        .map_err(unsuitable("exchange names (RENAME_EXCHANGE)"))?;
    let moved = staging.name();
    let flags = RenameFlags::WHITEOUT;
    let left = rustix::fs::renameat_with(fd, &other.name, fd, &moved.name, flags).map_err(Errno::from);
    // What the kernel leaves is a device.
    let renames_leave = whiteouts == Whiteouts::Devices && left.is_ok();
    match left {
        Err(error) if !is_allowed => Err(unsuitable("leave whiteouts (RENAME_WHITEOUT)")(error)),
        _ => Ok(Means {
            whiteouts,
            renames_leave,
        }),
    }
}

fn directory(parent: BorrowedFd<'_>, name: &str) -> FsResult<OwnedFd> {
    match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
        Ok(()) | Err(HostErrno::EXIST) => open(parent, OsStr::new(name)),
        Err(error) => Err(error.into()),
    }
}

fn open(parent: BorrowedFd<'_>, name: &OsStr) -> FsResult<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(parent, name, flags, Mode::empty())?)
}

fn names(dir: BorrowedFd<'_>) -> FsResult<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    let mut buffer = Vec::<u8>::with_capacity(CHUNK);
    let mut raw = RawDir::new(dir, buffer.spare_capacity_mut());
    while let Some(entry) = raw.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            found.push(name.to_vec());
        }
    }
    Ok(found)
}
