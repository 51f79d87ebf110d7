//! Attributes of what is copied up: owner, mode, extended attributes, times.

use std::ffi::{CStr, OsStr};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Gid, Statx, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno as HostErrno;
use sandbox_types::OverrideStat;

use super::OverlayFs;
use super::lend::with_mode;
use crate::backend::passthrough::attr::chmod;
use crate::backend::passthrough::host;
use crate::backend::passthrough::owner::{self, Kind, Override};
use crate::backend::passthrough::xattr::host_list;
use crate::backend::union::marks;
use crate::fs::{Attr, Errno, FsResult};

/// XATTR_SIZE_MAX.
const LARGEST: usize = 64 * 1024;

/// What is copied up.
pub(super) struct Source<'a> {
    pub(super) file: BorrowedFd<'a>,
    pub(super) stat: &'a Statx,
    pub(super) attr: &'a Attr,
}

impl OverlayFs {
    /// Gives a copy what the original has. Its owner comes before its capabilities, and its times come last.
    pub(super) fn copy_attributes(&self, from: &Source<'_>, to: BorrowedFd<'_>) -> FsResult<()> {
        let kind = Kind::of_mode(u32::from(from.stat.stx_mode)).ok_or(Errno::EIO)?;
        if self.host.config.is_virtual() {
            self.copy_kept(from, to, kind)?;
        } else {
            copy_owner(from.stat, to)?;
            if matches!(kind, Kind::File | Kind::Dir) {
                self.copy_xattrs(from.file, to)?;
            }
            if kind != Kind::Symlink {
                chmod(to, u32::from(from.stat.stx_mode))?;
            }
        }
        copy_times(from.stat, to)
    }

    /// Owner, mode and type that are kept in an attribute, as is whatever else needs a privilege.
    fn copy_kept(&self, from: &Source<'_>, to: BorrowedFd<'_>, kind: Kind) -> FsResult<()> {
        let to_kind = Kind::of_mode(u32::from(host::stat(to)?.stx_mode)).ok_or(Errno::EIO)?;
        if !matches!(to_kind, Kind::File | Kind::Dir) {
            // A symbolic link whose owner is the default one.
            return Ok(());
        }
        if matches!(kind, Kind::File | Kind::Dir) {
            self.copy_xattrs(from.file, to)?;
        }
        let shown = Kind::of_mode(from.attr.mode).ok_or(Errno::EIO)?;
        let kept = Override {
            uid: from.attr.uid,
            gid: from.attr.gid,
            mode: from.attr.mode & 0o7777,
            kind: Some(shown),
            rdev: from.attr.rdev,
        };
        if matches!(shown, Kind::File | Kind::Dir) {
            self.host.keep(to, &kept)?;
        } else {
            owner::write(to, &kept, self.host.config.owners)?;
        }
        chmod(to, self.host.host_mode(to_kind, kept.mode))
    }

    fn copy_xattrs(&self, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> FsResult<()> {
        let strict = self.upper()?.strict;
        let list = host_list(from)?;
        for name in list.split_inclusive(|byte| *byte == 0) {
            let Ok(name) = CStr::from_bytes_with_nul(name) else {
                continue;
            };
            let goes_along = goes_along(name.to_bytes(), self.host.config.is_virtual());
            if goes_along == GoesAlong::No {
                continue;
            }
            match copy_xattr(from, to, name) {
                Err(Errno::EPERM | Errno::ENOTSUP | Errno::EACCES)
                    if goes_along == GoesAlong::IfPossible && !strict =>
                {
                    tracing::debug!(?name, "an attribute is not copied up");
                }
                other => other?,
            }
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GoesAlong {
    Always,
    /// It belongs to the place rather than to the file, or to the host's administrator.
    IfPossible,
    No,
}

fn goes_along(name: &[u8], is_virtual: bool) -> GoesAlong {
    if marks::unescape(name).is_none() || name.starts_with(b"trusted.overlay.") {
        return GoesAlong::No;
    }
    // Where it can be kept without a privilege, it is in there already or was made anew.
    if is_virtual && !name.starts_with(b"user.") || OverrideStat::is_name(name) {
        return GoesAlong::No;
    }
    let content = name.starts_with(b"user.")
        || name.starts_with(b"system.posix_acl_")
        || name == b"security.capability";
    if content {
        GoesAlong::Always
    } else {
        GoesAlong::IfPossible
    }
}

fn copy_xattr(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr) -> FsResult<()> {
    let (from, to) = (host::proc_path(from), host::proc_path(to));
    let mut value = vec![0; 256];
    let length = match rustix::fs::getxattr(from.as_c_str(), name, value.as_mut_slice()) {
        Err(HostErrno::RANGE) => {
            value.resize(LARGEST, 0);
            rustix::fs::getxattr(from.as_c_str(), name, value.as_mut_slice())
        }
        other => other,
    };
    let length = match length {
        Err(HostErrno::NODATA) => return Ok(()),
        other => other?,
    };
    value.truncate(length);
    Ok(rustix::fs::setxattr(
        to.as_c_str(),
        name,
        &value,
        XattrFlags::empty(),
    )?)
}

/// `EPERM` where the server may not give files away: a copy of somebody else's file would not be the same file.
fn copy_owner(from: &Statx, to: BorrowedFd<'_>) -> FsResult<()> {
    let now = host::stat(to)?;
    let user = (now.stx_uid != from.stx_uid).then(|| Uid::from_raw(from.stx_uid));
    let group = (now.stx_gid != from.stx_gid).then(|| Gid::from_raw(from.stx_gid));
    if user.is_some() || group.is_some() {
        let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::chownat(to, c"", user, group, flags)?;
    }
    Ok(())
}

/// Access and modification.
pub(super) fn copy_times(from: &Statx, to: BorrowedFd<'_>) -> FsResult<()> {
    let time = |seconds: i64, nanoseconds: u32| Timespec {
        tv_sec: seconds,
        tv_nsec: i64::from(nanoseconds),
    };
    let times = Timestamps {
        last_access: time(from.stx_atime.tv_sec, from.stx_atime.tv_nsec),
        last_modification: time(from.stx_mtime.tv_sec, from.stx_mtime.tv_nsec),
    };
    let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
    Ok(rustix::fs::utimensat(to.as_fd(), c"", &times, flags)?)
}

/// Removes one of overlayfs' own attributes, if it is there.
pub(super) fn unmark(file: BorrowedFd<'_>, name: &str) -> FsResult<()> {
    let path = host::proc_path(file);
    with_mode(file, 0o200, || {
        match rustix::fs::removexattr(path.as_c_str(), OsStr::new(name)) {
            // Links and special files have none.
            Ok(()) | Err(HostErrno::NODATA | HostErrno::PERM | HostErrno::OPNOTSUPP) => Ok(()),
            Err(error) => Err(error.into()),
        }
    })
}

/// Sets one of overlayfs' own attributes.
pub(super) fn mark(file: BorrowedFd<'_>, name: &str, value: &[u8]) -> FsResult<()> {
    let path = host::proc_path(file);
    with_mode(file, 0o200, || {
        let flags = XattrFlags::empty();
        Ok(rustix::fs::setxattr(
            path.as_c_str(),
            OsStr::new(name),
            value,
            flags,
        )?)
    })
}
