//! Files of B that have several names.

use std::ffi::OsStr;
use std::sync::Arc;

use super::watched::{Lacks, Watched};
use super::{Fs, ctx, dual, lookup, mem, names, tree};
use crate::fs::{DynFileSystem, ROOT_INO, RenameFlags, SetAttr};

/// A pipe, or a link, under three names, and something else.
fn several_names(kind: u32) -> Fs {
    let b = mem();
    let name = OsStr::new("b");
    if kind == libc::S_IFLNK {
        b.symlink(&ctx(), ROOT_INO, name, OsStr::new("nowhere")).unwrap();
    } else {
        b.mknod(&ctx(), ROOT_INO, name, kind | 0o640, 0, 0).unwrap();
    }
    tree(&*b).link("b", "d").unwrap();
    tree(&*b).link("b", "f").unwrap();
    b.symlink(&ctx(), ROOT_INO, OsStr::new("c"), OsStr::new("x"))
        .unwrap();
    b
}

fn exchange(fs: &dyn DynFileSystem, one: &str, other: &str) {
    let flags = RenameFlags::EXCHANGE;
    fs.rename(&ctx(), ROOT_INO, one.as_ref(), ROOT_INO, other.as_ref(), flags)
        .unwrap();
}

/// Number, mode and count of names.
fn look(fs: &dyn DynFileSystem, path: &str) -> (u64, u32, u32) {
    let attr = tree(fs).stat(path).unwrap();
    (attr.ino, attr.mode, attr.nlink)
}

#[test]
fn what_was_copied_under_a_name_that_has_gone_can_be_renamed_and_linked_by_its_others() {
    for kind in [libc::S_IFIFO, libc::S_IFSOCK, libc::S_IFLNK] {
        let (a, b) = (mem(), several_names(kind));
        let fs = dual(&a, &b);
        let before = look(&fs, "b");
        exchange(&fs, "b", "c");
        tree(&fs).remove_file("c").unwrap();
        let two = (before.0, before.1, 2);
        assert_eq!((look(&fs, "d"), look(&fs, "f")), (two, two));
        tree(&fs).mkdir("a", 0o755).unwrap();
        exchange(&fs, "d", "a");
        assert_eq!((look(&fs, "a"), look(&fs, "f")), (two, two));
        tree(&fs).remove_file("a").unwrap();
        tree(&fs).link("f", "g").unwrap();
        assert_eq!((look(&fs, "g"), look(&fs, "f")), (two, two));
        if kind != libc::S_IFLNK {
            let change = SetAttr {
                mode: Some(0o600),
                ..SetAttr::default()
            };
            tree(&fs).set_attr("f", &change).unwrap();
            assert_eq!(look(&fs, "g").1 & 0o777, 0o600);
        }
        tree(&fs).remove_file("f").unwrap();
        assert_eq!(look(&fs, "g"), (before.0, look(&fs, "g").1, 1));
        tree(&fs).rename("g", "d/g").unwrap();
        tree(&fs).remove_file("d/g").unwrap();
        assert_eq!(names(&fs, "."), ["b", "d"]);
        assert!(tree(&*a).list(".sandbox-dual/stage").unwrap().is_empty());
    }
}

#[test]
fn names_that_went_before_the_file_was_copied_are_not_counted_after_a_restart_either() {
    let (a, b) = (mem(), mem());
    tree(&*b).write("one", b"base").unwrap();
    for name in ["two", "three", "four"] {
        tree(&*b).link("one", name).unwrap();
    }
    let count = |name| tree(&dual(&a, &b)).stat(name).unwrap().nlink;
    tree(&dual(&a, &b)).remove_file("two").unwrap();
    assert_eq!(count("one"), 3);
    tree(&dual(&a, &b)).remove_file("one").unwrap();
    assert_eq!(count("three"), 2);
    tree(&dual(&a, &b)).write("three", b"changed").unwrap();
    assert_eq!((count("three"), count("four")), (2, 2));
    assert_eq!(tree(&dual(&a, &b)).read("four").unwrap(), b"changed");
    for name in ["four", "three"] {
        tree(&dual(&a, &b)).remove_file(name).unwrap();
    }
    assert!(names(&dual(&a, &b), ".").is_empty());
    // The index holds nothing that nobody can reach.
    assert!(tree(&*a).list(".sandbox-dual/index").unwrap().is_empty());
}

