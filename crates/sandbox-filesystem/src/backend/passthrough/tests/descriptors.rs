//! Descriptors: few for many inodes, none for what ends.

use std::os::fd::AsFd;

use super::{off, root_ctx, strict};
use crate::fs::{DynFileSystem, Errno, LockOwner, OpenFlags};

#[test]
fn an_inode_is_found_again_after_its_descriptor_and_its_ancestors_were_closed() {
    for world in [strict(), off()] {
        let mut parent = 1;
        for _ in 0..20 {
            parent = world
                .fs
                .mkdir(&root_ctx(), parent, "d".as_ref(), 0o755, 0)
                .unwrap()
                .ino;
        }
        let made = world
            .fs
            .create(&root_ctx(), parent, "f".as_ref(), 0o644, OpenFlags::RDWR, 0)
            .unwrap();
        world
            .write(made.entry.ino, made.opened.handle, 0, b"deep")
            .unwrap();
        world.close(made.entry.ino, made.opened.handle);
        let before = world.attr(made.entry.ino);
        world.fs.cache.shrink(1000);
        assert_eq!(world.attr(made.entry.ino), before);
        world.fs.cache.shrink(1000);
        let handle = world.open(made.entry.ino, OpenFlags::empty()).unwrap();
        assert_eq!(world.read(made.entry.ino, handle), b"deep");
    }
}

#[test]
fn an_inode_is_found_again_after_it_and_its_directory_were_renamed() {
    for world in [strict(), off()] {
        let dir = world.dir("d", 0o755).ino;
        let file = world
            .fs
            .mkdir(&root_ctx(), dir, "x".as_ref(), 0o755, 0)
            .unwrap()
            .ino;
        let none = crate::fs::RenameFlags::empty();
        world
            .fs
            .rename(&root_ctx(), dir, "x".as_ref(), dir, "y".as_ref(), none)
            .unwrap();
        world
            .fs
            .rename(&root_ctx(), 1, "d".as_ref(), 1, "e".as_ref(), none)
            .unwrap();
        world.fs.cache.shrink(1000);
        assert!(world.fs.getattr(&root_ctx(), file, None).is_ok());
        let swapped = world.dir("other", 0o755).ino;
        let exchange = crate::fs::RenameFlags::EXCHANGE;
        world
            .fs
            .rename(&root_ctx(), 1, "e".as_ref(), 1, "other".as_ref(), exchange)
            .unwrap();
        world.fs.cache.shrink(1000);
        assert!(world.fs.getattr(&root_ctx(), file, None).is_ok());
        assert!(world.fs.getattr(&root_ctx(), swapped, None).is_ok());
    }
}

#[test]
fn a_hard_link_is_found_by_the_name_that_is_left() {
    for world in [strict(), off()] {
        let file = world.file("a", b"x");
        world.fs.link(&root_ctx(), file, 1, "b".as_ref()).unwrap();
        world.unlink("b").unwrap();
        world.fs.cache.shrink(1000);
        assert_eq!(world.attr(file).nlink, 1);
        assert_eq!(world.ino("a"), file);
        world.fs.cache.shrink(1000);
        assert!(world.open(file, OpenFlags::empty()).is_ok());
    }
}

#[test]
fn a_number_is_never_given_to_another_file() {
    for world in [strict(), off()] {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..100 {
            let file = world.file("f", b"");
            assert!(seen.insert(file));
            world.unlink("f").unwrap();
            world.fs.forget(file, 1);
            assert_eq!(
                world.fs.getattr(&root_ctx(), file, None).unwrap_err(),
                Errno::ESTALE
            );
        }
        assert_eq!(world.fs.known_inodes(), 1);
    }
}

#[test]
fn references_are_counted_and_a_directory_outlives_what_is_in_it() {
    let world = strict();
    let dir = world.dir("d", 0o755).ino;
    let below = world
        .fs
        .mkdir(&root_ctx(), dir, "x".as_ref(), 0o755, 0)
        .unwrap()
        .ino;
    assert_eq!(world.ino("d"), dir);
    world.fs.forget(dir, 2);
    // The kernel does not know it any more, but its child needs it.
    assert!(world.fs.getattr(&root_ctx(), below, None).is_ok());
    world.fs.forget(below, 1);
    assert_eq!(world.fs.known_inodes(), 1);
    world.fs.forget(below, 5);
    world.fs.forget(1, 100);
    assert!(world.fs.getattr(&root_ctx(), 1, None).is_ok());
}

