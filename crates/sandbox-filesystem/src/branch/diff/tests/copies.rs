//! Layers that are whole copies, and branches of a base that was frozen.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use super::super::super::base::Identity;
use super::super::super::copied::CopyIndex;
use super::super::super::node::Meta;
use super::super::super::stack::LayerFormat;
use super::super::super::testing::rel;
use super::world::{World, mode, swap, write};

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(done.success());
}

/// A branch that is a whole copy of the base.
fn copied(mut world: World) -> World {
    let tree = world.path("tree");
    world.is_born();
    copy(&world.path("base"), &tree);
    let mut index = CopyIndex::of(&tree).unwrap();
    index
        .note_sources(&world.path("base"), world.knowledge.birth)
        .unwrap();
    world.knowledge.copied = Some(index);
    world.knowledge.copied_at = Some(world.stamp());
    world.layers = vec![(tree, LayerFormat::Complete)];
    // Whatever happens from here on is later than that.
    world.stamp();
    world
}

#[test]
fn what_others_change_in_the_base_is_not_the_copys_doing() {
    let world = World::new();
    for name in ["dir/changed", "dir/removed", "dir/both", "dir/ours", "sub/x"] {
        write(world.base(name), "text");
    }
    let world = copied(world);
    write(world.base("dir/changed"), "the base's");
    write(world.base("dir/appeared"), "the base's");
    write(world.base("new-dir/appeared"), "the base's");
    fs::remove_file(world.base("dir/removed")).unwrap();
    write(world.base("dir/both"), "the base's");
    write(world.path("tree/dir/both"), "the branch's");
    write(world.path("tree/dir/new"), "new");
    fs::remove_file(world.path("tree/dir/ours")).unwrap();
    assert_eq!(
        world.lines(),
        ["M dir/both content !Modified", "A dir/new", "D dir/ours"]
    );
}

#[test]
fn a_directory_that_took_anothers_place_is_compared_though_none_of_its_files_was_touched() {
    let world = World::new();
    for (name, content) in [("one/file", "11"), ("two/file", "22")] {
        write(world.base(name), content);
        fs::File::open(world.base(name))
            .unwrap()
            .set_modified(std::time::UNIX_EPOCH)
            .unwrap();
    }
    let mut world = copied(world);
    fs::remove_dir_all(world.path("tree/one")).unwrap();
    fs::rename(world.path("tree/two"), world.path("tree/one")).unwrap();
    let expected = ["M one/file content", "D two", "D two/file"];
    assert_eq!(world.lines(), expected);
    world.knowledge.copied = None;
    assert_eq!(world.lines(), expected);
}

#[test]
fn a_forged_time_hides_nothing() {
    let world = World::new();
    write(world.base("file"), "old");
    let world = copied(world);
    let before = fs::metadata(world.path("tree/file")).unwrap();
    write(world.path("tree/file"), "new");
    fs::File::open(world.path("tree/file"))
        .unwrap()
        .set_modified(before.modified().unwrap())
        .unwrap();
    assert_eq!(
        fs::metadata(world.path("tree/file")).unwrap().mtime(),
        before.mtime()
    );
    assert_eq!(world.lines(), ["M file content"]);
}

#[test]
fn the_index_of_a_copy_survives_being_written() {
    let world = World::new();
    for name in ["a/b/c", "a/d", "e"] {
        write(world.base(name), "");
    }
    fs::create_dir(world.path("base").join(super::world::odd(b"\xff\n"))).unwrap();
    let mut index = CopyIndex::of(&world.path("base")).unwrap();
    index.note_sources(&world.path("base"), (i64::MAX, 0)).unwrap();
    let mut bytes = Vec::new();
    index.write_to(&mut bytes).unwrap();
    assert_eq!(CopyIndex::read_from(&mut bytes.as_slice()).unwrap(), index);
    assert!(index.contains(&rel("a/b/c")) && !index.contains(&rel("a/c")));
    for broken in [&bytes[..bytes.len() - 1], b"sandbox copy 3\n", b""] {
        assert!(CopyIndex::read_from(&mut &*broken).is_err());
    }
}

