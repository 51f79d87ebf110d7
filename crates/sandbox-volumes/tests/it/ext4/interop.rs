//! e2fsprogs changes our disks, and we change what it has changed.

use std::fs;

use sandbox_types::ByteSize;
use sandbox_volumes::ext4::grow;

use super::{GIB, MIB, fill, make, options, populated::nasty, view::agree};
use crate::harness::{header, is_clean, output, place, tool};

#[test]
fn resize2fs_grows_and_shrinks_our_disks() {
    let place = place();
    let image = place.path().join("disk");
    for bytes in [8 * MIB, 64 * MIB, 9 * GIB] {
        make(&image, options(bytes));
        for size in [format!("{}K", bytes / 1024 * 2), format!("{}K", bytes / 1024)] {
            // It wants a check that is younger than the disk.
            let judge = tool("e2fsck").arg("-fy").arg(&image).output().expect("e2fsck");
            assert!(matches!(judge.status.code(), Some(0 | 1)));
            output(tool("resize2fs").arg(&image).arg(size));
            let judge = tool("e2fsck").arg("-fn").arg(&image).output().expect("e2fsck");
            assert!(judge.status.success(), "{}", crate::harness::text(&judge));
        }
    }
}

#[test]
fn tune2fs_changes_label_reserve_and_journal() {
    let place = place();
    let image = place.path().join("disk");
    fill(&image, &nasty(), options(64 * MIB));
    output(tool("tune2fs").args(["-L", "renamed", "-m", "1"]).arg(&image));
    is_clean(&image);
    assert_eq!(header(&image, "Filesystem volume name"), "renamed");
    output(tool("tune2fs").args(["-O", "^has_journal"]).arg(&image));
    is_clean(&image);
    grow(&image, ByteSize::from_bytes(100 * MIB)).expect("it grows");
    is_clean(&image);
    output(tool("tune2fs").args(["-O", "has_journal"]).arg(&image));
    is_clean(&image);
    grow(&image, ByteSize::from_bytes(200 * MIB)).expect("it grows");
    is_clean(&image);
    agree(&image, &nasty());
}

#[test]
fn what_debugfs_wrote_is_clean_and_grows() {
    let place = place();
    let image = place.path().join("disk");
    make(&image, options(64 * MIB));
    let file = place.path().join("file");
    fs::write(&file, vec![3; 3_000_000]).expect("a file");
    output(
        tool("debugfs")
            .args(["-w", "-R"])
            .arg(format!("write {} file", file.display()))
            .arg(&image),
    );
    is_clean(&image);
    grow(&image, ByteSize::from_bytes(300 * MIB)).expect("it grows");
    is_clean(&image);
}

#[test]
fn a_disk_of_mke2fs_is_refused_by_what_it_has_and_we_do_not() {
    let place = place();
    let image = place.path().join("disk");
    output(tool("mke2fs").args(["-q", "-t", "ext4"]).arg(&image).arg("64M"));
    let error = grow(&image, ByteSize::from_bytes(100 * MIB)).expect_err("resize_inode");
    assert!(format!("{error:?}").contains("compat: 16"), "{error:?}");
}
