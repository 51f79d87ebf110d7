//! Owner, group, mode and type beside the host's own.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use rustix::fs::XattrFlags;
use sandbox_types::{HostPermissions, StatVirtualization};

use super::super::IdentityMap;
use super::{chmod, chown, ctx, host_xattr, is_root, off, root_ctx, strict, with};
use crate::fs::{DynFileSystem, Errno, OpenFlags, XattrFlags as Flags};

const STAT: &str = "user.containers.override_stat";

#[test]
fn a_tree_that_podman_or_fuse_overlayfs_wrote_reads_correctly() {
    let world = strict();
    for (name, value, mode, rdev) in [
        ("suid", "0:0:4755:file", libc::S_IFREG | 0o4755, 0),
        (
            "null",
            "0:0:0666:char-1-3",
            libc::S_IFCHR | 0o666,
            rustix::fs::makedev(1, 3),
        ),
        ("pipe", "3:4:0644:pipe", libc::S_IFIFO | 0o644, 0),
        ("krun", "3:4:0100755", libc::S_IFREG | 0o755, 0),
        ("plain", "3:4:600", libc::S_IFREG | 0o600, 0),
    ] {
        std::fs::write(world.host(name), "").unwrap();
        rustix::fs::setxattr(world.host(name), STAT, value.as_bytes(), XattrFlags::empty()).unwrap();
        let attr = world.find(name).unwrap().attr;
        assert_eq!((attr.mode, attr.rdev), (mode, rdev), "{name}");
    }
    std::fs::write(world.host("l"), "the/target").unwrap();
    rustix::fs::setxattr(world.host("l"), STAT, b"7:8:0777:symlink", XattrFlags::empty()).unwrap();
    let link = world.find("l").unwrap();
    assert_eq!((link.attr.mode, link.attr.uid), (libc::S_IFLNK | 0o777, 7));
    assert_eq!(world.fs.readlink(&root_ctx(), link.ino).unwrap(), b"the/target");
}

#[test]
fn what_is_written_is_what_podman_and_fuse_overlayfs_read() {
    let world = strict();
    let fs = &world.fs;
    fs.create(
        &ctx(1000, 100),
        1,
        "f".as_ref(),
        libc::S_IFREG | 0o4711,
        OpenFlags::RDWR,
        0,
    )
    .unwrap();
    fs.mkdir(&ctx(1000, 100), 1, "d".as_ref(), 0o1777, 0).unwrap();
    fs.mknod(
        &root_ctx(),
        1,
        "c".as_ref(),
        libc::S_IFCHR | 0o620,
        rustix::fs::makedev(5, 1),
        0,
    )
    .unwrap();
    fs.mknod(&root_ctx(), 1, "p".as_ref(), libc::S_IFIFO | 0o600, 0, 0)
        .unwrap();
    fs.mknod(&root_ctx(), 1, "s".as_ref(), libc::S_IFSOCK | 0o600, 0, 0)
        .unwrap();
    fs.symlink(&ctx(1000, 100), 1, "l".as_ref(), "to".as_ref())
        .unwrap();
    for (name, value) in [
        ("f", "1000:100:4711:file"),
        ("d", "1000:100:1777:dir"),
        ("c", "0:0:0620:char-5-1"),
        ("p", "0:0:0600:pipe"),
        ("s", "0:0:0600:socket"),
        ("l", "1000:100:0777:symlink"),
    ] {
        assert_eq!(
            host_xattr(&world.host(name), STAT).as_deref(),
            Some(value),
            "{name}"
        );
    }
    let host_mode = |name: &str| world.host(name).symlink_metadata().unwrap().mode();
    assert_eq!(host_mode("f"), libc::S_IFREG | 0o600);
    assert_eq!(host_mode("c"), libc::S_IFREG | 0o600);
    assert_eq!(host_mode("d"), libc::S_IFDIR | 0o700);
    assert_eq!(std::fs::read(world.host("l")).unwrap(), b"to");
}

