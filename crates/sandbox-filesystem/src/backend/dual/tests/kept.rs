//! What is deleted stays deleted; what is not finished is not seen.

use std::ffi::OsStr;
use std::sync::Arc;

use sandbox_types::StatVirtualization;

use super::watched::{Lacks, Watched};
use super::{Fs, builder, ctx, dual, lookup, mem, names, passthrough, tree};
use crate::backend::dual::{Deletions, DualFs};
use crate::backend::union::marks;
use crate::fs::{Capabilities, DynFileSystem, Errno, ROOT_INO, RenameFlags};

fn limited(lacks: Lacks) -> Fs {
    Arc::new(Watched::new(mem(), lacks))
}

fn base() -> Fs {
    let b = mem();
    {
        let tree = tree(&*b);
        tree.write("file", b"base").unwrap();
        tree.mkdir("dir", 0o755).unwrap();
        tree.mkdir("dir/sub", 0o755).unwrap();
        tree.write("dir/inside", b"base").unwrap();
        tree.write("dir/sub/deep", b"base").unwrap();
        tree.mkdir("empty", 0o755).unwrap();
    }
    b
}

/// Each kind of deletion and replacement.
fn change(fs: &DualFs) {
    let tree = tree(fs);
    tree.remove_file("file").unwrap();
    tree.remove_dir("empty").unwrap();
    tree.rename("dir", "moved").unwrap();
    tree.mkdir("dir", 0o755).unwrap();
    tree.write("dir/new", b"new").unwrap();
}

fn check(fs: &DualFs) {
    assert_eq!(names(fs, "."), ["dir", "moved"]);
    assert_eq!(names(fs, "dir"), ["new"]);
    assert_eq!(names(fs, "moved"), ["inside", "sub"]);
    assert_eq!(names(fs, "moved/sub"), ["deep"]);
    let tree = tree(fs);
    assert_eq!(tree.read("moved/sub/deep").unwrap(), b"base");
    assert_eq!(tree.read("file"), Err(Errno::ENOENT));
    assert_eq!(tree.read("dir/inside"), Err(Errno::ENOENT));
}

#[test]
fn what_is_deleted_stays_deleted_after_a_restart_whatever_a_can_do() {
    let all = [
        Lacks::default(),
        Lacks {
            devices: true,
            ..Lacks::default()
        },
        Lacks {
            whiteout_renames: true,
            ..Lacks::default()
        },
        Lacks {
            whiteout_renames: true,
            devices: true,
            links: true,
            ..Lacks::default()
        },
    ];
    for lacks in all {
        let (a, b) = (limited(lacks), base());
        let fs = dual(&a, &b);
        change(&fs);
        check(&fs);
        assert_eq!(fs.deletions(), Ok(Deletions::InBackendA), "{lacks:?}");
        fs.destroy();
        drop(fs);
        check(&dual(&a, &b));
    }
}

#[test]
fn where_a_cannot_keep_it_deletions_are_in_memory_and_that_is_said() {
    let all = [
        Lacks {
            xattrs: true,
            ..Lacks::default()
        },
        Lacks {
            exchange: true,
            ..Lacks::default()
        },
        Lacks {
            xattrs: true,
            devices: true,
            exchange: true,
            whiteout_renames: true,
            links: true,
            seeking: true,
        },
    ];
    for lacks in all {
        let (a, b) = (limited(lacks), base());
        let fs = dual(&a, &b);
        change(&fs);
        check(&fs);
        assert_eq!(fs.deletions(), Ok(Deletions::InMemory), "{lacks:?}");
        // Mounted once more, without having been built anew.
        fs.destroy();
        check(&fs);
    }
}

#[test]
fn a_nested_one_and_an_overlay_keep_whiteouts_too() {
    let layer = tempfile::tempdir().unwrap();
    let places = ["upper", "work"].map(|name| layer.path().join(name));
    for place in &places {
        std::fs::create_dir(place).unwrap();
    }
    let lower = tempfile::tempdir().unwrap();
    let [upper, work] = places;
    let overlay = crate::backend::OverlayFs::builder()
        .layer(lower.path())
        .writable(upper)
        .staging(work)
        .build()
        .unwrap();
    let inner = dual(&mem(), &mem());
    for a in [Arc::new(inner) as Fs, Arc::new(overlay) as Fs] {
        let b = base();
        let fs = dual(&a, &b);
        change(&fs);
        assert_eq!(fs.deletions(), Ok(Deletions::InBackendA));
        drop(fs);
        check(&dual(&a, &b));
    }
}

