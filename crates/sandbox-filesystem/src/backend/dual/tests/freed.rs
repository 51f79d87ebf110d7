//! Nothing is kept that nobody needs.

use std::sync::Arc;

use proptest::prelude::*;

use super::watched::{Lacks, Watched};
use super::{Fs, ctx, dual, lookup, mem, names, tree};
use crate::conformance::{self, Backend, Model, Op};
use crate::fs::{Capabilities, DynFileSystem, ROOT_INO};

struct World {
    a: Arc<Watched>,
    b: Arc<Watched>,
    fs: super::DualFs,
}

fn world(lacks: Lacks) -> World {
    let (a, b) = (
        Arc::new(Watched::new(mem(), lacks)),
        Arc::new(Watched::new(mem(), Lacks::default())),
    );
    let (above, beneath): (Fs, Fs) = (a.clone(), b.clone());
    World {
        fs: dual(&above, &beneath),
        a,
        b,
    }
}

/// The directories of the root and, where there is one, of staging.
fn assert_free(world: &World) {
    assert_eq!(world.fs.handles.count(), 0);
    assert_eq!(world.fs.table.count(), (1, 0));
    assert_eq!(world.b.held(), (0, 0));
    let (references, handles) = world.a.held();
    assert_eq!(handles, 0);
    assert!(references == 0 || references == 3, "{references}");
    world.fs.destroy();
    assert_eq!(world.a.held(), (0, 0));
}

/// Files that make and remove directories, files and links of both sides.
fn busy(fs: &dyn DynFileSystem) {
    let tree = tree(fs);
    for round in 0..3 {
        tree.write("d/file", b"changed").unwrap();
        tree.rename("d", "e").unwrap();
        tree.mkdir("d", 0o755).unwrap();
        tree.link("e/file", "d/link").unwrap();
        tree.rename("d/link", "e/file").unwrap();
        tree.remove_file("d/link").unwrap();
        tree.write("d/new", b"new").unwrap();
        tree.remove_file("d/new").unwrap();
        tree.remove_dir("d").unwrap();
        assert_eq!(names(fs, "e"), ["file", "other"], "{round}");
        tree.rename("e", "d").unwrap();
    }
}

#[test]
fn nodes_handles_and_references_are_given_back() {
    let world = world(Lacks::default());
    let base = tree(&*world.b);
    base.mkdir("d", 0o755).unwrap();
    base.write("d/file", b"base").unwrap();
    base.write("d/other", b"base").unwrap();
    busy(&world.fs);
    assert_free(&world);
}

#[test]
fn where_whiteouts_are_in_memory_only_what_they_are_in_is_kept() {
    let lacks = Lacks {
        xattrs: true,
        ..Lacks::default()
    };
    let world = world(lacks);
    let base = tree(&*world.b);
    base.mkdir("d", 0o755).unwrap();
    base.write("d/file", b"base").unwrap();
    base.write("d/other", b"base").unwrap();
    busy(&world.fs);
    // The root, which hides the old `d`, and `d`, which is not merged with it.
    let (nodes, pinned) = world.fs.table.count();
    assert!(nodes <= 4 && pinned <= 4, "{nodes} {pinned}");
    assert_eq!(
        (world.fs.handles.count(), world.b.held().1, world.a.held().1),
        (0, 0, 0)
    );
}

#[test]
fn ten_thousand_names_leave_nothing() {
    let world = world(Lacks::default());
    let tree = tree(&world.fs);
    for number in 0..10_000 {
        let name = format!("file-{number}");
        tree.write(&name, b"x").unwrap();
        tree.remove_file(&name).unwrap();
    }
    assert_free(&world);
}

fn is_whiteout(step: &Op) -> bool {
    matches!(step, Op::Rename(_, _, flags) if flags.whiteout)
}

