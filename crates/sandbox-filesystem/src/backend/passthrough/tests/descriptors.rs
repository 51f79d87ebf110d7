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

/// How many inodes are known; `cargo xtask conformance --full` says a million.
const KNOWN: &str = "SANDBOX_TEST_KNOWN_INODES";

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
        .args(["--exact", &name, "--test-threads=1", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for line in said.lines().filter(|line| line.contains("known inodes")) {
        println!("{line}");
    }
}

/// Bytes of this process.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() * 1024
}

/// Files that are made on the host, a thousand a directory, and looked up.
fn look_up(world: &super::World, count: usize) -> Vec<u64> {
    let mut known = Vec::with_capacity(count);
    for dir in 0..count.div_ceil(1000) {
        let name = format!("d{dir}");
        std::fs::create_dir(world.host(&name)).unwrap();
        let parent = world.ino(&name);
        for file in 0..1000.min(count - dir * 1000) {
            let file = format!("f{file}");
            std::fs::write(world.host(&format!("{name}/{file}")), "").unwrap();
            let found = world.fs.lookup(&root_ctx(), parent, file.as_ref());
            known.push(found.unwrap().ino);
        }
    }
    known
}

fn few_descriptors() {
    let limit = rustix::process::Rlimit {
        current: Some(1024),
        maximum: Some(1024),
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    let count = std::env::var(KNOWN).map_or(3000, |count| count.parse().unwrap());
    let world = strict();
    let before = resident();
    let known = look_up(&world, count);
    let each = resident().saturating_sub(before) / count as u64;
    println!("{count} known inodes: {each} bytes each");
    let open = all_that_can_be_open(&world, &known);
    assert_eq!(world.fs.known_inodes(), count + count.div_ceil(1000) + 1);
    nothing_that_ends_needs_a_descriptor(&world, open);
    for ino in &known {
        world.fs.forget(*ino, 1);
    }
}

/// Nine hundred, while all others have attributes, and more until there is an honest answer.
fn all_that_can_be_open(world: &super::World, known: &[u64]) -> Vec<(u64, Option<u64>)> {
    let mut open: Vec<_> = known
        .iter()
        .take(900)
        .map(|ino| (*ino, world.open(*ino, OpenFlags::RDWR).unwrap()))
        .collect();
    for ino in known {
        assert_eq!(world.attr(*ino).nlink, 1);
    }
    let mut rest = known.iter().skip(900);
    let refused = rest.find_map(|ino| match world.open(*ino, OpenFlags::RDWR) {
        Ok(handle) => {
            open.push((*ino, handle));
            None
        }
        Err(error) => Some(error),
    });
    assert_eq!(refused, Some(Errno::EMFILE));
    open
}

fn nothing_that_ends_needs_a_descriptor(world: &super::World, mut open: Vec<(u64, Option<u64>)>) {
    let spare: Vec<_> = std::iter::from_fn(|| rustix::io::dup(std::io::stdin().as_fd()).ok()).collect();
    let (fs, ctx) = (&world.fs, root_ctx());
    let (last, handle) = open.pop().unwrap();
    assert_eq!(world.write(last, handle, 0, b"x"), Ok(1));
    assert_eq!(fs.flush(&ctx, last, handle, LockOwner(1)), Ok(()));
    assert_eq!(fs.release(&ctx, last, handle, OpenFlags::RDWR, None), Ok(()));
    drop(spare);
    assert!(world.open(last, OpenFlags::empty()).is_ok());
    for (ino, handle) in open {
        assert_eq!(fs.flush(&ctx, ino, handle, LockOwner(1)), Ok(()));
        assert_eq!(fs.release(&ctx, ino, handle, OpenFlags::RDWR, None), Ok(()));
    }
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

#[test]
fn an_inode_is_found_again_beneath_more_names_than_a_path_may_have() {
    for world in [strict(), off()] {
        let name = "n".repeat(250);
        let mut dirs = vec![1];
        for _ in 0..40 {
            let parent = *dirs.last().unwrap();
            let made = world.fs.mkdir(&root_ctx(), parent, name.as_ref(), 0o755, 0);
            dirs.push(made.unwrap().ino);
        }
        world.fs.cache.shrink(1000);
        let deepest = *dirs.last().unwrap();
        assert_eq!(world.attr(deepest).mode, libc::S_IFDIR | 0o755);
        // Names that long cannot be removed by a path.
        while let Some(dir) = dirs.pop().filter(|dir| *dir != 1) {
            world.fs.cache.shrink(1000);
            let parent = *dirs.last().unwrap();
            assert_eq!(world.fs.rmdir(&root_ctx(), parent, name.as_ref()), Ok(()));
            world.fs.forget(dir, 1);
        }
    }
}
