//! What is in a directory that a layer became.

use std::os::unix::fs::{FileTypeExt, MetadataExt};

use super::*;

fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 200];
    let length = rustix::fs::lgetxattr(path, name, &mut value).ok()?;
    value.truncate(length);
    Some(value)
}

fn is_whiteout(path: &Path) -> bool {
    let found = fs::symlink_metadata(path).unwrap();
    found.file_type().is_char_device() && found.rdev() == 0
}

#[test]
fn whiteouts_hide_what_is_beneath_and_nothing_of_the_layer_itself() {
    let world = World::new();
    let layer = Forged::new()
        .file("d/.wh.gone", b"")
        .file(".wh.file", b"")
        .file("file", b"new")
        .file(".wh.directory", b"")
        .file("directory/inside", b"new")
        .file("other/.wh.hidden", b"")
        .file("other/.wh..wh..opq", b"")
        .file("other/kept", b"")
        .file("d/.wh....", b"")
        .file("alone/.wh..wh..opq", b"")
        .end();
    let layer = world.import(&layer).unwrap();
    let path = |name: &str| layer.path.join(name);
    assert!(is_whiteout(&path("d/gone")) && is_whiteout(&path("d/...")));
    assert_eq!(fs::read(path("file")).unwrap(), b"new");
    for opaque in ["directory", "other", "alone"] {
        assert_eq!(
            xattr(&path(opaque), "user.overlay.opaque").unwrap(),
            b"y",
            "{opaque}"
        );
    }
    assert!(!path("other/hidden").exists() && path("directory/inside").exists());
    assert!(path("other/kept").exists() && !layer.hides_all);
    assert_eq!(
        (layer.entries, layer.bytes, layer.assumed),
        (10, 6, 5),
        "root, d, directory, other, alone"
    );
}

#[test]
fn whiteouts_are_attributes_where_devices_cannot_be_made() {
    let mut world = World::new();
    world.options = world.options.whiteouts(Whiteouts::Attribute);
    let layer = Forged::new()
        .dir("d")
        .file("d/.wh.gone", b"")
        .file("o/.wh..wh..opq", b"")
        .file("o/.wh.gone", b"")
        .end();
    let layer = world.import(&layer).unwrap();
    let gone = layer.path.join("d/gone");
    assert_eq!(gone.metadata().unwrap().len(), 0);
    assert_eq!(xattr(&gone, "user.overlay.whiteout").unwrap(), b"y");
    assert_eq!(xattr(&layer.path.join("d"), "user.overlay.opaque").unwrap(), b"x");
    assert_eq!(xattr(&layer.path.join("o"), "user.overlay.opaque").unwrap(), b"y");
    assert!(!layer.path.join("o/gone").exists());
}

#[test]
fn an_opaque_root_is_reported() {
    let world = World::new();
    let layer = world
        .import(&Forged::new().file(".wh..wh..opq", b"").file("x", b"").end())
        .unwrap();
    assert!(layer.hides_all);
}

#[test]
fn content_links_holes_times_and_long_names_are_kept() {
    let world = World::new();
    let long = format!("{}/{}", "d".repeat(200), "n".repeat(255));
    let mut sparse = vec![0; 4 << 20];
    sparse[2 << 20] = 1;
    let layer = Forged::new()
        .file("a", b"content")
        .with(EntryType::Link, "b", "./a", b"")
        .with(EntryType::Symlink, "s", "/etc/passwd", b"")
        .with(EntryType::Link, "t", "s", b"")
        .with(EntryType::Fifo, "p", "", b"")
        .file("sparse", &sparse)
        .records(&[("path", long.as_bytes()), ("mtime", b"-1.25")])
        .file("x", b"long")
        .end();
    let layer = world.import(&gzip(&layer)).unwrap();
    let stat = |name: &str| fs::symlink_metadata(layer.path.join(name)).unwrap();
    assert_eq!((stat("a").ino(), stat("a").nlink()), (stat("b").ino(), 2));
    assert_eq!(stat("s").ino(), stat("t").ino());
    assert_eq!(
        fs::read_link(layer.path.join("s")).unwrap(),
        Path::new("/etc/passwd")
    );
    assert!(stat("p").file_type().is_fifo());
    assert_eq!(fs::read(layer.path.join("sparse")).unwrap(), sparse);
    assert!(stat("sparse").blocks() < 2048, "{}", stat("sparse").blocks());
    assert_eq!(stat("a").mtime(), 1_000_000_000);
    assert_eq!((stat(&long).mtime(), stat(&long).mtime_nsec()), (-2, 750_000_000));
    assert_eq!(fs::read(layer.path.join(&long)).unwrap(), b"long");
}

