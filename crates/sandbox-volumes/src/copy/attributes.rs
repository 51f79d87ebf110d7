//! Everything but the content of what is copied.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use crate::xattr;

/// Owner, attributes, permissions and times, in this order: each takes away what the one before set.
pub(super) fn apply(from: BorrowedFd<'_>, stat: &Stat, to: BorrowedFd<'_>) -> io::Result<()> {
    if rustix::process::geteuid().is_root() {
        rustix::fs::fchown(
            to,
            Some(Uid::from_raw(stat.st_uid)),
            Some(Gid::from_raw(stat.st_gid)),
        )?;
    }
    xattrs(from, to)?;
    rustix::fs::fchmod(to, mode_of(stat))?;
    Ok(rustix::fs::futimens(to, &times_of(stat))?)
}

/// The same of a pipe or a device, which cannot be opened either.
pub(super) fn apply_to_special(stat: &Stat, directory: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    set_mode_at(directory, name, mode_of(stat))?;
    apply_at(stat, directory, name)
}

/// Permissions of what was just made and cannot be opened, whatever the umask has taken from them. By a descriptor: what takes
/// a name follows links.
pub(crate) fn set_mode_at(directory: BorrowedFd<'_>, name: &OsStr, mode: Mode) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let node = rustix::fs::openat(directory, name, flags, Mode::empty())?;
    Ok(rustix::fs::chmod(
        format!("/proc/self/fd/{}", node.as_raw_fd()),
        mode,
    )?)
}

/// The same of what cannot be opened: a link.
pub(super) fn apply_at(stat: &Stat, directory: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    if rustix::process::geteuid().is_root() {
        let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        rustix::fs::chownat(directory, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(rustix::fs::utimensat(
        directory,
        name,
        &times_of(stat),
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}

/// Set-id bits are kept only with the owner whose they are.
pub(super) fn mode_of(stat: &Stat) -> Mode {
    let keeps_owner =
        rustix::process::geteuid().is_root() || stat.st_uid == rustix::process::geteuid().as_raw();
    Mode::from_raw_mode(stat.st_mode & if keeps_owner { 0o7777 } else { 0o1777 })
}

fn times_of(stat: &Stat) -> Timestamps {
    // Nanoseconds are below a billion.
    let nanos = |nanos: u64| i64::try_from(nanos).unwrap_or(0);
    Timestamps {
        last_access: Timespec {
            tv_sec: stat.st_atime,
            tv_nsec: nanos(stat.st_atime_nsec),
        },
        last_modification: Timespec {
            tv_sec: stat.st_mtime,
            tv_nsec: nanos(stat.st_mtime_nsec),
        },
    }
}

fn xattrs(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    for name in xattr::names(from)? {
        let Some(value) = xattr::value(from, &name)? else {
            continue;
        };
        match rustix::fs::fsetxattr(to, &name, &value, XattrFlags::empty()) {
            Ok(()) => {}
            // What only root may set, or the other file system does not have.
            Err(Errno::PERM | Errno::OPNOTSUPP) if !name.to_bytes().starts_with(b"user.") => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}
