//! kill −9 at every named place, for the first time that it is passed and for later ones; then the tree is as before or as
//! after, nothing that was deleted is back, nothing is half there, and the overlay goes on.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::World;
use super::picture::{self, Picture};
use crate::backend::overlay::OverlayFs;
use crate::backend::overlay::crash::{KILL_AT, POINTS};
use crate::fs::{Capabilities, Context, DynFileSystem, FsResult, ROOT_INO, RenameFlags, SetAttr};
use crate::tree::Tree;

/// What the child is to do, as a variable of its environment: `ACTION PATH`.
const TASK: &str = "SANDBOX_TEST_OVERLAY_CRASH_TASK";

/// Changes that are one step each, for every observer.
type Action = fn(&OverlayFs) -> FsResult<()>;

const ACTIONS: [(&str, Action); 14] = [
    ("write", |fs| tree(fs).write("d/a", b"written")),
    ("chmod", |fs| {
        let change = SetAttr {
            mode: Some(0o600),
            ..SetAttr::default()
        };
        tree(fs).set_attr("d/links/one", &change).map(drop)
    }),
    ("settle-names", OverlayFs::settle_names),
    ("unlink-lower", |fs| tree(fs).remove_file("d/a")),
    ("unlink-both", |fs| tree(fs).remove_file("d/both")),
    ("rmdir-lower", |fs| tree(fs).remove_dir("d/empty")),
    ("rmdir-both", |fs| tree(fs).remove_dir("d/emptied")),
    ("create", |fs| tree(fs).mkdir("d/gone", 0o755)),
    ("rename-file", |fs| tree(fs).rename("d/a", "d/gone")),
    ("rename-over", |fs| tree(fs).rename("d/a", "d/both")),
    ("rename-directory", |fs| tree(fs).rename("d", "moved")),
    ("rename-directory-over", |fs| {
        tree(fs).rename("d/sub", "d/emptied")
    }),
    ("rename-new-directory", |fs| tree(fs).rename("fresh", "d/gone")),
    ("exchange", |fs| {
        let flags = RenameFlags::EXCHANGE;
        let ctx = Context::new(0, 0);
        fs.rename(&ctx, ROOT_INO, "d".as_ref(), ROOT_INO, "e".as_ref(), flags)
    }),
];

fn tree(fs: &dyn DynFileSystem) -> Tree<'_> {
    Tree::new(fs, Context::new(0, 0))
}

/// A layer, and an upper in which something was changed already.
fn scene() -> World {
    let world = World::new(1);
    let base = world.lower(0);
    for directory in ["d/sub/deep", "d/links", "d/empty", "d/emptied", "e"] {
        fs::create_dir_all(base.join(directory)).unwrap();
    }
    for file in ["d/a", "d/both", "d/gone", "d/sub/deep/c", "d/emptied/x", "e/f"] {
        fs::write(base.join(file), format!("lower {file}")).unwrap();
    }
    fs::write(base.join("d/links/one"), "linked").unwrap();
    fs::hard_link(base.join("d/links/one"), base.join("d/links/two")).unwrap();
    fs::write(base.join("d/links/three"), "linked").unwrap();
    fs::hard_link(base.join("d/links/three"), base.join("d/sub/four")).unwrap();
    let fs = world.mount();
    tree(&fs).write("d/both", b"upper").unwrap();
    tree(&fs).remove_file("d/gone").unwrap();
    tree(&fs).mkdir("fresh", 0o755).unwrap();
    tree(&fs).write("fresh/g", b"upper").unwrap();
    tree(&fs).remove_file("d/emptied/x").unwrap();
    tree(&fs).write("d/links/three", b"upper").unwrap();
    world
}

/// What is seen, without times: a file that is being written has another one.
fn shown(fs: &dyn DynFileSystem) -> Picture {
    let mut picture = picture::of_backend(fs, "");
    picture::without_times(&mut picture);
    picture
}

/// Is no test of its own: what is killed. Does nothing where it is not told what to do.
#[test]
fn a_child_that_will_be_killed() {
    let Ok(task) = std::env::var(TASK) else { return };
    let (action, place) = task.split_once(' ').unwrap();
    let act = ACTIONS.iter().find(|(name, _)| *name == action).unwrap().1;
    let place = Path::new(place);
    let fs = OverlayFs::builder()
        .layer(place.join("lower-0"))
        .writable(place.join("upper"))
        .staging(place.join("work"))
        .build()
        .unwrap();
    fs.init(Capabilities::all()).unwrap();
    act(&fs).unwrap();
}

/// Whether it was killed.
fn run_killed(action: &str, world: &World, point: &str, time: usize) -> bool {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let name = "backend::overlay::tests::crash::a_child_that_will_be_killed";
    command.args([name, "--exact", "--test-threads=1"]);
    command.env(TASK, format!("{action} {}", world.place().display()));
    command.env(KILL_AT, format!("{point}:{time}"));
    let output = command.stdin(Stdio::null()).output().unwrap();
    if output.status.signal() == Some(9) {
        return true;
    }
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{action}: {said}");
    false
}

/// `write` truncates before it writes, which a crash can come between: as on any filesystem.
fn is_half_written(action: &str, found: &Picture, before: &Picture) -> bool {
    let is_empty = picture::content(found, "d/a").is_some_and(<[u8]>::is_empty);
    let mut otherwise = found.clone();
    picture::set_content(&mut otherwise, "d/a", picture::content(before, "d/a").unwrap());
    action == "write" && is_empty && otherwise == *before
}

#[test]
fn a_crash_at_any_place_leaves_the_tree_as_before_or_as_after() {
    let mut passed = std::collections::BTreeSet::new();
    for (action, act) in ACTIONS {
        let before = shown(&scene().mount());
        let after = {
            let world = scene();
            act(&world.mount()).unwrap();
            shown(&world.mount())
        };
        assert!(
            matches!(action, "chmod" | "settle-names") || before != after,
            "{action} does something"
        );
        for point in POINTS {
            for time in [1, 2, 4] {
                let world = scene();
                if !run_killed(action, &world, point, time) {
                    break;
                }
                passed.insert(*point);
                let what = format!("{action}, killed at {point:?} ({time})");
                let fs = world.mount();
                let found = shown(&fs);
                assert!(
                    found == before || found == after || is_half_written(action, &found, &before),
                    "{what}: neither as before nor as after: {found:#?}"
                );
                check_goes_on(&fs, act, found == after, &after, &what);
            }
        }
    }
    let missed: Vec<_> = POINTS.iter().filter(|point| !passed.contains(**point)).collect();
    assert!(missed.is_empty(), "no action passes {missed:?}");
}

/// What was interrupted can be done, and lasts.
fn check_goes_on(fs: &OverlayFs, act: Action, is_done: bool, after: &Picture, what: &str) {
    if !is_done {
        act(fs).unwrap_or_else(|error| panic!("{what}: cannot be done again: {error:?}"));
    }
    assert_eq!(shown(fs), *after, "{what}, done again");
}
