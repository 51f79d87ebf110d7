//! What has no name any more is there for as long as somebody knows it.

use super::{chmod, off, root_ctx, strict};
use crate::fs::{DynFileSystem, Errno, OpenFlags, RenameFlags};

#[test]
fn an_unlinked_file_that_is_open_has_attributes_and_can_be_changed() {
    for world in [strict(), off()] {
        let file = world.file("f", b"x");
        let handle = world.open(file, OpenFlags::RDWR).unwrap();
        world.unlink("f").unwrap();
        world.fs.cache.shrink(1000);
        assert_eq!(world.attr(file).nlink, 0);
        assert_eq!(world.write(file, handle, 1, b"y"), Ok(1));
        world.set(file, chmod(0o600)).unwrap();
        assert_eq!(world.read(file, handle), b"xy");
        world.close(file, handle);
    }
}

#[test]
fn an_unlinked_file_that_is_open_twice_is_there_when_either_is_closed() {
    for (world, first_goes) in [(strict(), true), (strict(), false), (off(), true), (off(), false)] {
        let file = world.file("f", b"x");
        let [first, second] = [(); 2].map(|()| world.open(file, OpenFlags::RDWR).unwrap());
        world.fs.cache.shrink(1000);
        world.unlink("f").unwrap();
        world.fs.cache.shrink(1000);
        let (goes, stays) = if first_goes {
            (first, second)
        } else {
            (second, first)
        };
        world.close(file, goes);
        assert_eq!(world.attr(file).nlink, 0);
        world.set(file, chmod(0o600)).unwrap();
        assert_eq!(world.write(file, stays, 1, b"y"), Ok(1));
        world.close(file, stays);
    }
}

#[test]
fn what_is_known_and_not_open_stays_through_unlink_rmdir_and_rename_over() {
    for world in [strict(), off()] {
        let (fs, me) = (&world.fs, root_ctx());
        let file = world.file("f", b"f");
        world.unlink("f").unwrap();
        let dir = world.dir("d", 0o755).ino;
        fs.rmdir(&me, 1, "d".as_ref()).unwrap();
        let over = world.file("over", b"over");
        world.file("g", b"g");
        fs.rename(&me, 1, "g".as_ref(), 1, "over".as_ref(), RenameFlags::empty())
            .unwrap();
        world.fs.cache.shrink(1000);
        let handle = world.open(file, OpenFlags::empty()).unwrap();
        assert_eq!(world.read(file, handle), b"f");
        let handle = world.open(over, OpenFlags::empty()).unwrap();
        assert_eq!(world.read(over, handle), b"over");
        assert!(fs.getattr(&me, dir, None).is_ok());
        assert_eq!(
            fs.mkdir(&me, dir, "x".as_ref(), 0o755, 0).unwrap_err(),
            Errno::ENOENT
        );
    }
}

#[test]
fn rename_keeps_its_promises() {
    for world in [strict(), off()] {
        let (fs, me) = (&world.fs, root_ctx());
        let (a, b) = (world.file("a", b"a"), world.file("b", b"b"));
        let rename = |from: &str, to: &str, flags| fs.rename(&me, 1, from.as_ref(), 1, to.as_ref(), flags);
        assert_eq!(rename("a", "b", RenameFlags::NOREPLACE), Err(Errno::EEXIST));
        rename("a", "b", RenameFlags::EXCHANGE).unwrap();
        assert_eq!((world.ino("a"), world.ino("b")), (b, a));
        assert_eq!(rename("nothing", "b", RenameFlags::empty()), Err(Errno::ENOENT));
        fs.link(&me, a, 1, "c".as_ref()).unwrap();
        rename("b", "c", RenameFlags::empty()).unwrap();
        assert_eq!((world.ino("b"), world.ino("c")), (a, a));
        world.dir("d", 0o755);
        world.dir("d2", 0o755);
        fs.mkdir(&me, world.ino("d2"), "x".as_ref(), 0o755, 0).unwrap();
        assert_eq!(rename("d", "d2", RenameFlags::empty()), Err(Errno::ENOTEMPTY));
        assert_eq!(rename("d", "a", RenameFlags::empty()), Err(Errno::ENOTDIR));
        assert_eq!(rename("a", "d", RenameFlags::empty()), Err(Errno::EISDIR));
    }
}
