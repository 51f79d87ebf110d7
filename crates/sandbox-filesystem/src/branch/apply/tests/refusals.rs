//! What the system refuses: found before the base is touched where that can be, else taken back.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{IFlags, OFlags};

use super::super::super::testing::{assert_same, picture, rel, skip};
use super::super::error::StepError;
use super::super::slots::force_plain_renames;
use super::super::*;
use super::scene::{Kept, Scene, edit, furnish, same_but_times, whiteout};

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Makes a file or directory immutable, or no longer.
fn set_immutable(path: &Path, immutable: bool) -> rustix::io::Result<()> {
    let node = rustix::fs::open(path, OFlags::RDONLY, rustix::fs::Mode::empty())?;
    let mut flags = rustix::fs::ioctl_getflags(&node)?;
    flags.set(IFlags::IMMUTABLE, immutable);
    rustix::fs::ioctl_setflags(&node, flags)
}

#[test]
fn a_step_that_the_system_refuses_is_an_error_and_everything_is_taken_back() {
    let scene = Scene::new();
    furnish(&scene.base);
    fs::write(scene.base.join("zzz"), "immutable").unwrap();
    scene.branch();
    edit(&scene.tree);
    fs::write(scene.tree.join("zzz"), "changed").unwrap();
    let before = picture(&scene.base);
    let plan = scene.plan(Kept::Upper);
    if let Err(errno) = set_immutable(&scene.base.join("zzz"), true) {
        return skip(
            "apply::a_step_that_the_system_refuses",
            &format!("no immutable files: {errno}"),
        );
    }
    // Setting the flag has changed its ctime; the plan is made again.
    let plan = ApplyPlan {
        notes: plan.notes,
        ..scene.plan(Kept::Upper)
    };
    let commit = scene.commit_dir();
    let error = apply(&plan, &commit, &mut |_| {}).unwrap_err();
    set_immutable(&scene.base.join("zzz"), false).unwrap();
    let ApplyError::RolledBack {
        failure: StepError::Io { path, source },
        ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!((path, source.kind()), (&rel("zzz"), ErrorKind::PermissionDenied));
    assert_eq!(error.hint(), Some("give yourself permission to write there"));
    assert_same(&picture(&scene.base), &before, "the base");
    assert_eq!(status(&commit).unwrap(), CommitStatus::RolledBack);
}

#[test]
fn a_directory_that_may_not_be_written_is_found_before_anything_is_done() {
    let scene = Scene::new();
    furnish(&scene.base);
    scene.branch();
    fs::write(scene.tree.join("readme"), "changed").unwrap();
    fs::write(scene.tree.join("src/deep/new"), "new").unwrap();
    let dir = scene.base.join("src/deep");
    if is_root() {
        if let Err(errno) = set_immutable(&dir, true) {
            return skip(
                "apply::a_directory_that_may_not_be_written",
                &format!("no immutable files: {errno}"),
            );
        }
    } else {
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o555)).unwrap();
    }
    let stack = scene.stack(Kept::Copy);
    let mut changes = scene.changes(&stack);
    changes.retain(|change| change.path != rel("src/deep"));
    let plan = ApplyPlan::from_changes(&stack, &scene.base, &changes).unwrap();
    let before = picture(&scene.base);
    let commit = scene.commit_dir();
    let error = apply(&plan, &commit, &mut |_| {}).unwrap_err();
    assert!(
        matches!(&error, ApplyError::NotWritable { path, .. } if *path == rel("src/deep")),
        "{error}"
    );
    assert_same(&picture(&scene.base), &before, "the base");
    assert_eq!(status(&commit).unwrap(), CommitStatus::Empty);
    if is_root() {
        set_immutable(&dir, false).unwrap();
    }
}

#[test]
fn a_file_that_the_branch_writes_while_it_is_committed_is_an_error() {
    let scene = Scene::new();
    scene.branch();
    fs::write(scene.tree.join("file"), "content").unwrap();
    let plan = scene.plan(Kept::Copy);
    fs::write(scene.tree.join("file"), "changed").unwrap();
    let commit = scene.commit_dir();
    let error = apply(&plan, &commit, &mut |_| {}).unwrap_err();
    assert!(
        matches!(&error, ApplyError::SourceMoved { path } if *path == rel("file")),
        "{error}"
    );
    assert_eq!(status(&commit).unwrap(), CommitStatus::RolledBack);
    assert!(!commit.join("slots").exists());
}

#[test]
fn a_plan_of_something_the_branch_no_longer_has_is_an_error() {
    let scene = Scene::new();
    scene.branch();
    fs::write(scene.tree.join("file"), "content").unwrap();
    let stack = scene.stack(Kept::Copy);
    let changes = scene.changes(&stack);
    fs::remove_file(scene.tree.join("file")).unwrap();
    let error = ApplyPlan::from_changes(&stack, &scene.base, &changes).unwrap_err();
    assert!(
        matches!(&error, PlanError::BranchMoved { path } if *path == rel("file")),
        "{error}"
    );
}

