//! Trees that keep their owners as fuse-overlayfs up to 1.10 does.

use std::path::Path;

use rustix::fs::XattrFlags;
use sandbox_types::OverrideStat;

use super::{World, chmod, chown, ctx, host_xattr, is_root, root_ctx, with};
use crate::fs::{DynFileSystem, Errno, OpenFlags, XattrFlags as Flags, XattrReply};

const CONTAINERS: &str = OverrideStat::CONTAINERS;
const THEIRS: &str = OverrideStat::FUSE_OVERLAYFS;
const PRIVILEGED: &str = OverrideStat::FUSE_OVERLAYFS_PRIVILEGED;

fn keep(path: &Path, name: &str, value: &str) {
    rustix::fs::setxattr(path, name, value.as_bytes(), XattrFlags::empty()).unwrap();
}

/// A tree whose root keeps its owner under this name, with a file in it that does.
fn begun_with(name: &str) -> World {
    let world = with(|builder| builder);
    std::fs::write(world.host("theirs"), "").unwrap();
    keep(&world.host(""), name, "0:0:755");
    keep(&world.host("theirs"), name, "1000:100:751");
    world.again()
}

#[test]
fn a_tree_of_fuse_overlayfs_is_read_and_goes_on_as_it_began() {
    let world = begun_with(THEIRS);
    let file = world.find("theirs").unwrap();
    assert_eq!(world.owner(file.ino), (0o751, 1000, 100));
    world.set(file.ino, chmod(0o4700)).unwrap();
    world
        .fs
        .create(
            &ctx(5, 6),
            1,
            "new".as_ref(),
            libc::S_IFREG | 0o640,
            OpenFlags::RDWR,
            0,
        )
        .unwrap();
    world.set(1, chown(7, 8)).unwrap();
    for (name, value) in [
        ("theirs", "1000:100:4700:file"),
        ("new", "5:6:0640:file"),
        ("", "7:8:0755:dir"),
    ] {
        assert_eq!(
            host_xattr(&world.host(name), THEIRS).as_deref(),
            Some(value),
            "{name:?}"
        );
        assert_eq!(host_xattr(&world.host(name), CONTAINERS), None, "{name:?}");
    }
    let again = world.again();
    assert_eq!(again.owner(again.ino("theirs")), (0o4700, 1000, 100));
    assert_eq!(again.owner(1), (0o755, 7, 8));
}

#[test]
fn the_attribute_of_containers_wins_where_both_are_there() {
    let world = begun_with(THEIRS);
    keep(&world.host("theirs"), CONTAINERS, "3:4:0600:file");
    let file = world.find("theirs").unwrap();
    assert_eq!(world.owner(file.ino), (0o600, 3, 4));
    world.set(file.ino, chown(5, 6)).unwrap();
    assert_eq!(host_xattr(&world.host("theirs"), CONTAINERS), None);
    assert_eq!(world.owner(file.ino), (0o600, 5, 6));
    // The root of a tree of containers' says that nothing else counts.
    keep(&world.host(""), CONTAINERS, "0:0:0755:dir");
    keep(&world.host("theirs"), CONTAINERS, "3:4:0600:file");
    let again = world.again();
    again.set(again.ino("theirs"), chown(8, 9)).unwrap();
    let kept = host_xattr(&world.host("theirs"), CONTAINERS);
    assert_eq!(kept.as_deref(), Some("8:9:0600:file"));
}

#[test]
fn what_a_client_sets_under_a_name_of_fuse_overlayfs_means_nothing() {
    let world = with(|builder| builder);
    let ino = world.file("f", b"");
    let fs = &world.fs;
    for target in [1, ino] {
        for name in [THEIRS, PRIVILEGED] {
            let set = fs.setxattr(&root_ctx(), target, name.as_ref(), b"9:9:7777", Flags::empty());
            assert_eq!(set, Ok(()), "{name}");
            let found = fs.getxattr(&root_ctx(), target, name.as_ref(), 100);
            assert_eq!(found, Ok(XattrReply::Data(b"9:9:7777".to_vec())), "{name}");
        }
        let own = fs.setxattr(
            &root_ctx(),
            target,
            CONTAINERS.as_ref(),
            b"9:9:7777",
            Flags::empty(),
        );
        assert_eq!(own, Err(Errno::EPERM));
    }
    let again = world.again();
    assert_eq!(again.owner(again.ino("f")), (0o644, 0, 0));
}

#[test]
fn what_only_the_privileged_can_set_is_read_and_overruled() {
    if !is_root() {
        println!("SKIP: security.* is set by root");
        return;
    }
    let world = begun_with(PRIVILEGED);
    let ino = world.ino("theirs");
    assert_eq!(world.owner(ino), (0o751, 1000, 100));
    // This server may set it as well, and so it does.
    world.set(ino, chown(1, 2)).unwrap();
    let kept = host_xattr(&world.host("theirs"), PRIVILEGED);
    assert_eq!(kept.as_deref(), Some("1:2:0751:file"));
    let again = world.again();
    assert_eq!(again.owner(again.ino("theirs")).1, 1);
}