/// As a client of the kernel would: nobody makes whiteouts. `before` of the operations are done in B.
fn random(bytes: &[u8], before: usize, lacks: Lacks) -> Result<(), TestCaseError> {
    const UMASK: u32 = 0o022;
    let steps: Vec<Op> = conformance::random_steps(bytes)
        .into_iter()
        .filter(|step| !is_whiteout(step))
        .collect();
    let world = world(lacks);
    let agreed = world.fs.init(Capabilities::all()).unwrap();
    let ids = (ctx().uid, ctx().gid);
    let case = std::ffi::OsStr::new("case");
    let mut model = Model::new(UMASK, ids);
    let (first, rest) = steps.split_at(before.min(steps.len()));
    {
        let mut base = Backend::new(&*world.b.inner, agreed, case, UMASK).unwrap();
        let differences = conformance::compare("in B", first, &mut model, &mut base);
        prop_assert!(differences.is_empty(), "{:?}", differences);
        close_all(&mut base, &mut model);
    }
    let root = super::lookup(&world.fs, ROOT_INO, "case").unwrap().ino;
    let mut backend = Backend::beneath(&world.fs, agreed, root, UMASK);
    let differences: Vec<_> = conformance::compare("random", rest, &mut model, &mut backend)
        .into_iter()
        .filter(|difference| !is_link_count(difference))
        .collect();
    prop_assert!(
        differences.is_empty(),
        "before:\n{:#?}\nafter:\n{:#?}\n{}",
        first,
        rest,
        differences[0]
    );
    drop(backend);
    world.fs.forget(root, 1);
    prop_assert_eq!(world.fs.handles.count(), 0);
    prop_assert_eq!((world.a.held().1, world.b.held().1), (0, 0));
    // What is pinned keeps the directories that it is in.
    let (nodes, pinned) = world.fs.table.count();
    prop_assert!(nodes <= 1 + 5 * pinned, "{} nodes, {} pinned", nodes, pinned);
    Ok(())
}

fn close_all(base: &mut Backend<'_>, model: &mut Model) {
    use conformance::Subject;
    for name in *b"xyz" {
        for subject in [base as &mut dyn Subject, model] {
            drop(subject.apply(&Op::Close(name)));
        }
    }
}

/// Nobody counts the directories in a merged directory.
fn is_link_count(difference: &conformance::Difference) -> bool {
    let (Ok(expected), Ok(found)) = (&difference.expected, &difference.found) else {
        return false;
    };
    let words = |text: &str| -> Vec<String> {
        let words = text.split(' ').map(str::to_owned);
        let mut words: Vec<String> = words.collect();
        if let Some(at) = words.iter().position(|word| word == "nlink")
            && at + 1 < words.len()
        {
            words.remove(at + 1);
        }
        words
    };
    expected.starts_with("directory") && found.contains("nlink 1 ") && words(expected) == words(found)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn random_operations_on_what_is_in_b_give_what_the_model_gives(
        bytes in proptest::collection::vec(any::<u8>(), 0..900),
        before in 0..120_usize,
    ) {
        random(&bytes, before, Lacks::default())?;
    }

    #[test]
    fn so_they_do_where_a_can_do_less(
        bytes in proptest::collection::vec(any::<u8>(), 0..900),
        before in 0..120_usize,
        devices in any::<bool>(),
        seeking in any::<bool>(),
    ) {
        let lacks = Lacks { devices, seeking, whiteout_renames: true, ..Lacks::default() };
        random(&bytes, before, lacks)?;
    }
}

#[test]
fn both_backends_are_dropped_with_it_whatever_was_looked_at_and_remembered() {
    let lacks = Lacks {
        xattrs: true,
        ..Lacks::default()
    };
    for ends in [false, true] {
        let (a, b): (Fs, Fs) = (Arc::new(Watched::new(mem(), lacks)), mem());
        tree(&*b).write("f", b"base").unwrap();
        tree(&*b).write("g", b"base").unwrap();
        let fs = dual(&a, &b);
        lookup(&fs, ROOT_INO, "f").unwrap();
        tree(&fs).remove_file("g").unwrap();
        if ends {
            fs.destroy();
        }
        drop(fs);
        assert_eq!((Arc::strong_count(&a), Arc::strong_count(&b)), (1, 1));
    }
}