#[test]
fn the_upper_is_in_the_format_of_overlayfs() {
    let root = tempfile::tempdir().unwrap();
    let (a, b) = (passthrough(&root, StatVirtualization::Off), base());
    let fs = dual(&a, &b);
    change(&fs);
    fs.destroy();
    let stat = |name: &str| rustix::fs::lstat(root.path().join(name).as_path()).unwrap();
    for name in ["file", "empty"] {
        let stat = stat(name);
        assert_eq!(
            (stat.st_mode & libc::S_IFMT, stat.st_rdev),
            (libc::S_IFCHR, 0),
            "{name}"
        );
    }
    for name in ["dir", "moved", "moved/sub"] {
        let mut value = [0; 8];
        let len = rustix::fs::getxattr(root.path().join(name).as_path(), marks::OPAQUE, &mut value).unwrap();
        assert_eq!(&value[..len], b"y", "{name}");
    }
    // Nothing of ours is left beside it.
    let mut left: Vec<_> = std::fs::read_dir(root.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["dir", "empty", "file", "moved"]);
}

#[test]
fn what_was_left_in_staging_by_a_crash_is_removed_and_never_seen() {
    let (a, b) = (mem(), base());
    let fs = dual(&a, &b);
    tree(&fs).remove_file("file").unwrap();
    let above = tree(&*a);
    above.write(".sandbox-dual/stage/7", b"half").unwrap();
    std::mem::forget(fs.staging());
    drop(fs);
    let fs = dual(&a, &b);
    assert_eq!(names(&fs, "."), ["dir", "empty"]);
    assert_eq!(lookup(&fs, ROOT_INO, ".sandbox-dual"), Err(Errno::EPERM));
    assert_eq!(tree(&fs).write(".sandbox-dual", b"x"), Err(Errno::EPERM));
    assert_eq!(tree(&fs).rename("dir", ".sandbox-dual"), Err(Errno::EPERM));
    tree(&fs).remove_dir("empty").unwrap();
    assert!(above.list(".sandbox-dual/stage").unwrap().is_empty());
}

#[test]
fn the_name_of_the_staging_directory_is_not_seen_in_b_either() {
    let (a, b) = (mem(), base());
    tree(&*b).mkdir(".sandbox-dual", 0o755).unwrap();
    tree(&*b).write(".sandbox-dual/x", b"x").unwrap();
    let fs = dual(&a, &b);
    assert_eq!(names(&fs, "."), ["dir", "empty", "file"]);
    assert_eq!(lookup(&fs, ROOT_INO, ".sandbox-dual"), Err(Errno::EPERM));
}

#[test]
fn a_rename_is_refused_before_anything_is_copied_for_it() {
    let a = Arc::new(Watched::new(mem(), Lacks::default()));
    let b = base();
    let above: Fs = a.clone();
    let fs = builder(&above, &b).build().unwrap();
    fs.init(Capabilities::all()).unwrap();
    tree(&*b).write("empty/x", b"x").unwrap();
    assert_eq!(tree(&fs).rename("dir", "empty"), Err(Errno::ENOTEMPTY));
    assert_eq!(tree(&fs).rename("dir", "file"), Err(Errno::ENOTDIR));
    assert_eq!(tree(&fs).rename("dir", "dir/sub/x"), Err(Errno::EINVAL));
    let (dir, file) = (OsStr::new("dir"), OsStr::new("file"));
    let moved = fs.rename(&ctx(), ROOT_INO, dir, ROOT_INO, file, RenameFlags::NOREPLACE);
    assert_eq!(moved, Err(Errno::EEXIST));
    assert_eq!(a.changes.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[test]
fn nothing_is_made_in_a_that_is_only_read() {
    let a = Arc::new(Watched::new(mem(), Lacks::default()));
    let above: Fs = a.clone();
    let b = base();
    let fs = dual(&above, &b);
    assert_eq!(names(&fs, "dir"), ["inside", "sub"]);
    assert_eq!(tree(&fs).read("dir/sub/deep").unwrap(), b"base");
    assert_eq!(tree(&fs).write("dir/sub", b"x"), Err(Errno::EISDIR));
    assert_eq!(tree(&fs).remove_dir("dir"), Err(Errno::ENOTEMPTY));
    fs.destroy();
    assert!(tree(&*a).list(".").unwrap().is_empty());
}
