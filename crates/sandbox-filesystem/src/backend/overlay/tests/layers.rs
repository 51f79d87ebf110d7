//! What layers hide, and how they say so.

use std::fs;
use std::path::Path;

use rustix::fs::{FileType, Mode, XattrFlags};

use super::{World, names, tree};
use crate::backend::OverlayFs;
use crate::backend::overlay::LayerFormat;
use crate::fs::{Capabilities, Context, DynFileSystem, Errno};

fn read_only(world: &World, format: LayerFormat) -> OverlayFs {
    let layers = (0..world.lowers).map(|number| world.lower(number));
    let builder = layers.fold(OverlayFs::builder(), |builder, layer| {
        builder.layer_in(layer, format)
    });
    let fs = builder.read_only().build().unwrap();
    fs.init(Capabilities::all()).unwrap();
    fs
}

fn file(path: impl AsRef<Path>, content: &str) {
    fs::create_dir_all(path.as_ref().parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn whiteout(path: impl AsRef<Path>) {
    fs::create_dir_all(path.as_ref().parent().unwrap()).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        path.as_ref(),
        FileType::CharacterDevice,
        Mode::empty(),
        0,
    )
    .unwrap();
}

fn mark(path: impl AsRef<Path>, name: &str, value: &[u8]) {
    rustix::fs::setxattr(path.as_ref(), name, value, XattrFlags::empty()).unwrap();
}

/// Files `d/a`, `d/b`, `d/sub/c` in the bottom layer.
fn base(lowers: usize) -> World {
    let world = World::new(lowers);
    for path in ["d/a", "d/b", "d/sub/c"] {
        file(world.lower(0).join(path), "bottom");
    }
    world
}

#[test]
fn whiteouts_of_every_form_hide_what_is_beneath_and_are_not_seen() {
    type Make = fn(&World);
    let forms: [(&str, Make); 3] = [
        ("device", |world| whiteout(world.lower(1).join("d/a"))),
        ("attribute", |world| {
            file(world.lower(1).join("d/a"), "");
            mark(world.lower(1).join("d/a"), "user.overlay.whiteout", b"");
            mark(world.lower(1).join("d"), "user.overlay.opaque", b"x");
        }),
        ("oci", |world| file(world.lower(1).join("d/.wh.a"), "")),
    ];
    for (form, make) in forms {
        let world = base(2);
        make(&world);
        let fs = read_only(&world, LayerFormat::Detect);
        assert_eq!(names(&fs, "d"), ["b", "sub"], "{form}");
        assert_eq!(tree(&fs).read("d/a"), Err(Errno::ENOENT), "{form}");
        assert_eq!(tree(&fs).read("d/.wh.a"), Err(Errno::ENOENT), "{form}");
        assert_eq!(tree(&fs).read("d/b").unwrap(), b"bottom", "{form}");
    }
}

#[test]
fn a_layer_that_is_known_to_be_none_of_oci_has_such_names() {
    let world = base(2);
    file(world.lower(1).join("d/.wh.a"), "mine");
    let fs = read_only(&world, LayerFormat::Overlay);
    assert_eq!(names(&fs, "d"), [".wh.a", "a", "b", "sub"]);
    assert_eq!(tree(&fs).read("d/.wh.a").unwrap(), b"mine");
}

#[test]
fn opaque_directories_hide_all_that_is_beneath() {
    let forms: [fn(&World); 2] = [
        |world| mark(world.lower(1).join("d"), "user.overlay.opaque", b"y"),
        |world| file(world.lower(1).join("d/.wh..wh..opq"), ""),
    ];
    for make in forms {
        let world = base(3);
        file(world.lower(1).join("d/new"), "middle");
        make(&world);
        file(world.lower(2).join("d/top"), "top");
        let fs = read_only(&world, LayerFormat::Detect);
        assert_eq!(names(&fs, "d"), ["new", "top"]);
        assert_eq!(tree(&fs).read("d/sub/c"), Err(Errno::ENOENT));
    }
}

#[test]
fn a_whiteout_beside_what_it_names_hides_what_is_beneath_alone() {
    let world = base(2);
    file(world.lower(1).join("d/.wh.sub"), "");
    file(world.lower(1).join("d/sub/mine"), "");
    let fs = read_only(&world, LayerFormat::Detect);
    assert_eq!(names(&fs, "d/sub"), ["mine"]);
}

#[test]
fn redirects_of_lower_layers_are_followed_and_one_in_the_upper_is_refused() {
    let world = base(2);
    for (name, target) in [("moved", &b"/d"[..]), ("d/near", b"sub")] {
        let dir = world.lower(1).join(name);
        fs::create_dir_all(&dir).unwrap();
        mark(&dir, "user.overlay.redirect", target);
    }
    let fs = read_only(&world, LayerFormat::Overlay);
    assert_eq!(names(&fs, "moved"), ["a", "b", "sub"]);
    assert_eq!(tree(&fs).read("moved/sub/c").unwrap(), b"bottom");
    assert_eq!(tree(&fs).read("d/near/c").unwrap(), b"bottom");
    // And what is found there can be changed.
    let writable = world.mount();
    tree(&writable).write("moved/sub/c", b"changed").unwrap();
    assert_eq!(tree(&writable).read("moved/sub/c").unwrap(), b"changed");
    assert_eq!(tree(&writable).read("d/sub/c").unwrap(), b"bottom");
    drop(writable);

    let bad = world.upper().join("bad");
    fs::create_dir(&bad).unwrap();
    mark(&bad, "user.overlay.redirect", b"/d");
    let writable = world.mount();
    assert_eq!(tree(&writable).list("bad").map(drop), Err(Errno::EPERM));
    assert_eq!(tree(&writable).remove_dir("bad"), Err(Errno::EPERM));
    assert!(bad.exists());
}

#[test]
fn a_redirect_that_leads_nowhere_or_out_of_the_layer_shows_nothing_of_it() {
    let outside = tempfile::tempdir_in(super::scratch()).unwrap();
    file(outside.path().join("secret"), "");
    for target in [
        b"/../..".to_vec(),
        b"..".to_vec(),
        b"/".to_vec(),
        b"/missing".to_vec(),
        b"/link".to_vec(),
        b"".to_vec(),
    ] {
        let world = base(2);
        std::os::unix::fs::symlink(outside.path(), world.lower(0).join("link")).unwrap();
        fs::create_dir(world.lower(1).join("r")).unwrap();
        mark(world.lower(1).join("r"), "user.overlay.redirect", &target);
        let fs = read_only(&world, LayerFormat::Overlay);
        let listed = tree(&fs).list("r").map(|names| names.len());
        assert!(
            matches!(listed, Ok(0) | Err(Errno::EIO | Errno::ELOOP)),
            "{target:?}: {listed:?}"
        );
    }
}

#[test]
fn a_file_without_its_data_is_refused() {
    let world = World::new(1);
    let sparse = fs::File::create(world.upper().join("file")).unwrap();
    sparse.set_len(4096).unwrap();
    mark(world.upper().join("file"), "user.overlay.metacopy", b"");
    let fs = world.mount();
    assert_eq!(tree(&fs).read("file"), Err(Errno::EPERM));
}

#[test]
fn nobody_makes_a_whiteout_or_a_name_that_would_become_one() {
    let world = base(1);
    let fs = world.mount();
    let tree = tree(&fs);
    let ctx = Context::new(0, 0);
    let root = crate::fs::ROOT_INO;
    let device = fs.mknod(&ctx, root, "w".as_ref(), libc::S_IFCHR | 0o600, 0, 0);
    assert_eq!(device.map(drop), Err(Errno::EPERM));
    assert_eq!(tree.mkdir(".wh.d", 0o755), Err(Errno::EINVAL));
    assert_eq!(tree.rename("d", ".wh.x"), Err(Errno::EINVAL));
    let flags = crate::fs::RenameFlags::WHITEOUT;
    let moved = fs.rename(&ctx, root, "d".as_ref(), root, "e".as_ref(), flags);
    assert_eq!(moved, Err(Errno::EINVAL));
    // One that is there already is a name like others, and can go.
    file(world.upper().join(".wh.d"), "kept");
    assert_eq!(tree.read(".wh.d").unwrap(), b"kept");
    tree.remove_file(".wh.d").unwrap();
}

#[test]
fn where_any_name_is_welcome_those_of_layers_of_images_are() {
    let world = base(1);
    let fs = world.builder().any_name().build().unwrap();
    fs.init(Capabilities::all()).unwrap();
    let tree = tree(&fs);
    tree.mkdir("d/.wh.a", 0o755).unwrap();
    tree.rename("d/b", "d/.wh.sub").unwrap();
    assert_eq!(names(&fs, "d"), [".wh.a", ".wh.sub", "a", "sub"]);
}

#[test]
fn a_name_of_255_bytes_can_be_hidden() {
    let world = World::new(1);
    let name = "n".repeat(255);
    file(world.lower(0).join(&name), "");
    {
        let fs = world.mount();
        tree(&fs).remove_file(&name).unwrap();
        assert_eq!(names(&fs, "/"), [""; 0]);
    }
    assert_eq!(names(&world.mount(), "/"), [""; 0]);
}

#[test]
fn overlayfs_own_attributes_are_neither_seen_nor_set_and_a_clients_are_kept() {
    let world = base(1);
    let fs = world.mount();
    tree(&fs).write("d/a", b"x").unwrap();
    let ctx = Context::new(0, 0);
    let d = fs.lookup(&ctx, crate::fs::ROOT_INO, "d".as_ref()).unwrap().ino;
    let list = fs.listxattr(&ctx, d, 4096).unwrap();
    assert_eq!(list, crate::fs::XattrReply::Data(Vec::new()));
    let name = "user.overlay.opaque".as_ref();
    assert_eq!(fs.getxattr(&ctx, d, name, 10).map(drop), Err(Errno::ENODATA));
    fs.setxattr(&ctx, d, name, b"y", crate::fs::XattrFlags::empty())
        .unwrap();
    assert_eq!(names(&fs, "d"), ["a", "b", "sub"], "it means nothing");
    assert_eq!(
        fs.getxattr(&ctx, d, name, 10),
        Ok(crate::fs::XattrReply::Data(b"y".to_vec()))
    );
    drop(fs);
    assert_eq!(names(&world.mount(), "d"), ["a", "b", "sub"]);
}

#[test]
fn what_was_deleted_stays_deleted_and_a_new_directory_shows_nothing_old() {
    let world = base(2);
    file(world.lower(1).join("d/sub/upper-lower"), "");
    let check = |fs: &dyn DynFileSystem| {
        assert_eq!(names(fs, "d"), ["sub"]);
        assert_eq!(names(fs, "d/sub"), ["fresh"]);
    };
    {
        let fs = world.mount();
        let tree = tree(&fs);
        for path in ["d/a", "d/b", "d/sub/c", "d/sub/upper-lower"] {
            tree.remove_file(path).unwrap();
        }
        tree.remove_dir("d/sub").unwrap();
        assert_eq!(names(&fs, "d"), [""; 0]);
        tree.mkdir("d/sub", 0o755).unwrap();
        tree.write("d/sub/fresh", b"").unwrap();
        check(&fs);
    }
    check(&world.mount());
}

#[test]
fn a_file_of_a_base_is_renamed_over_a_whiteout_and_stays_gone_from_where_it_was() {
    let world = base(1);
    {
        let fs = world.mount();
        let tree = tree(&fs);
        tree.remove_file("d/b").unwrap();
        tree.write("d/a", b"new").unwrap();
        tree.rename("d/a", "d/b").unwrap();
        assert_eq!(names(&fs, "d"), ["b", "sub"]);
    }
    let fs = world.mount();
    assert_eq!(names(&fs, "d"), ["b", "sub"]);
    assert_eq!(tree(&fs).read("d/b").unwrap(), b"new");
}

#[test]
fn a_directory_of_a_base_is_renamed_back_and_forth_and_over_its_own_whiteout() {
    let world = base(1);
    {
        let fs = world.mount();
        let tree = tree(&fs);
        tree.rename("d", "e").unwrap();
        tree.rename("e", "d").unwrap();
        tree.rename("d/sub", "sub").unwrap();
        tree.remove_file("d/a").unwrap();
        tree.remove_file("d/b").unwrap();
        tree.remove_dir("d").unwrap();
        tree.rename("sub", "d").unwrap();
        assert_eq!(
            (names(&fs, "/"), names(&fs, "d")),
            (vec!["d".to_owned()], vec!["c".to_owned()])
        );
    }
    let fs = world.mount();
    assert_eq!(
        (names(&fs, "/"), names(&fs, "d")),
        (vec!["d".to_owned()], vec!["c".to_owned()])
    );
}