#[test]
fn where_a_has_no_links_each_name_that_moves_has_a_copy_of_its_own() {
    let lacks = Lacks {
        links: true,
        ..Lacks::default()
    };
    let (a, b): (Fs, _) = (Arc::new(Watched::new(mem(), lacks)), mem());
    tree(&*b).mkdir("dir", 0o755).unwrap();
    tree(&*b).write("dir/one", b"base").unwrap();
    tree(&*b).link("dir/one", "dir/two").unwrap();
    tree(&*b).link("dir/one", "three").unwrap();
    let fs = dual(&a, &b);
    let ino = lookup(&fs, ROOT_INO, "three").unwrap().ino;
    let (key, value) = (OsStr::new("user.overlay.opaque"), b"a client's");
    fs.setxattr(&ctx(), ino, key, value, crate::fs::XattrFlags::empty())
        .unwrap();
    tree(&fs).write("three", b"changed").unwrap();
    tree(&fs).rename("dir", "moved").unwrap();
    for name in ["moved/one", "moved/two", "three"] {
        assert_eq!(tree(&fs).read(name).unwrap(), b"changed", "{name}");
    }
    tree(&fs).write("moved/one", b"apart").unwrap();
    drop(fs);
    let fs = dual(&a, &b);
    assert_eq!(names(&fs, "."), ["moved", "three"]);
    assert_eq!(tree(&fs).read("moved/one").unwrap(), b"apart");
    assert_eq!(tree(&fs).read("moved/two").unwrap(), b"changed");
    let moved = lookup(&fs, ROOT_INO, "moved").unwrap().ino;
    let two = lookup(&fs, moved, "two").unwrap().ino;
    let found = fs.getxattr(&ctx(), two, key, 64);
    assert_eq!(found, Ok(crate::fs::XattrReply::Data(value.to_vec())));
}

#[test]
fn a_tree_that_is_deeper_than_a_stack_is_copied_renamed_and_removed() {
    const DEPTH: usize = 3000;
    let (a, b) = (mem(), mem());
    let (mut at, mut above) = (ROOT_INO, Vec::new());
    for _ in 0..DEPTH {
        at = b.mkdir(&ctx(), at, OsStr::new("d"), 0o755, 0).unwrap().ino;
    }
    b.mknod(&ctx(), at, OsStr::new("f"), libc::S_IFREG | 0o644, 0, 0)
        .unwrap();
    let small = std::thread::Builder::new().stack_size(256 << 10);
    let work = move || {
        let fs = dual(&a, &b);
        let mut at = ROOT_INO;
        for _ in 0..DEPTH {
            above.push(at);
            at = lookup(&fs, at, "d").unwrap().ino;
        }
        let file = lookup(&fs, at, "f").unwrap().ino;
        let change = SetAttr {
            mode: Some(0o600),
            ..SetAttr::default()
        };
        fs.setattr(&ctx(), file, &change).unwrap();
        tree(&fs).rename("d", "moved").unwrap();
        fs.unlink(&ctx(), at, OsStr::new("f")).unwrap();
        while let Some(parent) = above.pop().filter(|parent| *parent != ROOT_INO) {
            fs.rmdir(&ctx(), parent, OsStr::new("d")).unwrap();
        }
        tree(&fs).remove_dir("moved").unwrap();
        // What somebody else has left in staging, too.
        let stage = tree(&*a).stat(".sandbox-dual/stage").unwrap();
        assert_eq!(stage.nlink, 2);
        let mut inner = lookup(&*a, ROOT_INO, ".sandbox-dual").unwrap().ino;
        inner = lookup(&*a, inner, "stage").unwrap().ino;
        for _ in 0..DEPTH {
            inner = a.mkdir(&ctx(), inner, OsStr::new("x"), 0o755, 0).unwrap().ino;
        }
        fs.destroy();
        drop(fs);
        assert!(names(&*a, ".").len() <= 1);
    };
    small.spawn(work).unwrap().join().unwrap();
}
