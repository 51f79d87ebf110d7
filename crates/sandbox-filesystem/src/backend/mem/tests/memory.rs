//! What is resident. Each measurement is made in a process of its own, since others would count too.

use std::env;
use std::ffi::OsString;
use std::process::Command;

use super::*;
use crate::fs::XattrFlags;

const MEASURED: &str = "SANDBOX_TEST_MEMFS_RESIDENT";
const CAPACITY: u64 = 64 << 20;

/// Resident bytes of this process, without those of files: its own code.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// Runs this test once more, alone in a process, with `how` in its environment.
fn measure_alone(test: &str, how: &str) {
    let status = Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            &format!("backend::mem::tests::memory::{test}"),
            "--nocapture",
            "--test-threads=1",
        ])
        .env(MEASURED, how)
        .status()
        .unwrap();
    assert!(status.success(), "{how}");
}

type Fill = fn(&MemFs);

const FILLS: [(&str, Fill); 6] = [
    ("one large file", fill_with_data),
    ("small files", fill_with_small_files),
    ("empty files", fill_with_empty_files),
    ("attributes", fill_with_attributes),
    ("names", fill_with_names),
    ("sparse pages", fill_with_sparse_pages),
];

#[test]
fn a_full_filesystem_takes_a_tenth_more_than_its_capacity_at_most_and_gives_it_back() {
    let Ok(how) = env::var(MEASURED) else {
        for (how, _) in FILLS {
            measure_alone(
                "a_full_filesystem_takes_a_tenth_more_than_its_capacity_at_most_and_gives_it_back",
                how,
            );
        }
        return;
    };
    let (_, fill) = FILLS.into_iter().find(|(name, _)| *name == how).unwrap();
    let before = resident();
    let fs = new(64);
    fill(&fs);
    let full = resident() - before;
    assert!(
        full <= CAPACITY + CAPACITY / 10,
        "{how}: {full} bytes are resident"
    );
    fs.destroy();
    remove_all(&fs, ROOT_INO);
    let left = resident().saturating_sub(before);
    println!("{how}: {} KiB full, {} KiB when emptied", full >> 10, left >> 10);
    assert!(left <= CAPACITY / 10, "{how}: {left} bytes stay");
}

fn fill_with_data(fs: &MemFs) {
    let ino = file(fs, ROOT_INO, "f").unwrap().ino;
    let mut offset = 0;
    while let Ok(count) = write(fs, ino, offset, &[7; 1 << 20]) {
        offset += count as u64;
    }
}

fn fill_with_small_files(fs: &MemFs) {
    for number in 0_u32.. {
        let Ok(entry) = file(fs, ROOT_INO, &format!("file-{number}")) else {
            return;
        };
        if write(fs, entry.ino, 0, b"x").is_err() {
            return;
        }
    }
}

fn fill_with_empty_files(fs: &MemFs) {
    let mut number = 0_u32;
    while file(fs, ROOT_INO, &format!("file-{number}")).is_ok() {
        number += 1;
    }
}

fn fill_with_attributes(fs: &MemFs) {
    for number in 0_u32.. {
        let Ok(entry) = file(fs, ROOT_INO, &format!("file-{number}")) else {
            return;
        };
        for attribute in 0..10 {
            let name = OsString::from(format!("user.attribute-{attribute}"));
            if fs
                .setxattr(&ctx(), entry.ino, &name, &[7; 40], XattrFlags::empty())
                .is_err()
            {
                return;
            }
        }
    }
}

fn fill_with_names(fs: &MemFs) {
    let ino = file(fs, ROOT_INO, "f").unwrap().ino;
    let mut number = 0_u32;
    while fs
        .link(&ctx(), ino, ROOT_INO, &OsString::from(format!("{number:0>250}")))
        .is_ok()
    {
        number += 1;
    }
}

fn fill_with_sparse_pages(fs: &MemFs) {
    let ino = file(fs, ROOT_INO, "f").unwrap().ino;
    let mut offset = 0;
    while write(fs, ino, offset, b"x").is_ok() {
        offset += 1 << 30;
    }
}