#[test]
fn a_link_is_real_until_its_owner_must_differ_from_the_default() {
    let world = with(|builder| builder.identity_map(IdentityMap::own_as(0, 0)));
    let link = world
        .fs
        .symlink(&root_ctx(), 1, "l".as_ref(), "to".as_ref())
        .unwrap();
    assert!(world.host("l").symlink_metadata().unwrap().is_symlink());
    assert_eq!((link.attr.uid, link.attr.gid), (0, 0));

    // To whom it belongs already: nothing changes.
    world.set(link.ino, chown(0, 0)).unwrap();
    assert!(world.host("l").symlink_metadata().unwrap().is_symlink());

    let attr = world.set(link.ino, chown(5, 6)).unwrap();
    assert_eq!((attr.mode, attr.uid, attr.gid), (libc::S_IFLNK | 0o777, 5, 6));
    assert!(world.host("l").symlink_metadata().unwrap().is_file());
    assert_eq!(world.fs.readlink(&root_ctx(), link.ino).unwrap(), b"to");
    assert_eq!(std::fs::read_dir(world.host("")).unwrap().count(), 1);
    // It is the same inode for who asks by name.
    assert_eq!(world.ino("l"), link.ino);
}

#[test]
fn times_and_attributes_of_a_real_link_are_its_own() {
    let world = strict();
    symlink("nowhere", world.host("l")).unwrap();
    let link = world.ino("l");
    let at = crate::fs::Timestamp {
        seconds: 1000,
        nanoseconds: 5,
    };
    let change = crate::fs::SetAttr {
        mtime: Some(crate::fs::SetTime::At(at)),
        ..Default::default()
    };
    assert_eq!(world.set(link, change).unwrap().mtime, at);
    assert_eq!(
        world.fs.listxattr(&root_ctx(), link, 0),
        Ok(crate::fs::XattrReply::Size(0))
    );
    assert_eq!(
        world
            .fs
            .setxattr(&root_ctx(), link, "user.x".as_ref(), b"", Flags::empty()),
        Err(Errno::EPERM)
    );
}

#[test]
fn create_on_an_existing_file_keeps_its_owner_and_mode() {
    for world in [strict(), off()] {
        let file = world.file("f", b"old");
        world.set(file, chmod(0o640)).unwrap();
        let before = world.owner(file);
        let opened = world
            .fs
            .create(
                &ctx(4321, 4321),
                1,
                "f".as_ref(),
                libc::S_IFREG | 0o777,
                OpenFlags::RDWR,
                0,
            )
            .unwrap();
        assert_eq!(opened.entry.ino, file);
        assert_eq!(world.owner(file), before);
        assert_eq!(world.read(file, opened.opened.handle), b"old");
        let excl = world.fs.create(
            &root_ctx(),
            1,
            "f".as_ref(),
            0o644,
            OpenFlags::RDWR | OpenFlags::EXCL,
            0,
        );
        assert_eq!(excl.unwrap_err(), Errno::EEXIST);
    }
}

#[test]
fn a_new_file_of_mode_0444_can_be_written_by_who_made_it() {
    for world in [strict(), off()] {
        let flags = OpenFlags::RDWR | OpenFlags::EXCL;
        let made = world
            .fs
            .create(&root_ctx(), 1, "f".as_ref(), libc::S_IFREG | 0o444, flags, 0)
            .unwrap();
        assert_eq!(made.entry.attr.mode & 0o7777, 0o444);
        assert_eq!(world.write(made.entry.ino, made.opened.handle, 0, b"x"), Ok(1));
    }
}

#[test]
fn setgid_of_a_directory_is_inherited_and_survives_chown() {
    let world = strict();
    let dir = world.dir("d", 0o755).ino;
    world.set(dir, chown(1, 77)).unwrap();
    world.set(dir, chmod(0o2775)).unwrap();
    let below = world.fs.mkdir(&ctx(5, 5), dir, "sub".as_ref(), 0o755, 0).unwrap();
    assert_eq!(
        (below.attr.mode & 0o7777, below.attr.uid, below.attr.gid),
        (0o2755, 5, 77)
    );
    let file = world
        .fs
        .create(&ctx(5, 5), dir, "f".as_ref(), 0o644, OpenFlags::RDWR, 0)
        .unwrap();
    assert_eq!(file.entry.attr.gid, 77);
    world.set(dir, chown(2, 78)).unwrap();
    assert_eq!(world.owner(dir), (0o2775, 2, 78));
}

