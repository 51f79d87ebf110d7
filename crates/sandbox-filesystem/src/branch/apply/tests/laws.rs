//! What holds for all trees and all edits.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::super::super::testing::{assert_same, picture, set_mtime, set_xattr};
use super::super::*;
use super::scene::{Kept, Scene, same_but_times, slowly};

/// One thing that is done to a tree; what cannot be done there is left.
#[derive(Debug, Clone)]
pub(super) enum Edit {
    Write(usize, u8),
    Append(usize, u8),
    MakeDir(usize),
    Remove(usize),
    Rename(usize, usize),
    Link(usize, usize),
    Symlink(usize, u8),
    Mode(usize, u32),
    Xattr(usize, u8),
    Time(usize, u32),
}

const NAMES: [&[u8]; 4] = [b"a", b"b", b"\xff", b"d"];
/// Paths of up to three names.
const PATHS: usize = 4 + 16 + 64;

/// The path with that number.
fn path(number: usize) -> PathBuf {
    let name = |index: usize| OsStr::from_bytes(NAMES[index % NAMES.len()]);
    match number {
        0..4 => name(number).into(),
        4..20 => Path::new(name((number - 4) / 4)).join(name(number - 4)),
        _ => Path::new(name((number - 20) / 16))
            .join(name((number - 20) / 4))
            .join(name(number - 20)),
    }
}

/// Fewer paths are better: they are met more often.
fn number() -> impl Strategy<Value = usize> {
    prop_oneof![0..4_usize, 4..20_usize, 20..PATHS]
}

fn edits(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        4 => (number(), any::<u8>()).prop_map(|(at, what)| Edit::Write(at, what)),
        1 => (number(), any::<u8>()).prop_map(|(at, what)| Edit::Append(at, what)),
        4 => number().prop_map(Edit::MakeDir),
        2 => number().prop_map(Edit::Remove),
        2 => (number(), number()).prop_map(|(from, to)| Edit::Rename(from, to)),
        1 => (number(), number()).prop_map(|(from, to)| Edit::Link(from, to)),
        1 => (number(), any::<u8>()).prop_map(|(at, what)| Edit::Symlink(at, what)),
        2 => (number(), 0..0o10000_u32).prop_map(|(at, mode)| Edit::Mode(at, mode)),
        1 => (number(), any::<u8>()).prop_map(|(at, what)| Edit::Xattr(at, what)),
        1 => (number(), any::<u32>()).prop_map(|(at, time)| Edit::Time(at, time)),
    ];
    proptest::collection::vec(edit, count)
}

pub(super) fn carry_out(edits: &[Edit], dir: &Path) {
    for edit in edits {
        // Most edits of a random sequence meet something that does not allow them.
        let _: std::io::Result<()> = carry_out_one(edit, dir);
    }
}

