//! What others do to the base before, while and after a commit is applied is neither lost nor overwritten.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use sandbox_types::BaseChange;

use super::super::super::progress::{Phase, Progress};
use super::super::super::testing::{assert_same, differences, picture, rel, set_mtime};
use super::super::*;
use super::scene::{Kept, Scene, edit, furnish, same_but_times, slowly, without_times};

fn edited() -> Scene {
    let scene = Scene::new();
    furnish(&scene.base);
    scene.branch();
    edit(&scene.tree);
    scene
}

/// Progress that does something once, when the base is being changed and `count` steps are done.
fn after_steps(count: u64, act: impl FnOnce()) -> impl FnMut(Progress) {
    let mut act = Some(act);
    move |progress| {
        if progress.phase == Phase::Applying
            && progress.entries == count
            && let Some(act) = act.take()
        {
            act();
        }
    }
}

fn conflicts(error: &ApplyError) -> Vec<(String, BaseChange)> {
    let mut found: Vec<_> = error
        .conflicts()
        .iter()
        .map(|conflict| (conflict.path.to_string(), conflict.change))
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

#[test]
fn every_path_that_was_changed_since_the_plan_was_made_is_named_and_nothing_is_written() {
    let scene = edited();
    let plan = scene.plan(Kept::Upper);
    fs::write(scene.base.join("readme"), "changed by another").unwrap();
    fs::remove_file(scene.base.join("old/a")).unwrap();
    fs::write(scene.base.join("old/c"), "new").unwrap();
    fs::write(scene.base.join("moved"), "new").unwrap();
    fs::remove_file(scene.base.join("link")).unwrap();
    fs::write(scene.base.join("link"), "no link").unwrap();
    fs::set_permissions(scene.base.join("script"), fs::Permissions::from_mode(0o700)).unwrap();
    let before = picture(&scene.base);
    let error = apply(&plan, &scene.commit_dir(), &mut |_| {}).unwrap_err();
    let expected = [
        ("link", BaseChange::Replaced),
        ("moved", BaseChange::Appeared),
        ("old/a", BaseChange::Vanished),
        ("old/c", BaseChange::Appeared),
        ("readme", BaseChange::Modified),
        ("script", BaseChange::Modified),
        ("src/readme-link", BaseChange::Modified),
    ];
    assert_eq!(
        conflicts(&error),
        expected.map(|(path, change)| (path.to_owned(), change))
    );
    assert!(error.to_string().ends_with("; 4 more"), "{error}");
    assert_same(&picture(&scene.base), &before, "the base");
}

#[test]
fn content_written_with_the_old_time_and_size_is_noticed() {
    let scene = edited();
    let plan = scene.plan(Kept::Upper);
    let mtime = fs::metadata(scene.base.join("readme")).unwrap();
    fs::File::options()
        .write(true)
        .open(scene.base.join("readme"))
        .unwrap()
        .write_all_at(b"HELLO", 0)
        .unwrap();
    set_mtime(
        &scene.base.join("readme"),
        (mtime.mtime(), u32::try_from(mtime.mtime_nsec()).unwrap()),
    );
    let error = apply(&plan, &scene.commit_dir(), &mut |_| {}).unwrap_err();
    let names = ["readme", "src/readme-link"];
    assert_eq!(
        conflicts(&error),
        names.map(|name| (name.to_owned(), BaseChange::Modified))
    );
}

#[test]
fn what_is_changed_while_the_plan_is_applied_stays_and_the_rest_is_taken_back() {
    let scene = edited();
    let before = picture(&scene.base);
    let act = || fs::write(scene.base.join("readme"), "changed by another").unwrap();
    let commit = scene.commit_dir();
    let error = apply(&scene.plan(Kept::Upper), &commit, &mut after_steps(3, act)).unwrap_err();
    assert_eq!(conflicts(&error), [("readme".to_owned(), BaseChange::Modified)]);
    assert_eq!(
        fs::read(scene.base.join("readme")).unwrap(),
        b"changed by another"
    );
    let differing = differences(&picture(&scene.base), &before);
    // Its other name is the same file.
    let names: Vec<_> = differing
        .iter()
        .filter_map(|text| text.split(':').next())
        .collect();
    assert_eq!(names, ["readme", "src/readme-link"], "{differing:?}");
    assert_eq!(status(&commit).unwrap(), CommitStatus::RolledBack);
}

#[test]
fn what_appears_in_a_directory_while_it_is_removed_stays_and_the_rest_is_taken_back() {
    let scene = edited();
    let before = picture(&scene.base);
    let act = || fs::write(scene.base.join("old/mine"), "mine").unwrap();
    // Removals come first, from the innermost: old/b and old/a are gone then, and old is not yet replaced.
    let error = apply(
        &scene.plan(Kept::Upper),
        &scene.commit_dir(),
        &mut after_steps(6, act),
    )
    .unwrap_err();
    assert_eq!(conflicts(&error), [("old".to_owned(), BaseChange::Modified)]);
    assert_eq!(fs::read(scene.base.join("old/mine")).unwrap(), b"mine");
    fs::remove_file(scene.base.join("old/mine")).unwrap();
    set_mtime(
        &scene.base.join("old"),
        before[&rel("old")].attributes.mtime.unwrap(),
    );
    assert_same(&picture(&scene.base), &before, "the rest of the base");
}

#[test]
fn a_directory_that_is_swapped_for_a_link_meanwhile_leads_nowhere() {
    let scene = edited();
    let before = picture(&scene.base);
    let outside = tempfile::tempdir().unwrap();
    furnish(outside.path());
    let untouched = picture(outside.path());
    let away = scene.base.join("src-away");
    let act = || {
        fs::rename(scene.base.join("src"), &away).unwrap();
        symlink(outside.path().join("src"), scene.base.join("src")).unwrap();
    };
    let commit = scene.commit_dir();
    let error = apply(&scene.plan(Kept::Upper), &commit, &mut after_steps(10, act)).unwrap_err();
    assert_same(&picture(outside.path()), &untouched, "what the link leads to");
    // Some of it had been done in the directory that is now elsewhere, so it cannot be taken back yet.
    assert!(matches!(error, ApplyError::Stuck { .. }), "{error}");
    assert_eq!(status(&commit).unwrap(), CommitStatus::Applying);
    let error = recover(&commit, Direction::RollBack, &mut |_| {}).unwrap_err();
    assert!(matches!(error, ApplyError::Unfinished { .. }), "{error}");
    fs::remove_file(scene.base.join("src")).unwrap();
    fs::rename(&away, scene.base.join("src")).unwrap();
    recover(&commit, Direction::RollBack, &mut |_| {}).unwrap();
    assert_same(&picture(&scene.base), &before, "the base");
    assert_same(&picture(outside.path()), &untouched, "what the link leads to");
}

#[test]
fn a_directory_that_was_swapped_for_a_link_before_leads_nowhere() {
    let scene = edited();
    let plan = scene.plan(Kept::Upper);
    let outside = tempfile::tempdir().unwrap();
    furnish(outside.path());
    let untouched = picture(outside.path());
    fs::rename(scene.base.join("src"), scene.base.join("src-away")).unwrap();
    symlink(outside.path().join("src"), scene.base.join("src")).unwrap();
    let error = apply(&plan, &scene.commit_dir(), &mut |_| {}).unwrap_err();
    assert!(
        conflicts(&error).contains(&("src/main".to_owned(), BaseChange::Vanished)),
        "{error}"
    );
    assert_same(&picture(outside.path()), &untouched, "what the link leads to");
}

/// Ends the other thread, also when this one fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_file_that_somebody_keeps_replacing_is_never_overwritten_unseen() {
    let scene = Scene::new();
    let file = scene.base.join("file");
    fs::write(&file, "start").unwrap();
    scene.branch();
    fs::remove_file(scene.tree.join("file")).unwrap();
    fs::write(scene.tree.join("file"), "ours").unwrap();
    let (is_over, draft) = (AtomicBool::new(false), scene.base.join("draft"));
    std::thread::scope(|scope| {
        let _ends = Ends(&is_over);
        scope.spawn(|| {
            for number in 0_u64.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                fs::write(&draft, format!("theirs {number}")).unwrap();
                fs::rename(&draft, &file).unwrap();
            }
        });
        let mut done = 0;
        for _ in 0..200 {
            let mut plan = scene.plan(Kept::Copy);
            plan.steps.retain(|step| step.path == rel("file"));
            let Some(before) = plan.steps.first().and_then(|step| step.before) else {
                continue;
            };
            let commit = scene.commit_dir();
            match apply(&plan, &commit, &mut |_| {}) {
                // What was overwritten is what was seen.
                Ok(_) => {
                    done += 1;
                    assert_eq!(fs::metadata(commit.join("slots/0")).unwrap().ino(), before.ino);
                }
                Err(error) => {
                    assert_eq!(error.conflicts().len(), 1, "{error}");
                    assert_ne!(fs::read(&file).unwrap(), b"ours");
                }
            }
        }
        println!("{done} of 200 were faster");
    });
    let kept = fs::read_dir(&scene.base)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    for name in kept {
        assert!(name == "file" || name == "draft" || name.to_str().unwrap().starts_with(".sandbox-kept-"));
    }
}

