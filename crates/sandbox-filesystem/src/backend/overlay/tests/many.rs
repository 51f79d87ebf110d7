//! Many at once, and many files.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::FileExt;
use std::sync::Barrier;
use std::thread;

use super::{World, open, write};
use crate::backend::testing::picture::{of_backend, without_times};
use crate::conformance::{Backend, Subject, process_umask, random_steps};
use crate::fs::{Capabilities, Context, DynFileSystem, Errno, OpenFlags, ROOT_INO};
use crate::tree::Tree;

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
    .take(len)
    .collect()
}

/// Every name that the random operations use, to three levels, in two layers.
fn furnish(world: &World) {
    let names = ["a", "b", "c", "d", "e", "f"];
    for (number, layer) in [world.lower(0), world.lower(1)].iter().enumerate() {
        for (place, outer) in names.iter().enumerate() {
            let outer = layer.join("shared").join(outer);
            if place % 2 == number {
                fs::create_dir_all(outer.parent().unwrap()).unwrap();
                fs::write(outer, "file").unwrap();
                continue;
            }
            for inner in names {
                fs::create_dir_all(outer.join(inner)).unwrap();
                fs::write(outer.join(inner).join("f"), "deep").unwrap();
            }
        }
    }
    fs::hard_link(
        world.lower(0).join("shared/a"),
        world.lower(0).join("shared/b/link"),
    )
    .unwrap();
}

#[test]
fn everything_at_once_on_the_same_few_names_neither_deadlocks_nor_fails_and_lasts() {
    let world = World::new(2);
    furnish(&world);
    let before = {
        let fs = world.mount();
        let shared = fs
            .lookup(&Context::new(0, 0), ROOT_INO, "shared".as_ref())
            .unwrap()
            .ino;
        thread::scope(|scope| {
            for seed in 1..=4_u64 {
                let fs = &fs;
                scope.spawn(move || {
                    let mut backend = Backend::beneath(fs, Capabilities::all(), shared, process_umask());
                    for step in random_steps(&noise(seed, 40_000)) {
                        let answer = backend.apply(&step);
                        // Somebody else's rename is in the way again and again: an honest answer. Anything that is gone
                        // by now may be stale.
                        assert_ne!(answer, Err(Errno::EIO), "{step:?}");
                    }
                });
            }
        });
        fs.forget(shared, 1);
        let mut picture = of_backend(&fs, "shared");
        without_times(&mut picture);
        picture
    };
    let fs = world.mount();
    let mut after = of_backend(&fs, "shared");
    without_times(&mut after);
    assert_eq!(before, after, "what was there before a restart is there after it");
}

#[test]
fn a_file_is_copied_up_once_however_many_write_to_it() {
    let world = World::new(1);
    let lower = fs::File::create(world.lower(0).join("big")).unwrap();
    for piece in 0..64 {
        lower.write_all_at(&vec![7; 1 << 16], piece << 16).unwrap();
    }
    let fs = world.mount();
    let here = Barrier::new(8);
    thread::scope(|scope| {
        for number in 0..8_u64 {
            let (fs, here) = (&fs, &here);
            scope.spawn(move || {
                here.wait();
                let (ino, handle) = open(fs, "big", OpenFlags::WRONLY).unwrap();
                // What is written before another copy would come is lost by it.
                write(fs, ino, handle, number, &[b'a' + u8::try_from(number).unwrap()]);
            });
        }
    });
    let content = Tree::new(&fs, Context::new(0, 0)).read("big").unwrap();
    assert_eq!(&content[..9], b"abcdefgh\x07");
    assert_eq!(content.len(), 64 << 16);
}

/// In a process of its own, whose limit and memory are its own.
#[test]
fn many_files_take_few_descriptors_and_less_than_400_bytes_each() {
    const INSIDE: &str = "SANDBOX_TEST_OVERLAY_MANY_FILES";
    if std::env::var_os(INSIDE).is_some() {
        many_files();
        return;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "backend::overlay::tests::many::many_files_take_few_descriptors_and_less_than_400_bytes_each",
            "--test-threads=1",
            "--nocapture",
        ])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    if let Some(line) = said.lines().find(|line| line.contains("bytes each")) {
        println!("{line}");
    }
}

const DIRECTORIES: u32 = 400;
const FILES: u32 = 100;

fn many_files() {
    let limit = rustix::process::Rlimit {
        current: Some(256),
        maximum: Some(256),
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    let world = World::new(3);
    for directory in 0..DIRECTORIES {
        // Every directory is merged of three.
        for layer in 0..3 {
            let path = world.lower(layer).join(format!("directory-{directory}"));
            fs::create_dir(&path).unwrap();
            for file in (0..FILES).filter(|file| file % 3 == u32::try_from(layer).unwrap()) {
                fs::write(path.join(format!("file-{file:04}.txt")), "").unwrap();
            }
        }
    }
    let fs = world.mount();
    let ctx = Context::new(0, 0);
    let before = resident();
    let mut known = Vec::with_capacity(usize::try_from(DIRECTORIES * (FILES + 1)).unwrap());
    for directory in 0..DIRECTORIES {
        let name = OsString::from(format!("directory-{directory}"));
        let ino = fs.lookup(&ctx, ROOT_INO, &name).unwrap().ino;
        known.push(ino);
        for file in 0..FILES {
            let name = OsString::from(format!("file-{file:04}.txt"));
            known.push(fs.lookup(&ctx, ino, &name).unwrap().ino);
        }
    }
    let each = resident().saturating_sub(before) / known.len() as u64;
    let descriptors = fs::read_dir("/proc/self/fd").unwrap().count();
    println!(
        "{} inodes, {each} bytes each, {descriptors} descriptors",
        known.len()
    );
    assert!(each < 400, "{each} bytes each");
    assert!(descriptors < 256);
    for ino in known {
        assert!(fs.getattr(&ctx, ino, None).is_ok());
        fs.forget(ino, 1);
    }
    assert_eq!(fs.known_inodes(), 1);
}

/// Resident bytes of this process, without those of files: its own code.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}
