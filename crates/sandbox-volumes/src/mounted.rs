//! Whether the kernel still has a disk: the last mount of an image can outlive whoever held its lock, for a moment
//! or, where somebody has mounted it by hand, for long.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::lock::Share;

const DEVICES: &str = "/sys/block";
/// How long it is waited for a device that is on its way out.
const PATIENCE: Duration = Duration::from_secs(2);
const MOMENT: Duration = Duration::from_millis(20);

/// The loop device behind which the image is, where whoever wants it `share`d or alone would be disturbed by it.
pub(crate) fn device_of(image: &Path, share: Share) -> Option<PathBuf> {
    let image = fs::canonicalize(image).ok()?;
    let begun = Instant::now();
    loop {
        let found = find(&image, share)?;
        if begun.elapsed() > PATIENCE {
            return Some(found);
        }
        thread::sleep(MOMENT);
    }
}

fn find(image: &Path, share: Share) -> Option<PathBuf> {
    let text = |path: PathBuf| -> io::Result<String> { Ok(fs::read_to_string(path)?.trim_end().to_owned()) };
    let devices = fs::read_dir(DEVICES).ok()?.flatten();
    devices
        .filter(|entry| entry.file_name().as_bytes().starts_with(b"loop"))
        .find(|entry| {
            let file = text(entry.path().join("loop/backing_file"));
            let is_behind = file.is_ok_and(|path| Path::new(&path) == image);
            let only_reads = text(entry.path().join("ro")).is_ok_and(|ro| ro == "1");
            is_behind && !(share == Share::Shared && only_reads)
        })
        .map(|entry| Path::new("/dev").join(entry.file_name()))
}
