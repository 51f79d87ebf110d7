//! What a file system can do for a copy.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// Whether files in `from` can be copied to `to` by reflink: tried with two files that never have a name. `from`
/// may be read-only; then the answer is that of `to`'s file system, if it is the same.
pub(crate) fn can_reflink(from: &Path, to: &Path) -> io::Result<bool> {
    let nameless = |dir: &Path| {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        rustix::fs::open(dir, flags, Mode::RUSR | Mode::WUSR)
    };
    if rustix::fs::stat(from)?.st_dev != rustix::fs::stat(to)?.st_dev {
        return Ok(false);
    }
    let (Ok(source), Ok(copy)) = (nameless(to), nameless(to)) else {
        return Ok(false);
    };
    File::from(source.try_clone()?).write_all_at(&[1; 4096], 0)?;
    Ok(rustix::fs::ioctl_ficlone(copy, source).is_ok())
}
