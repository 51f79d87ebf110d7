//! Reading and writing the attribute, by the descriptor of a file.

use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::XattrFlags;
use rustix::io::Errno as HostErrno;

use super::Override;
use crate::backend::passthrough::host::{getxattr, proc_path, setxattr};
use crate::fs::{Errno, FsResult};

/// Where it is kept.
pub(in crate::backend) const XATTR: &str = "user.containers.override_stat";

/// Longer values are none of ours: two ids, a mode and two device numbers take 60 bytes.
const LONGEST: usize = 128;

/// What is kept of a file. `Ok(None)`: nothing; an error: what is kept there cannot be understood (`EIO`) or read.
pub(in crate::backend) fn read(file: BorrowedFd<'_>) -> FsResult<Option<Override>> {
    let mut value = [0; LONGEST];
    let found = getxattr(file, OsStr::new(XATTR), &mut value);
    understood(found, &value)
}

/// Of an entry of a directory, a link not followed.
pub(in crate::backend) fn read_in(dir: BorrowedFd<'_>, name: &OsStr) -> FsResult<Option<Override>> {
    let path = [proc_path(dir).as_c_str().to_bytes(), b"/", name.as_bytes()].concat();
    let mut value = [0; LONGEST];
    let found = rustix::fs::lgetxattr(path.as_slice(), XATTR, &mut value[..]);
    understood(found, &value)
}

fn understood(found: Result<usize, HostErrno>, value: &[u8]) -> FsResult<Option<Override>> {
    match found {
        Ok(length) => Override::parse(value.get(..length).unwrap_or_default())
            .map(Some)
            .ok_or(Errno::EIO),
        Err(HostErrno::NODATA | HostErrno::OPNOTSUPP | HostErrno::PERM) => Ok(None),
        Err(HostErrno::RANGE) => Err(Errno::EIO),
        Err(error) => Err(error.into()),
    }
}

/// Keeps it. A file of the server's own that its owner may not write on the host is made writable for that.
pub(in crate::backend) fn write(file: BorrowedFd<'_>, value: &Override) -> FsResult<()> {
    let text = value.format();
    let set = || setxattr(file, OsStr::new(XATTR), text.as_bytes(), XattrFlags::empty());
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
