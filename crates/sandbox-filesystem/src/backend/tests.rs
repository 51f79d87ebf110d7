//! The suite that is the same for all, on those that need a directory of the host.

use std::sync::Arc;

use sandbox_types::{SizeExt, StatVirtualization};

use super::{DualFs, MemFs, OverlayFs, PassthroughFs};
use crate::conformance;
use crate::fs::{Context, DynFileSystem, Errno, Lock, LockKind, LockOwner, OpenFlags, ROOT_INO};

fn check(stat: StatVirtualization) {
    let (host, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let fs = PassthroughFs::builder()
        .root_dir(root.path())
        .stat_virtualization(stat)
        .build()
        .unwrap();
    let report = conformance::run(&fs, host.path(), &[]).unwrap();
    assert!(
        report.differences.is_empty() && report.unseen.is_empty(),
        "{report}"
    );
}

#[test]
fn passthrough_with_virtual_owners_answers_every_case_as_the_host_does() {
    check(StatVirtualization::Strict);
}

#[test]
fn passthrough_with_the_hosts_owners_answers_every_case_as_the_host_does() {
    check(StatVirtualization::Off);
}

#[test]
fn listings_of_passthrough_stand_changes() {
    let root = tempfile::tempdir().unwrap();
    let fs = PassthroughFs::builder().root_dir(root.path()).build().unwrap();
    assert_eq!(conformance::check_listing(&fs), Ok(Vec::new()));
}

/// Whatever keeps locks by itself or leaves it to the host, with the directories that it needs.
fn each(check: impl Fn(&dyn DynFileSystem)) {
    let memory = || Arc::new(MemFs::builder().capacity(1.mib()).build().unwrap());
    check(&*memory());
    let dual = DualFs::builder().backend_a(memory()).backend_b(memory());
    check(&dual.build().unwrap());
    let places = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [root, upper, work] = &places;
    for stat in [StatVirtualization::Strict, StatVirtualization::Off] {
        let fs = PassthroughFs::builder().root_dir(root.path());
        check(&fs.stat_virtualization(stat).build().unwrap());
    }
    let overlay = OverlayFs::builder()
        .layer(root.path())
        .writable(upper.path())
        .staging(work.path());
    check(&overlay.build().unwrap());
}

#[test]
fn a_lock_of_an_open_file_description_ends_with_it_and_with_no_other() {
    each(|fs| {
        let ctx = Context::new(
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        );
        let flags = OpenFlags::RDWR;
        // One that is there already: so does each of the overlay's layers show it.
        let found = fs.create(&ctx, ROOT_INO, "f".as_ref(), 0o644, flags, 0).unwrap();
        let ino = found.entry.ino;
        let open = || fs.open(&ctx, ino, flags).unwrap().handle;
        let (first, second, third) = (found.opened.handle, open(), open());
        let release = |file, flock| fs.release(&ctx, ino, file, flags, flock);
        let all = Lock {
            start: 0,
            end: 9,
            kind: LockKind::Exclusive,
            pid: 0,
        };
        // As the kernel says it of F_OFD_SETLK: an owner for each description, and no flush by that owner.
        let (one, two) = (LockOwner(1), LockOwner(2));
        fs.setlk(&ctx, ino, first, one, all).unwrap();
        release(second, None).unwrap();
        assert_eq!(fs.setlk(&ctx, ino, third, two, all), Err(Errno::EAGAIN));
        release(first, None).unwrap();
        assert_eq!(fs.setlk(&ctx, ino, third, two, all), Ok(()));
        // A process has it by any of its descriptions, until it closes one.
        let fourth = open();
        fs.setlk(&ctx, ino, fourth, two, Lock { end: 20, ..all }).unwrap();
        release(third, None).unwrap();
        assert_eq!(fs.setlk(&ctx, ino, None, one, all), Err(Errno::EAGAIN));
        fs.flush(&ctx, ino, fourth, two).unwrap();
        assert_eq!(fs.setlk(&ctx, ino, None, one, all), Ok(()));
        release(fourth, None).unwrap();
        assert_eq!(fs.setlk(&ctx, ino, None, two, all), Err(Errno::EAGAIN));
        fs.forget(ino, 1);
    });
}
