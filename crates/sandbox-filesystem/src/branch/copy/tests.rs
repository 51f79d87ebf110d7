//! Copies of trees that have one of everything in them.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode};
use sandbox_types::NodeKind;

use super::super::testing::{
    assert_same, picture, rel, set_acl, set_mtime, set_xattr, skip, without_capabilities,
};
use super::*;

fn node(path: &Path, kind: FileType, rdev: u64) -> rustix::io::Result<()> {
    rustix::fs::mknodat(CWD, path, kind, Mode::RUSR, rdev)
}

/// A tree with one of everything that a plain user can make.
fn fill(dir: &Path) {
    fs::create_dir_all(dir.join("sub/empty")).unwrap();
    fs::write(dir.join("file"), "text").unwrap();
    fs::set_permissions(dir.join("file"), fs::Permissions::from_mode(0o4751)).unwrap();
    fs::write(dir.join("unwritable"), "x").unwrap();
    set_xattr(&dir.join("unwritable"), "note", b"\x00\xff");
    fs::set_permissions(dir.join("unwritable"), fs::Permissions::from_mode(0o400)).unwrap();
    fs::write(dir.join("sub/large"), vec![7; 300_000]).unwrap();
    fs::hard_link(dir.join("sub/large"), dir.join("link")).unwrap();
    fs::write(dir.join(OsStr::from_bytes(b"\xff\xfe \n")), "bytes").unwrap();
    fs::write(dir.join("n".repeat(255)), "long").unwrap();
    symlink("/nowhere", dir.join("dangling")).unwrap();
    symlink("sub", dir.join("sub-link")).unwrap();
    set_mtime(&dir.join("dangling"), (77, 999_999_999));
    set_mtime(&dir.join("file"), (-5, 123_456_789));
    set_xattr(&dir.join("sub"), "of-a-directory", b"1");
    set_acl(&dir.join("file"), "system.posix_acl_access");
    set_acl(&dir.join("sub"), "system.posix_acl_default");
    node(&dir.join("pipe"), FileType::Fifo, 0).unwrap();
    fs::set_permissions(dir.join("sub/empty"), fs::Permissions::from_mode(0o555)).unwrap();
    fs::set_permissions(dir.join("sub"), fs::Permissions::from_mode(0o1575)).unwrap();
    set_mtime(&dir.join("sub/empty"), (1_000_000, 1));
    set_mtime(&dir.join("sub"), (1_000_001, 2));
    set_mtime(dir, (1_000_002, 3));
}

fn copy(from: &Path, to: &Path) -> TreeReport {
    tree(from, to, &TreeOptions::default(), &mut |_| {}).unwrap()
}

