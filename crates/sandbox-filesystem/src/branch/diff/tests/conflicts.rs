//! What the base has changed, too.

use std::fs;

use sandbox_types::BaseChange;

use super::super::super::base::Identity;
use super::super::super::node::Meta;
use super::super::super::testing::skip;
use super::super::{Recheck, changes};
use super::world::{World, mode, opaque, same_time, swap, whiteout, write, xattr};

/// Asks again about each change, right before it would be applied.
fn asked_again(world: &World) -> Vec<Option<BaseChange>> {
    let stack = world.stack();
    let changes = changes(&stack, &world.knowledge, &mut |_| {}).unwrap();
    let mut recheck = Recheck::new(&stack, &world.knowledge);
    let again = changes.iter().map(|change| recheck.conflict(change).unwrap());
    again.collect()
}

#[test]
fn a_path_that_both_have_changed_is_a_conflict() {
    let mut world = World::new();
    for name in ["both", "only-base", "only-branch", "deleted", "kind", "mode"] {
        write(world.base(name), "text");
    }
    world.is_born();
    for name in ["both", "only-branch", "mode"] {
        write(world.up(name), "the branch's");
        xattr(world.up(name), "user.overlay.origin", "");
    }
    whiteout(world.up("deleted"));
    write(world.up("kind/inner"), "x");
    for name in ["both", "only-base", "deleted", "kind"] {
        write(world.base(name), "the base's");
    }
    mode(world.base("mode"), 0o755);
    assert_eq!(
        world.lines(),
        [
            "M both content !Modified",
            "D deleted !Modified",
            "T kind from File !Modified",
            "A kind/inner",
            "M mode content Mode !Modified",
            "M only-branch content"
        ]
    );
    let modified = Some(BaseChange::Modified);
    assert_eq!(
        asked_again(&world),
        [modified, modified, modified, None, modified, None]
    );
}

#[test]
fn what_has_become_the_same_is_no_change_and_what_is_the_same_but_for_its_time_no_conflict() {
    let mut world = World::new();
    write(world.base("same"), "old");
    write(world.base("time"), "old");
    world.is_born();
    for name in ["same", "time", "both-new"] {
        write(world.up(name), "new");
        write(world.base(name), "new");
    }
    same_time(world.base("same"), world.up("same"));
    same_time(world.base("both-new"), world.up("both-new"));
    fs::File::open(world.up("time"))
        .unwrap()
        .set_modified(std::time::UNIX_EPOCH)
        .unwrap();
    assert_eq!(world.lines(), ["M time Time"]);
}

#[test]
fn what_both_have_added_has_appeared() {
    let mut world = World::new();
    world.is_born();
    write(world.up("new"), "the branch's");
    write(world.base("new"), "the base's");
    if Meta::born(fs::File::open(world.base("")).unwrap(), "new")
        .unwrap()
        .is_none()
    {
        return skip(
            "what_both_have_added_has_appeared",
            "no times of birth on this file system",
        );
    }
    assert_eq!(world.lines(), ["M new content !Appeared"]);
    assert_eq!(asked_again(&world), [Some(BaseChange::Appeared)]);
}

#[test]
fn what_the_base_has_no_more_has_vanished() {
    let mut world = World::new();
    for name in ["file", "dir/inner", "dir/untouched"] {
        write(world.base(name), "text");
    }
    world.is_born();
    let stack = world.stack();
    for name in ["file", "dir/inner"] {
        write(world.up(name), "the branch's");
        xattr(world.up(name), "user.overlay.origin", "");
    }
    xattr(world.up("dir"), "user.overlay.origin", "");
    write(world.up("dir/new"), "new");
    let before = changes(&stack, &world.knowledge, &mut |_| {}).unwrap();
    fs::remove_file(world.base("file")).unwrap();
    fs::remove_dir_all(world.base("dir")).unwrap();
    assert_eq!(
        world.lines(),
        [
            "A dir !Vanished",
            "A dir/inner !Vanished",
            "A dir/new",
            "A file !Vanished"
        ]
    );
    let stack = world.stack();
    let mut recheck = Recheck::new(&stack, &world.knowledge);
    let again: Vec<_> = before
        .iter()
        .map(|change| recheck.conflict(change).unwrap())
        .collect();
    let vanished = Some(BaseChange::Vanished);
    assert_eq!(again, [vanished, None, vanished]);
}

#[test]
fn a_directory_that_mode_exact_has_moved_has_not_vanished_from_where_it_is_now() {
    let mut world = World::new();
    for name in ["dir/inner/file", "dir/edited", "other"] {
        write(world.base(name), "text");
    }
    world.is_born();
    // The base's own directory is changed meanwhile, too.
    write(world.base("meanwhile"), "new");
    whiteout(world.up("dir"));
    write(world.up("moved/inner/file"), "text");
    write(world.up("moved/edited"), "another text altogether");
    for name in ["moved", "moved/inner"] {
        xattr(world.up(name), "user.overlay.opaque", "y");
    }
    for name in ["moved", "moved/inner", "moved/inner/file", "moved/edited"] {
        xattr(world.up(name), "user.overlay.sandbox.ino", "a002cd");
    }
    let lines = world.lines();
    assert!(lines.iter().all(|line| !line.contains('!')), "{lines:?}");
    assert!(lines.contains(&"A moved/inner".to_owned()), "{lines:?}");
    assert!(asked_again(&world).iter().all(Option::is_none));
}

