//! Names of entries. A server lets no bad one through; whoever calls the methods might.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::fs::{Errno, FsResult};

/// Bytes of the longest name.
pub(super) const NAME_MAX: usize = 255;

/// Bytes of the longest target of a symbolic link, as the kernel has it (`PATH_MAX` less the zero byte).
pub(super) const TARGET_MAX: usize = 4095;

/// Whether `name` can be looked up.
pub(super) fn check(name: &OsStr) -> FsResult<()> {
    let bytes = name.as_bytes();
    match bytes.len() {
        0 => Err(Errno::ENOENT),
        1..=NAME_MAX if bytes.contains(&b'/') || bytes.contains(&0) => Err(Errno::EINVAL),
        1..=NAME_MAX => Ok(()),
        _ => Err(Errno::ENAMETOOLONG),
    }
}

/// Whether `name` can be given to something new.
pub(super) fn check_new(name: &OsStr) -> FsResult<()> {
    if is_dots(name) {
        Err(Errno::EEXIST)
    } else {
        check(name)
    }
}

/// Whether what has `name` can be taken away.
pub(super) fn check_old(name: &OsStr) -> FsResult<()> {
    match name.as_bytes() {
        b"." => Err(Errno::EINVAL),
        b".." => Err(Errno::ENOTEMPTY),
        _ => check(name),
    }
}

/// Whether it is "." or "..".
pub(super) fn is_dots(name: &OsStr) -> bool {
    name == "." || name == ".."
}
