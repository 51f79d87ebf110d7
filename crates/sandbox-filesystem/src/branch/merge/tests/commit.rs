//! What a commit does where the base has changed too.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use sandbox_types::{BaseChange, ChangeKind, ConflictPolicy, NodeKind};

use sandbox_types::Unsettled;

use super::super::text::Merged;
use super::super::*;
use super::world::write;
use crate::branch::beneath::Root;
use crate::branch::stack::LayerFormat;
use crate::branch::testing::rel;

/// A base as it was, as it is, and a branch of it.
struct World {
    place: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        for name in ["snapshot", "live", "layer"] {
            fs::create_dir(place.path().join(name)).unwrap();
        }
        Self { place }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn with(self, path: &str, [snapshot, live, layer]: [&str; 3]) -> Self {
        for (name, content) in [("snapshot", snapshot), ("live", live), ("layer", layer)] {
            if !content.is_empty() {
                write(&self.path(name), path, content);
            }
        }
        self
    }

    fn resolve(&self, ancestry: Ancestry<'_>, change: &Change, policy: ConflictPolicy) -> Resolution {
        let base = match ancestry {
            Ancestry::Snapshot => "snapshot",
            Ancestry::Kept(_) | Ancestry::Unknown => "live",
        };
        let layers = [(self.path("layer"), LayerFormat::Overlay)];
        let stack = Stack::open(&layers, &self.path(base)).unwrap();
        let conflicting = Conflicting {
            change,
            branch: &"fix".parse().unwrap(),
            stack: &stack,
            ancestry,
            live: &Root::open(&self.path("live")).unwrap(),
        };
        resolve(&conflicting, policy).unwrap()
    }

    fn text(&self, ancestry: Ancestry<'_>, change: &Change) -> Result<(String, Merged), Unsettled> {
        match self.resolve(ancestry, change, ConflictPolicy::Text) {
            Resolution::Text { text, merged, .. } => Ok((String::from_utf8(text).unwrap(), merged)),
            Resolution::Unsettled(why) => Err(why),
            other => panic!("{other:?}"),
        }
    }
}

fn conflicting(path: &str, change: ChangeKind, conflict: BaseChange) -> Change {
    Change {
        path: rel(path),
        node: NodeKind::File,
        change,
        size: 0,
        hold: None,
        conflict: Some(conflict),
    }
}

fn modified(path: &str) -> Change {
    let change = ChangeKind::Modified {
        content: true,
        attributes: Vec::new(),
    };
    conflicting(path, change, BaseChange::Modified)
}

#[test]
fn the_branch_is_ours_and_the_base_theirs() {
    let world = World::new().with("f", ["0", "live", "branch"]);
    for (policy, expect) in [
        (ConflictPolicy::Abort, Resolution::Unsettled(Unsettled::Policy)),
        (ConflictPolicy::Ours, Resolution::Take),
        (ConflictPolicy::Theirs, Resolution::Skip),
        (ConflictPolicy::Both, Resolution::TakeAs(rel("f.fix"))),
    ] {
        assert_eq!(
            world.resolve(Ancestry::Unknown, &modified("f"), policy),
            expect,
            "{policy}"
        );
    }
}

#[test]
fn a_second_copy_gets_a_name_that_nobody_has() {
    let world = World::new()
        .with("d/f", ["0", "live", "branch"])
        .with("d/f.fix", ["", "", "branch"])
        .with("d/f.fix-2", ["", "live", ""]);
    let resolution = world.resolve(Ancestry::Unknown, &modified("d/f"), ConflictPolicy::Both);
    assert_eq!(resolution, Resolution::TakeAs(rel("d/f.fix-3")));
}

#[test]
fn keeping_both_deletes_nothing_that_the_base_has_changed() {
    let world = World::new().with("f", ["0", "live", ""]);
    let deleted = conflicting("f", ChangeKind::Deleted, BaseChange::Modified);
    assert_eq!(
        world.resolve(Ancestry::Unknown, &deleted, ConflictPolicy::Both),
        Resolution::Skip
    );
    let world = World::new().with("f", ["0", "", "branch"]);
    let vanished = Change {
        conflict: Some(BaseChange::Vanished),
        ..modified("f")
    };
    assert_eq!(
        world.resolve(Ancestry::Unknown, &vanished, ConflictPolicy::Both),
        Resolution::Take
    );
    let world = World::new()
        .with("old", ["0", "live", ""])
        .with("new", ["", "", "branch"]);
    let from = rel("old");
    let renamed = conflicting(
        "new",
        ChangeKind::Renamed { from, content: true },
        BaseChange::Modified,
    );
    let resolution = world.resolve(Ancestry::Unknown, &renamed, ConflictPolicy::Both);
    assert_eq!(resolution, Resolution::TakeAs(rel("new")));
}