#[test]
fn something_new_in_a_deleted_directory_is_a_conflict_there_and_of_the_directory() {
    let mut world = World::new();
    for name in ["dir/sub/old", "dir/file", "plain/x", "plain/y"] {
        write(world.base(name), "text");
    }
    world.is_born();
    whiteout(world.up("dir"));
    whiteout(world.up("plain"));
    write(world.base("dir/sub/new"), "the base's");
    // That something has been removed from it does not stand in the way of removing it.
    fs::remove_file(world.base("plain/y")).unwrap();
    assert_eq!(
        world.lines(),
        [
            "D dir !Modified",
            "D dir/file",
            "D dir/sub !Modified",
            "D dir/sub/new !Appeared",
            "D dir/sub/old",
            "D plain",
            "D plain/x"
        ]
    );
    let asked = asked_again(&world);
    assert_eq!(asked.get(2), Some(&Some(BaseChange::Modified)));
    assert_eq!(asked.get(5), Some(&None));
}

#[test]
fn what_our_own_commit_has_left_is_no_conflict_until_somebody_changes_it() {
    let mut world = World::new();
    write(world.base("file"), "old");
    write(world.base("other"), "old");
    world.is_born();
    for name in ["file", "other"] {
        write(world.base(name), "committed");
        let identity = Identity::of(&Meta::of_path(&world.base(name)).unwrap());
        world
            .knowledge
            .ours
            .insert(super::super::super::testing::rel(name), identity);
        write(world.up(name), "committed, and then changed");
        xattr(world.up(name), "user.overlay.origin", "");
    }
    world.stamp();
    write(world.base("other"), "changed by somebody");
    assert_eq!(world.lines(), ["M file content", "M other content !Modified"]);
}

#[test]
fn a_base_that_was_replaced_under_an_old_time_is_noticed_by_its_handle() {
    let test = "a_base_that_was_replaced_under_an_old_time_is_noticed_by_its_handle";
    if !rustix::process::geteuid().is_root() {
        return skip(test, "overlayfs notes handles for root only");
    }
    let mut world = World::new();
    write(world.base("file"), "old");
    write(world.base("same"), "old");
    world.is_born();
    if !world.in_view(test, "echo more >> file; echo more >> same") {
        return;
    }
    write(world.base("new"), "another file");
    fs::rename(world.base("new"), world.base("file")).unwrap();
    assert_eq!(world.lines(), ["M file content !Replaced", "M same content"]);
    // As if the clock had been set back.
    world.knowledge.birth = (i64::MAX, 0);
    assert_eq!(world.lines(), ["M file content !Replaced", "M same content"]);
}

#[test]
fn a_rename_has_the_conflict_of_the_path_it_takes_away() {
    let mut world = World::new();
    write(world.base("old"), "text");
    write(world.base("quiet"), "more text");
    world.is_born();
    for (from, to, content) in [("old", "new", "text"), ("quiet", "loud", "more text")] {
        whiteout(world.up(from));
        write(world.up(to), content);
    }
    mode(world.base("old"), 0o755);
    assert_eq!(world.lines(), ["R loud from quiet", "R new from old !Modified"]);
    assert_eq!(asked_again(&world), [None, Some(BaseChange::Modified)]);
}

#[test]
fn a_directory_made_again_hides_what_the_base_gets_there() {
    let mut world = World::new();
    write(world.base("dir/old"), "text");
    world.is_born();
    opaque(world.up("dir"));
    write(world.base("dir/new"), "the base's");
    assert_eq!(world.lines(), ["D dir/new !Appeared", "D dir/old"]);
}

#[test]
fn a_directory_in_the_place_of_another_is_a_conflict_of_what_is_in_it() {
    let mut world = World::new();
    for name in ["one/file", "one/deleted", "two/file", "two/deleted", "quiet/file"] {
        write(world.base(name), name);
    }
    world.is_born();
    for name in ["one/file", "quiet/file"] {
        write(world.up(name), "the branch's");
        xattr(world.up(name), "user.overlay.origin", "");
    }
    whiteout(world.up("one/deleted"));
    write(world.base("new"), "the base's");
    assert_eq!(
        world.lines(),
        ["D one/deleted", "M one/file content", "M quiet/file content"]
    );
    swap(&world.base("one"), &world.base("two"));
    let in_the_way = [
        "D one/deleted !Replaced",
        "M one/file content !Replaced",
        "M quiet/file content",
    ];
    assert_eq!(world.lines(), in_the_way);
    let replaced = Some(BaseChange::Replaced);
    assert_eq!(asked_again(&world), [replaced, replaced, None]);
    // What is the same is no conflict, wherever it comes from.
    write(world.up("one/file"), "two/file");
    same_time(world.base("one/file"), world.up("one/file"));
    assert_eq!(world.lines(), ["D one/deleted !Replaced", "M quiet/file content"]);
}

#[test]
fn what_is_added_to_a_directory_that_the_layers_know_again_is_no_conflict() {
    let test = "what_is_added_to_a_directory_that_the_layers_know_again_is_no_conflict";
    if !rustix::process::geteuid().is_root() {
        return skip(test, "overlayfs notes handles for root only");
    }
    let mut world = World::new();
    for name in ["one/file", "one/deleted", "two/file", "two/deleted"] {
        write(world.base(name), name);
    }
    world.is_born();
    if !world.in_view(test, "echo more >> one/file; rm one/deleted") {
        return;
    }
    write(world.base("new"), "the base's");
    write(world.base("one/new"), "the base's");
    assert_eq!(world.lines(), ["D one/deleted", "M one/file content"]);
    swap(&world.base("one"), &world.base("two"));
    assert_eq!(
        world.lines(),
        ["D one/deleted !Replaced", "M one/file content !Replaced"]
    );
}
