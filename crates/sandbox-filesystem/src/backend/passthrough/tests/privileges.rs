//! setuid, setgid and capabilities go when they must.

use super::{chmod, chown, off, root_ctx, strict};
use crate::fs::{DynFileSystem, Errno, OpenFlags, SetAttr, XattrFlags, XattrReply};

#[test]
fn a_write_takes_setuid_and_setgid_away_and_a_lock_bit_stays() {
    for world in [strict(), off()] {
        for (before, after) in [(0o6755, 0o755), (0o2644, 0o2644), (0o1644, 0o1644)] {
            let file = world.file("f", b"x");
            let handle = world.open(file, OpenFlags::RDWR).unwrap();
            world.set(file, chmod(before)).unwrap();
            world.write(file, handle, 0, b"y").unwrap();
            assert_eq!(world.attr(file).mode & 0o7777, after, "{before:o}");
            // Once more, after it was found to have none.
            world.set(file, chmod(0o4755)).unwrap();
            world.write(file, handle, 0, b"z").unwrap();
            assert_eq!(world.attr(file).mode & 0o7777, 0o755);
            world.unlink("f").unwrap();
        }
    }
}

#[test]
fn capabilities_are_cleared_by_write_truncate_and_chown() {
    let world = strict();
    let file = world.file("f", b"xyz");
    let name = "security.capability";
    let value = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let set = || {
        world
            .fs
            .setxattr(&root_ctx(), file, name.as_ref(), &value, XattrFlags::empty())
            .unwrap();
    };
    let get = || world.fs.getxattr(&root_ctx(), file, name.as_ref(), 100);
    let handle = world.open(file, OpenFlags::RDWR).unwrap();
    let change = |change: SetAttr| {
        world.set(file, change).unwrap();
    };

    set();
    assert_eq!(get(), Ok(XattrReply::Data(value.to_vec())));
    world.write(file, handle, 0, b"!").unwrap();
    assert_eq!(get(), Err(Errno::ENODATA));
    set();
    change(SetAttr {
        size: Some(0),
        ..SetAttr::default()
    });
    assert_eq!(get(), Err(Errno::ENODATA));
    set();
    change(chown(1, 1));
    assert_eq!(get(), Err(Errno::ENODATA));
    set();
    change(chmod(0o755));
    assert!(get().is_ok());
}

#[test]
fn a_change_of_owner_takes_setuid_away_but_not_from_directories() {
    for world in [strict(), off()] {
        let file = world.file("f", b"");
        let owner = world.owner(file);
        world.set(file, chmod(0o6755)).unwrap();
        world.set(file, chown(owner.1, owner.2)).unwrap();
        assert_eq!(world.attr(file).mode & 0o7777, 0o755);
        let dir = world.dir("d", 0o755).ino;
        world.set(dir, chmod(0o2755)).unwrap();
        let owner = world.owner(dir);
        world.set(dir, chown(owner.1, owner.2)).unwrap();
        assert_eq!(world.attr(dir).mode & 0o7777, 0o2755);
    }
}
