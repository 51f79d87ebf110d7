//! What a hostile client does to get around a quota, or to keep it from being counted.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::quota::{counted, limited, usage};
use super::{chown, root_ctx};
use crate::backend::quota::{QuotaKeeper, Usage};
use crate::fs::{DynFileSystem, Errno, OpenFlags, WriteRequest};

const MIB: u64 = 1 << 20;

#[test]
fn what_is_appended_is_charged_whatever_place_the_client_names() {
    let world = limited(MIB, None);
    let (fs, me) = (&world.fs, root_ctx());
    let file = world.file("f", &vec![1; 100_000]);
    let flags = OpenFlags::WRONLY | OpenFlags::APPEND;
    let handle = world.open(file, flags).unwrap();
    let bytes = vec![7; 64 * 1024];
    // At its beginning there is data: a write there needs no room.
    let request = WriteRequest {
        offset: 0,
        size: 64 * 1024,
        flags,
        delayed: false,
        kill_privileges: false,
    };
    let mut failed = None;
    for _ in 0..100 {
        if let Err(error) = fs.write(&me, file, handle, &request, &mut &bytes[..]) {
            failed = Some(error);
            break;
        }
    }
    assert_eq!(failed, Some(Errno::ENOSPC));
    assert!(world.attr(file).size <= MIB, "{}", world.attr(file).size);
    assert!(counted(&world).bytes <= MIB);
}

#[test]
fn a_link_that_is_given_away_is_charged_for_what_it_has_become() {
    let world = limited(MIB, None);
    let me = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    let target = "t".repeat(1000);
    let link = world
        .fs
        .symlink(&super::ctx(me.0, me.1), 1, "l".as_ref(), target.as_ref())
        .unwrap()
        .ino;
    assert_eq!(usage(&world), counted(&world));
    world.set(link, chown(4242, 4343)).unwrap();
    assert_eq!(usage(&world), counted(&world));
    world.unlink("l").unwrap();
    world.fs.forget(link, 1);
    assert_eq!(usage(&world), Usage::default());

    // One of two names becomes a file of its own.
    let link = world
        .fs
        .symlink(&super::ctx(me.0, me.1), 1, "l".as_ref(), target.as_ref())
        .unwrap()
        .ino;
    world.fs.link(&root_ctx(), link, 1, "m".as_ref()).unwrap();
    world.set(link, chown(4242, 4343)).unwrap();
    assert_eq!(usage(&world), counted(&world));
    assert_eq!(usage(&world).inodes, 2);
    world.unlink("l").unwrap();
    world.unlink("m").unwrap();
    world.fs.destroy();
    assert_eq!(usage(&world), Usage::default());
}

#[test]
fn a_link_that_is_kept_as_a_file_needs_room_for_its_block() {
    let world = limited(2048, None);
    let made = world
        .fs
        .symlink(&super::ctx(4242, 4343), 1, "l".as_ref(), "target".as_ref());
    assert_eq!(made.unwrap_err(), Errno::ENOSPC);
    assert_eq!(usage(&world), Usage::default());
    assert_eq!(counted(&world), Usage::default());
}

/// In a process of its own, whose limit is its own.
#[test]
fn a_tree_that_is_deeper_than_there_are_descriptors_is_counted() {
    const INSIDE: &str = "SANDBOX_TEST_DEEP_TREE";
    const DEPTH: u64 = 300;
    if let Some(place) = std::env::var_os(INSIDE) {
        let limit = rustix::process::Rlimit {
            current: Some(100),
            maximum: Some(100),
        };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
        let root: OwnedFd = fs::File::open(Path::new(&place)).unwrap().into();
        assert_eq!(QuotaKeeper::count_for_test(&root).inodes, DEPTH);
        return;
    }
    let place = tempfile::tempdir_in(super::scratch()).unwrap();
    let deep: std::path::PathBuf = std::iter::repeat_n("d", usize::try_from(DEPTH).unwrap()).collect();
    fs::create_dir_all(place.path().join(deep)).unwrap();
    let name = std::thread::current().name().unwrap().to_owned();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--test-threads=1", "--nocapture"])
        .env(INSIDE, place.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The last bound would be charged for ever otherwise.
#[test]
fn a_tree_whose_files_come_and_go_is_counted() {
    let world = limited(MIB, None);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let root: OwnedFd = fs::File::open(world.host("")).unwrap().into();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (dir, file) = (world.host("dir"), world.host("file"));
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                fs::create_dir(&dir).unwrap();
                fs::write(&file, "x").unwrap();
                fs::write(dir.join("file"), "x").unwrap();
                fs::remove_file(&file).unwrap();
                fs::remove_dir_all(&dir).unwrap();
            }
        });
        let counts = (0..2000).map(|_| QuotaKeeper::try_count_for_test(&root));
        let failed: Vec<_> = counts
            .filter_map(Result::err)
            .filter(|error| *error != rustix::io::Errno::AGAIN)
            .collect();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(failed, []);
    });
}
