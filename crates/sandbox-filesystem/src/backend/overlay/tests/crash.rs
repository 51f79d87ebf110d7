//! kill −9 at every named place; then the tree is as before or as after, and the overlay goes on.

use super::World;
use crate::backend::overlay::OverlayFs;
use crate::backend::overlay::crash::POINTS;
use crate::backend::testing::crash::{Action, Suite};
use crate::fs::{Capabilities, DynFileSystem};

const SUITE: Suite<World, OverlayFs> = Suite {
    child: "backend::overlay::tests::crash::a_child_that_will_be_killed",
    world: || World::new(1),
    place: World::place,
    base: |place| place.join("lower-0"),
    open: |place| {
        let fs = OverlayFs::builder()
            .layer(place.join("lower-0"))
            .writable(place.join("upper"))
            .staging(place.join("work"))
            .build()
            .unwrap();
        fs.init(Capabilities::all()).unwrap();
        fs
    },
    unseen: &[("settle-names", Action::Own(OverlayFs::settle_names))],
    times: &[1, 2, 4],
    only: &[],
    allows: |_| false,
};

/// Is no test of its own: what is killed.
#[test]
fn a_child_that_will_be_killed() {
    SUITE.act();
}

#[test]
fn a_crash_at_any_place_leaves_the_tree_as_before_or_as_after() {
    SUITE.check_all();
}

#[test]
fn every_place_is_passed() {
    let passed = SUITE.passed();
    let missed: Vec<_> = POINTS.iter().filter(|point| !passed.contains(**point)).collect();
    assert!(missed.is_empty(), "no action passes {missed:?}");
}

#[test]
fn a_crash_while_a_file_with_several_names_is_copied_forgets_none_of_them() {
    SUITE.check_names();
}