#[test]
fn a_text_is_merged_when_it_is_known_what_it_was() {
    let world = World::new().with("f", ["1\n2\n3\n", "1\n2\nlive\n", "branch\n2\n3\n"]);
    let merged = world.text(Ancestry::Snapshot, &modified("f"));
    assert_eq!(merged, Ok(("branch\n2\nlive\n".to_owned(), Merged::Clean)));
    assert_eq!(
        world.text(Ancestry::Unknown, &modified("f")),
        Err(Unsettled::NoAncestor)
    );

    let kept = Stack::open(&[], &world.path("snapshot")).unwrap();
    assert_eq!(
        world.text(Ancestry::Kept(&kept), &modified("f")),
        Ok(("branch\n2\nlive\n".to_owned(), Merged::Clean))
    );
    let world = world.with("g", ["", "live\n", "branch\n"]);
    assert_eq!(
        world.text(Ancestry::Kept(&kept), &modified("g")),
        Err(Unsettled::NoAncestor)
    );

    let world = World::new().with("f", ["1\n", "live\n", "branch\n"]);
    let marked = "<<<<<<< fix\nbranch\n=======\nlive\n>>>>>>> base\n".to_owned();
    assert_eq!(
        world.text(Ancestry::Snapshot, &modified("f")),
        Ok((marked, Merged::WithMarkers))
    );
}

#[test]
fn a_file_that_both_have_added_is_marked_without_a_snapshot() {
    let world = World::new().with("f", ["", "live\nsame\n", "branch\nsame\n"]);
    let appeared = Change {
        conflict: Some(BaseChange::Appeared),
        ..modified("f")
    };
    for ancestry in [Ancestry::Unknown, Ancestry::Snapshot] {
        let (text, merged) = world.text(ancestry, &appeared).unwrap();
        assert_eq!(merged, Merged::WithMarkers);
        assert!(
            ["live\n", "branch\n", "same\n"]
                .iter()
                .all(|line| text.contains(line)),
            "{text}"
        );
    }
}

#[test]
fn a_renamed_file_is_merged_with_what_the_base_made_of_it() {
    let world = World::new()
        .with("old", ["1\n2\n3\n", "1\n2\nlive\n", ""])
        .with("new", ["", "", "branch\n2\n3\n"]);
    let from = rel("old");
    let renamed = conflicting(
        "new",
        ChangeKind::Renamed { from, content: true },
        BaseChange::Modified,
    );
    let merged = world.text(Ancestry::Snapshot, &renamed);
    assert_eq!(merged, Ok(("branch\n2\nlive\n".to_owned(), Merged::Clean)));
    let world = world.with("new", ["", "in the way", ""]);
    assert_eq!(world.text(Ancestry::Snapshot, &renamed), Err(Unsettled::NotFiles));
}

#[test]
fn what_is_no_text_file_on_every_side_is_not_merged() {
    let world = World::new().with("f", ["\0", "\0live", "\0branch"]);
    assert_eq!(
        world.text(Ancestry::Snapshot, &modified("f")),
        Err(Unsettled::Binary)
    );
    let world = World::new()
        .with("f", ["1", "", "2"])
        .with("f/in", ["", "live", ""]);
    assert_eq!(
        world.text(Ancestry::Snapshot, &modified("f")),
        Err(Unsettled::NotFiles)
    );
    let deleted = conflicting("f", ChangeKind::Deleted, BaseChange::Modified);
    assert_eq!(world.text(Ancestry::Snapshot, &deleted), Err(Unsettled::NotFiles));
    let long = "line\n".repeat(1 << 20);
    let world = World::new().with("f", ["1", &long, "2"]);
    assert_eq!(
        world.text(Ancestry::Snapshot, &modified("f")),
        Err(Unsettled::TooLong)
    );
}

#[test]
fn each_attribute_is_taken_from_who_changed_it() {
    let world = World::new().with("f", ["1\n2\n3\n", "1\n2\nlive\n", "branch\n2\n3\n"]);
    let chmod = |name: &str, mode| {
        fs::set_permissions(world.path(name).join("f"), fs::Permissions::from_mode(mode)).unwrap();
    };
    let mode = || match world.resolve(Ancestry::Snapshot, &modified("f"), ConflictPolicy::Text) {
        Resolution::Text { attributes, .. } => Ok(attributes.mode),
        Resolution::Unsettled(why) => Err(why),
        other => panic!("{other:?}"),
    };
    chmod("snapshot", 0o644);
    chmod("live", 0o644);
    chmod("layer", 0o755);
    assert_eq!(mode(), Ok(0o755));
    chmod("layer", 0o644);
    chmod("live", 0o600);
    assert_eq!(mode(), Ok(0o600));
    chmod("layer", 0o755);
    assert_eq!(mode(), Err(Unsettled::Attributes));
}
