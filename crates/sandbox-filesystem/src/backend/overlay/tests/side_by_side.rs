//! The same random operations on this overlay and on the kernel's, above the same layer: the same answers, and the same tree.
//!
//! What the kernel refuses under `userxattr` and this overlay does is left out: renames of directories of layers (`EXDEV`), and
//! a few that it answers with `ESTALE` where a plain directory does them. Names that are one file in the layer are none, since
//! the kernel parts them (docs/filesystems.md).

use std::fs;

use super::conforms::{are_same_but_for_links, is_explained};
use super::kernel;
use super::random::{Links, Scene, sequences, steps};
use crate::backend::testing::picture::{self, picture};
use crate::conformance::{Backend, Difference, Host, Op, Subject, process_umask};
use crate::fs::{Capabilities, Context, DynFileSystem, Errno, ROOT_INO};

/// How many sequences of operations follow one another above one layer.
const PARTS: u64 = 4;

#[derive(Debug, Default)]
struct Counted {
    compared: usize,
    refused: usize,
}

/// Both do what the kernel does.
fn go_on(kernel: &mut Host, here: &mut Backend<'_>, steps: &[Op], counted: &mut Counted) -> Vec<String> {
    let mut differences = Vec::new();
    for step in steps {
        let expected = kernel.apply(step);
        if matches!(step, Op::Rename(..)) && matches!(expected, Err(Errno::EXDEV | Errno::ESTALE)) {
            counted.refused += 1;
            continue;
        }
        counted.compared += 1;
        let difference = Difference {
            title: String::new(),
            step: step.clone(),
            found: here.apply(step),
            expected,
        };
        if difference.expected != difference.found && !is_explained_here(&difference) {
            differences.push(difference.to_string());
        }
    }
    differences
}

/// As a plain directory has it, here what is open and removed has no links; the kernel's overlayfs counts those that a directory
/// had, and those of the layer's file where that was not copied up.
fn is_explained_here(difference: &Difference) -> bool {
    let is_removed = |expected: &str, found: &str| {
        let is_its_kind =
            expected.starts_with("directory") || expected.starts_with("file") && found.contains("nlink 0 ");
        is_its_kind && are_same_but_for_links(expected, found)
    };
    is_explained(difference)
        || matches!((&difference.expected, &difference.found), (Ok(expected), Ok(found)) if is_removed(expected, found))
}

#[test]
fn the_same_operations_on_the_kernels_overlayfs_are_answered_alike_and_leave_the_same_tree() {
    let mut counted = Counted::default();
    for seed in 1..=sequences() {
        let scene = Scene::new(seed, Links::No);
        let [upper, work] = ["kernel-upper", "kernel-work"].map(|name| scene.world.path(name));
        for directory in [&upper, &work] {
            fs::create_dir(directory).unwrap();
        }
        let Some(mount) = kernel::mount(&[&scene.world.lower(0)], &upper, &work) else {
            return;
        };
        let there = mount.path().join("d");
        let fs = scene.mount(&[], "upper");
        let ctx = Context::new(0, 0);
        let root = fs.lookup(&ctx, ROOT_INO, "d".as_ref()).unwrap().ino;
        let mut here = Backend::beneath(&fs, Capabilities::all(), root, process_umask());
        let mut kernel = Host::new(&there);
        for part in 0..PARTS {
            let steps = steps(seed * 100 + part + 60);
            let differences = go_on(&mut kernel, &mut here, &steps, &mut counted);
            let all = differences.join("\n");
            assert!(differences.is_empty(), "seed {seed}, part {part}:\n{all}");
        }
        drop((here, kernel));
        fs.forget(root, 1);
        // When each was written to is not the same moment; what sets times is among the operations.
        let (mut expected, mut found) = (picture(&there), picture::of_backend(&fs, "d"));
        for picture in [&mut expected, &mut found] {
            picture::without_times(picture);
        }
        picture::assert_same(&expected, &found, &format!("seed {seed}"));
    }
    let Counted { compared, refused } = counted;
    println!("{compared} operations without a difference, {refused} that the kernel refuses (EXDEV, ESTALE)");
}
