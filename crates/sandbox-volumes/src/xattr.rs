//! Extended attributes of open files.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::AsFd;

use rustix::io::Errno;

/// What the kernel gives at most, of names and of one value: limits.h.
const MOST: usize = 64 * 1024;

/// The names of all attributes; none where the file system has no attributes.
pub(crate) fn names(file: impl AsFd) -> io::Result<Vec<CString>> {
    let list = filled(|buffer| rustix::fs::flistxattr(&file, buffer));
    let bytes = match list {
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        result => result?,
    };
    let names = bytes.split_inclusive(|byte| *byte == 0);
    Ok(names
        .filter_map(|name| CStr::from_bytes_with_nul(name).ok().map(CStr::to_owned))
        .collect())
}

/// The value of one; none where it is gone meanwhile.
pub(crate) fn value(file: impl AsFd, name: &CStr) -> io::Result<Option<Vec<u8>>> {
    match filled(|buffer| rustix::fs::fgetxattr(&file, name, buffer)) {
        Err(Errno::NODATA) => Ok(None),
        result => Ok(Some(result?)),
    }
}

/// What a call that fills a buffer gives, in as large a buffer as it needs.
fn filled(call: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut size = 256;
    loop {
        let mut buffer = vec![0; size];
        match call(&mut buffer) {
            Err(Errno::RANGE) if size < MOST => size = MOST,
            result => {
                buffer.truncate(result?);
                return Ok(buffer);
            }
        }
    }
}
