//! Holes, room, copies, and files without a name.

use super::{off, root_ctx, strict};
use crate::fs::{DynFileSystem, Errno, FallocateMode, OpenFlags, SeekFrom, WriteRequest};

#[test]
fn holes_are_found_made_and_kept() {
    for world in [strict(), off()] {
        let (fs, me) = (&world.fs, root_ctx());
        let file = world.file("f", b"");
        let handle = world.open(file, OpenFlags::RDWR).unwrap();
        world.write(file, handle, 1 << 20, &[1; 8192]).unwrap();
        let data = fs.lseek(&me, file, handle, SeekFrom::Data(0)).unwrap();
        assert!(data > 0 && data <= 1 << 20, "{data}");
        assert_eq!(fs.lseek(&me, file, handle, SeekFrom::Hole(0)), Ok(0));
        assert_eq!(
            fs.lseek(&me, file, handle, SeekFrom::Data(1 << 30)),
            Err(Errno::ENXIO)
        );
        assert!(world.attr(file).blocks < 1024);
        let punch = FallocateMode::PUNCH_HOLE | FallocateMode::KEEP_SIZE;
        fs.fallocate(&me, file, handle, punch, 1 << 20, 4096).unwrap();
        assert_eq!(
            fs.lseek(&me, file, handle, SeekFrom::Data(0)),
            Ok((1 << 20) + 4096)
        );
        fs.fallocate(&me, file, handle, FallocateMode::KEEP_SIZE, 0, 1 << 22)
            .unwrap();
        assert_eq!(world.attr(file).size, (1 << 20) + 8192);
        assert!(world.attr(file).blocks >= 8192);
    }
}

#[test]
fn ranges_are_copied_between_open_files() {
    for world in [strict(), off()] {
        let (from, to) = (world.file("a", b"0123456789"), world.file("b", b""));
        let from = (from, world.open(from, OpenFlags::empty()).unwrap(), 2);
        let to = (to, world.open(to, OpenFlags::RDWR).unwrap(), 0);
        assert_eq!(world.fs.copy_file_range(&root_ctx(), from, to, 5), Ok(5));
        assert_eq!(world.read(to.0, to.1), b"23456");
    }
}

#[test]
fn a_file_without_a_name_can_get_one() {
    for world in [strict(), off()] {
        let (fs, me) = (&world.fs, root_ctx());
        let made = match fs.tmpfile(&me, 1, libc::S_IFREG | 0o640, OpenFlags::RDWR, 0) {
            Err(Errno::ENOTSUP) => {
                println!("SKIP: a_file_without_a_name_can_get_one: the host's filesystem has no O_TMPFILE");
                return;
            }
            made => made.unwrap(),
        };
        let ino = made.entry.ino;
        world.write(ino, made.opened.handle, 0, b"late").unwrap();
        assert_eq!(world.attr(ino).nlink, 0);
        let entry = fs.link(&me, ino, 1, "named".as_ref()).unwrap();
        assert_eq!(
            (entry.ino, entry.attr.nlink, entry.attr.mode & 0o777),
            (ino, 1, 0o640)
        );
        world.close(ino, made.opened.handle);
        world.fs.cache.shrink(1000);
        let handle = world.open(ino, OpenFlags::empty()).unwrap();
        assert_eq!(world.read(ino, handle), b"late");
    }
}

#[test]
fn truncation_comes_with_the_open_also_for_reading() {
    for world in [strict(), off()] {
        for flags in [OpenFlags::WRONLY, OpenFlags::RDWR, OpenFlags::empty()] {
            let file = world.file("f", b"old");
            world.open(file, flags | OpenFlags::TRUNC).unwrap();
            assert_eq!(world.attr(file).size, 0);
            world.unlink("f").unwrap();
        }
    }
}

#[test]
fn appending_follows_what_fcntl_changed() {
    for world in [strict(), off()] {
        let file = world.file("f", b"abc");
        let handle = world.open(file, OpenFlags::RDWR | OpenFlags::APPEND).unwrap();
        let write = |flags: OpenFlags, mut bytes: &[u8]| {
            let request = WriteRequest {
                offset: 0,
                size: 1,
                flags,
                delayed: false,
                kill_privileges: false,
            };
            world
                .fs
                .write(&root_ctx(), file, handle, &request, &mut bytes)
                .unwrap()
        };
        write(OpenFlags::RDWR | OpenFlags::APPEND, b"1");
        write(OpenFlags::RDWR, b"2");
        write(OpenFlags::RDWR | OpenFlags::APPEND, b"3");
        assert_eq!(world.read(file, handle), b"2bc13");
    }
}

#[test]
fn direct_io_of_a_client_asks_for_no_aligned_buffers() {
    let world = off();
    let file = world.file("f", b"abc");
    let handle = world.open(file, OpenFlags::RDWR | OpenFlags::DIRECT).unwrap();
    assert_eq!(world.write(file, handle, 1, b"x"), Ok(1));
    assert_eq!(world.read(file, handle), b"axc");
}
