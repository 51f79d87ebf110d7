//! What things weigh. The same numbers for those who charge and for those who count.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{FileType, Statx};
use rustix::io::Errno;
use sandbox_types::quota;
pub(crate) use sandbox_types::quota::xattr_weight;

/// An inode, whatever it is, with what servers keep in its own attribute.
pub(crate) const INODE: u64 = quota::INODE_WEIGHT;

pub(crate) fn name_weight(name: &OsStr) -> u64 {
    quota::name_weight(name.len())
}

/// The content of a file or link. What a directory needs is in the weight of its names.
pub(crate) fn data_of(stat: &Statx) -> u64 {
    match FileType::from_raw_mode(u32::from(stat.stx_mode)) {
        FileType::RegularFile => stat.stx_blocks.saturating_mul(512),
        FileType::Symlink => stat.stx_size,
        _ => 0,
    }
}

/// The weight of an entry's inode: itself, its data, its attributes.
pub(crate) fn held_by(dir: BorrowedFd<'_>, name: &OsStr, stat: &Statx) -> Result<u64, Errno> {
    Ok(INODE
        .saturating_add(data_of(stat))
        .saturating_add(xattrs_of(dir, name)?))
}

/// The weight of an entry's attributes.
pub(crate) fn xattrs_of(dir: BorrowedFd<'_>, name: &OsStr) -> Result<u64, Errno> {
    let path = [
        format!("/proc/self/fd/{}/", dir.as_raw_fd()).as_bytes(),
        name.as_bytes(),
    ]
    .concat();
    let path = CString::new(path).map_err(|_| Errno::INVAL)?;
    let length = match rustix::fs::llistxattr_query(path.as_c_str()) {
        Ok(0) | Err(Errno::OPNOTSUPP | Errno::NOENT) => return Ok(0),
        Ok(length) => length,
        Err(error) => return Err(error),
    };
    // More can have come since; a list that is too long by then is the next count's business.
    let mut list = vec![0; length + 1024];
    let length = rustix::fs::llistxattr(path.as_c_str(), list.as_mut_slice())?;
    let mut sum = 0u64;
    for name in list
        .get(..length)
        .unwrap_or_default()
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        if quota::is_host_xattr(name) {
            continue;
        }
        let value = rustix::fs::lgetxattr_query(path.as_c_str(), OsStr::from_bytes(name)).unwrap_or(0);
        sum = sum.saturating_add(xattr_weight(name, value));
    }
    Ok(sum)
}