#[test]
fn host_permissions_can_mirror_the_mode_and_never_its_setuid_bit() {
    let world = with(|builder| builder.host_permissions(HostPermissions::Mirror));
    let file = world.file("tool", b"#!/bin/sh\n");
    world.set(file, chmod(0o4755)).unwrap();
    let mode = |name: &str| world.host(name).metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("tool"), 0o755);
    world.set(file, chmod(0o004)).unwrap();
    assert_eq!(mode("tool"), 0o604);
    world.fs.mkdir(&root_ctx(), 1, "d".as_ref(), 0o1775, 0).unwrap();
    assert_eq!(mode("d"), 0o775);
}

#[test]
fn a_file_that_nothing_is_recorded_of_has_the_hosts_owner_through_the_map() {
    let world = with(|builder| builder.identity_map(IdentityMap::own_as(500, 600)));
    std::fs::write(world.host("f"), "").unwrap();
    let attr = world.find("f").unwrap().attr;
    assert_eq!((attr.uid, attr.gid), (500, 600));
}

#[test]
fn a_record_that_makes_no_sense_is_an_error_in_strict_and_nothing_in_relaxed() {
    let strict = strict();
    let relaxed = with(|builder| builder.stat_virtualization(StatVirtualization::Relaxed));
    for world in [&strict, &relaxed] {
        std::fs::write(world.host("f"), "").unwrap();
        rustix::fs::setxattr(world.host("f"), STAT, b"what", XattrFlags::empty()).unwrap();
    }
    assert_eq!(strict.find("f").unwrap_err(), Errno::EIO);
    assert!(relaxed.find("f").is_ok());
}

#[test]
fn a_file_that_its_host_owner_may_not_write_can_still_be_given_away() {
    let world = strict();
    std::fs::write(world.host("f"), "").unwrap();
    std::fs::set_permissions(world.host("f"), std::fs::Permissions::from_mode(0o444)).unwrap();
    let file = world.ino("f");
    assert_eq!(
        world
            .set(file, chown(9, 9))
            .map(|attr| (attr.uid, attr.mode & 0o777)),
        Ok((9, 0o444))
    );
}

#[test]
fn a_server_that_is_root_makes_files_in_the_callers_name() {
    if !is_root() {
        println!("SKIP: a_server_that_is_root_makes_files_in_the_callers_name: needs root");
        return;
    }
    let world = off();
    let dir = world.dir("d", 0o700).ino;
    let caller = ctx(4242, 4343);
    world
        .fs
        .create(
            &caller,
            dir,
            "f".as_ref(),
            libc::S_IFREG | 0o640,
            OpenFlags::RDWR,
            0,
        )
        .unwrap();
    world.fs.mkdir(&caller, dir, "s".as_ref(), 0o750, 0).unwrap();
    world
        .fs
        .symlink(&caller, dir, "l".as_ref(), "x".as_ref())
        .unwrap();
    world
        .fs
        .mknod(&caller, dir, "p".as_ref(), libc::S_IFIFO | 0o600, 0, 0)
        .unwrap();
    world
        .fs
        .mknod(
            &caller,
            dir,
            "c".as_ref(),
            libc::S_IFCHR | 0o600,
            rustix::fs::makedev(1, 3),
            0,
        )
        .unwrap();
    for name in ["f", "s", "l", "p", "c"] {
        let made = world.host(&format!("d/{name}")).symlink_metadata().unwrap();
        assert_eq!((made.uid(), made.gid()), (4242, 4343), "{name}");
    }
    // And nothing is left of it.
    let own = world.file("own", b"");
    assert_eq!(world.owner(own), (0o644, 0, 0));
}

#[test]
fn the_callers_umask_is_applied_and_the_servers_own_is_not() {
    for world in [strict(), off()] {
        let made = world
            .fs
            .create(
                &root_ctx(),
                1,
                "f".as_ref(),
                libc::S_IFREG | 0o666,
                OpenFlags::RDWR,
                0o007,
            )
            .unwrap();
        assert_eq!(made.entry.attr.mode & 0o7777, 0o660);
        let dir = world.fs.mkdir(&root_ctx(), 1, "d".as_ref(), 0o777, 0).unwrap();
        assert_eq!(dir.attr.mode & 0o7777, 0o777);
        let node = world
            .fs
            .mknod(&root_ctx(), 1, "p".as_ref(), libc::S_IFIFO | 0o666, 0, 0)
            .unwrap();
        assert_eq!(node.attr.mode & 0o7777, 0o666);
    }
}
