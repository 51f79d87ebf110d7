//! Laws on random trees and random edits.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use sandbox_types::ConflictPolicy::{Abort, Both, Ours, Text, Theirs};

use super::super::*;
use super::world::*;
use crate::branch::stack::LayerFormat;

/// Something done to a tree. Numbers choose among few names, so that edits meet.
#[derive(Debug, Clone)]
enum Edit {
    Write(u8, u8),
    Remove(u8),
    Directory(u8),
    Link(u8, u8),
    Mode(u8),
    Rename(u8, u8),
}

const NAMES: [&str; 12] = [
    "a", "b", "d", "d/a", "d/b", "d/e", "d/e/a", "d/e/b", "f", "f/a", "d.x", "d/e/g/h",
];

fn edit() -> impl Strategy<Value = Edit> {
    let name = 0..u8::try_from(NAMES.len()).unwrap();
    prop_oneof![
        4 => (name.clone(), 0_u8..4).prop_map(|(name, content)| Edit::Write(name, content)),
        2 => name.clone().prop_map(Edit::Remove),
        1 => name.clone().prop_map(Edit::Directory),
        1 => (name.clone(), 0_u8..3).prop_map(|(name, target)| Edit::Link(name, target)),
        1 => name.clone().prop_map(Edit::Mode),
        1 => (name.clone(), name).prop_map(|(from, to)| Edit::Rename(from, to)),
    ]
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    prop::collection::vec(edit(), 0..8)
}