#[test]
fn two_processes_do_not_work_on_one_commit() {
    let scene = Scene::new();
    scene.branch();
    fs::write(scene.tree.join("file"), "content").unwrap();
    let commit = scene.commit(Kept::Copy);
    let held = fs::File::open(&commit).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let error = undo(&commit, &mut |_| {}).unwrap_err();
    assert!(matches!(error, ApplyError::Busy { .. }), "{error}");
}

#[test]
fn a_base_that_is_another_directory_than_it_was_is_left_alone() {
    let scene = Scene::new();
    scene.branch();
    fs::write(scene.tree.join("file"), "content").unwrap();
    let commit = scene.commit(Kept::Copy);
    fs::rename(&scene.base, scene.base.with_extension("away")).unwrap();
    fs::create_dir(&scene.base).unwrap();
    fs::write(scene.base.join("file"), "content").unwrap();
    let error = undo(&commit, &mut |_| {}).unwrap_err();
    assert!(matches!(error, ApplyError::BaseReplaced { .. }), "{error}");
    assert!(scene.base.join("file").exists());
}

#[test]
fn sockets_and_what_overlayfs_would_take_for_a_deletion_are_left_out_and_named() {
    let scene = Scene::new();
    scene.branch();
    let _listening = UnixListener::bind(scene.tree.join("socket")).unwrap();
    whiteout(&scene.tree.join("whiteout"));
    let plan = scene.plan(Kept::Copy);
    let noted = |path: &str, what| Note {
        path: rel(path),
        what,
    };
    assert_eq!(
        plan.notes,
        [
            noted("socket", Noted::SocketLeftOut),
            noted("whiteout", Noted::WhiteoutLeftOut),
        ]
    );
    assert!(plan.steps.is_empty());
}

#[test]
fn a_file_system_that_cannot_exchange_is_committed_to_in_two_steps() {
    let scene = Scene::new();
    furnish(&scene.base);
    scene.branch();
    edit(&scene.tree);
    let before = picture(&scene.base);
    force_plain_renames(true);
    let commit = scene.commit(Kept::Upper);
    let (base, tree) = same_but_times(&scene.base, &scene.tree);
    assert_same(&base, &tree, "the base after the commit");
    undo(&commit, &mut |_| {}).unwrap();
    force_plain_renames(false);
    assert_same(&picture(&scene.base), &before, "the base after undo");
}

#[test]
fn owners_are_committed_and_restored_by_root() {
    if !is_root() {
        return skip("apply::owners_are_committed", "only root may set them");
    }
    for store in [std::env::temp_dir(), PathBuf::from("/dev/shm")] {
        let scene = Scene::new_in(&std::env::temp_dir(), &store);
        furnish(&scene.base);
        let own = |dir: &Path, path: &str, id| {
            std::os::unix::fs::lchown(dir.join(path), Some(id), Some(id + 1)).unwrap();
        };
        own(&scene.base, "readme", 1000);
        own(&scene.base, "old", 1002);
        own(&scene.base, "src", 1004);
        scene.branch();
        edit(&scene.tree);
        own(&scene.tree, "moved", 2000);
        own(&scene.tree, "link", 2002);
        own(&scene.tree, "read-only", 2004);
        own(&scene.tree, "script", 2006);
        let before = picture(&scene.base);
        let commit = scene.commit(Kept::Upper);
        let (base, tree) = same_but_times(&scene.base, &scene.tree);
        assert_same(&base, &tree, "the base after the commit");
        undo(&commit, &mut |_| {}).unwrap();
        assert_same(&picture(&scene.base), &before, "the base after undo");
    }
}

/// What a child does in a mount namespace of its own, as a variable of its environment: `TASK BASE STORE`.
const TASK: &str = "SANDBOX_TEST_MOUNTED";

/// Runs this binary's `a_child_in_mounts_of_its_own` after `mounts`, a shell script in which $1 is a directory of
/// its own. False where that is not possible here.
fn in_mounts(name: &str, mounts: &str, task: &str) -> bool {
    let place = tempfile::tempdir().unwrap();
    let script = format!(
        "set -e; {mounts}; test -z \"$2\" || exec \"$2\" --exact --nocapture \
        branch::apply::tests::refusals::a_child_in_mounts_of_its_own"
    );
    let run = |binary: &Path| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh"]);
        command.arg(place.path()).arg(binary).stdin(Stdio::null());
        command
            .env(TASK, format!("{task} {}", place.path().to_str().unwrap()))
            .output()
    };
    let problem = match run(Path::new("")) {
        Err(error) => error.to_string(),
        Ok(output) if !output.status.success() => String::from_utf8_lossy(&output.stderr).into_owned(),
        Ok(_) => String::new(),
    };
    if !problem.is_empty() {
        skip(name, &problem);
        return false;
    }
    let output = run(&std::env::current_exe().unwrap()).unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("<done>"), "{said}");
    true
}

