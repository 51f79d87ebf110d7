use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sandbox_types::BaseChange;
use sandbox_types::ConflictPolicy::{Abort, Both, Ours, Text, Theirs};

use super::super::*;
use super::world::*;
use crate::branch::stack::LayerFormat;
use crate::branch::testing::{as_kernel_view, kernel_view, set_xattr};

/// Branches `a` and `b` of a base that these have made.
fn world(base: impl FnOnce(&Path), a: impl FnOnce(&Path), b: impl FnOnce(&Path)) -> World {
    let mut world = World::new();
    base(&world.base());
    a(&world.branch("a"));
    b(&world.branch("b"));
    world
}

fn chmod(dir: &Path, path: &str, mode: u32) {
    fs::set_permissions(dir.join(path), fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_one_branch_changed_is_taken() {
    let mut world = world(
        |base| {
            write(base, "same", "0");
            write(base, "d/edited", "0");
            write(base, "d/deleted", "0");
            write(base, "gone/x", "0");
        },
        |a| {
            write(a, "d/edited", "a");
            write(a, "new/a", "a");
            link(a, "link", "d");
        },
        |b| {
            fs::remove_file(b.join("d/deleted")).unwrap();
            fs::remove_dir_all(b.join("gone")).unwrap();
            write(b, "new/b", "b");
        },
    );
    let merge = world.merge(Abort);
    assert_eq!(
        merge.lines(),
        [
            "d/",
            "d/edited=a",
            "link->d",
            "new/",
            "new/a=a",
            "new/b=b",
            "same=0"
        ]
    );
    assert!(merge.report.conflicts.is_empty());
    assert!(merge.report.merged.is_empty());
}

#[test]
fn what_both_changed_alike_is_taken_once() {
    let both = |dir: &Path| {
        write(dir, "x", "new");
        fs::remove_file(dir.join("y")).unwrap();
        write(dir, "added/z", "z");
    };
    let base = |dir: &Path| {
        write(dir, "x", "old");
        write(dir, "y", "old");
    };
    let merge = world(base, both, both).merge(Abort);
    assert_eq!(merge.lines(), ["added/", "added/z=z", "x=new"]);
    assert_eq!(merge.conflicts(), [""; 0]);
}

#[test]
fn an_edit_and_a_mode_are_put_together() {
    let mut world = world(
        |base| write(base, "run.sh", "old"),
        |a| write(a, "run.sh", "new"),
        |b| chmod(b, "run.sh", 0o755),
    );
    let merge = world.merge(Abort);
    assert_eq!(merge.lines(), ["run.sh=new"]);
    let mode = merge.mode("run.sh");
    assert_eq!(mode, 0o755);
}

#[test]
fn attributes_go_along() {
    let mut world = world(
        |base| write(base, "x", ""),
        |a| {
            set_xattr(&a.join("x"), "a", b"1");
        },
        |b| write(b, "y", ""),
    );
    let merge = world.merge(Abort);
    let length = rustix::fs::getxattr(merge.layer.join("x"), "user.a", &mut [0_u8; 4]);
    assert_eq!(length, Ok(1));
}

#[test]
fn edits_of_both_are_a_conflict_that_a_policy_settles() {
    let make = || {
        world(
            |base| write(base, "f", "0"),
            |a| write(a, "f", "a"),
            |b| write(b, "f", "b"),
        )
    };
    let merge = make().merge(Abort);
    assert_eq!(
        merge.conflicts(),
        ["f Content unsettled: nothing was said about what to do"]
    );
    assert!(merge.is_unwritten);
    for (policy, lines, conflict) in [
        (Ours, &["f=a"][..], "f Content of a"),
        (Theirs, &["f=b"], "f Content of b"),
        (Both, &["f=a", "f.b=b"], "f Content copies f.b"),
    ] {
        let merge = make().merge(policy);
        assert_eq!(merge.lines(), lines, "{policy}");
        assert_eq!(merge.conflicts(), [conflict], "{policy}");
        assert_eq!(merge.report.taken, 0);
    }
}

#[test]
fn texts_are_merged_and_what_cannot_be_is_marked() {
    let lines = "1\n2\n3\n4\n5\n";
    let mut clean = world(
        |base| write(base, "f", lines),
        |a| write(a, "f", "one\n2\n3\n4\n5\n"),
        |b| write(b, "f", "1\n2\n3\n4\nfive\n"),
    );
    let merge = clean.merge(Text);
    assert_eq!(merge.lines(), ["f=one\n2\n3\n4\nfive\n"]);
    assert_eq!(merge.report.merged, [RelPath::new("f").unwrap()]);
    assert_eq!(merge.conflicts(), [""; 0]);

    let mut marked = world(
        |base| write(base, "f", lines),
        |a| write(a, "f", "1\n2\na\n4\n5\n"),
        |b| write(b, "f", "1\n2\nb\n4\n5\n"),
    );
    let merge = marked.merge(Text);
    assert_eq!(
        merge.lines(),
        ["f=1\n2\n<<<<<<< a\na\n=======\nb\n>>>>>>> b\n4\n5\n"]
    );
    assert_eq!(merge.conflicts(), ["f Content Markers"]);

    let mut binary = world(
        |base| write(base, "f", "\0"),
        |a| write(a, "f", "\0a"),
        |b| write(b, "f", "\0b"),
    );
    let merge = binary.merge(Text);
    assert_eq!(merge.conflicts(), ["f Content unsettled: not text"]);
    assert!(merge.is_unwritten);
}

#[test]
fn a_text_keeps_the_mode_that_one_branch_gave_it() {
    let mut world = world(
        |base| write(base, "f", "1\n2\n3\n"),
        |a| write(a, "f", "one\n2\n3\n"),
        |b| {
            write(b, "f", "1\n2\nthree\n");
            chmod(b, "f", 0o755);
        },
    );
    let merge = world.merge(Text);
    let mode = merge.mode("f");
    assert_eq!(
        (merge.lines().as_slice(), mode),
        (&["f=one\n2\nthree\n".to_owned()][..], 0o755)
    );
}

#[test]
fn both_adding_a_file_is_a_conflict_and_both_adding_a_directory_is_none() {
    let make = || {
        world(
            |_| {},
            |a| write(a, "d/f", "a\nx\n"),
            |b| write(b, "d/f", "b\nx\n"),
        )
    };
    assert_eq!(make().merge(Both).lines(), ["d/", "d/f=a\nx\n", "d/f.b=b\nx\n"]);
    let merge = make().merge(Text);
    assert_eq!(merge.conflicts(), ["d/f Added Markers"]);
}

#[test]
fn a_file_that_one_deleted_and_another_changed_is_a_conflict() {
    let make = || {
        world(
            |base| write(base, "d/f", "0"),
            |a| fs::remove_dir_all(a.join("d")).unwrap(),
            |b| write(b, "d/f", "b"),
        )
    };
    for (policy, lines) in [
        (Ours, &[][..]),
        (Theirs, &["d/", "d/f=b"]),
        (Both, &["d/", "d/f=b"]),
    ] {
        assert_eq!(make().merge(policy).lines(), lines, "{policy}");
    }
    let merge = make().merge(Text);
    assert_eq!(
        merge.conflicts(),
        ["d/f Deleted unsettled: not files on every side"]
    );
}

#[test]
fn a_file_that_one_deleted_and_another_only_touched_is_deleted() {
    let mut world = world(
        |base| write(base, "f", "0"),
        |a| fs::remove_file(a.join("f")).unwrap(),
        |b| crate::branch::testing::set_mtime(&b.join("f"), (1, 0)),
    );
    let merge = world.merge(Abort);
    assert_eq!(merge.lines(), [""; 0]);
}

#[test]
fn a_deleted_directory_stays_when_another_branch_put_something_into_it() {
    let mut world = world(
        |base| {
            write(base, "d/e/old", "0");
            chmod(base, "d", 0o750);
        },
        |a| fs::remove_dir_all(a.join("d")).unwrap(),
        |b| write(b, "d/e/new", "b"),
    );
    let merge = world.merge(Abort);
    assert_eq!(merge.lines(), ["d/", "d/e/", "d/e/new=b"]);
    let mode = merge.mode("d");
    assert_eq!(mode, 0o750);
    assert_eq!(merge.conflicts(), [""; 0]);
}

#[test]
fn a_file_in_the_place_of_a_directory_that_another_branch_filled_is_a_conflict() {
    let make = || {
        world(
            |base| write(base, "d/old", "0"),
            |a| {
                fs::remove_dir_all(a.join("d")).unwrap();
                write(a, "d", "a file");
            },
            |b| write(b, "d/new", "b"),
        )
    };
    let merge = make().merge(Abort);
    assert_eq!(
        merge.conflicts(),
        ["d Kind unsettled: nothing was said about what to do"]
    );
    assert!(merge.is_unwritten);
    for (policy, lines) in [
        (Ours, &["d=a file"][..]),
        (Theirs, &["d/", "d/new=b"]),
        (Both, &["d/", "d/new=b", "d.a=a file"]),
    ] {
        assert_eq!(make().merge(policy).lines(), lines, "{policy}");
    }
}

#[test]
fn a_file_and_a_directory_of_one_new_name_are_a_conflict() {
    let make = || world(|_| {}, |a| write(a, "x/f", "a"), |b| write(b, "x", "b"));
    for (policy, lines) in [
        (Ours, &["x/", "x/f=a"][..]),
        (Theirs, &["x=b"]),
        (Both, &["x/", "x/f=a", "x.b=b"]),
    ] {
        let merge = make().merge(policy);
        assert_eq!(merge.lines(), lines, "{policy}");
        assert_eq!(merge.report.conflicts.len(), 1, "{policy}");
    }
}

#[test]
fn a_renamed_file_takes_along_what_another_branch_wrote() {
    let long = "line\n".repeat(100);
    let mut world = world(
        |base| write(base, "old", &long),
        |a| fs::rename(a.join("old"), a.join("new")).unwrap(),
        |b| write(b, "old", &format!("{long}more\n")),
    );
    let merge = world.merge(Abort);
    assert_eq!(merge.lines(), [format!("new={long}more\n")]);
}

#[test]
fn a_file_renamed_twice_is_a_conflict() {
    let long = "line\n".repeat(100);
    let make = || {
        world(
            |base| write(base, "old", &long),
            |a| fs::rename(a.join("old"), a.join("a")).unwrap(),
            |b| fs::rename(b.join("old"), b.join("b")).unwrap(),
        )
    };
    let names = |policy| -> Vec<String> {
        let lines = make().merge(policy).lines();
        lines
            .iter()
            .map(|line| line.split('=').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(Ours), ["a"]);
    assert_eq!(names(Theirs), ["b"]);
    assert_eq!(names(Both), ["a", "b"]);
    let merge = make().merge(Abort);
    assert_eq!(merge.report.conflicts.len(), 2);
    assert!(merge.is_unwritten);
    let alike = |dir: &Path| fs::rename(dir.join("old"), dir.join("same")).unwrap();
    let mut world = world(|base| write(base, "old", &long), alike, alike);
    assert_eq!(world.merge(Abort).conflicts(), [""; 0]);
}

#[test]
fn a_new_name_that_another_branch_has_given_to_something_else_is_a_conflict_and_nothing_is_lost() {
    let long = "line\n".repeat(100);
    let make = |is_old_changed: bool| {
        world(
            |base| write(base, "old", &long),
            |a| fs::rename(a.join("old"), a.join("new")).unwrap(),
            |b| {
                write(b, "new", "other");
                if is_old_changed {
                    write(b, "old", &format!("{long}more"));
                }
            },
        )
    };
    let (moved, changed) = (format!("new={long}"), format!("old={long}more"));
    assert_eq!(make(false).merge(Abort).report.conflicts.len(), 1);
    assert_eq!(make(true).merge(Abort).report.conflicts.len(), 2);
    assert_eq!(make(false).merge(Ours).lines(), [moved.as_str()]);
    assert_eq!(make(false).merge(Theirs).lines(), ["new=other"]);
    assert_eq!(make(false).merge(Both).lines(), [moved.as_str(), "new.b=other"]);
    assert_eq!(make(true).merge(Theirs).lines(), ["new=other", changed.as_str()]);
    assert_eq!(
        make(true).merge(Both).lines(),
        [moved.as_str(), "new.b=other", changed.as_str()]
    );
}

#[test]
fn a_file_that_one_renamed_and_another_deleted_is_a_conflict() {
    let long = "line\n".repeat(100);
    let make = || {
        world(
            |base| write(base, "old", &long),
            |a| fs::rename(a.join("old"), a.join("new")).unwrap(),
            |b| fs::remove_file(b.join("old")).unwrap(),
        )
    };
    assert_eq!(make().merge(Abort).report.conflicts.len(), 1);
    assert_eq!(make().merge(Theirs).lines(), [""; 0]);
    assert_eq!(make().merge(Ours).lines().len(), 1);
}

#[test]
fn links_of_one_file_stay_links_of_one_file() {
    let mut world = world(
        |_| {},
        |a| {
            write(a, "d/one", "x");
            fs::hard_link(a.join("d/one"), a.join("two")).unwrap();
        },
        |b| write(b, "other", "x"),
    );
    let merge = world.merge(Abort);
    assert_eq!(inode(&merge.layer, "d/one"), inode(&merge.layer, "two"));
    assert_ne!(inode(&merge.layer, "other"), inode(&merge.layer, "two"));
}

#[test]
fn names_are_bytes() {
    let raw = std::ffi::OsStr::from_bytes(b"\xff\n");
    let mut world = world(
        |base| fs::write(base.join(raw), "0").unwrap(),
        |a| fs::write(a.join(raw), "a").unwrap(),
        |b| fs::write(b.join(raw), "b").unwrap(),
    );
    let merge = world.merge(Both);
    let names: Vec<&[u8]> = merge.seen.keys().map(RelPath::as_bytes).collect();
    assert_eq!(names, [&b"\xff\n"[..], b"\xff\n.b"]);
}

#[test]
fn three_branches_are_merged_at_once() {
    let mut world = World::new();
    write(&world.base(), "f", "1\n2\n3\n4\n5\n");
    write(&world.branch("a"), "f", "one\n2\n3\n4\n5\n");
    write(&world.branch("b"), "f", "1\n2\nthree\n4\n5\n");
    write(&world.branch("c"), "f", "1\n2\n3\n4\nfive\n");
    assert_eq!(world.merge(Text).lines(), ["f=one\n2\nthree\n4\nfive\n"]);
    let merge = world.merge(Both);
    assert_eq!(merge.conflicts(), ["f Content copies f.b f.c"]);
    assert_eq!(merge.lines().len(), 3);
}

#[test]
fn a_policy_can_be_another_for_some_paths() {
    let mut world = world(
        |base| {
            write(base, "src/x", "0\n");
            write(base, "assets/y", "\0");
        },
        |a| {
            write(a, "src/x", "a\n");
            write(a, "assets/y", "\0a");
        },
        |b| {
            write(b, "src/x", "b\n");
            write(b, "assets/y", "\0b");
        },
    );
    let policies = Policies::all(Text).with("assets/", Theirs).unwrap();
    let merge = world.merge_these(&["a", "b"], &policies);
    assert_eq!(
        merge.conflicts(),
        ["assets/y Content of b", "src/x Content Markers"]
    );
}

#[test]
fn directories_that_forbid_it_are_filled_and_forbid_it_again() {
    let mut world = world(
        |base| {
            write(base, "d/x", "0");
            chmod(base, "d", 0o555);
        },
        |a| {
            chmod(a, "d", 0o755);
            write(a, "d/y", "a");
            chmod(a, "d", 0o555);
        },
        |b| write(b, "z", "b"),
    );
    let merge = world.merge(Abort);
    assert_eq!(merge.lines(), ["d/", "d/x=0", "d/y=a", "z=b"]);
    let mode = merge.mode("d");
    assert_eq!(mode, 0o555);
    // So that the test can be cleaned up.
    for dir in ["base", "a", "b", "merge-1"] {
        chmod(merge.layer.parent().unwrap(), &format!("{dir}/d"), 0o755);
    }
}

#[test]
fn branches_of_a_branch_are_merged_over_it() {
    let place = tempfile::tempdir().unwrap();
    let dirs = ["base", "parent", "a", "b", "result"].map(|name| place.path().join(name));
    for dir in &dirs {
        fs::create_dir(dir).unwrap();
    }
    let [base, parent, a, b, result] = &dirs;
    for name in ["edited", "undone", "kept", "text"] {
        write(base, name, "base");
        write(parent, name, "parent");
    }
    write(a, "edited", "a");
    write(a, "undone", "base");
    write(b, "undone", "base");
    write(b, "new", "b");
    let overlay = |dir: &Path| (dir.to_owned(), LayerFormat::Overlay);
    let open = |layers: &[&Path]| {
        let layers: Vec<_> = layers.iter().map(|dir| overlay(dir)).collect();
        Stack::open(&layers, base).unwrap()
    };
    let common = open(&[parent]);
    let (side_a, side_b) = (open(&[a, parent]), open(&[b, parent]));
    let [changes, changes_a, changes_b] = [&common, &side_a, &side_b].map(changes_of);
    let names: [BranchName; 2] = ["a", "b"].map(|name| name.parse().unwrap());
    let sides = [(&side_a, &changes_a), (&side_b, &changes_b)];
    let sides: Vec<Side<'_>> = sides
        .iter()
        .zip(&names)
        .map(|((stack, changes), name)| Side { name, stack, changes })
        .collect();
    let writer = LayerWriter::open(result, LayerFormat::Overlay).unwrap();
    let common_side = Common {
        stack: &common,
        changes: &changes,
    };
    let report = merge(&common_side, &sides, writer, &Policies::all(Abort), &mut |_| {}).unwrap();
    assert!(report.conflicts.is_empty(), "{report:?}");
    let content = |name: &str| {
        let (_, _, content) = &seen(&open(&[result, parent]))[&RelPath::new(name).unwrap()];
        String::from_utf8(content.clone()).unwrap()
    };
    assert_eq!(
        ["edited", "undone", "kept", "text", "new"].map(content),
        ["a", "base", "parent", "parent", "b"]
    );
}

#[test]
fn a_text_of_a_base_that_has_changed_meanwhile_is_not_merged() {
    let mut world = world(
        |base| write(base, "f", "0\n"),
        |a| write(a, "f", "a\n"),
        |b| write(b, "f", "b\n"),
    );
    world.set_conflict("f", BaseChange::Modified);
    let merge = world.merge(Text);
    assert_eq!(
        merge.conflicts(),
        ["f Content unsettled: the common ancestor is not known"]
    );
}

#[test]
fn files_that_forbid_their_owner_to_read_them_are_merged() {
    let mut world = world(
        |_| {},
        |a| {
            write(a, "secret", "a");
            set_xattr(&a.join("secret"), "x", b"1");
            chmod(a, "secret", 0o000);
            write(a, "closed/inner", "a");
            chmod(a, "closed", 0o000);
        },
        |b| write(b, "other", "b"),
    );
    let merge = world.merge(Abort);
    assert_eq!(
        merge.lines(),
        ["closed/", "closed/inner=a", "other=b", "secret=a"]
    );
    assert_eq!([merge.mode("closed"), merge.mode("secret")], [0, 0]);
    for dir in ["a", "merge-1"] {
        chmod(merge.layer.parent().unwrap(), &format!("{dir}/closed"), 0o700);
    }
}

#[test]
fn the_kernel_shows_what_was_merged() {
    let mut world = world(
        |base| {
            write(base, "d/old", "0");
            write(base, "e/old", "0");
            write(base, "gone/x", "0");
            write(base, "file", "0");
            write(base, "kept/x", "0");
        },
        |a| {
            fs::remove_dir_all(a.join("d")).unwrap();
            write(a, "d", "a file");
            fs::remove_dir_all(a.join("gone")).unwrap();
            fs::remove_file(a.join("file")).unwrap();
            write(a, "file/now/a/directory", "a");
        },
        |b| {
            write(b, "e/new", "b");
            chmod(b, "e", 0o700);
            write(b, "gone/kept", "b");
            link(b, "to", "e");
        },
    );
    let merge = world.merge(Abort);
    let expect = merge
        .seen
        .iter()
        .map(|(path, (kind, mode, _))| (path, *kind, *mode));
    if let Some(shown) = kernel_view("the_kernel_shows_what_was_merged", &merge.layer, &world.base()) {
        assert_eq!(shown, as_kernel_view(expect));
        assert_eq!(shown.len(), 13, "{shown:?}");
    }
}
