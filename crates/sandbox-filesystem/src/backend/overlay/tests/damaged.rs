//! What the writable directory and staging hold makes no sense: an errno, or it means nothing; and nothing is lost.

use std::fs;
use std::path::Path;

use rustix::fs::XattrFlags;

use super::{World, names, open, tree, write};
use crate::fs::{Capabilities, DynFileSystem, Errno, OpenFlags};

fn mark(path: impl AsRef<Path>, name: &str, value: &[u8]) {
    rustix::fs::setxattr(path.as_ref(), name, value, XattrFlags::empty()).unwrap();
}

/// A file with two names in the layer, of which the first was written to.
fn with_links() -> World {
    let world = World::new(1);
    fs::write(world.lower(0).join("one"), "before").unwrap();
    fs::hard_link(world.lower(0).join("one"), world.lower(0).join("two")).unwrap();
    let fs = world.mount();
    let (ino, handle) = open(&fs, "one", OpenFlags::WRONLY).unwrap();
    write(&fs, ino, handle, 0, b"AFTER");
    drop(fs);
    world
}

#[test]
fn a_count_of_names_that_makes_no_sense_is_an_error_and_forgets_none() {
    for bad in [&b"U+x"[..], b"nonsense", b"", &[b'9'; 3000]] {
        let world = with_links();
        mark(world.upper().join("one"), "user.overlay.nlink", bad);
        {
            let fs = world.mount();
            for name in ["one", "two"] {
                assert_eq!(tree(&fs).stat(name).map(drop), Err(Errno::EIO), "{name}");
                assert_eq!(tree(&fs).remove_file(name), Err(Errno::EIO), "{name}");
            }
            // Everything else goes on.
            tree(&fs).write("three", b"new").unwrap();
            assert_eq!(names(&fs, "/"), ["one", "three", "two"]);
        }
        mark(world.upper().join("one"), "user.overlay.nlink", b"U+0");
        let fs = world.mount();
        assert_eq!(tree(&fs).read("one").unwrap(), b"AFTERe");
        assert_eq!(tree(&fs).read("two").unwrap(), b"AFTERe");
    }
}

#[test]
fn a_number_that_makes_no_sense_is_an_error_and_nothing_is_lost() {
    let world = with_links();
    for bad in [&b"xyz"[..], b"", b"-1", &[b'f'; 200]] {
        mark(world.upper().join("one"), "user.overlay.sandbox.ino", bad);
        let fs = world.mount();
        assert_eq!(tree(&fs).read("one"), Err(Errno::EIO), "{bad:?}");
        assert_eq!(tree(&fs).remove_file("one"), Err(Errno::EIO), "{bad:?}");
    }
    // A key that leads elsewhere is none.
    mark(
        world.upper().join("one"),
        "user.overlay.sandbox.ino",
        b"1 ../../x",
    );
    let fs = world.mount();
    assert_eq!(tree(&fs).read("one").unwrap(), b"AFTERe");
    assert_eq!(tree(&fs).read("two").unwrap(), b"AFTERe");
}

#[test]
fn a_directory_whose_mark_is_unknown_is_merged_and_one_that_cannot_be_one_is_an_error() {
    let world = World::new(1);
    for (name, value) in [
        ("unknown", &b"maybe"[..]),
        ("empty", b""),
        ("long", &[b'y'; 3000]),
    ] {
        fs::create_dir(world.lower(0).join(name)).unwrap();
        fs::write(world.lower(0).join(name).join("below"), "").unwrap();
        fs::create_dir(world.upper().join(name)).unwrap();
        mark(world.upper().join(name), "user.overlay.opaque", value);
    }
    let fs = world.mount();
    for name in ["unknown", "empty", "long"] {
        assert_eq!(names(&fs, name), ["below"], "{name}");
    }
}

#[test]
fn a_whiteout_of_another_form_in_the_upper_is_a_file_like_others() {
    let world = World::new(1);
    fs::write(world.lower(0).join("f"), "below").unwrap();
    fs::write(world.lower(0).join("g"), "below").unwrap();
    fs::write(world.upper().join("f"), "").unwrap();
    mark(world.upper(), "user.overlay.opaque", b"x");
    mark(world.upper().join("f"), "user.overlay.whiteout", b"y");
    fs::write(world.upper().join(".wh.g"), "").unwrap();
    {
        let fs = world.mount();
        assert_eq!(names(&fs, "/"), [".wh.g", "f", "g"]);
        assert_eq!(tree(&fs).read("f").unwrap(), b"");
        assert_eq!(tree(&fs).read("g").unwrap(), b"below");
        tree(&fs).remove_file("f").unwrap();
        assert_eq!(names(&fs, "/"), [".wh.g", "g"]);
    }
    // Where the upper is one that has them, they are whiteouts.
    fs::remove_file(world.upper().join("f")).unwrap();
    fs::write(world.upper().join("f"), "").unwrap();
    mark(world.upper().join("f"), "user.overlay.whiteout", b"y");
    let layered = super::OverlayFs::builder()
        .layer(world.lower(0))
        .layer_in(world.upper(), super::LayerFormat::Overlay)
        .read_only()
        .build()
        .unwrap();
    layered.init(Capabilities::all()).unwrap();
    assert_eq!(names(&layered, "/"), [".wh.g", "g"]);
}

#[test]
fn staging_that_is_not_a_directory_of_directories_is_refused_and_stays() {
    for (place, is_link) in [
        ("work/sandbox", false),
        ("work/sandbox", true),
        ("work/sandbox/stage", false),
        ("work/sandbox/index", true),
    ] {
        let world = World::new(1);
        let outside = world.path("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "kept").unwrap();
        let place = world.path(place);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        if is_link {
            std::os::unix::fs::symlink(&outside, &place).unwrap();
        } else {
            fs::write(&place, "kept").unwrap();
        }
        let problems = world.builder().build().unwrap_err().into_problems();
        assert!(
            matches!(&problems[..], [super::super::OverlayProblem::Staging { .. }]),
            "{problems:?}"
        );
        assert_eq!(fs::read(outside.join("kept")).unwrap(), b"kept");
        assert!(is_link || fs::read(&place).unwrap() == b"kept");
        fs::remove_file(&place).unwrap();
        world.mount();
    }
}
