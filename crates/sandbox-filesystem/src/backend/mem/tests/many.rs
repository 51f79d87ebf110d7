//! Many at once: nothing deadlocks, nothing is lost, and what is counted adds up.

use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;
use crate::conformance::Subject as _;
use crate::fs::{ReadRequest, RenameFlags, SetAttr};

#[test]
fn everything_at_once_on_the_same_few_names_neither_deadlocks_nor_leaks() {
    let fs = new(64);
    let before = fs.statfs(&ctx(), ROOT_INO).unwrap();
    let agreed = fs.init(Capabilities::all()).unwrap();
    // All threads work in the same directory, which each of them calls its own.
    let shared = directory(&fs, ROOT_INO, "shared").unwrap().ino;
    thread::scope(|scope| {
        for seed in 1..=4_u64 {
            let fs = &fs;
            scope.spawn(move || {
                let mut backend = Backend::beneath(fs, agreed, shared, 0o022);
                for step in conformance::random_steps(&noise(seed, 400_000)) {
                    let answer = backend.apply(&step);
                    assert_ne!(answer, Err(crate::fs::Errno::EIO), "{step:?}");
                }
            });
        }
    });
    fs.forget(shared, 1);
    remove_all(&fs, ROOT_INO);
    assert_eq!(fs.statfs(&ctx(), ROOT_INO).unwrap(), before);
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
    .take(len)
    .collect()
}

#[test]
fn writes_and_truncations_at_once_leave_whole_writes() {
    let fs = new(64);
    let ino = file(&fs, ROOT_INO, "f").unwrap().ino;
    thread::scope(|scope| {
        for byte in 1..=3_u8 {
            let fs = &fs;
            scope.spawn(move || {
                for _ in 0..500 {
                    assert_eq!(write(fs, ino, 0, &[byte; 10_000]), Ok(10_000));
                }
            });
        }
        scope.spawn(|| {
            for size in 0..500 {
                let change = SetAttr {
                    size: Some(size % 3 * 5000),
                    ..SetAttr::default()
                };
                fs.setattr(&ctx(), ino, &change).unwrap();
            }
        });
        scope.spawn(|| {
            for _ in 0..500 {
                let bytes = read(&fs, ino, 10_000);
                // One write, or what is left of it, or zeros where it was cut off and grew.
                let runs = bytes.chunk_by(|one, next| one == next).count();
                assert!(runs <= 2, "{runs} runs");
            }
        });
    });
}

fn read(fs: &MemFs, ino: Ino, size: u32) -> Vec<u8> {
    let request = ReadRequest {
        offset: 0,
        size,
        flags: OpenFlags::empty(),
    };
    let mut data = crate::fs::Buffer::with_room(size as usize);
    fs.read(&ctx(), ino, None, &request, &mut data).unwrap();
    data.into_bytes()
}

#[test]
fn a_name_that_is_replaced_is_there_for_every_observer() {
    let fs = new(64);
    file(&fs, ROOT_INO, "name").unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..5000 {
                let new = format!("new-{round}");
                file(&fs, ROOT_INO, &new).unwrap();
                rename(&fs, &new, "name", RenameFlags::empty());
                file(&fs, ROOT_INO, "other").unwrap();
                rename(&fs, "other", "name", RenameFlags::EXCHANGE);
                fs.unlink(&ctx(), ROOT_INO, OsStr::new("other")).unwrap();
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            let entry = fs.lookup(&ctx(), ROOT_INO, OsStr::new("name")).unwrap();
            assert_ne!(entry.ino, 0);
            fs.forget(entry.ino, 1);
        }
    });
}

fn rename(fs: &MemFs, old: &str, new: &str, flags: RenameFlags) {
    fs.rename(
        &ctx(),
        ROOT_INO,
        OsStr::new(old),
        ROOT_INO,
        OsStr::new(new),
        flags,
    )
    .unwrap();
}

#[test]
fn directories_moved_into_each_other_at_once_stay_a_tree() {
    let fs = new(64);
    let names: Vec<OsString> = (0..6)
        .map(|number| OsString::from(format!("d{number}")))
        .collect();
    let inos: Vec<Ino> = names
        .iter()
        .map(|name| fs.mkdir(&ctx(), ROOT_INO, name, 0o755, 0).unwrap().ino)
        .collect();
    thread::scope(|scope| {
        for thread in 0..4_usize {
            let (fs, names, inos) = (&fs, &names, &inos);
            scope.spawn(move || {
                for round in 0..20_000_usize {
                    let pick = |step: usize| (round * step + thread * 7 + round / 13) % 7;
                    let place = |index: usize| inos.get(index).copied().unwrap_or(ROOT_INO);
                    let name = &names[pick(3) % 6];
                    let flags = if round % 5 == 0 {
                        RenameFlags::EXCHANGE
                    } else {
                        RenameFlags::empty()
                    };
                    let _may_fail = fs.rename(
                        &ctx(),
                        place(pick(1)),
                        name,
                        place(pick(5)),
                        &names[pick(2) % 6],
                        flags,
                    );
                }
            });
        }
    });
    // Some may have been replaced, being empty; each of the others is below the root, and nowhere else.
    fs.destroy();
    let mut seen = Vec::new();
    walk(&fs, ROOT_INO, &mut seen);
    let count = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), count);
    remove_all(&fs, ROOT_INO);
    assert_eq!(
        fs.statfs(&ctx(), ROOT_INO).unwrap(),
        new(64).statfs(&ctx(), ROOT_INO).unwrap()
    );
}

fn walk(fs: &MemFs, ino: Ino, seen: &mut Vec<Ino>) {
    assert!(seen.len() < 100, "a loop");
    seen.push(ino);
    let mut children = Vec::new();
    fs.readdir(&ctx(), ino, None, 0, &mut |entry| {
        children.push((entry.name.to_owned(), entry.ino));
        Ok(crate::fs::Fit::Taken)
    })
    .unwrap();
    for (_, child) in children
        .into_iter()
        .filter(|(name, _)| name != "." && name != "..")
    {
        walk(fs, child, seen);
    }
}

#[test]
fn a_deep_tree_is_dropped_without_recursion() {
    let fs = new(64);
    let mut at = ROOT_INO;
    for _ in 0..20_000 {
        at = directory(&fs, at, "d").unwrap().ino;
    }
    drop(fs);
}
