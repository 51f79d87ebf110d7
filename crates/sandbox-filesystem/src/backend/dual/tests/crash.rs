//! kill −9 at every named place, above backends that can do all, and above those that can do less; then the tree is as before
//! or as after, and it goes on.

use std::path::Path;
use std::sync::Arc;

use sandbox_types::StatVirtualization;

use super::watched::{Lacks, Watched};
use crate::backend::dual::crash::POINTS;
use crate::backend::dual::{Deletions, DualFs, Durability};
use crate::backend::testing::crash::{Left, Suite};
use crate::backend::testing::picture::Picture;
use crate::backend::{OverlayFs, PassthroughFs};
use crate::fs::{Capabilities, DynFileSystem};

/// What backend A is, as a file beside it says.
const HOST: &str = "the host";
const NO_WHITEOUT_RENAMES: &str = "the host, without renames that leave a whiteout";
const NO_LINKS: &str = "the host, without those and without links";
const OVERLAY: &str = "an overlay";
const DUAL: &str = "another one";

type World = tempfile::TempDir;

fn world(kind: &str) -> World {
    let place = tempfile::tempdir().unwrap();
    for name in ["a", "b", "lower", "work"] {
        std::fs::create_dir(place.path().join(name)).unwrap();
    }
    std::fs::write(place.path().join("kind"), kind).unwrap();
    place
}

fn host(path: &Path) -> Arc<dyn DynFileSystem> {
    let builder = PassthroughFs::builder().root_dir(path);
    let builder = builder.stat_virtualization(StatVirtualization::Off);
    Arc::new(builder.build().unwrap())
}

fn open_a(place: &Path) -> Arc<dyn DynFileSystem> {
    let (a, lower) = (place.join("a"), place.join("lower"));
    let without = Lacks {
        whiteout_renames: true,
        ..Lacks::default()
    };
    match std::fs::read_to_string(place.join("kind")).unwrap().as_str() {
        HOST => host(&a),
        NO_WHITEOUT_RENAMES => Arc::new(Watched::new(host(&a), without)),
        NO_LINKS => Arc::new(Watched::new(
            host(&a),
            Lacks {
                links: true,
                ..without
            },
        )),
        OVERLAY => {
            let builder = OverlayFs::builder().layer(lower).writable(a);
            Arc::new(builder.staging(place.join("work")).build().unwrap())
        }
        DUAL => Arc::new(open_dual(host(&a), host(&lower))),
        other => panic!("{other}"),
    }
}

fn open_dual(a: Arc<dyn DynFileSystem>, b: Arc<dyn DynFileSystem>) -> DualFs {
    let builder = DualFs::builder().backend_a(a).backend_b(b);
    let fs = builder.durability(Durability::Volatile).build().unwrap();
    fs.init(Capabilities::all()).unwrap();
    fs
}

fn open(place: &Path) -> DualFs {
    open_dual(open_a(place), host(&place.join("b")))
}

const fn suite(
    world: fn() -> World,
    only: &'static [&'static str],
    allows: fn(&Left<'_>) -> bool,
) -> Suite<World, DualFs> {
    Suite {
        child: "backend::dual::tests::crash::a_child_that_will_be_killed",
        world,
        place: World::path,
        base: |place| place.join("b"),
        open,
        unseen: &[],
        times: &[1, 2],
        only,
        allows,
    }
}

/// What less able backends are asked for otherwise.
const OTHERWISE: &[&str] = &[
    "rename-file",
    "rename-over",
    "rename-directory-over",
    "unlink-both",
    "rmdir",
    "create",
];

const ABLE: Suite<World, DualFs> = suite(|| world(HOST), &[], |_| false);
// Above those a rename that replaces something cannot be one step.
const WITHOUT_WHITEOUTS: Suite<World, DualFs> =
    suite(|| world(NO_WHITEOUT_RENAMES), OTHERWISE, is_amid_rename);
const WITHOUT_LINKS: Suite<World, DualFs> = suite(|| world(NO_LINKS), OTHERWISE, is_amid_rename);
const ON_OVERLAY: Suite<World, DualFs> = suite(|| world(OVERLAY), OTHERWISE, is_amid_rename);
const ON_ANOTHER: Suite<World, DualFs> = suite(|| world(DUAL), OTHERWISE, is_amid_rename);

/// The new name leads to what was renamed, and the old one to that, too, or to what was replaced; nothing else is different.
fn is_amid_rename(left: &Left<'_>) -> bool {
    let (old, new) = match left.action {
        "rename-over" => ("d/a", "d/both"),
        "rename-over-lower" => ("d/both", "e/f"),
        "rename-directory-over" => ("d/sub", "d/emptied"),
        "rename-directory-over-lower" => ("d/sub", "d/empty"),
        _ => return false,
    };
    let is_beneath = |path: &Path| path.starts_with(old) || path.starts_with(new);
    let others = |picture: &Picture| -> Vec<_> {
        let others = picture.iter().filter(|(path, _)| !is_beneath(path));
        others.map(|(path, node)| (path.clone(), node.clone())).collect()
    };
    let under = |picture: &crate::backend::testing::picture::Picture, name: &str| -> Vec<_> {
        let all = picture.iter().filter(|(path, _)| path.starts_with(name));
        all.map(|(path, node)| (path.strip_prefix(name).unwrap().to_owned(), node.clone()))
            .collect()
    };
    let moved = under(left.before, old);
    let replaced = under(left.before, new);
    let at_old = under(left.found, old);
    others(left.found) == others(left.before)
        && under(left.found, new) == moved
        && (at_old == moved || at_old == replaced)
}

/// Is no test of its own: what is killed.
#[test]
fn a_child_that_will_be_killed() {
    ABLE.act();
}

#[test]
fn a_crash_at_any_place_leaves_the_tree_as_before_or_as_after() {
    ABLE.check_all();
}

#[test]
fn a_crash_above_a_host_without_such_renames_loses_nothing_and_brings_nothing_back() {
    WITHOUT_WHITEOUTS.check_all();
}

#[test]
fn a_crash_above_a_backend_without_links_loses_nothing_and_brings_nothing_back() {
    WITHOUT_LINKS.check_all();
}

#[test]
fn a_crash_above_an_overlay_loses_nothing_and_brings_nothing_back() {
    ON_OVERLAY.check_all();
}

#[test]
fn a_crash_above_another_one_loses_nothing_and_brings_nothing_back() {
    ON_ANOTHER.check_all();
}

#[test]
fn every_place_is_passed() {
    let mut passed = ABLE.passed();
    for suite in [WITHOUT_WHITEOUTS, WITHOUT_LINKS, ON_OVERLAY] {
        passed.extend(suite.passed());
    }
    let missed: Vec<_> = POINTS.iter().filter(|point| !passed.contains(**point)).collect();
    assert!(missed.is_empty(), "no action passes {missed:?}");
}

#[test]
fn a_crash_while_a_file_with_several_names_is_copied_forgets_none_of_them() {
    ABLE.check_names();
    WITHOUT_WHITEOUTS.check_names();
}

#[test]
fn each_of_them_keeps_what_is_deleted() {
    for kind in [HOST, NO_WHITEOUT_RENAMES, NO_LINKS, OVERLAY, DUAL] {
        let world = world(kind);
        assert_eq!(
            open(world.path()).deletions(),
            Ok(Deletions::InBackendA),
            "{kind}"
        );
    }
}
