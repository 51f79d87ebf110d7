//! truncate(2), which rustix leaves out.

use std::ffi::CStr;
use std::io;

/// Sets the length of the file at `path`. Links are followed.
pub(crate) fn truncate(path: &CStr, len: u64) -> io::Result<()> {
    let len = i64::try_from(len).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    // SAFETY: `path` ends with a zero byte and lives until the call returns.
    let result = unsafe { libc::truncate(path.as_ptr(), len) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