/// Does `edit` where that is possible, to names that start with `prefix`.
fn apply(tree: &Path, prefix: &str, edit: &Edit) {
    let at = |name: &u8| {
        let name = NAMES[usize::from(*name)];
        match name.rsplit_once('/') {
            Some((parent, name)) => tree.join(parent).join(format!("{prefix}{name}")),
            None => tree.join(format!("{prefix}{name}")),
        }
    };
    let clear = |path: &Path| {
        let is_dir = path.symlink_metadata().is_ok_and(|meta| meta.is_dir());
        let _ = if is_dir {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        };
    };
    let is_inside = |path: &Path| {
        let parent = path.parent().unwrap();
        // Not through a link, and not through a file.
        let mut way = tree.to_owned();
        parent.strip_prefix(tree).unwrap().iter().all(|name| {
            way.push(name);
            way.symlink_metadata().is_err() || way.symlink_metadata().unwrap().is_dir()
        })
    };
    match edit {
        Edit::Write(name, content) if is_inside(&at(name)) => {
            let path = at(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if path.symlink_metadata().is_ok_and(|meta| !meta.is_file()) {
                clear(&path);
            }
            let lines: Vec<String> = (0..6)
                .map(|line| format!("{}\n", if line == *content { "changed" } else { "line" }))
                .collect();
            fs::write(path, format!("{name}\n{}", lines.concat())).unwrap();
        }
        Edit::Remove(name) if is_inside(&at(name)) => clear(&at(name)),
        Edit::Directory(name) if is_inside(&at(name)) => {
            clear(&at(name));
            fs::create_dir_all(at(name)).unwrap();
        }
        Edit::Link(name, target) if is_inside(&at(name)) => {
            clear(&at(name));
            fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(format!("to-{target}"), at(name)).unwrap();
        }
        Edit::Mode(name) if is_inside(&at(name)) => {
            use std::os::unix::fs::PermissionsExt;
            if at(name).symlink_metadata().is_ok_and(|meta| !meta.is_symlink()) {
                fs::set_permissions(at(name), fs::Permissions::from_mode(0o700)).unwrap();
            }
        }
        Edit::Rename(from, to) if is_inside(&at(from)) && is_inside(&at(to)) => {
            let is_file = at(from).symlink_metadata().is_ok_and(|meta| meta.is_file());
            if is_file && at(to).symlink_metadata().is_err() {
                fs::create_dir_all(at(to).parent().unwrap()).unwrap();
                fs::rename(at(from), at(to)).unwrap();
            }
        }
        _ => {}
    }
}

fn tree(dir: &Path, edits: &[Edit]) {
    for edit in edits {
        apply(dir, "", edit);
    }
}

fn world(base: &[Edit], sides: &[(&str, &[Edit])]) -> World {
    let mut world = World::new();
    tree(&world.base(), base);
    for (name, edits) in sides {
        tree(&world.branch(name), edits);
    }
    world
}

/// Many renames among names that are in use.
fn crowded() -> impl Strategy<Value = Vec<Edit>> {
    let name = prop::sample::select(vec![0_u8, 1, 8, 3]);
    let edit = prop_oneof![
        3 => (name.clone(), 0_u8..4).prop_map(|(name, content)| Edit::Write(name, content)),
        1 => name.clone().prop_map(Edit::Remove),
        3 => (name.clone(), name).prop_map(|(from, to)| Edit::Rename(from, to)),
    ];
    prop::collection::vec(edit, 1..6)
}

/// What a side has put somewhere is somewhere in the result, unless it was in the base and another side has changed
/// or removed it there.
fn loses_nothing(base: &[Edit], sides: &[(&str, &[Edit])]) -> Result<(), TestCaseError> {
    let mut world = world(base, sides);
    let before = seen_in(&world.base());
    let merge = world.merge(Both);
    prop_assert!(
        merge.report.unsettled().next().is_none(),
        "{:?}",
        merge.conflicts()
    );
    let parent = merge.layer.parent().unwrap();
    let trees: Vec<Seen> = sides
        .iter()
        .map(|(name, _)| seen_in(&parent.join(name)))
        .collect();
    let what =
        |tree: &Seen, path: &RelPath| tree.get(path).map(|(kind, _, content)| (*kind, content.clone()));
    for (side, tree) in trees.iter().enumerate() {
        for path in tree.keys() {
            let entry = what(tree, path);
            let is_kept = merge.seen.keys().any(|kept| what(&merge.seen, kept) == entry);
            let others = || trees.iter().enumerate().filter(|(other, _)| *other != side);
            let mut were = before.keys().filter(|was| what(&before, was) == entry);
            let is_given_up = were.any(|was| others().any(|(_, other)| what(other, was) != entry));
            prop_assert!(
                is_kept || is_given_up || what(&before, path) == entry,
                "{} of {} is lost: {:?}",
                path,
                side,
                merge.conflicts()
            );
        }
    }
    Ok(())
}

/// How many cases: `CASES` says more of them.
fn config() -> ProptestConfig {
    ProptestConfig {
        cases: std::env::var("CASES").map_or(64, |cases| cases.parse().unwrap()),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_branch_merged_alone_is_itself(base in edits(), a in edits()) {
        let mut world = world(&base, &[("a", &a)]);
        let merge = world.merge(Abort);
        prop_assert_eq!(merge.report.conflicts.len(), 0);
        prop_assert_eq!(merge.seen, seen_in(&merge.layer.parent().unwrap().join("a")));
    }

    #[test]
    fn a_branch_merged_with_itself_is_itself(base in edits(), a in edits()) {
        let mut world = world(&base, &[("a", &a), ("b", &a)]);
        let merge = world.merge(Abort);
        prop_assert_eq!(merge.conflicts(), vec![""; 0]);
        prop_assert_eq!(merge.seen, seen_in(&merge.layer.parent().unwrap().join("a")));
    }

    #[test]
    fn disjoint_branches_are_merged_in_any_order(base in edits(), a in edits(), b in edits()) {
        let mut world = world(&base, &[]);
        let [dir_a, dir_b, both] = ["a", "b", "both"].map(|name| world.branch(name));
        // Names of its own for each side, in the same directories; what is deleted is one's own.
        for (prefix, dirs, edits) in [("A", [&dir_a, &both], &a), ("B", [&dir_b, &both], &b)] {
            for dir in dirs {
                for edit in edits {
                    apply(dir, prefix, edit);
                }
            }
        }
        let expect = seen_in(&both);
        for names in [["a", "b"], ["b", "a"]] {
            let merge = world.merge_these(&names, &Policies::all(Abort));
            prop_assert_eq!(merge.conflicts(), vec![""; 0]);
            prop_assert_eq!(&merge.seen, &expect);
        }
    }

    #[test]
    fn ours_of_one_order_is_theirs_of_the_other(base in edits(), a in edits(), b in edits()) {
        let mut world = world(&base, &[("a", &a), ("b", &b)]);
        let one = world.merge_these(&["a", "b"], &Policies::all(Ours));
        let other = world.merge_these(&["b", "a"], &Policies::all(Theirs));
        prop_assert_eq!(one.report.conflicts.len(), other.report.conflicts.len());
        prop_assert_eq!(one.seen, other.seen);
    }

    #[test]
    fn keeping_both_loses_nothing(base in edits(), a in edits(), b in edits()) {
        loses_nothing(&base, &[("a", &a), ("b", &b)])?;
    }

    #[test]
    fn keeping_all_loses_nothing_where_few_names_meet(
        base in crowded(),
        a in crowded(),
        b in crowded(),
        c in crowded(),
    ) {
        loses_nothing(&base, &[("a", &a), ("b", &b)])?;
        loses_nothing(&base, &[("a", &a), ("b", &b), ("c", &c)])?;
    }

    #[test]
    fn a_whole_copy_shows_what_a_layer_shows(base in edits(), a in edits(), b in edits()) {
        let mut world = world(&base, &[("a", &a), ("b", &b)]);
        for policy in [Ours, Theirs, Both] {
            let layer = world.merge_into(&["a", "b"], &Policies::all(policy), LayerFormat::Overlay);
            let copy = world.merge_into(&["a", "b"], &Policies::all(policy), LayerFormat::Complete);
            prop_assert_eq!(&layer.report, &copy.report);
            prop_assert_eq!(&layer.seen, &copy.seen);
            prop_assert_eq!(&seen_in(&copy.layer), &copy.seen);
        }
    }

    #[test]
    fn nothing_is_written_while_anything_is_unsettled(base in edits(), a in edits(), b in edits()) {
        let mut world = world(&base, &[("a", &a), ("b", &b)]);
        for policy in [Abort, Text] {
            let merge = world.merge(policy);
            let is_unsettled = merge.report.unsettled().next().is_some();
            prop_assert!(!is_unsettled || merge.is_unwritten);
        }
    }
}