fn carry_out_one(edit: &Edit, dir: &Path) -> std::io::Result<()> {
    let at = |number: &usize| dir.join(path(*number));
    match edit {
        Edit::Write(number, what) => {
            let path = at(number);
            if path.symlink_metadata().is_ok() {
                fs::remove_file(&path)?;
            }
            let file = fs::File::create(path)?;
            file.write_all_at(&[*what; 3], u64::from(*what) * 100)
        }
        Edit::Append(number, what) => {
            let path = at(number);
            if !path.symlink_metadata()?.is_file() {
                return Ok(());
            }
            let file = fs::File::options().write(true).open(path)?;
            file.write_all_at(&[*what], file.metadata()?.len())
        }
        Edit::MakeDir(number) => fs::create_dir(at(number)),
        Edit::Remove(number) => {
            let path = at(number);
            if path.symlink_metadata()?.is_dir() {
                fs::remove_dir_all(path)
            } else {
                fs::remove_file(path)
            }
        }
        Edit::Rename(from, to) => fs::rename(at(from), at(to)),
        // Several names of what is no regular file are made several entries.
        Edit::Link(from, _) if !at(from).symlink_metadata()?.is_file() => Ok(()),
        Edit::Link(from, to) => fs::hard_link(at(from), at(to)),
        Edit::Symlink(number, what) => symlink(format!("{what}"), at(number)),
        Edit::Mode(number, mode) => {
            let path = at(number);
            let meta = path.symlink_metadata()?;
            // The owner must be able to take a picture of it.
            let mode = mode | if meta.is_dir() { 0o500 } else { 0o400 };
            if meta.is_symlink() {
                return Ok(());
            }
            fs::set_permissions(path, fs::Permissions::from_mode(mode))
        }
        Edit::Xattr(number, what) => {
            let path = at(number);
            let meta = path.symlink_metadata()?;
            if (meta.is_dir() || meta.is_file()) && meta.permissions().mode() & 0o200 != 0 {
                set_xattr(&path, "x", &[*what]);
            }
            Ok(())
        }
        Edit::Time(number, time) => {
            let path = at(number);
            path.symlink_metadata()?;
            set_mtime(&path, (i64::from(*time), time % 1_000_000_000));
            Ok(())
        }
    }
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: std::env::var("CASES").map_or(64, |n| n.parse().unwrap()),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// The mode of a directory is respected where it is not part of what is committed: what is put in place by a rename
/// needs a directory that may be written, also where the file itself may.
fn is_respected(applied: &Result<Applied, ApplyError>) -> bool {
    !rustix::process::geteuid().is_root() && matches!(applied, Err(ApplyError::NotWritable { .. }))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn undo_after_commit_restores_any_base_from_any_edits(
        before in edits(0..40),
        after in edits(1..40),
        kept in prop_oneof![Just(Kept::Copy), Just(Kept::Upper)],
    ) {
        let scene = Scene::new();
        carry_out(&before, &scene.base);
        scene.branch();
        carry_out(&after, &scene.tree);
        let old = picture(&scene.base);
        let plan = scene.plan(kept);
        let commit = scene.commit_dir();
        let applied = apply(&plan, &commit, &mut slowly());
        if is_respected(&applied) {
            assert_same(&picture(&scene.base), &old, "the base after a refusal, and before");
            return Ok(());
        }
        applied.unwrap();
        let (base, tree) = same_but_times(&scene.base, &scene.tree);
        assert_same(&base, &tree, "the base after the commit, and the branch");
        undo(&commit, &mut slowly()).unwrap();
        assert_same(&picture(&scene.base), &old, "the base after undo, and before the commit");
    }

    #[test]
    fn a_part_and_then_the_rest_is_the_same_as_everything_at_once(
        before in edits(0..40),
        after in edits(1..40),
        selected in proptest::collection::vec(any::<bool>(), 200),
        kept in prop_oneof![Just(Kept::Copy), Just(Kept::Upper)],
    ) {
        let scene = Scene::new();
        carry_out(&before, &scene.base);
        scene.branch();
        carry_out(&after, &scene.tree);
        let stack = scene.stack(kept);
        let changes = scene.changes(&stack).into_iter().zip(&selected);
        let part: Vec<_> = changes.filter_map(|(change, is_in)| is_in.then_some(change)).collect();
        let first = match ApplyPlan::from_changes(&stack, &scene.base, &part) {
            Ok(plan) => plan,
            // A part that cannot be without the rest says so.
            Err(PlanError::NotEmpty { .. } | PlanError::ParentNeeded { .. }) => return Ok(()),
            Err(error) => panic!("{error}"),
        };
        let old = picture(&scene.base);
        let commit = scene.commit_dir();
        let applied = apply(&first, &commit, &mut slowly());
        if is_respected(&applied) {
            return Ok(());
        }
        applied.unwrap();
        let rest = ApplyPlan::from_changes(&stack, &scene.base, &scene.changes(&stack)).unwrap();
        let second = scene.commit_dir();
        let applied = apply(&rest, &second, &mut slowly());
        if is_respected(&applied) {
            return Ok(());
        }
        applied.unwrap();
        let (base, tree) = same_but_times(&scene.base, &scene.tree);
        assert_same(&base, &tree, "the base after both commits, and the branch");
        undo(&second, &mut slowly()).unwrap();
        undo(&commit, &mut slowly()).unwrap();
        assert_same(&picture(&scene.base), &old, "the base after both are undone");
    }
}
