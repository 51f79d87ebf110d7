//! Reading and writing the attribute, by the descriptor of a file.

use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::XattrFlags;
use rustix::io::Errno as HostErrno;
use sandbox_types::OverrideStat;

use super::{Dialect, Dialects, Override};
use crate::backend::passthrough::host::{getxattr, only_seems_to_keep_xattrs, proc_path, setxattr};
use crate::fs::{Errno, FsResult};

/// Whether the server's own attributes can be kept where `file` is. Asking for one that is not there writes nothing.
pub(in crate::backend) fn supported(file: BorrowedFd<'_>) -> bool {
    getxattr(file, OsStr::new(OverrideStat::CONTAINERS), &mut []) != Err(HostErrno::OPNOTSUPP)
        && !only_seems_to_keep_xattrs(file)
}

/// Whether an attribute is the server's own.
pub(in crate::backend) fn is_own(name: &[u8]) -> bool {
    name == OverrideStat::CONTAINERS.as_bytes()
}

/// What is kept of a file. `Ok(None)`: nothing; an error: what is kept there cannot be understood (`EIO`) or read.
pub(in crate::backend) fn read(file: BorrowedFd<'_>, dialects: Dialects) -> FsResult<Option<Override>> {
    first(dialects, |name, value| getxattr(file, OsStr::new(name), value))
}

/// Of an entry of a directory, a link not followed.
pub(in crate::backend) fn read_in(
    dir: BorrowedFd<'_>,
    name: &OsStr,
    dialects: Dialects,
) -> FsResult<Option<Override>> {
    let path = [proc_path(dir).as_c_str().to_bytes(), b"/", name.as_bytes()].concat();
    first(dialects, |name, value| {
        rustix::fs::lgetxattr(path.as_slice(), name, value)
    })
}

/// The first one that is there.
fn first(
    dialects: Dialects,
    mut get: impl FnMut(&str, &mut [u8]) -> Result<usize, HostErrno>,
) -> FsResult<Option<Override>> {
    let mut value = [0; OverrideStat::LONGEST];
    let others = dialects.others.iter().flatten();
    for dialect in std::iter::once(&Dialect::Containers).chain(others) {
        match get(dialect.name(), &mut value) {
            Ok(length) => {
                let kept = Override::parse(value.get(..length).unwrap_or_default());
                return kept.map(Some).ok_or(Errno::EIO);
            }
            Err(HostErrno::NODATA) => {}
            Err(HostErrno::OPNOTSUPP | HostErrno::PERM) => return Ok(None),
            Err(HostErrno::RANGE) => return Err(Errno::EIO),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// Keeps it, as the tree does. A file of the server's own that its owner may not write on the host is made writable for
/// that.
pub(in crate::backend) fn write(file: BorrowedFd<'_>, value: &Override, dialects: Dialects) -> FsResult<()> {
    let text = value.format();
    match dialects.written {
        Dialect::Containers => write_as(file, Dialect::Containers, &text),
        other => match write_as(file, other, &text) {
            // The one of containers is read first, so that nothing else has to go.
            Err(Errno::EPERM) if other == Dialect::Privileged => write_as(file, Dialect::Containers, &text),
            Ok(()) => remove(file, Dialect::Containers),
            failed => failed,
        },
    }
}

fn write_as(file: BorrowedFd<'_>, dialect: Dialect, text: &str) -> FsResult<()> {
    let name = OsStr::new(dialect.name());
    let set = || setxattr(file, name, text.as_bytes(), XattrFlags::empty());
    match set() {
        Err(HostErrno::ACCESS) => {
            let found = rustix::fs::statat(file, "", rustix::fs::AtFlags::EMPTY_PATH)?;
            let mode = rustix::fs::Mode::from_raw_mode(found.st_mode)
                | rustix::fs::Mode::RUSR
                | rustix::fs::Mode::WUSR;
            rustix::fs::chmod(proc_path(file).as_c_str(), mode).map_err(|_| Errno::EACCES)?;
            Ok(set()?)
        }
        other => Ok(other?),
    }
}

fn remove(file: BorrowedFd<'_>, dialect: Dialect) -> FsResult<()> {
    match rustix::fs::removexattr(proc_path(file).as_c_str(), dialect.name()) {
        Err(HostErrno::NODATA) => Ok(()),
        other => Ok(other?),
    }
}
