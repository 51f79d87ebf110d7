//! Nothing outside of the root is reachable, whatever the host does.

use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{World, off, root_ctx, strict};
use crate::fs::{DynFileSystem, Errno, OpenFlags, SetAttr};

fn both(check: impl Fn(World)) {
    for world in [strict(), off()] {
        check(world);
    }
}

#[test]
fn names_that_are_more_than_one_component_are_refused() {
    both(|world| {
        let long = "x".repeat(256);
        for (name, expected) in [
            ("a/b", Errno::EINVAL),
            ("/etc", Errno::EINVAL),
            ("", Errno::EINVAL),
            ("a\0b", Errno::EINVAL),
            (long.as_str(), Errno::ENAMETOOLONG),
        ] {
            assert_eq!(
                world.fs.lookup(&root_ctx(), 1, name.as_ref()).unwrap_err(),
                expected,
                "{name:?}"
            );
        }
        for name in ["..", "."] {
            assert_eq!(world.fs.unlink(&root_ctx(), 1, name.as_ref()), Err(Errno::EINVAL));
            assert_eq!(
                world
                    .fs
                    .mkdir(&root_ctx(), 1, name.as_ref(), 0o755, 0)
                    .unwrap_err(),
                Errno::EINVAL
            );
        }
        assert_eq!(world.fs.lookup(&root_ctx(), 1, "..".as_ref()).unwrap().ino, 1);
    });
}

#[test]
fn a_name_of_any_other_bytes_is_a_name() {
    use std::os::unix::ffi::OsStrExt;
    both(|world| {
        let name = std::ffi::OsStr::from_bytes(b"\xff\xfe \n");
        world.fs.mkdir(&root_ctx(), 1, name, 0o755, 0).unwrap();
        assert!(world.fs.lookup(&root_ctx(), 1, name).is_ok());
    });
}

#[test]
fn a_directory_that_becomes_a_link_to_the_outside_is_stale() {
    both(|world| {
        let dir = world.dir("d", 0o755);
        std::fs::write(world.host("d/f"), "mine").unwrap();
        let file = world.ino("d/f");
        // What an eviction does.
        world.fs.cache.shrink(1000);
        std::fs::write(world.outside().join("f"), "theirs").unwrap();
        std::fs::rename(world.host("d"), world.outside().join("moved")).unwrap();
        symlink(world.outside(), world.host("d")).unwrap();
        assert_eq!(world.open(file, OpenFlags::empty()), Err(Errno::ESTALE));
        assert_eq!(
            world.fs.lookup(&root_ctx(), dir.ino, "f".as_ref()).unwrap_err(),
            Errno::ESTALE
        );
        assert_eq!(
            world.fs.getattr(&root_ctx(), file, None).unwrap_err(),
            Errno::ESTALE
        );
    });
}

#[test]
fn a_link_to_the_outside_is_served_as_a_link_and_never_followed() {
    both(|world| {
        symlink("/etc", world.host("l")).unwrap();
        let link = world.find("l").unwrap();
        assert_eq!(link.attr.mode & libc::S_IFMT, libc::S_IFLNK);
        assert_eq!(
            world
                .fs
                .lookup(&root_ctx(), link.ino, "passwd".as_ref())
                .unwrap_err(),
            Errno::ENOTDIR
        );
        assert_eq!(world.open(link.ino, OpenFlags::empty()), Err(Errno::ELOOP));
        assert_eq!(world.fs.readlink(&root_ctx(), link.ino).unwrap(), b"/etc");
    });
}

#[test]
fn a_file_that_becomes_a_fifo_hangs_nobody() {
    both(|world| {
        let file = world.file("f", b"x");
        world.fs.cache.shrink(1000);
        std::fs::remove_file(world.host("f")).unwrap();
        let mode = rustix::fs::Mode::RWXU;
        rustix::fs::mknodat(
            rustix::fs::CWD,
            world.host("f"),
            rustix::fs::FileType::Fifo,
            mode,
            0,
        )
        .unwrap();
        for flags in [
            OpenFlags::empty(),
            OpenFlags::WRONLY,
            OpenFlags::TRUNC | OpenFlags::WRONLY,
        ] {
            assert_eq!(world.open(file, flags), Err(Errno::ESTALE));
        }
        let fifo = world.ino("f");
        assert_eq!(world.open(fifo, OpenFlags::empty()), Err(Errno::ENXIO));
        let cut = SetAttr {
            size: Some(0),
            ..SetAttr::default()
        };
        assert_eq!(world.set(fifo, cut), Err(Errno::EINVAL));
        assert_eq!(
            world
                .fs
                .create(&root_ctx(), 1, "f".as_ref(), 0o644, OpenFlags::RDWR, 0)
                .unwrap_err(),
            Errno::ENXIO
        );
    });
}

