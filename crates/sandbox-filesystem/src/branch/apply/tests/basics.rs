//! One of everything, committed and undone.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::super::super::testing::{assert_same, picture, rel, set_xattr, skip};
use super::super::*;
use super::scene::{Kept, Scene, edit, furnish, same_but_times};

fn commits_and_undoes(scene: &Scene, kept: Kept) {
    furnish(&scene.base);
    scene.branch();
    edit(&scene.tree);
    let before = picture(&scene.base);
    let plan = scene.plan(kept);
    let commit = scene.commit_dir();
    let applied = apply(&plan, &commit, &mut |_| {}).unwrap();
    assert_eq!(applied.status, CommitStatus::Done);
    let (base, tree) = same_but_times(&scene.base, &scene.tree);
    assert_same(&base, &tree, "the base after the commit, and the branch");
    assert!(scene.changes(&scene.stack(kept)).is_empty());
    for (path, left) in &applied.left {
        let there = scene.base.join(path).symlink_metadata().ok();
        assert_eq!(
            there.map(|meta| meta.ino()),
            left.map(|identity| identity.ino),
            "{path}"
        );
    }
    let undone = undo(&commit, &mut |_| {}).unwrap();
    assert_eq!(undone.status, CommitStatus::Undone);
    assert_same(
        &picture(&scene.base),
        &before,
        "the base after undo, and before the commit",
    );
    assert_eq!(status(&commit).unwrap(), CommitStatus::Undone);
}

#[test]
fn a_commit_from_a_whole_copy_makes_the_base_what_the_branch_shows_and_undo_restores_it() {
    commits_and_undoes(&Scene::new(), Kept::Copy);
}

#[test]
fn a_commit_from_an_overlay_makes_the_base_what_the_branch_shows_and_undo_restores_it() {
    commits_and_undoes(&Scene::new(), Kept::Upper);
}

#[test]
fn a_base_on_another_file_system_than_its_branches_is_committed_to_and_undone() {
    let (memory, disk) = (Path::new("/dev/shm"), std::env::temp_dir());
    if fs::metadata(memory).is_ok_and(|memory| memory.dev() == fs::metadata(&disk).unwrap().dev()) {
        return skip("apply::another_file_system", "there is only one");
    }
    commits_and_undoes(&Scene::new_in(memory, &disk), Kept::Upper);
    commits_and_undoes(&Scene::new_in(&disk, memory), Kept::Upper);
    commits_and_undoes(&Scene::new_in(&disk, memory), Kept::Copy);
}

#[test]
fn a_commit_whose_undo_was_given_up_keeps_nothing_and_stays_in_the_base() {
    let scene = Scene::new();
    furnish(&scene.base);
    scene.branch();
    edit(&scene.tree);
    let commit = scene.commit(Kept::Copy);
    let committed = picture(&scene.base);
    give_up_undo(&commit).unwrap();
    // Killed in the middle, there is something left to be removed.
    fs::create_dir(commit.join("slots")).unwrap();
    give_up_undo(&commit).unwrap();
    assert_eq!(status(&commit).unwrap(), CommitStatus::Final);
    let names: Vec<_> = fs::read_dir(&commit)
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(names, ["state"]);
    let refused = undo(&commit, &mut |_| {}).unwrap_err();
    assert!(
        matches!(
            refused,
            ApplyError::Status {
                status: CommitStatus::Final,
                ..
            }
        ),
        "{refused}"
    );
    for direction in [Direction::Finish, Direction::RollBack] {
        let recovered = recover(&commit, direction, &mut |_| {}).unwrap();
        assert_eq!(recovered.status, CommitStatus::Final);
    }
    assert_same(
        &picture(&scene.base),
        &committed,
        "the base afterwards, and as it was committed",
    );
}

#[test]
fn what_an_undone_commit_was_is_still_known_when_undo_is_given_up() {
    let scene = Scene::new();
    furnish(&scene.base);
    scene.branch();
    edit(&scene.tree);
    let commit = scene.commit(Kept::Copy);
    undo(&commit, &mut |_| {}).unwrap();
    give_up_undo(&commit).unwrap();
    assert_eq!(status(&commit).unwrap(), CommitStatus::Undone);
}

