use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;
use crate::branch::stack::Stack;
use crate::branch::testing::{picture, rel, set_acl, set_xattr};

fn plain(mode: u32) -> Attributes {
    Attributes {
        mode,
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        mtime: Some((1_000_000_000, 7)),
        xattrs: crate::branch::xattr::Xattrs::default(),
    }
}

fn write(writer: &mut LayerWriter, path: &str, content: &str) {
    let mut file = writer.file(&rel(path)).unwrap();
    file.write_all(content.as_bytes()).unwrap();
    writer.complete(&rel(path), file.as_fd(), plain(0o644)).unwrap();
}

#[test]
fn what_is_written_is_what_the_layer_shows() {
    let place = tempfile::tempdir().unwrap();
    let [base, layer] = ["base", "layer"].map(|name| place.path().join(name));
    for dir in [&base, &layer] {
        fs::create_dir(dir).unwrap();
    }
    fs::create_dir(base.join("d")).unwrap();
    fs::write(base.join("d/hidden"), "").unwrap();
    fs::write(base.join("gone"), "").unwrap();
    let mut writer = LayerWriter::open(&layer, LayerFormat::Overlay).unwrap();
    let mut attributes = plain(0o500);
    attributes
        .xattrs
        .0
        .insert(Bytes(b"user.overlay.opaque".to_vec()), Bytes(b"n".to_vec()));
    writer.dir(&rel("d"), attributes).unwrap();
    writer.opaque(&rel("d")).unwrap();
    write(&mut writer, "d/file", "content");
    writer.link(&rel("d/file"), &rel("d/link")).unwrap();
    writer
        .symlink(&rel("to"), &Bytes(b"\xff/..".to_vec()), plain(0o777))
        .unwrap();
    writer
        .special(&rel("pipe"), NodeKind::Fifo, 0, plain(0o600))
        .unwrap();
    writer.whiteout(&rel("gone")).unwrap();
    assert_eq!(writer.finish().unwrap(), []);

    let stack = Stack::open(&[(layer.clone(), LayerFormat::Overlay)], &base).unwrap();
    let names = |path: &str| {
        let dir = stack.dir(&rel(path)).unwrap().unwrap();
        dir.entries().unwrap().into_keys().collect::<Vec<_>>()
    };
    assert_eq!(names(""), ["d", "pipe", "to"]);
    assert_eq!(names("d"), ["file", "link"]);
    let meta = fs::metadata(layer.join("d")).unwrap();
    assert_eq!(
        (meta.mode() & 0o7777, meta.mtime(), meta.mtime_nsec()),
        (0o500, 1_000_000_000, 7)
    );
    assert_eq!(fs::metadata(layer.join("d/file")).unwrap().nlink(), 2);
    assert_eq!(
        fs::read_link(layer.join("to")).unwrap().as_os_str(),
        OsStr::from_bytes(b"\xff/..")
    );
    let mut value = [0; 1];
    let escaped = "user.overlay.overlay.opaque";
    assert_eq!(rustix::fs::getxattr(layer.join("d"), escaped, &mut value), Ok(1));
    assert_eq!(value, *b"n");
    fs::set_permissions(layer.join("d"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn nothing_is_written_through_a_link_or_over_what_is_there() {
    let place = tempfile::tempdir().unwrap();
    let [outside, layer] = ["outside", "layer"].map(|name| place.path().join(name));
    for dir in [&outside, &layer] {
        fs::create_dir(dir).unwrap();
    }
    std::os::unix::fs::symlink(&outside, layer.join("link")).unwrap();
    fs::write(layer.join("file"), "kept").unwrap();
    let mut writer = LayerWriter::open(&layer, LayerFormat::Overlay).unwrap();
    assert!(writer.file(&rel("link/x")).is_err());
    assert!(writer.dir(&rel("link"), plain(0o755)).is_err());
    assert!(writer.dir(&rel("link/x"), plain(0o755)).is_err());
    assert!(writer.whiteout(&rel("link/x")).is_err());
    assert!(writer.file(&rel("link")).is_err());
    assert!(writer.file(&rel("file")).is_err());
    assert!(writer.link(&rel("file"), &rel("link/x")).is_err());
    assert!(
        writer
            .special(&rel("x"), NodeKind::CharDevice, 0, plain(0o600))
            .is_err()
    );
    drop(writer);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(fs::read(layer.join("file")).unwrap(), b"kept");
}

#[test]
fn a_whole_copy_is_changed_where_its_directories_forbid_it() {
    let place = tempfile::tempdir().unwrap();
    let tree = place.path().join("tree");
    fs::create_dir_all(tree.join("d/gone")).unwrap();
    fs::write(tree.join("d/gone/x"), "").unwrap();
    fs::write(tree.join("d/old"), "").unwrap();
    set_xattr(&tree.join("d"), "a", b"1");
    set_acl(&tree.join("d"), "system.posix_acl_default");
    for dir in ["d/gone", "d"] {
        fs::set_permissions(tree.join(dir), fs::Permissions::from_mode(0o555)).unwrap();
    }
    let before = picture(&tree);
    let mut writer = LayerWriter::open(&tree, LayerFormat::Complete).unwrap();
    writer.whiteout(&rel("d/gone")).unwrap();
    writer.clear(&rel("d/old")).unwrap();
    write(&mut writer, "d/old", "new");
    writer.finish().unwrap();
    let after = picture(&tree);
    fs::set_permissions(tree.join("d"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(
        after.keys().cloned().collect::<Vec<_>>(),
        [rel(""), rel("d"), rel("d/old")]
    );
    assert_eq!(after[&rel("d")], before[&rel("d")]);
    assert_eq!(
        after[&rel("d/old")].attributes,
        plain(0o644),
        "nothing is inherited"
    );
}
