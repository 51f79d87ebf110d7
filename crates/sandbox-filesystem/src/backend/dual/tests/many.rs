//! Many at once: nothing waits for ever, nothing is lost or doubled, nothing is kept.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::watched::{Lacks, Watched};
use super::{DualFs, Fs, dual, mem, names, tree};
use crate::fs::{DynFileSystem, Errno};

/// Numbers that are the same in every run.
fn next(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    usize::try_from(*state >> 33).unwrap()
}

/// Moves, removes and makes entries of three directories. What fails, fails because of the others.
fn meddle(fs: &DualFs, seed: u64) {
    let tree = tree(fs);
    let mut state = seed;
    let path = |state: &mut u64| format!("d{}/n{}", next(state) % 3, next(state) % 4);
    for _ in 0..400 {
        let (one, other) = (path(&mut state), path(&mut state));
        let done = match next(&mut state) % 9 {
            0 => tree.rename(&one, &other),
            1 => tree.rename(
                format!("d{}", next(&mut state) % 3),
                format!("d{}", next(&mut state) % 3),
            ),
            2 => tree.remove_file(&one),
            3 => tree.remove_dir(&one),
            4 => tree.mkdir(&one, 0o755),
            5 => tree.link(&one, &other),
            6 => tree.list(one.split('/').next().unwrap()).map(drop),
            _ => tree.write(&one, one.as_bytes()),
        };
        let Err(error) = done else { continue };
        let expected = [
            Errno::ENOENT,
            Errno::EEXIST,
            Errno::EISDIR,
            Errno::ENOTDIR,
            Errno::ENOTEMPTY,
            Errno::EINVAL,
            Errno::EPERM,
            Errno::EBUSY,
        ];
        assert!(expected.contains(&error), "{error:?}");
    }
}

#[test]
fn many_who_rename_copy_and_remove_at_once_end_and_leave_nothing_behind() {
    let all = [
        Lacks::default(),
        Lacks {
            whiteout_renames: true,
            ..Lacks::default()
        },
    ];
    for lacks in all {
        let (a, b) = (
            Arc::new(Watched::new(mem(), lacks)),
            Arc::new(Watched::new(mem(), Lacks::default())),
        );
        for number in 0..12 {
            let base = tree(&*b.inner);
            if number < 3 {
                base.mkdir(format!("d{number}"), 0o755).unwrap();
            }
            base.write(format!("d{}/n{}", number % 3, number / 3), &[7; 10_000])
                .unwrap();
        }
        let (above, beneath): (Fs, Fs) = (a.clone(), b.clone());
        let fs = dual(&above, &beneath);
        std::thread::scope(|scope| {
            for seed in 1..5 {
                let fs = &fs;
                scope.spawn(move || meddle(fs, seed));
            }
        });
        // What is listed can be looked at, and is there once.
        for directory in names(&fs, ".") {
            let mut listed = names(&fs, &directory);
            let count = listed.len();
            for name in &listed {
                tree(&fs).stat(format!("{directory}/{name}")).unwrap();
            }
            listed.dedup();
            assert_eq!(listed.len(), count);
        }
        assert_eq!(fs.handles.count(), 0);
        assert_eq!((a.held().1, b.held().1), (0, 0));
        assert_eq!(b.changes.load(Ordering::SeqCst), 0);
        assert_eq!(names(&*b, "."), ["d0", "d1", "d2"]);
        fs.destroy();
    }
}

#[test]
fn a_name_that_is_replaced_is_there_for_every_observer() {
    let (above, beneath) = (mem(), mem());
    tree(&*beneath).write("name", b"of B").unwrap();
    for number in 0..200 {
        tree(&*beneath)
            .write(format!("old-{number}"), b"of B as well")
            .unwrap();
    }
    let fs = dual(&above, &beneath);
    std::thread::scope(|scope| {
        let mover = scope.spawn(|| {
            for number in 0..200 {
                tree(&fs).rename(format!("old-{number}"), "name").unwrap();
                tree(&fs).write("new", b"of A").unwrap();
                tree(&fs).rename("new", "name").unwrap();
            }
        });
        while !mover.is_finished() {
            tree(&fs).stat("name").unwrap();
        }
    });
    assert_eq!(names(&fs, "."), ["name"]);
    fs.destroy();
}