#[test]
fn nothing_of_the_commit_stays_in_the_base() {
    let scene = Scene::new_in(Path::new("/dev/shm"), &std::env::temp_dir());
    furnish(&scene.base);
    scene.branch();
    fs::write(scene.tree.join("src/new"), "").unwrap();
    let root_before = fs::metadata(&scene.base).unwrap().mtime_nsec();
    let commit = scene.commit(Kept::Copy);
    let is_ours = |path: &sandbox_types::RelPath| path.as_bytes().starts_with(STAGING_PREFIX.as_bytes());
    assert!(!picture(&scene.base).keys().any(is_ours));
    assert_eq!(fs::metadata(&scene.base).unwrap().mtime_nsec(), root_before);
    undo(&commit, &mut |_| {}).unwrap();
    assert!(!picture(&scene.base).keys().any(is_ours));
    assert!(fs::read_dir(&commit).unwrap().all(|entry| {
        let name = entry.unwrap().file_name();
        name != "slots" && name != "saved"
    }));
}

#[test]
fn no_inode_is_shared_with_the_layer_and_the_layer_is_not_written() {
    let scene = Scene::new();
    furnish(&scene.base);
    scene.branch();
    edit(&scene.tree);
    let stack = scene.stack(Kept::Upper);
    let upper = picture(&scene.upper);
    let plan = ApplyPlan::from_changes(&stack, &scene.base, &scene.changes(&stack)).unwrap();
    apply(&plan, &scene.commit_dir(), &mut |_| {}).unwrap();
    assert_same(&picture(&scene.upper), &upper, "the layer");
    for path in upper.keys() {
        let inode = |root: &Path| root.join(path).symlink_metadata().ok().map(|meta| meta.ino());
        assert_ne!(inode(&scene.base), inode(&scene.upper), "{path}");
    }
}

#[test]
fn a_commit_is_numbered_and_is_carried_out_once() {
    let scene = Scene::new();
    scene.branch();
    fs::write(scene.tree.join("file"), "").unwrap();
    let plan = scene.plan(Kept::Copy);
    let first = scene.commit_dir();
    assert_eq!(first, scene.commits.join("c1"));
    assert_eq!(scene.commit_dir(), scene.commits.join("c2"));
    apply(&plan, &first, &mut |_| {}).unwrap();
    let again = apply(&plan, &first, &mut |_| {}).unwrap_err();
    assert!(
        matches!(
            again,
            ApplyError::Status {
                status: CommitStatus::Done,
                ..
            }
        ),
        "{again}"
    );
    undo(&first, &mut |_| {}).unwrap();
    let again = undo(&first, &mut |_| {}).unwrap_err();
    assert!(
        matches!(
            again,
            ApplyError::Status {
                status: CommitStatus::Undone,
                ..
            }
        ),
        "{again}"
    );
}

#[test]
fn a_deleted_directory_stays_where_something_in_it_is_not_committed() {
    let scene = Scene::new();
    furnish(&scene.base);
    scene.branch();
    fs::remove_dir_all(scene.tree.join("old")).unwrap();
    let stack = scene.stack(Kept::Upper);
    let mut changes = scene.changes(&stack);
    changes.retain(|change| change.path != rel("old/b"));
    let plan = ApplyPlan::from_changes(&stack, &scene.base, &changes).unwrap();
    let kept = Note {
        path: rel("old"),
        what: Noted::DirectoryKept,
    };
    assert_eq!(plan.notes, [kept]);
    apply(&plan, &scene.commit_dir(), &mut |_| {}).unwrap();
    assert!(!scene.base.join("old/a").exists());
    assert!(scene.base.join("old/b").exists());
}

#[test]
fn directories_that_a_committed_file_needs_come_along_and_are_named() {
    let scene = Scene::new();
    furnish(&scene.base);
    scene.branch();
    fs::create_dir_all(scene.tree.join("x/y/z")).unwrap();
    fs::write(scene.tree.join("x/y/file"), "").unwrap();
    let stack = scene.stack(Kept::Upper);
    let mut changes = scene.changes(&stack);
    changes.retain(|change| change.path == rel("x/y/file"));
    let plan = ApplyPlan::from_changes(&stack, &scene.base, &changes).unwrap();
    let mut added: Vec<_> = plan.notes.iter().map(|note| note.path.clone()).collect();
    added.sort();
    assert_eq!(added, [rel("x"), rel("x/y")]);
    let commit = scene.commit_dir();
    apply(&plan, &commit, &mut |_| {}).unwrap();
    assert!(scene.base.join("x/y/file").exists());
    assert!(!scene.base.join("x/y/z").exists());
}