/// Is no test of its own: what [`in_mounts`] runs. Does nothing where it is not told what to do.
#[test]
fn a_child_in_mounts_of_its_own() {
    let Ok(task) = std::env::var(TASK) else { return };
    let (task, place) = task.split_once(' ').unwrap();
    let place = Path::new(place);
    match task {
        "full" => full_disk(&place.join("small"), &place.join("large")),
        "overlay" => over_an_overlay(&place.join("merged"), &place.join("small")),
        "submount" => mount_inside(&place.join("small"), &place.join("large")),
        _ => panic!("{task}"),
    }
    println!("<done>");
}

const TWO_FILE_SYSTEMS: &str = "cd \"$1\"; mkdir -p small large; \
    mount -t tmpfs -o size=2m none small; mount -t tmpfs -o size=64m none large";

#[test]
fn a_full_disk_is_found_before_the_base_is_touched() {
    in_mounts("apply::a_full_disk", TWO_FILE_SYSTEMS, "full");
}

fn full_disk(small: &Path, large: &Path) {
    for (base, store) in [(small, large), (small, small)] {
        let scene = Scene::new_in(base, store);
        furnish(&scene.base);
        scene.branch();
        edit(&scene.tree);
        // A hole costs nothing until it is written: the store has room for it, the base has not.
        let file = fs::File::create(scene.tree.join("large")).unwrap();
        let size = if store == large { 3 << 20 } else { 1500 << 10 };
        std::os::unix::fs::FileExt::write_all_at(&file, &vec![1; size], 0).unwrap();
        let before = picture(&scene.base);
        let commit = scene.commit_dir();
        let error = apply(&scene.plan(Kept::Copy), &commit, &mut |_| {}).unwrap_err();
        let ApplyError::Stage { path, source } = &error else {
            panic!("{error}")
        };
        assert_eq!((path, source.kind()), (&rel("large"), ErrorKind::StorageFull));
        assert_eq!(
            error.hint(),
            Some("free some space on the workspace's file system")
        );
        assert_same(&picture(&scene.base), &before, "the base");
        assert_eq!(status(&commit).unwrap(), CommitStatus::RolledBack);
        // With room for it, it works.
        fs::remove_file(scene.tree.join("large")).unwrap();
        scene.commit(Kept::Copy);
    }
}

#[test]
fn a_base_on_overlayfs_is_committed_to_and_undone() {
    let mounts = format!(
        "{TWO_FILE_SYSTEMS}; mkdir -p merged large/upper large/work large/lower/base; \
        test -z \"$2\" || {{ SANDBOX_TEST_MOUNTED=\"furnish $1\" true; }}; \
        cd large/lower/base; mkdir -p old src/deep; echo a > old/a; echo b > src/deep/b; echo r > readme; cd \"$1\"; \
        mount -t overlay -o lowerdir=large/lower,upperdir=large/upper,workdir=large/work,userxattr overlay merged"
    );
    in_mounts("apply::a_base_on_overlayfs", &mounts, "overlay");
}

fn over_an_overlay(merged: &Path, store: &Path) {
    let mut scene = Scene::new_in(store, store);
    // What is beneath is the overlay's lower layer, whose directories cannot be moved.
    scene.base = merged.join("base");
    scene.branch();
    fs::remove_dir_all(scene.tree.join("old")).unwrap();
    fs::remove_dir_all(scene.tree.join("src")).unwrap();
    fs::write(scene.tree.join("src"), "was a directory").unwrap();
    fs::write(scene.tree.join("readme"), "changed").unwrap();
    let before = picture(&scene.base);
    let commit = scene.commit(Kept::Copy);
    let (base, tree) = same_but_times(&scene.base, &scene.tree);
    assert_same(&base, &tree, "the base after the commit");
    undo(&commit, &mut |_| {}).unwrap();
    assert_same(&picture(&scene.base), &before, "the base after undo");
}

#[test]
fn a_change_in_what_is_mounted_inside_the_base_is_refused() {
    in_mounts("apply::a_change_in_a_mount", TWO_FILE_SYSTEMS, "submount");
}

fn mount_inside(base: &Path, store: &Path) {
    let scene = Scene::new_in(base, store);
    fs::create_dir(scene.base.join("mounted")).unwrap();
    scene.branch();
    fs::write(scene.tree.join("mounted/file"), "new").unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "none"])
        .arg(scene.base.join("mounted"))
        .status();
    assert!(mounted.unwrap().success());
    let error = ApplyPlan::from_changes(
        &scene.stack(Kept::Copy),
        &scene.base,
        &scene.changes(&scene.stack(Kept::Copy)),
    );
    let refused = match error {
        Err(PlanError::OtherFileSystem { path }) => path,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused, rel("mounted/file"));
    assert!(
        Command::new("umount")
            .arg(scene.base.join("mounted"))
            .status()
            .unwrap()
            .success()
    );
}
