//! The kernel mounts our disks.

use std::{fs, io::Write, path::Path};

use sandbox_types::ByteSize;
use sandbox_volumes::ext4::{Recovered, check, grow, recover};

use super::{GIB, MIB, fill, make, options, populated::nasty};
use crate::harness::{Mounted, is_clean, place};

/// Fills a file system with files of many sizes until it is `percent` full.
fn fill_up(root: &Path, percent: u64) {
    let mut number = 0_u64;
    loop {
        let stat = rustix::fs::statvfs(root).expect("statvfs");
        let free = stat.f_bavail * 100 / stat.f_blocks.max(1);
        if free <= 100 - percent {
            return;
        }
        let directory = root.join(format!("d{}", number / 50));
        fs::create_dir_all(&directory).expect("a directory");
        let len = [10, 5_000, 70_000, 900_000][(number % 4) as usize];
        let mut file = fs::File::create(directory.join(format!("f{number}"))).expect("a file");
        file.write_all(&vec![number as u8; len]).expect("room");
        number += 1;
    }
}

#[test]
fn the_kernel_fills_a_disk_to_nine_tenths_and_it_is_clean_again() {
    needs_root!();
    for bytes in [6 * MIB, 64 * MIB, 300 * MIB] {
        let place = place();
        let image = place.path().join("disk");
        make(&image, options(bytes));
        let mounted = Mounted::new(&image, "rw", &place.path().join("mnt"));
        fill_up(&mounted.path, 90);
        drop(mounted);
        is_clean(&image);
    }
}

#[test]
fn the_kernel_changes_a_full_tree_and_the_disk_grows_in_between() {
    needs_root!();
    let place = place();
    let (image, mnt) = (place.path().join("disk"), place.path().join("mnt"));
    fill(&image, &nasty(), options(32 * MIB).block_size(4096));
    for bytes in [200 * MIB, 9 * GIB] {
        let mounted = Mounted::new(&image, "rw", &mnt);
        fill_up(&mounted.path.join("files"), 20.min(bytes / MIB / 10));
        fs::remove_dir_all(mounted.path.join("names")).ok();
        fs::rename(mounted.path.join("specials"), mounted.path.join("files/moved")).ok();
        drop(mounted);
        is_clean(&image);
        grow(&image, ByteSize::from_bytes(bytes)).expect("it grows");
        is_clean(&image);
    }
    let mounted = Mounted::new(&image, "rw", &mnt);
    assert_eq!(
        fs::read(mounted.path.join("linked elsewhere")).expect("a file"),
        b"three names"
    );
    fs::write(mounted.path.join("new"), vec![1; 50 << 20]).expect("room");
    drop(mounted);
    is_clean(&image);
}

#[test]
fn the_largest_disk_can_be_mounted_and_written() {
    needs_root!();
    let place = place();
    let image = place.path().join("disk");
    make(&image, options((16 << 40) - 4096));
    let mounted = Mounted::new(&image, "rw", &place.path().join("mnt"));
    fs::write(mounted.path.join("file"), vec![1; 1 << 20]).expect("room");
    drop(mounted);
    let report = check(fs::File::open(&image).expect("the image")).expect("a disk");
    assert!(report.is_clean(), "{report:#?}");
}

#[test]
fn what_the_kernel_left_in_the_journal_is_replayed() {
    needs_root!();
    let place = place();
    let (image, copy) = (place.path().join("disk"), place.path().join("copy"));
    make(&image, options(64 * MIB));
    let mounted = Mounted::new(&image, "rw", &place.path().join("mnt"));
    for round in 0..3_u8 {
        for number in 0..200 {
            fs::write(mounted.path.join(format!("{round} {number}")), vec![round; 3000]).expect("room");
            if round > 0 {
                fs::remove_file(mounted.path.join(format!("{} {number}", round - 1))).expect("a file");
            }
        }
        let root = fs::File::open(&mounted.path).expect("the root");
        rustix::fs::syncfs(&root).expect("a sync");
    }
    // As if the power had gone: nobody unmounts the copy.
    fs::copy(&image, &copy).expect("room");
    drop(mounted);
    let before = check(fs::File::open(&copy).expect("the copy")).expect("a disk");
    assert!(
        before
            .problems
            .iter()
            .any(|problem| problem.to_string().contains("replayed")),
        "{before:#?}"
    );
    assert_eq!(recover(&copy).expect("it recovers"), Recovered::Replayed);
    is_clean(&copy);
    assert_eq!(recover(&copy).expect("it is clean"), Recovered::Clean);
    let mounted = Mounted::new(&copy, "ro", &place.path().join("mnt"));
    assert_eq!(
        fs::read(mounted.path.join("2 199")).expect("a file"),
        vec![2; 3000]
    );
    assert!(!mounted.path.join("1 199").exists());
}