#[test]
fn a_directory_that_is_swapped_all_the_time_never_shows_the_outside() {
    both(|world| {
        world.dir("d", 0o755);
        std::fs::write(world.host("d/f"), "inside").unwrap();
        std::fs::write(world.outside().join("f"), "outside").unwrap();
        symlink("..", world.host("link")).unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (dir, link) = (world.host("d"), world.host("link"));
                while !stop.load(Ordering::Relaxed) {
                    let flags = rustix::fs::RenameFlags::EXCHANGE;
                    rustix::fs::renameat_with(rustix::fs::CWD, &dir, rustix::fs::CWD, &link, flags).unwrap();
                }
            });
            let (mut read, mut missed) = (0, 0);
            // Until both were seen often, however the threads are scheduled.
            for round in 0.. {
                if round % 7 == 0 {
                    world.fs.cache.shrink(1000);
                }
                if let Ok(entry) = world.find("d/f")
                    && let Ok(handle) = world.open(entry.ino, OpenFlags::empty())
                {
                    assert_eq!(world.read(entry.ino, handle), b"inside");
                    world.close(entry.ino, handle);
                    read += 1;
                } else {
                    missed += 1;
                }
                if read > 20 && missed > 20 {
                    break;
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
    });
}

#[test]
fn a_number_that_nobody_was_given_is_stale() {
    both(|world| {
        let file = world.file("f", b"");
        for ino in [0, 99, u64::MAX] {
            assert_eq!(
                world.fs.getattr(&root_ctx(), ino, None).unwrap_err(),
                Errno::ESTALE
            );
        }
        assert_eq!(
            world.fs.read(
                &root_ctx(),
                file,
                Some(77),
                &crate::fs::ReadRequest {
                    offset: 0,
                    size: 1,
                    flags: OpenFlags::empty()
                },
                &mut crate::fs::Buffer::with_room(1),
            ),
            Err(Errno::EBADF)
        );
    });
}

#[test]
fn a_read_only_filesystem_changes_nothing() {
    let world = super::with(super::PassthroughBuilder::read_only);
    std::fs::write(world.host("f"), "x").unwrap();
    let file = world.ino("f");
    let ctx = root_ctx();
    let fs = &world.fs;
    let rofs = Errno::EROFS;
    assert_eq!(world.unlink("f"), Err(rofs));
    assert_eq!(world.open(file, OpenFlags::WRONLY), Err(rofs));
    assert_eq!(world.open(file, OpenFlags::TRUNC), Err(rofs));
    assert_eq!(world.set(file, super::chmod(0)), Err(rofs));
    assert_eq!(fs.mkdir(&ctx, 1, "d".as_ref(), 0o755, 0).unwrap_err(), rofs);
    assert_eq!(fs.symlink(&ctx, 1, "l".as_ref(), "x".as_ref()).unwrap_err(), rofs);
    assert_eq!(fs.link(&ctx, file, 1, "l".as_ref()).unwrap_err(), rofs);
    assert_eq!(
        fs.rename(
            &ctx,
            1,
            "f".as_ref(),
            1,
            "g".as_ref(),
            crate::fs::RenameFlags::empty()
        ),
        Err(rofs)
    );
    assert_eq!(
        fs.setxattr(&ctx, file, "user.x".as_ref(), b"", crate::fs::XattrFlags::empty()),
        Err(rofs)
    );
    assert_eq!(
        fs.create(&ctx, 1, "new".as_ref(), 0o644, OpenFlags::RDWR, 0)
            .unwrap_err(),
        rofs
    );
    assert_eq!(fs.tmpfile(&ctx, 1, 0o644, OpenFlags::RDWR, 0).unwrap_err(), rofs);
    // What is there can be opened even so, as open(2) with O_CREAT does.
    assert!(
        fs.create(&ctx, 1, "f".as_ref(), 0o644, OpenFlags::empty(), 0)
            .is_ok()
    );
    assert_eq!(std::fs::read_dir(world.host("")).unwrap().count(), 1);
}

/// Where things were seen last is all that is known of places, and the host can change two of them at once.
#[test]
fn directories_that_the_host_has_moved_into_one_another_are_stale_and_found_again() {
    for long in [1, 250] {
        for world in [strict(), off()] {
            let [outer, inner] = ["o", "i"].map(|name| name.repeat(long));
            let path = |names: &[&str]| world.host(&names.join("/"));
            std::fs::create_dir_all(path(&[&outer, &inner])).unwrap();
            let around = world.ino(&outer);
            let within = world.find(&format!("{outer}/{inner}")).unwrap().ino;
            // It has a descriptor from now on.
            let missing = world.fs.lookup(&root_ctx(), within, "missing".as_ref());
            assert_eq!(missing.unwrap_err(), Errno::ENOENT);
            std::fs::rename(path(&[&outer, &inner]), path(&[&inner])).unwrap();
            std::fs::rename(path(&[&outer]), path(&[&inner, &outer])).unwrap();
            let again = world.fs.lookup(&root_ctx(), within, outer.as_ref()).unwrap();
            assert_eq!(again.ino, around);
            world.fs.cache.shrink(1000);
            for ino in [around, within] {
                let asked = world.fs.getattr(&root_ctx(), ino, None);
                assert_eq!(asked.unwrap_err(), Errno::ESTALE);
            }
            assert_eq!(world.ino(&inner), within);
            assert_eq!(world.ino(&format!("{inner}/{outer}")), around);
            world.fs.cache.shrink(1000);
            assert!(world.fs.getattr(&root_ctx(), around, None).is_ok());
        }
    }
}
