//! What has changed behind the kernel's back.

use std::ffi::OsStr;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use sandbox_filesystem::fs::{Capabilities, ROOT_INO};

use super::mounted;
use super::tiny::Tiny;

#[test]
fn a_change_that_the_kernel_is_told_of_is_seen_at_once() {
    let place = tempfile::tempdir().unwrap();
    let hour = Duration::from_hours(1);
    let fs = Arc::new(Tiny::with(hour, Capabilities::USUAL));
    fs.put("file", b"before");
    let _session = mounted!(&fs, place.path());
    let path = place.path().join("file");
    let size = || fs::metadata(&path).map(|meta| meta.len());
    assert_eq!(size().unwrap(), 6);

    fs.put("file", b"longer than before");
    assert_eq!(size().unwrap(), 6, "the kernel was allowed to remember");
    let channel = fs.invalidate.get().unwrap();
    channel.inode(Tiny::ino("file"), 0, 0).unwrap();
    assert_eq!(size().unwrap(), 18);
    assert_eq!(fs::read(&path).unwrap(), b"longer than before");

    fs.put("other", b"");
    channel
        .deleted(ROOT_INO, Tiny::ino("file"), OsStr::new("file"))
        .unwrap();
    fs::remove_file(&path).unwrap();
    assert!(size().is_err());
}