fn clean(dir: &Path) {
    fs::set_permissions(dir.join("sub"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_copy_of_a_tree_is_the_same_in_everything_that_can_be_copied() {
    for other_place in [None, Some("/dev/shm")] {
        let place = tempfile::tempdir().unwrap();
        let from = place.path().join("from");
        fs::create_dir(&from).unwrap();
        fill(&from);
        let other = match other_place.map(tempfile::tempdir_in) {
            None => tempfile::tempdir().unwrap(),
            Some(Ok(other)) => other,
            Some(Err(error)) => return skip("copy::another_file_system", &error.to_string()),
        };
        let to = other.path().join("to");
        let report = copy(&from, &to);
        assert_same(&picture(&from), &picture(&to), "the copy");
        assert!(report.refused.is_empty(), "{report:?}");
        assert_eq!(report.entries, 11);
        assert_eq!(report.bytes, 4 + 1 + 300_000 + 5 + 4);
        assert_ne!(
            fs::metadata(from.join("file")).unwrap().ino(),
            fs::metadata(to.join("file")).unwrap().ino()
        );
        clean(&from);
        clean(&to);
    }
}

#[test]
fn holes_stay_holes() {
    let place = tempfile::tempdir().unwrap();
    let from = place.path().join("from");
    fs::create_dir(&from).unwrap();
    let file = fs::File::create(from.join("sparse")).unwrap();
    file.write_all_at(b"start", 0).unwrap();
    file.write_all_at(b"middle", 64 << 20).unwrap();
    file.set_len(1 << 30).unwrap();
    file.sync_all().unwrap();
    let to = place.path().join("to");
    copy(&from, &to);
    let copied = fs::metadata(to.join("sparse")).unwrap();
    assert_eq!(copied.len(), 1 << 30);
    assert!(copied.blocks() * 512 < 1 << 20, "{} blocks", copied.blocks());
    let mut middle = [0; 6];
    let copied = fs::File::open(to.join("sparse")).unwrap();
    copied.read_exact_at(&mut middle, 64 << 20).unwrap();
    assert_eq!(&middle, b"middle");
}

#[test]
fn a_tree_that_is_deeper_than_there_are_descriptors_is_copied() {
    let place = tempfile::tempdir().unwrap();
    let from = place.path().join("from");
    let deep = "d/".repeat(1500);
    fs::create_dir_all(from.join(&deep)).unwrap();
    fs::write(from.join(&deep).join("f"), "x").unwrap();
    copy(&from, &place.path().join("to"));
    assert!(place.path().join("to").join(deep).join("f").exists());
}

#[test]
fn sockets_are_left_out_and_named() {
    let place = tempfile::tempdir().unwrap();
    let from = place.path().join("from");
    fs::create_dir(&from).unwrap();
    let _listening = std::os::unix::net::UnixListener::bind(from.join("socket")).unwrap();
    let report = copy(&from, &place.path().join("to"));
    assert_eq!(report.skipped, [rel("socket")]);
    assert!(!place.path().join("to/socket").exists());
}

#[test]
fn what_is_excluded_is_left_out_and_a_copy_beneath_what_is_copied_ends() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir_all(place.path().join("state/inner")).unwrap();
    fs::write(place.path().join("file"), "").unwrap();
    let options = TreeOptions {
        exclude: [rel("state/inner")].into(),
        ..TreeOptions::default()
    };
    let to = place.path().join("state/copy");
    tree(place.path(), &to, &options, &mut |_| {}).unwrap();
    let paths: Vec<_> = picture(&to).into_keys().collect();
    assert_eq!(paths, [rel(""), rel("file"), rel("state")]);
}

#[test]
fn a_directory_that_may_not_be_read_is_an_error_that_names_it() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir_all(place.path().join("from/a/b")).unwrap();
    fs::set_permissions(place.path().join("from/a/b"), fs::Permissions::from_mode(0o0)).unwrap();
    let (from, to) = (place.path().join("from"), place.path().join("to"));
    without_capabilities(|| {
        let error = tree(&from, &to, &TreeOptions::default(), &mut |_| {}).unwrap_err();
        let CopyError::Read { path, source } = &error else {
            panic!("{error}")
        };
        assert_eq!(path, &rel("a/b"));
        assert_eq!(source.kind(), ErrorKind::PermissionDenied);
        assert!(error.hint().is_some());
    });
}

#[test]
fn a_copy_by_reflink_only_fails_where_there_is_none() {
    let place = tempfile::tempdir().unwrap();
    let from = place.path().join("from");
    fs::create_dir(&from).unwrap();
    fs::write(from.join("file"), vec![1; 5000]).unwrap();
    let options = TreeOptions {
        reflink: Reflink::Only,
        ..TreeOptions::default()
    };
    let to = place.path().join("to");
    let copied = tree(&from, &to, &options, &mut |_| {});
    assert_eq!(
        can_reflink(&from, place.path()).unwrap(),
        copied.is_ok(),
        "{copied:?}"
    );
}

#[test]
fn owners_devices_and_capabilities_are_copied_by_root() {
    if !rustix::process::geteuid().is_root() {
        return skip("copy::owners_devices_and_capabilities", "only root may set them");
    }
    let place = tempfile::tempdir().unwrap();
    let from = place.path().join("from");
    fs::create_dir(&from).unwrap();
    fs::write(from.join("file"), "x").unwrap();
    std::os::unix::fs::chown(from.join("file"), Some(12), Some(34)).unwrap();
    fs::set_permissions(from.join("file"), fs::Permissions::from_mode(0o6755)).unwrap();
    // cap_net_raw+ep, revision 2.
    let mut capability = vec![1, 0, 0, 2, 0, 0x20, 0, 0];
    capability.resize(20, 0);
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(from.join("file"), "security.capability", &capability, flags).unwrap();
    std::os::unix::fs::lchown(&from, Some(1), Some(2)).unwrap();
    node(
        &from.join("null"),
        FileType::CharacterDevice,
        rustix::fs::makedev(1, 3),
    )
    .unwrap();
    let to = place.path().join("to");
    copy(&from, &to);
    let copied = picture(&to);
    assert_same(&picture(&from), &copied, "the copy");
    assert_eq!(copied[&rel("null")].kind, NodeKind::CharDevice);
    let names: Vec<_> = copied[&rel("file")].attributes.xattrs.0.keys().collect();
    assert_eq!(names[0].0, b"security.capability");
}

/// No user of a test is in it.
const NOBODYS_GROUP: u32 = 0x7fff_1234;

#[test]
fn setuid_is_not_given_to_a_file_whose_owner_cannot_be() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("file");
    let file = fs::File::create(&path).unwrap();
    let attributes = Attributes {
        mode: 0o6755,
        uid: rustix::process::geteuid().as_raw() + 1,
        gid: NOBODYS_GROUP,
        mtime: None,
        xattrs: super::super::xattr::Xattrs::default(),
    };
    without_capabilities(|| {
        let refused = attributes.put(std::os::fd::AsFd::as_fd(&file)).unwrap();
        assert_eq!(refused, [Refused::Owner]);
    });
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o755);
}
