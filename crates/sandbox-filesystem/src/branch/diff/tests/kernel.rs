//! What commands do in a real overlayfs mount.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::super::super::stack::LayerFormat;
use super::world::{World, mode, write, xattr};

#[test]
fn files_are_renamed_linked_and_replaced() {
    let test = "files_are_renamed_linked_and_replaced";
    let mut world = World::new();
    for name in [
        "moved",
        "linked",
        "relinked",
        "over",
        "target",
        "edited",
        "dir/inner",
    ] {
        write(world.base(name), &format!("content of {name}\n").repeat(3));
    }
    symlink("moved", world.base("link")).unwrap();
    world.is_born();
    let script = "mv moved moved-2; ln linked linked-2; ln relinked relinked-2; rm relinked; mv over target
        mv edited edited-2; echo more >> edited-2; mv link link-2; mv dir/inner inner";
    if !world.in_view(test, script) {
        return;
    }
    assert_eq!(
        world.lines(),
        [
            "R edited-2 from edited content",
            "R inner from dir/inner",
            "D link",
            "A link-2",
            "A linked-2",
            "R moved-2 from moved",
            "D over",
            "R relinked-2 from relinked",
            "M target content"
        ]
    );
}

#[test]
fn a_directory_that_is_moved_shows_as_renames_of_its_files() {
    let test = "a_directory_that_is_moved_shows_as_renames_of_its_files";
    let mut world = World::new();
    write(world.base("dir/a"), "aa");
    write(world.base("dir/sub/b"), "bbb");
    fs::create_dir(world.base("dir/empty")).unwrap();
    world.is_born();
    if !world.in_view(test, "mv dir new; mkdir dir; echo fresh > dir/a") {
        return;
    }
    assert_eq!(
        world.lines(),
        [
            "M dir/a content",
            "D dir/empty",
            "D dir/sub",
            "A new",
            "A new/a",
            "A new/empty",
            "A new/sub",
            "R new/sub/b from dir/sub/b"
        ]
    );
}

#[test]
fn what_was_only_touched_in_passing_is_no_change() {
    let test = "what_was_only_touched_in_passing_is_no_change";
    let mut world = World::new();
    write(world.base("dir/file"), "text");
    xattr(world.base("dir/file"), "user.note", "1");
    write(world.base("other"), "text");
    fs::hard_link(world.base("other"), world.base("other-2")).unwrap();
    world.is_born();
    // A mode that is there already, opened for appending, made and removed, linked and unlinked.
    let script = "chmod 755 dir; chmod 644 dir/file; : >> other; touch dir/new; rm dir/new; ln other x; rm x
        mv dir/file dir/y; mv dir/y dir/file; mkdir d; rmdir d";
    mode(world.base("dir"), 0o755);
    mode(world.base("dir/file"), 0o644);
    if !world.in_view(test, script) {
        return;
    }
    assert!(world.up("dir/file").exists() && world.up("other").exists());
    assert_eq!(world.lines(), Vec::<String>::new());
}

#[test]
fn a_write_to_one_of_two_names_of_a_file_changes_that_one() {
    let test = "a_write_to_one_of_two_names_of_a_file_changes_that_one";
    let mut world = World::new();
    write(world.base("one"), "text");
    fs::hard_link(world.base("one"), world.base("two")).unwrap();
    world.is_born();
    if !world.in_view(test, "echo more >> one") {
        return;
    }
    assert_eq!(world.lines(), ["M one content"]);
}

#[test]
fn kinds_modes_holes_and_emptiness_are_seen() {
    let test = "kinds_modes_holes_and_emptiness_are_seen";
    let mut world = World::new();
    for name in [
        "script",
        "emptied",
        "grown",
        "to-dir",
        "to-link",
        "replaced-dir/x",
    ] {
        write(world.base(name), "text");
    }
    fs::create_dir(world.base("gone-dir")).unwrap();
    fs::create_dir(world.base("closed")).unwrap();
    mode(world.base("script"), 0o644);
    world.is_born();
    let script = "chmod +x script; : > emptied; truncate -s 1G grown; rm to-dir; mkdir to-dir; rm to-link
        ln -s script to-link; rm -r replaced-dir; echo > replaced-dir; rmdir gone-dir; mkdir new-dir
        mkfifo pipe; mkdir closed/inner; chmod 0 closed/inner closed; chmod u+s emptied";
    if !world.in_view(test, script) {
        return;
    }
    assert_eq!(
        world.lines(),
        [
            "M closed Mode",
            "A closed/inner",
            "M emptied content Mode",
            "D gone-dir",
            "M grown content",
            "A new-dir",
            "A pipe",
            "T replaced-dir from Directory",
            "D replaced-dir/x",
            "M script Mode",
            "T to-dir from File",
            "T to-link from File"
        ]
    );
    let closed = fs::metadata(world.up("closed")).unwrap();
    assert_eq!(closed.permissions().mode() & 0o7777, 0);
}

#[test]
fn a_branch_of_a_branch_differs_from_the_base_by_both() {
    let test = "a_branch_of_a_branch_differs_from_the_base_by_both";
    let mut world = World::new();
    for name in ["a", "b", "c", "d/x", "d/y"] {
        write(world.base(name), &format!("content of {name}\n").repeat(3));
    }
    world.is_born();
    if !world.in_view(
        test,
        "mv a a-1; echo more >> b; rm c; rm d/x; echo new > n; echo new too > m",
    ) {
        return;
    }
    fs::create_dir(world.path("second")).unwrap();
    world
        .layers
        .insert(0, (world.path("second"), LayerFormat::Overlay));
    world.renew_work();
    let script = "mv a-1 a-2; echo more >> a-2; echo even more >> b; echo c > c; rm -r d; mv n n-2; rm m";
    assert!(world.in_view(test, script));
    assert_eq!(
        world.lines(),
        [
            "R a-2 from a content",
            "M b content",
            "M c content",
            "D d",
            "D d/x",
            "D d/y",
            "A n-2"
        ]
    );
}