#[test]
fn undo_is_refused_with_every_path_that_was_changed_since_and_changes_nothing() {
    let scene = edited();
    let commit = scene.commit(Kept::Upper);
    fs::write(scene.base.join("readme"), "changed again").unwrap();
    fs::write(scene.base.join("src/main/in/mine"), "mine").unwrap();
    fs::remove_file(scene.base.join("moved")).unwrap();
    fs::create_dir(scene.base.join("src/deep")).unwrap();
    let before = picture(&scene.base);
    let error = undo(&commit, &mut |_| {}).unwrap_err();
    let expected = [
        ("moved", BaseChange::Vanished),
        ("readme", BaseChange::Modified),
        ("src/deep", BaseChange::Appeared),
        ("src/main/in/mine", BaseChange::Appeared),
        ("src/readme-link", BaseChange::Modified),
    ];
    assert_eq!(
        conflicts(&error),
        expected.map(|(path, change)| (path.to_owned(), change))
    );
    assert_same(&picture(&scene.base), &before, "the base");
    assert_eq!(status(&commit).unwrap(), CommitStatus::Done);
}

#[test]
fn undo_leaves_other_files_alone_and_the_times_of_their_directories() {
    let scene = edited();
    let commit = scene.commit(Kept::Upper);
    fs::write(scene.base.join("src/mine"), "mine").unwrap();
    let theirs = fs::metadata(scene.base.join("src")).unwrap().modified().unwrap();
    undo(&commit, &mut |_| {}).unwrap();
    assert_eq!(fs::read(scene.base.join("src/mine")).unwrap(), b"mine");
    assert!(fs::metadata(scene.base.join("src")).unwrap().modified().unwrap() >= theirs);
}