/// A branch of a copy of the base, which is frozen.
fn frozen(mut world: World) -> World {
    fs::rename(world.path("base"), world.path("live")).unwrap();
    world.is_born();
    copy(&world.path("live"), &world.path("base"));
    world.knowledge.live = Some(world.path("live"));
    world
}

#[test]
fn a_frozen_base_is_compared_with_what_it_is_now() {
    let world = World::new();
    for name in [
        "both",
        "ours",
        "same",
        "rm-both",
        "rm-changed",
        "vanished",
        "dir/x",
    ] {
        write(world.base(name), "text");
    }
    let world = frozen(world);
    for name in ["both", "ours", "same", "vanished", "appeared"] {
        write(world.up(name), "the branch's");
    }
    for name in ["rm-both", "rm-changed", "dir"] {
        super::world::whiteout(world.up(name));
    }
    write(world.path("live/both"), "the base's");
    fs::remove_file(world.path("live/same")).unwrap();
    copy(&world.up("same"), &world.path("live/same"));
    fs::remove_file(world.path("live/rm-both")).unwrap();
    mode(world.path("live/rm-changed"), 0o755);
    fs::remove_file(world.path("live/vanished")).unwrap();
    write(world.path("live/appeared"), "the base's");
    write(world.path("live/untouched"), "the base's");
    write(world.path("live/dir/sub/new"), "the base's");
    assert_eq!(
        world.lines(),
        [
            "A appeared !Appeared",
            "M both content !Modified",
            "D dir !Modified",
            "D dir/sub !Appeared",
            "D dir/sub/new !Appeared",
            "D dir/x",
            "M ours content",
            "D rm-changed !Modified",
            "M vanished content !Vanished"
        ]
    );
}

#[test]
fn after_a_commit_a_branch_of_a_frozen_base_is_compared_with_what_it_committed() {
    let world = World::new();
    for name in ["again", "back"] {
        write(world.base(name), "text");
    }
    let mut world = frozen(world);
    for name in ["again", "back", "added/inner"] {
        write(world.path("live").join(name), "committed");
    }
    for name in ["again", "back", "added", "added/inner"] {
        let identity = Identity::of(&Meta::of_path(&world.path("live").join(name)).unwrap());
        world.knowledge.ours.insert(rel(name), identity);
    }
    write(world.up("again"), "changed again");
    copy(&world.base("back"), &world.up("back"));
    // What it had added, it has deleted since: no layer tells of it.
    assert_eq!(
        world.lines(),
        ["D added", "D added/inner", "M again content", "M back content"]
    );
}

#[test]
fn a_directory_of_the_base_in_the_place_of_another_is_a_conflict_of_what_is_in_it() {
    let world = World::new();
    for name in ["one/file", "one/deleted", "two/file", "two/deleted", "other/file"] {
        write(world.base(name), name);
    }
    let world = copied(world);
    for name in ["one/file", "other/file"] {
        write(world.path("tree").join(name), "the branch's");
    }
    fs::remove_file(world.path("tree/one/deleted")).unwrap();
    // That somebody adds something stands in nobody's way.
    write(world.base("other/new"), "the base's");
    write(world.base("one/new"), "the base's");
    let changed = ["D one/deleted", "M one/file content", "M other/file content"];
    assert_eq!(world.lines(), changed);
    swap(&world.base("one"), &world.base("two"));
    assert_eq!(
        world.lines(),
        [
            "D one/deleted !Replaced",
            "M one/file content !Replaced",
            "M other/file content"
        ]
    );
}

#[test]
fn a_directory_in_the_place_of_another_is_a_conflict_for_a_branch_of_a_frozen_base() {
    let world = World::new();
    for name in ["one/file", "two/file"] {
        write(world.base(name), name);
    }
    let world = frozen(world);
    write(world.up("one/file"), "the branch's");
    assert_eq!(world.lines(), ["M one/file content"]);
    swap(&world.path("live/one"), &world.path("live/two"));
    assert_eq!(world.lines(), ["M one/file content !Modified"]);
}
