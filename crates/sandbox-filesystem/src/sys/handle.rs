//! name_to_handle_at(2): what a file system calls a file, whatever its path.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

/// No file system's handle is longer (MAX_HANDLE_SZ).
const CAPACITY: libc::c_uint = 128;

/// A file's handle: its type, then its bytes. It is compared, never opened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Handle(Box<[u8]>);

impl Handle {
    pub(crate) fn new(kind: u8, id: &[u8]) -> Self {
        Self([&[kind], id].concat().into())
    }
}

/// The kernel's `struct file_handle` with room for the longest.
#[repr(C)]
struct FileHandle {
    bytes: libc::c_uint,
    kind: libc::c_int,
    id: [u8; CAPACITY as usize],
}

/// The handle of `name` in `dir`, links not followed; none where the file system has no handles.
pub(crate) fn handle_of(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<Option<Handle>> {
    let name = CString::new(name.as_bytes())?;
    let mut handle = FileHandle {
        bytes: CAPACITY,
        kind: 0,
        id: [0; CAPACITY as usize],
    };
    let mut mount = 0;
    // SAFETY: `dir` is open and `name` ends in NUL; `handle` is laid out as the kernel's struct file_handle,
    // with `bytes` of room after its two fields, and the kernel writes no more than that.
    let result = unsafe {
        libc::name_to_handle_at(
            dir.as_raw_fd(),
            name.as_ptr(),
            (&raw mut handle).cast(),
            &raw mut mount,
            0,
        )
    };
    if result == -1 {
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            Some(libc::EOPNOTSUPP | libc::EOVERFLOW | libc::ENOSYS | libc::ENOENT) => Ok(None),
            _ => Err(error),
        };
    }
    let id = usize::try_from(handle.bytes)
        .ok()
        .and_then(|length| handle.id.get(..length));
    let kind = u8::try_from(handle.kind).ok();
    Ok(kind.zip(id).map(|(kind, id)| Handle::new(kind, id)))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_handle_stays_with_the_file_when_it_is_renamed() {
        let place = tempfile::tempdir().unwrap();
        let dir = std::fs::File::open(place.path()).unwrap();
        std::fs::write(place.path().join("a"), "").unwrap();
        std::fs::write(place.path().join("b"), "").unwrap();
        let of = |name: &str| handle_of(dir.as_fd(), OsStr::new(name)).unwrap();
        let Some(handle) = of("a") else {
            println!("SKIP: a_handle_stays_with_the_file_when_it_is_renamed: no handles on this file system");
            return;
        };
        assert_ne!(of("b"), Some(handle.clone()));
        std::fs::rename(place.path().join("a"), place.path().join("c")).unwrap();
        assert_eq!(of("c"), Some(handle));
        assert_eq!(of("missing"), None);
    }
}