#[test]
fn an_old_file_that_was_written_through_another_name_is_not_restored_unseen() {
    let scene = Scene::new();
    fs::write(scene.base.join("a"), "content").unwrap();
    fs::hard_link(scene.base.join("a"), scene.base.join("b")).unwrap();
    scene.branch();
    fs::remove_file(scene.tree.join("a")).unwrap();
    fs::write(scene.tree.join("a"), "changed").unwrap();
    let commit = scene.commit(Kept::Upper);
    fs::write(scene.base.join("b"), "written through b").unwrap();
    let error = undo(&commit, &mut |_| {}).unwrap_err();
    assert_eq!(conflicts(&error), [("a".to_owned(), BaseChange::Modified)]);
    assert_eq!(fs::read(scene.base.join("a")).unwrap(), b"changed");
}

#[test]
fn undo_that_meets_a_change_on_its_way_leaves_the_commit_as_it_was() {
    let scene = edited();
    let commit = scene.commit(Kept::Upper);
    let done = picture(&scene.base);
    let mut meddle = after_steps(5, || fs::write(scene.base.join("moved"), "changed").unwrap());
    let order_dependent = undo(&commit, &mut meddle);
    let error = order_dependent.unwrap_err();
    assert_eq!(conflicts(&error).len(), 1, "{error}");
    assert_eq!(status(&commit).unwrap(), CommitStatus::Done);
    let differing = differences(&picture(&scene.base), &done);
    let names: Vec<_> = differing
        .iter()
        .filter_map(|text| text.split(':').next())
        .collect();
    assert_eq!(names, ["moved"], "{differing:?}");
}

