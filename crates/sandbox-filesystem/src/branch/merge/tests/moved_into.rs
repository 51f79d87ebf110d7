//! What one branch has renamed into a directory, where another has no directory any more.

use std::fs;

use sandbox_types::ConflictPolicy::{self, Both, Ours, Theirs};

use super::world::*;

/// `a` has made a file of the directory `d`, and a link of the file `f/a`; `b` has renamed that into `d`.
fn world() -> World {
    let mut world = World::new();
    write(&world.base(), "f/a", "x");
    write(&world.base(), "d/e", "y");
    let a = world.branch("a");
    fs::remove_dir_all(a.join("d")).unwrap();
    write(&a, "d", "a");
    fs::remove_file(a.join("f/a")).unwrap();
    link(&a, "f/a", "there");
    let b = world.branch("b");
    fs::rename(b.join("f/a"), b.join("d/a")).unwrap();
    world
}

fn files(policy: ConflictPolicy) -> Vec<String> {
    let merge = world().merge(policy);
    let mut lines = merge.lines();
    lines.retain(|line| !line.ends_with('/'));
    lines
}

#[test]
fn keeping_both_keeps_all_that_was_made_of_them() {
    assert_eq!(files(Both), ["d/a->there", "d/a.b=x", "d.a=a"]);
}

#[test]
fn whoever_wins_keeps_all_of_their_own() {
    assert_eq!(files(Ours), ["d=a", "d.a->there"]);
    assert_eq!(files(Theirs), ["d/a=x"]);
}
