//! What is charged, and where it ends.

use std::ffi::OsString;

use super::*;
use crate::backend::mem::{MemFsProblem, builder::MemFsBuilder};
use crate::fs::{Errno, FallocateMode, SetAttr, XattrFlags};

fn free_bytes(fs: &MemFs) -> u64 {
    let stat = fs.statfs(&ctx(), ROOT_INO).unwrap();
    stat.blocks_available * u64::from(stat.fragment_size)
}

#[test]
fn data_ends_at_the_byte_that_statfs_says() {
    let fs = new(1);
    let ino = file(&fs, ROOT_INO, "f").unwrap().ino;
    let free = free_bytes(&fs);
    let mut written = 0_u64;
    let error = loop {
        match write(&fs, ino, written, &[7; 10_000]) {
            Ok(count) => written += count as u64,
            Err(error) => break error,
        }
    };
    assert_eq!((written, error), (free, Errno::ENOSPC));
    let (attr, _) = fs.getattr(&ctx(), ino, None).unwrap();
    assert_eq!((attr.size, attr.blocks * 512), (free, free));
    // What is there can still be written over, and removed, and the room is there again.
    assert_eq!(write(&fs, ino, 0, &[8; 10_000]), Ok(10_000));
    fs.forget(ino, 1);
    fs.unlink(&ctx(), ROOT_INO, OsStr::new("f")).unwrap();
    assert!(free_bytes(&fs) >= free);
}

#[test]
fn an_unlinked_file_is_charged_until_nobody_refers_to_it() {
    let fs = new(1);
    let ino = file(&fs, ROOT_INO, "f").unwrap().ino;
    write(&fs, ino, 0, &[7; 500_000]).unwrap();
    fs.unlink(&ctx(), ROOT_INO, OsStr::new("f")).unwrap();
    assert!(free_bytes(&fs) < 600_000);
    write(&fs, ino, 500_000, &[7; 100_000]).unwrap();
    fs.forget(ino, 1);
    assert!(free_bytes(&fs) > 1_000_000);
    assert_eq!(fs.getattr(&ctx(), ino, None), Err(Errno::ESTALE));
}

#[test]
fn holes_are_free() {
    let fs = new(1);
    let ino = file(&fs, ROOT_INO, "f").unwrap().ino;
    let free = free_bytes(&fs);
    let size = SetAttr {
        size: Some(1 << 50),
        ..SetAttr::default()
    };
    fs.setattr(&ctx(), ino, &size).unwrap();
    assert_eq!(free_bytes(&fs), free);
    write(&fs, ino, 1 << 49, b"x").unwrap();
    assert_eq!(free_bytes(&fs), free - 4096);
}

type Fill = fn(&MemFs, Ino, u32) -> FsResult<()>;

const FILLS: [(&str, Fill); 6] = [
    ("directories", |fs, _, n| {
        fs.mkdir(&ctx(), ROOT_INO, &name(n), 0o755, 0).map(drop)
    }),
    ("names", |fs, file, n| {
        fs.link(&ctx(), file, ROOT_INO, &name(n)).map(drop)
    }),
    ("links", |fs, _, n| {
        fs.symlink(&ctx(), ROOT_INO, &name(n), &OsString::from("t".repeat(4000)))
            .map(drop)
    }),
    ("nodes", |fs, _, n| {
        fs.mknod(&ctx(), ROOT_INO, &name(n), libc::S_IFIFO, 0, 0)
            .map(drop)
    }),
    ("a file's attributes", |fs, file, n| {
        let name = OsString::from(format!("user.{n}"));
        fs.setxattr(&ctx(), file, &name, &[1; 60_000], XattrFlags::empty())
    }),
    ("temporary files", |fs, _, _| {
        fs.tmpfile(&ctx(), ROOT_INO, 0o600, OpenFlags::RDWR, 0).map(drop)
    }),
];

#[test]
fn names_inodes_links_and_attributes_are_charged_and_come_back() {
    for (what, fill) in FILLS {
        let fs = new(1);
        let before = fs.statfs(&ctx(), ROOT_INO).unwrap();
        let file = file(&fs, ROOT_INO, "f").unwrap().ino;
        let mut made = 0;
        let error = loop {
            match fill(&fs, file, made) {
                Ok(()) => made += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error, Errno::ENOSPC, "{what} after {made}");
        // A mebibyte has no room for more of anything than this.
        assert!(made > 5 && made < 6000, "{what}: {made}");
        fs.destroy();
        remove_all(&fs, ROOT_INO);
        assert_eq!(fs.statfs(&ctx(), ROOT_INO).unwrap(), before, "{what}");
    }
}

fn name(n: u32) -> OsString {
    OsString::from(format!("{n:0>200}"))
}

#[test]
fn there_are_no_more_inodes_than_allowed() {
    let fs = MemFs::builder().capacity(1.mib()).max_inodes(3).build().unwrap();
    file(&fs, ROOT_INO, "a").unwrap();
    let b = file(&fs, ROOT_INO, "b").unwrap();
    assert_eq!(file(&fs, ROOT_INO, "c").map(drop), Err(Errno::ENOSPC));
    assert_eq!(fs.statfs(&ctx(), ROOT_INO).unwrap().files_free, 0);
    fs.link(&ctx(), b.ino, ROOT_INO, OsStr::new("b2")).unwrap();
    fs.forget(b.ino, 2);
    for name in ["b", "b2"] {
        fs.unlink(&ctx(), ROOT_INO, OsStr::new(name)).unwrap();
    }
    file(&fs, ROOT_INO, "c").unwrap();
}

#[test]
fn fallocate_takes_all_or_nothing() {
    let fs = new(1);
    let ino = file(&fs, ROOT_INO, "f").unwrap().ino;
    let free = free_bytes(&fs);
    let plain = FallocateMode::empty();
    assert_eq!(
        fs.fallocate(&ctx(), ino, None, plain, 0, 2 << 20),
        Err(Errno::ENOSPC)
    );
    assert_eq!(free_bytes(&fs), free);
    assert_eq!(
        fs.fallocate(&ctx(), ino, None, plain, 0, u64::MAX),
        Err(Errno::EFBIG)
    );
    assert_eq!(
        fs.fallocate(&ctx(), ino, None, plain, 0, i64::MAX as u64),
        Err(Errno::ENOSPC)
    );
    fs.fallocate(&ctx(), ino, None, plain, 0, 100_000).unwrap();
    assert_eq!(free - free_bytes(&fs), 25 * 4096);
}

#[test]
fn every_problem_of_a_configuration_is_reported_at_once() {
    let error = MemFs::builder().max_inodes(0).build().unwrap_err();
    assert_eq!(
        error.problems(),
        [MemFsProblem::NoCapacity, MemFsProblem::NoInodes]
    );
    let small: fn(u32) -> MemFsBuilder = |bytes| MemFs::builder().capacity(bytes.bytes());
    assert_eq!(small(0).build().unwrap_err().problems().len(), 1);
    assert!(small(16 << 10).build().is_ok());
    let large = MemFs::builder()
        .capacity(u32::MAX.gib())
        .max_inodes(0)
        .build()
        .unwrap_err();
    assert_eq!(large.problems().len(), 2, "{large}");
}
