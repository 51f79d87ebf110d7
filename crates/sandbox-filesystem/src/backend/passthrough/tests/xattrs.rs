//! Extended attributes of every namespace.

use std::collections::BTreeSet;

use super::{World, chmod, ctx, host_xattr, off, root_ctx, strict};
use crate::fs::{Capabilities, DynFileSystem, Errno, Ino, OpenFlags, XattrFlags, XattrReply};

fn set(world: &World, ino: Ino, name: &str, value: &[u8]) -> Result<(), Errno> {
    world
        .fs
        .setxattr(&root_ctx(), ino, name.as_ref(), value, XattrFlags::empty())
}

fn get(world: &World, ino: Ino, name: &str) -> Result<Vec<u8>, Errno> {
    match world.fs.getxattr(&root_ctx(), ino, name.as_ref(), 4096)? {
        XattrReply::Data(value) => Ok(value),
        XattrReply::Size(_) => panic!("a size for a value"),
    }
}

fn list(world: &World, ino: Ino) -> BTreeSet<String> {
    let XattrReply::Size(size) = world.fs.listxattr(&root_ctx(), ino, 0).unwrap() else {
        panic!("no size")
    };
    if size == 0 {
        return BTreeSet::new();
    }
    // Exactly as much room as was told is enough, and one byte less is not.
    assert_eq!(
        world
            .fs
            .listxattr(&root_ctx(), ino, size - 1)
            .map_err(|error| error == Errno::ERANGE || size == 1),
        Err(true)
    );
    let XattrReply::Data(list) = world.fs.listxattr(&root_ctx(), ino, size).unwrap() else {
        panic!("no list")
    };
    assert_eq!(list.len(), usize::try_from(size).unwrap());
    list.split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect()
}

#[test]
fn every_namespace_is_kept_without_a_privilege_and_means_nothing_to_the_host() {
    let world = strict();
    let file = world.file("f", b"");
    for name in ["user.a", "trusted.b", "security.c"] {
        set(&world, file, name, name.as_bytes()).unwrap();
        assert_eq!(get(&world, file, name).as_deref(), Ok(name.as_bytes()));
    }
    assert_eq!(
        list(&world, file),
        ["user.a", "trusted.b", "security.c"].map(str::to_owned).into()
    );
    assert_eq!(host_xattr(&world.host("f"), "trusted.b"), None);
    assert_eq!(host_xattr(&world.host("f"), "security.c"), None);
    for name in ["user.a", "trusted.b", "security.c"] {
        world.fs.removexattr(&root_ctx(), file, name.as_ref()).unwrap();
        assert_eq!(get(&world, file, name), Err(Errno::ENODATA));
        assert_eq!(
            world.fs.removexattr(&root_ctx(), file, name.as_ref()),
            Err(Errno::ENODATA)
        );
    }
    assert!(list(&world, file).is_empty());
}

#[test]
fn what_the_server_keeps_is_neither_listed_nor_reachable() {
    let world = strict();
    let file = world.file("f", b"");
    set(&world, file, "security.x", b"1").unwrap();
    let before = world.attr(file);
    for name in ["user.containers.override_stat", "user.sandbox.xattr.security.x"] {
        assert!(host_xattr(&world.host("f"), name).is_some(), "{name}");
        assert_eq!(get(&world, file, name), Err(Errno::ENODATA));
        assert_eq!(set(&world, file, name, b"0:0:4777:file"), Err(Errno::EPERM));
        assert_eq!(
            world.fs.removexattr(&root_ctx(), file, name.as_ref()),
            Err(Errno::ENODATA)
        );
        assert!(!list(&world, file).contains(name));
    }
    assert_eq!(world.attr(file).mode, before.mode);
}

#[test]
fn a_list_takes_as_much_room_as_was_told_also_where_names_are_hidden() {
    let world = strict();
    let file = world.file("f", b"");
    for name in [
        "security.a",
        "user.longer",
        "trusted.b",
        "system.posix_acl_access",
    ] {
        let acl = b"\x02\0\0\0\x01\0\x07\0\xff\xff\xff\xff\x02\0\x04\0\x05\0\0\0\x04\0\x04\0\xff\xff\xff\xff\
                    \x10\0\x04\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";
        let value = if name.starts_with("system.") {
            &acl[..]
        } else {
            b"1"
        };
        set(&world, file, name, value).unwrap();
        // It compares what was told with what was given.
        assert!(list(&world, file).contains(name), "{name}");
    }
    assert!(host_xattr(&world.host("f"), "user.containers.override_stat").is_some());
    assert_eq!(list(&world, file).len(), 4);
}