/// In a process of its own, whose limit is its own.
#[test]
fn many_inodes_and_nine_hundred_open_files_with_a_limit_of_1024() {
    const INSIDE: &str = "SANDBOX_TEST_FEW_DESCRIPTORS";
    if std::env::var_os(INSIDE).is_some() {
        few_descriptors();
        return;
    }
    let name = std::thread::current().name().unwrap().to_owned();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

fn few_descriptors() {
    let limit = rustix::process::Rlimit {
        current: Some(1024),
        maximum: Some(1024),
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    let world = strict();
    let ctx = root_ctx();
    let known: Vec<_> = (0..3000).map(|n| world.file(&format!("f{n}"), b"")).collect();
    let mut open: Vec<_> = known
        .iter()
        .take(900)
        .map(|ino| (*ino, world.open(*ino, OpenFlags::RDWR).unwrap()))
        .collect();
    for ino in &known {
        assert_eq!(world.attr(*ino).nlink, 1);
    }
    // Beyond what there is: an honest answer, and everything else goes on.
    let refused = known
        .iter()
        .skip(900)
        .find_map(|ino| match world.open(*ino, OpenFlags::RDWR) {
            Ok(handle) => {
                open.push((*ino, handle));
                None
            }
            Err(error) => Some(error),
        });
    assert_eq!(refused, Some(Errno::EMFILE));
    let spare: Vec<_> = std::iter::from_fn(|| rustix::io::dup(std::io::stdin().as_fd()).ok()).collect();
    let (ino, handle) = open.pop().unwrap();
    assert_eq!(world.write(ino, handle, 0, b"x"), Ok(1));
    assert_eq!(world.fs.flush(&ctx, ino, handle, LockOwner(1)), Ok(()));
    assert_eq!(world.fs.release(&ctx, ino, handle, OpenFlags::RDWR, None), Ok(()));
    drop(spare);
    assert!(world.open(ino, OpenFlags::empty()).is_ok());
}

/// Descriptors of this process that lead to something in the tree, but for those that the cache keeps.
fn open_in(world: &super::World) -> usize {
    world.fs.cache.shrink(1000);
    let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let root = world.host("");
    open.filter(|entry| std::fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(&root)))
        .count()
}

#[test]
fn no_failed_operation_leaves_a_descriptor_open() {
    for world in [strict(), off()] {
        let (fs, me) = (&world.fs, root_ctx());
        let file = world.file("file", b"content");
        let dir = world.dir("dir", 0o755).ino;
        let none = crate::fs::RenameFlags::empty();
        let exclusive = OpenFlags::RDWR | OpenFlags::EXCL;
        let before = open_in(&world);
        for _ in 0..20 {
            let failed = [
                fs.lookup(&me, 1, "missing".as_ref()).err(),
                fs.mkdir(&me, 1, "file".as_ref(), 0o755, 0).err(),
                fs.create(&me, 1, "file".as_ref(), 0o644, exclusive, 0).err(),
                fs.symlink(&me, 1, "file".as_ref(), "target".as_ref()).err(),
                fs.mknod(&me, 1, "file".as_ref(), 0o100_644, 0, 0).err(),
                fs.link(&me, file, 1, "dir".as_ref()).err(),
                fs.open(&me, dir, OpenFlags::RDWR).err(),
                fs.opendir(&me, file, OpenFlags::empty()).err(),
                fs.unlink(&me, 1, "dir".as_ref()).err(),
                fs.rmdir(&me, 1, "file".as_ref()).err(),
                fs.rename(&me, 1, "missing".as_ref(), 1, "x".as_ref(), none).err(),
                fs.readlink(&me, file).err(),
                fs.getattr(&me, 4_000_000, None).err(),
            ];
            assert!(failed.iter().all(Option::is_some), "{failed:?}");
        }
        assert_eq!(open_in(&world), before);
    }
}