#[test]
fn commits_of_one_file_are_undone_one_after_the_other() {
    let (memory, disk) = (Path::new("/dev/shm"), std::env::temp_dir());
    for (base, store) in [(disk.as_path(), disk.as_path()), (disk.as_path(), memory)] {
        let scene = Scene::new_in(base, store);
        furnish(&scene.base);
        let mut pictures = vec![picture(&scene.base)];
        let mut commits = Vec::new();
        scene.branch();
        for round in 0..3 {
            fs::write(scene.tree.join("readme"), format!("round {round}")).unwrap();
            fs::remove_file(scene.tree.join("src/readme-link")).unwrap();
            fs::hard_link(scene.tree.join("readme"), scene.tree.join("src/readme-link")).unwrap();
            let dir = scene.tree.join("made");
            if round == 1 {
                fs::remove_dir(dir).unwrap();
            } else {
                fs::create_dir(dir).unwrap();
            }
            commits.push(scene.commit(Kept::Copy));
            pictures.push(picture(&scene.base));
        }
        while let Some(commit) = commits.pop() {
            assert_same(&picture(&scene.base), &pictures.pop().unwrap(), "before undo");
            undo(&commit, &mut |_| {}).unwrap();
        }
        assert_same(&picture(&scene.base), &pictures.pop().unwrap(), "in the end");
        let (base, _) = same_but_times(&scene.base, &scene.tree);
        assert!(!base.contains_key(&rel("made")));
    }
}

#[test]
fn a_commit_that_was_taken_back_can_be_repeated_and_older_ones_be_undone() {
    let scene = edited();
    let before = picture(&scene.base);
    let first = scene.commit(Kept::Upper);
    fs::write(scene.tree.join("readme"), "again").unwrap();
    fs::write(scene.tree.join("zzz"), "last").unwrap();
    let act = || fs::write(scene.base.join("zzz"), "somebody's").unwrap();
    let error = apply(
        &scene.plan(Kept::Upper),
        &scene.commit_dir(),
        &mut after_steps(1, act),
    )
    .unwrap_err();
    let ApplyError::RolledBack { left, .. } = &error else {
        panic!("{error}")
    };
    let identity = left[&rel("readme")].unwrap();
    assert_eq!(
        identity.ino,
        fs::metadata(scene.base.join("readme")).unwrap().ino()
    );
    assert!(!left.contains_key(&rel("zzz")), "it is not ours");
    fs::remove_file(scene.base.join("zzz")).unwrap();
    let second = scene.commit(Kept::Upper);
    undo(&second, &mut |_| {}).unwrap();
    undo(&first, &mut |_| {}).unwrap();
    // Somebody has made and removed an entry of the root: its time is theirs.
    assert_same(
        &without_times(picture(&scene.base)),
        &without_times(before),
        "the base",
    );
}

#[test]
fn a_file_that_gets_another_name_is_not_taken_for_changed_at_those_it_has() {
    for kept in [Kept::Copy, Kept::Upper] {
        let scene = Scene::new();
        fs::create_dir(scene.base.join("moves")).unwrap();
        fs::create_dir(scene.base.join("stays")).unwrap();
        fs::write(scene.base.join("stays/one"), "x").unwrap();
        fs::hard_link(scene.base.join("stays/one"), scene.base.join("moves/two")).unwrap();
        scene.branch();
        fs::rename(scene.tree.join("moves"), scene.tree.join("stays/moved")).unwrap();
        let old = picture(&scene.base);
        let commit = scene.commit_dir();
        apply(&scene.plan(kept), &commit, &mut slowly()).unwrap();
        let (base, tree) = same_but_times(&scene.base, &scene.tree);
        assert_same(&base, &tree, "the base, and the branch");
        undo(&commit, &mut slowly()).unwrap();
        assert_same(&picture(&scene.base), &old, "the base after undo");
    }
}

#[test]
fn older_commits_are_told_of_every_name_of_a_file_that_a_later_one_has_moved() {
    let scene = Scene::new();
    fs::write(scene.base.join("other"), "x").unwrap();
    scene.branch();
    fs::write(scene.tree.join("one"), "two names").unwrap();
    fs::hard_link(scene.tree.join("one"), scene.tree.join("two")).unwrap();
    let old = picture(&scene.base);
    let first = scene.commit_dir();
    apply(&scene.plan(Kept::Copy), &first, &mut slowly()).unwrap();
    fs::remove_file(scene.tree.join("two")).unwrap();
    let second = scene.commit_dir();
    apply(&scene.plan(Kept::Copy), &second, &mut slowly()).unwrap();
    undo(&second, &mut slowly()).unwrap();
    undo(&first, &mut slowly()).unwrap();
    assert_same(&picture(&scene.base), &old, "the base after both are undone");
}
