//! Files with several names.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::{World, open, tree, write};
use crate::fs::{Context, DynFileSystem, OpenFlags};

fn with_links() -> World {
    let world = World::new(1);
    let lower = world.lower(0);
    fs::create_dir(lower.join("d")).unwrap();
    fs::write(lower.join("one"), "before").unwrap();
    fs::hard_link(lower.join("one"), lower.join("d/two")).unwrap();
    fs::hard_link(lower.join("one"), lower.join("three")).unwrap();
    world
}

fn put(fs: &dyn DynFileSystem, path: &str, bytes: &[u8]) {
    let (ino, handle) = open(fs, path, OpenFlags::WRONLY).unwrap();
    write(fs, ino, handle, 0, bytes);
    fs.release(&Context::new(0, 0), ino, Some(handle), OpenFlags::WRONLY, None)
        .unwrap();
    fs.forget(ino, 1);
}

fn look(fs: &dyn DynFileSystem, path: &str) -> (u64, u32, Vec<u8>) {
    let attr = tree(fs).stat(path).unwrap();
    (attr.ino, attr.nlink, tree(fs).read(path).unwrap())
}

#[test]
fn what_is_written_by_one_name_is_read_by_all_also_after_a_restart() {
    let world = with_links();
    let fs = world.mount();
    let number = look(&fs, "one").0;
    put(&fs, "d/two", b"AFTER");
    for path in ["one", "d/two", "three"] {
        assert_eq!(look(&fs, path), (number, 3, b"AFTERe".to_vec()), "{path}");
    }
    drop(fs);
    let fs = world.mount();
    for path in ["three", "d/two", "one"] {
        assert_eq!(look(&fs, path), (number, 3, b"AFTERe".to_vec()), "{path}");
    }
    put(&fs, "one", b"again!");
    assert_eq!(look(&fs, "three").2, b"again!");
    assert_eq!(fs::read(world.lower(0).join("three")).unwrap(), b"before");
}

#[test]
fn names_are_counted_as_they_come_and_go() {
    let world = with_links();
    let fs = world.mount();
    let tree = tree(&fs);
    tree.remove_file("one").unwrap();
    assert_eq!(look(&fs, "three").1, 2);
    put(&fs, "three", b"x");
    assert_eq!(look(&fs, "d/two").1, 2);
    tree.link("d/two", "four").unwrap();
    assert_eq!(look(&fs, "three").1, 3);
    tree.rename("d/two", "d/moved").unwrap();
    assert_eq!(look(&fs, "d/moved").1, 3);
    for path in ["four", "three"] {
        tree.remove_file(path).unwrap();
    }
    assert_eq!(
        look(&fs, "d/moved"),
        (look(&fs, "d/moved").0, 1, b"xefore".to_vec())
    );
    tree.remove_file("d/moved").unwrap();
    drop(fs);
    let index = world.path("work/sandbox/index");
    assert_eq!(
        fs::read_dir(index).unwrap().count(),
        0,
        "nothing is left of a file without a name"
    );
}

#[test]
fn names_that_are_settled_are_links_in_the_upper_and_the_index_is_empty() {
    let world = with_links();
    let fs = world.mount();
    let number = look(&fs, "one").0;
    put(&fs, "d/two", b"AFTER");
    tree(&fs).remove_file("three").unwrap();
    tree(&fs).rename("d/two", "moved").unwrap();
    fs.settle_names().unwrap();
    drop(fs);
    let link = |name: &str| fs::symlink_metadata(world.upper().join(name)).unwrap();
    assert_eq!((link("one").ino(), link("one").nlink()), (link("moved").ino(), 2));
    assert_eq!(fs::read_dir(world.path("work/sandbox/index")).unwrap().count(), 0);
    // Another one that begins anew shows the same.
    fs::remove_dir_all(world.path("work")).unwrap();
    fs::create_dir(world.path("work")).unwrap();
    let fs = world.mount();
    for path in ["one", "moved"] {
        assert_eq!(look(&fs, path), (number, 2, b"AFTERe".to_vec()), "{path}");
    }
    assert!(tree(&fs).stat("three").is_err() && tree(&fs).stat("d/two").is_err());
    put(&fs, "one", b"again!");
    assert_eq!(look(&fs, "moved").2, b"again!");
}

#[test]
fn names_outside_of_the_layers_are_no_longer_counted_once_they_are_settled() {
    let world = with_links();
    fs::hard_link(world.lower(0).join("one"), world.path("outside")).unwrap();
    let fs = world.mount();
    put(&fs, "one", b"x");
    assert_eq!(look(&fs, "one").1, 4);
    fs.settle_names().unwrap();
    drop(fs);
    let fs = world.mount();
    for path in ["one", "d/two", "three"] {
        assert_eq!(
            (look(&fs, path).1, look(&fs, path).2),
            (3, b"xefore".to_vec()),
            "{path}"
        );
    }
    assert_eq!(fs::read(world.path("outside")).unwrap(), b"before");
}

#[test]
fn renaming_one_name_over_another_of_the_same_file_does_nothing() {
    let world = with_links();
    let fs = world.mount();
    put(&fs, "one", b"X");
    tree(&fs).rename("one", "three").unwrap();
    assert_eq!(look(&fs, "one").1, 3);
    assert_eq!(look(&fs, "three").2, b"Xefore");
}

#[test]
fn a_directory_with_links_moves_and_they_stay_together() {
    let world = with_links();
    let fs = world.mount();
    let tree = tree(&fs);
    tree.rename("d", "e").unwrap();
    put(&fs, "e/two", b"Y");
    for path in ["one", "e/two", "three"] {
        assert_eq!(
            (look(&fs, path).1, look(&fs, path).2),
            (3, b"Yefore".to_vec()),
            "{path}"
        );
    }
}

#[test]
fn files_that_layers_share_on_the_host_are_different_files() {
    let world = World::new(2);
    fs::write(world.lower(0).join("a"), "same").unwrap();
    fs::hard_link(world.lower(0).join("a"), world.lower(1).join("b")).unwrap();
    let fs = world.mount();
    assert_ne!(look(&fs, "a").0, look(&fs, "b").0);
    put(&fs, "a", b"S");
    assert_eq!(look(&fs, "b").2, b"same");
    assert_eq!(fs::metadata(world.lower(1).join("b")).unwrap().nlink(), 2);
}

#[test]
fn an_index_that_makes_no_sense_is_an_error_and_nothing_else_is_affected() {
    let world = with_links();
    {
        let fs = world.mount();
        put(&fs, "one", b"x");
    }
    let index = world.path("work/sandbox/index");
    let entry = fs::read_dir(&index).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&entry).unwrap();
    fs::create_dir(&entry).unwrap();
    let fs = world.mount();
    assert_eq!(tree(&fs).read("three"), Err(crate::fs::Errno::EIO));
    assert_eq!(tree(&fs).read("one").unwrap(), b"xefore");
}