#[test]
fn a_time_before_1970_is_kept_as_gnu_tar_writes_it() {
    let world = World::new();
    let layer = Forged::new()
        .of(EntryType::Regular, "old", "", b"", |header| {
            let seconds = (-86_400_i64).to_be_bytes();
            header.as_old_mut().mtime = [&[0xff; 4][..], &seconds].concat().try_into().unwrap();
        })
        .end();
    let layer = world.import(&layer).unwrap();
    assert_eq!(layer.path.join("old").metadata().unwrap().mtime(), -86_400);
}

#[test]
fn access_control_lists_as_text_are_counted() {
    let world = World::new();
    let layer = Forged::new()
        .records(&[
            (
                "SCHILY.acl.access",
                b"user::rw-,user:33:r--,group::r--,mask::r--,other::---",
            ),
            ("SCHILY.acl.default", b"user::rwx,group::r-x,other::---"),
        ])
        .dir("d")
        .end();
    assert_eq!(world.import(&layer).unwrap().attributes_left_out, 2);
}

#[test]
fn what_is_compressed_otherwise_or_has_images_in_it_is_told_as_that() {
    let world = World::new();
    for (bytes, program) in [
        (&b"\xfd7zXZ\0 and more"[..], "xz"),
        (b"BZh91AY&SY", "bzip2"),
        (b"\x04\x22\x4d\x18 and more", "lz4"),
        (b"\x1f\x9d\x90", "compress"),
    ] {
        let error = world.import(bytes).unwrap_err();
        assert!(
            matches!(error, LayerError::Compression { program: found } if found == program),
            "{error}"
        );
        world.assert_nothing(program);
    }
    for names in [
        &["oci-layout", "index.json", "blobs/x"][..],
        &["manifest.json", "repositories", "1.tar"],
    ] {
        let files = |names: &[&str]| {
            names
                .iter()
                .fold(Forged::new(), |forged, name| forged.file(name, b""))
                .end()
        };
        let error = world.import(&files(names)).unwrap_err();
        assert!(
            matches!(error, LayerError::Images { sign } if sign == names[0]),
            "{error}"
        );
        world.assert_nothing(names[0]);
        drop(world.import(&files(&names[1..])).unwrap());
        fs::remove_dir_all(world.path("store")).unwrap();
    }
}

#[test]
fn virtual_owners_are_what_the_backends_show() {
    use crate::backend::PassthroughFs;
    use crate::fs::Context;
    use crate::tree::Tree;
    let world = World::new();
    let layer = Forged::new()
        .of(EntryType::Directory, "d", "", b"", |header| {
            header.set_mode(0o2711);
            header.set_uid(7);
        })
        .of(EntryType::Regular, "d/f", "", b"x", |header| {
            header.set_mode(0o4511);
            header.set_uid(1000);
            header.set_gid(2_000_000);
        })
        .end();
    let layer = world.import(&layer).unwrap();
    let fs = PassthroughFs::builder().root_dir(&layer.path).build().unwrap();
    let tree = Tree::new(&fs, Context::new(0, 0));
    let seen = |path: &str| {
        let attr = tree.stat(path).unwrap();
        (attr.mode & 0o7777, attr.uid, attr.gid)
    };
    assert_eq!(seen(""), (0o755, 0, 0));
    assert_eq!(seen("d"), (0o2711, 7, 0));
    assert_eq!(seen("d/f"), (0o4511, 1000, 2_000_000));
    let on_host = layer.path.join("d/f").metadata().unwrap().mode() & 0o7777;
    assert_eq!(on_host, 0o711, "readable for the owner, no setuid");
}

#[test]
fn real_owners_are_the_files_own() {
    if !rustix::process::geteuid().is_root() {
        // As everybody else, it is an error that says so.
        let mut world = World::new();
        world.options = world.options.owners(Owners::Real);
        let error = world.import(&Forged::new().file("x", b"").end()).unwrap_err();
        assert!(matches!(error, LayerError::Owner { .. }), "{error}");
        world.assert_nothing("owner");
        return;
    }
    let mut world = World::new();
    world.options = world.options.owners(Owners::Real);
    let layer = Forged::new()
        .of(EntryType::Regular, "f", "", b"", |header| {
            header.set_mode(0o4511);
            header.set_uid(1000);
            header.set_gid(70);
        })
        .end();
    let layer = world.import(&layer).unwrap();
    let found = layer.path.join("f").metadata().unwrap();
    assert_eq!(
        (found.uid(), found.gid(), found.mode() & 0o7777),
        (1000, 70, 0o4511)
    );
}

#[test]
fn what_a_killed_import_left_goes_with_the_next_one_and_what_is_in_use_stays() {
    let world = World::new();
    let store = world.store();
    let used = store.stage().unwrap();
    let left = world.path("store/.staging/dead/tree/deep");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("x"), "x").unwrap();
    let again = world.store();
    assert!(used.tree().is_dir() && !left.exists());
    drop((used, again));
    world.assert_nothing("all is gone");
}