#[test]
fn what_must_replace_a_directory_is_refused_while_something_in_it_is_kept() {
    let scene = Scene::new();
    furnish(&scene.base);
    scene.branch();
    fs::remove_dir_all(scene.tree.join("old")).unwrap();
    fs::write(scene.tree.join("old"), "").unwrap();
    let stack = scene.stack(Kept::Upper);
    let mut changes = scene.changes(&stack);
    changes.retain(|change| change.path != rel("old/a"));
    let error = ApplyPlan::from_changes(&stack, &scene.base, &changes).unwrap_err();
    assert_eq!(
        error.to_string(),
        "old: cannot replace a directory in which old/a is kept"
    );
    assert_eq!(error.hint().as_deref(), Some("commit old/a too"));
}

#[test]
fn a_link_to_an_unchanged_file_of_the_base_is_a_link_in_the_base_too() {
    for kept in [Kept::Copy, Kept::Upper] {
        let scene = Scene::new();
        fs::write(scene.base.join("file"), "content").unwrap();
        scene.branch();
        fs::hard_link(scene.tree.join("file"), scene.tree.join("link")).unwrap();
        let before = picture(&scene.base);
        let commit = scene.commit(kept);
        let inode = |name: &str| fs::metadata(scene.base.join(name)).unwrap().ino();
        assert_eq!(inode("file"), inode("link"));
        undo(&commit, &mut |_| {}).unwrap();
        assert_same(&picture(&scene.base), &before, "the base after undo");
    }
}

#[test]
fn a_name_that_is_changed_no_longer_shares_its_file_with_the_others() {
    let scene = Scene::new();
    fs::write(scene.base.join("a"), "content").unwrap();
    fs::hard_link(scene.base.join("a"), scene.base.join("b")).unwrap();
    scene.branch();
    // As overlayfs does it: writing to one name parts them.
    fs::remove_file(scene.tree.join("a")).unwrap();
    fs::write(scene.tree.join("a"), "changed").unwrap();
    let before = picture(&scene.base);
    let commit = scene.commit(Kept::Upper);
    assert_eq!(fs::read(scene.base.join("b")).unwrap(), b"content");
    undo(&commit, &mut |_| {}).unwrap();
    assert_same(&picture(&scene.base), &before, "the base after undo");
}

#[test]
fn an_attribute_of_a_file_with_two_names_is_committed_with_one_of_them_and_then_with_the_other() {
    for kept in [Kept::Copy, Kept::Upper] {
        let scene = Scene::new();
        fs::write(scene.base.join("a"), "content").unwrap();
        fs::hard_link(scene.base.join("a"), scene.base.join("b")).unwrap();
        scene.branch();
        set_xattr(&scene.tree.join("a"), "x", b"1");
        let before = picture(&scene.base);
        let stack = scene.stack(kept);
        let changes = scene.changes(&stack);
        assert_eq!(changes.len(), 2, "{changes:?}");
        let plan = ApplyPlan::from_changes(&stack, &scene.base, &changes[..1]).unwrap();
        let first = scene.commit_dir();
        apply(&plan, &first, &mut |_| {}).unwrap();
        let now = picture(&scene.base);
        let has_it = ["a", "b"].map(|name| !now[&rel(name)].attributes.xattrs.0.is_empty());
        assert_eq!(has_it, [true, false]);
        let plan = ApplyPlan::from_changes(&stack, &scene.base, &scene.changes(&stack)).unwrap();
        let second = scene.commit_dir();
        apply(&plan, &second, &mut |_| {}).unwrap();
        let (base, tree) = same_but_times(&scene.base, &scene.tree);
        assert_same(&base, &tree, "the base after both commits, and the branch");
        undo(&second, &mut |_| {}).unwrap();
        undo(&first, &mut |_| {}).unwrap();
        assert_same(&picture(&scene.base), &before, "the base after both are undone");
    }
}

#[test]
fn holes_stay_holes_in_the_base() {
    let scene = Scene::new();
    scene.branch();
    let file = fs::File::create(scene.tree.join("sparse")).unwrap();
    file.set_len(1 << 30).unwrap();
    scene.commit(Kept::Copy);
    let meta = fs::metadata(scene.base.join("sparse")).unwrap();
    assert_eq!(meta.len(), 1 << 30);
    assert!(meta.blocks() < 1000, "{}", meta.blocks());
}