#[test]
fn sizes_and_flags_are_kept() {
    for world in [strict(), off()] {
        let file = world.file("f", b"");
        set(&world, file, "user.a", b"12345").unwrap();
        let ask = |size| world.fs.getxattr(&root_ctx(), file, "user.a".as_ref(), size);
        assert_eq!(ask(0), Ok(XattrReply::Size(5)));
        assert_eq!(ask(4), Err(Errno::ERANGE));
        assert_eq!(ask(5), Ok(XattrReply::Data(b"12345".to_vec())));
        let flagged = |name: &str, flags| world.fs.setxattr(&root_ctx(), file, name.as_ref(), b"", flags);
        assert_eq!(flagged("user.a", XattrFlags::CREATE), Err(Errno::EEXIST));
        assert_eq!(flagged("user.b", XattrFlags::REPLACE), Err(Errno::ENODATA));
        assert_eq!(
            world.fs.getxattr(&root_ctx(), file, "user.b".as_ref(), 0),
            Err(Errno::ENODATA)
        );
    }
}

#[test]
fn trusted_attributes_are_listed_for_root_alone() {
    let world = strict();
    let file = world.file("f", b"");
    set(&world, file, "trusted.b", b"").unwrap();
    assert_eq!(
        world.fs.listxattr(&ctx(1000, 1000), file, 0),
        Ok(XattrReply::Size(0))
    );
    assert!(list(&world, file).contains("trusted.b"));
}

/// user::rw-, user:1000:r--, group::r--, mask::MASK, other::---
fn acl(mask: u8) -> Vec<u8> {
    let none = u32::MAX;
    let mut bytes = vec![2, 0, 0, 0];
    for (tag, perm, id) in [
        (1u16, 6u8, none),
        (2, 4, 1000),
        (4, 4, none),
        (16, mask, none),
        (32, 0, none),
    ] {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(u16::from(perm).to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

#[test]
fn an_acl_and_the_mode_are_kept_in_step() {
    for world in [strict(), off()] {
        let file = world.file("f", b"");
        match set(&world, file, "system.posix_acl_access", &acl(6)) {
            Err(Errno::ENOTSUP) => {
                println!("SKIP: an_acl_and_the_mode_are_kept_in_step: the host's filesystem has no ACLs");
                return;
            }
            other => other.unwrap(),
        }
        assert_eq!(world.attr(file).mode & 0o777, 0o660);
        world.set(file, chmod(0o640)).unwrap();
        assert_eq!(get(&world, file, "system.posix_acl_access"), Ok(acl(4)));
        // One that says no more than a mode is none.
        let minimal = [&acl(4)[..12], &acl(4)[20..28], &acl(4)[36..]].concat();
        set(&world, file, "system.posix_acl_access", &minimal).unwrap();
        assert_eq!(get(&world, file, "system.posix_acl_access"), Err(Errno::ENODATA));
        let junk = set(&world, file, "system.posix_acl_access", b"\x02\0\0\0junk");
        assert_eq!(junk, Err(Errno::EINVAL));
    }
}

#[test]
fn a_default_acl_is_inherited_instead_of_the_umask() {
    for world in [strict(), off()] {
        let dir = world.dir("d", 0o755).ino;
        match set(&world, dir, "system.posix_acl_default", &acl(6)) {
            Err(Errno::ENOTSUP) => {
                println!("SKIP: a_default_acl_is_inherited: the host's filesystem has no ACLs");
                return;
            }
            other => other.unwrap(),
        }
        assert!(world.fs.agreed(Capabilities::POSIX_ACL));
        let made = world
            .fs
            .create(
                &root_ctx(),
                dir,
                "f".as_ref(),
                libc::S_IFREG | 0o664,
                OpenFlags::RDWR,
                0o077,
            )
            .unwrap();
        assert_eq!(made.entry.attr.mode & 0o777, 0o660);
        assert_eq!(get(&world, made.entry.ino, "system.posix_acl_access"), Ok(acl(6)));
        let below = world.fs.mkdir(&root_ctx(), dir, "x".as_ref(), 0o755, 0).unwrap();
        assert_eq!(get(&world, below.ino, "system.posix_acl_default"), Ok(acl(6)));
        let file = world.file("f", b"");
        assert!(matches!(
            set(&world, file, "system.posix_acl_default", &acl(6)),
            Err(Errno::EACCES)
        ));
    }
}
