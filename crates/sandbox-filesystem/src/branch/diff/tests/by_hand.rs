//! Layers made by hand: no mount is needed.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use sandbox_types::{ChangeKind, NodeKind};

use super::super::super::testing::{rel, without_capabilities};
use super::super::{DiffError, Side, changes};
use super::world::{World, mode, odd, opaque, same_time, whiteout, write, xattr};

#[test]
fn what_was_copied_up_and_not_changed_is_no_change() {
    let world = World::new();
    write(world.base("dir/file"), "text");
    xattr(world.base("dir/file"), "user.note", "1");
    mode(world.base("dir"), 0o751);
    write(world.up("dir/file"), "text");
    xattr(world.up("dir/file"), "user.note", "1");
    xattr(world.up("dir/file"), "user.overlay.origin", "");
    same_time(world.base("dir/file"), world.up("dir/file"));
    mode(world.up("dir"), 0o751);
    assert_eq!(world.lines(), Vec::<String>::new());
}

#[test]
fn content_and_each_attribute_are_told_apart() {
    let world = World::new();
    for name in ["content", "longer", "mode", "time", "xattr", "gone"] {
        write(world.base(name), "text");
        xattr(world.base(name), "user.note", "1");
        write(world.up(name), "text");
        xattr(world.up(name), "user.note", "1");
        same_time(world.base(name), world.up(name));
    }
    for (name, content) in [("content", "TEXT"), ("longer", "text and more")] {
        write(world.up(name), content);
        same_time(world.base(name), world.up(name));
    }
    mode(world.up("mode"), 0o755);
    write(world.up("time"), "text");
    xattr(world.up("xattr"), "user.note", "2");
    rustix::fs::removexattr(world.up("gone"), "user.note").unwrap();
    assert_eq!(
        world.lines(),
        [
            "M content content",
            "M gone Xattrs",
            "M longer content",
            "M mode Mode",
            "M time Time",
            "M xattr Xattrs"
        ]
    );
}

#[test]
fn an_escaped_attribute_is_the_commands_and_the_others_of_overlayfs_are_not() {
    let world = World::new();
    for name in ["escaped", "own", "committed"] {
        write(world.base(name), "text");
        write(world.up(name), "text");
        same_time(world.base(name), world.up(name));
    }
    xattr(world.up("escaped"), "user.overlay.overlay.x", "1");
    xattr(world.up("own"), "user.overlay.x", "1");
    xattr(world.up("committed"), "user.overlay.overlay.x", "1");
    xattr(world.base("committed"), "user.overlay.x", "1");
    assert_eq!(world.lines(), ["M escaped Xattrs"]);
}

#[test]
fn every_path_beneath_a_deleted_directory_is_listed() {
    let world = World::new();
    for path in ["dir/a", "dir/sub/b", "keep"] {
        write(world.base(path), "text");
    }
    fs::create_dir(world.base("dir/empty")).unwrap();
    symlink("nowhere", world.base("dir/link")).unwrap();
    whiteout(world.up("dir"));
    assert_eq!(
        world.lines(),
        [
            "D dir",
            "D dir/a",
            "D dir/empty",
            "D dir/link",
            "D dir/sub",
            "D dir/sub/b"
        ]
    );
    let kinds: Vec<_> = world
        .diff()
        .iter()
        .map(|change| (change.node, change.size))
        .collect();
    assert_eq!(kinds.first(), Some(&(NodeKind::Directory, 0)));
    assert_eq!(kinds.get(3), Some(&(NodeKind::Symlink, 7)));
}

#[test]
fn what_an_opaque_directory_hides_is_deleted() {
    let world = World::new();
    write(world.base("dir/old"), "old");
    write(world.base("dir/both"), "text");
    opaque(world.up("dir"));
    write(world.up("dir/both"), "text");
    same_time(world.base("dir/both"), world.up("dir/both"));
    write(world.up("dir/new"), "something else");
    assert_eq!(world.lines(), ["A dir/new", "D dir/old"]);
}

#[test]
fn an_opaque_root_hides_the_whole_base() {
    let world = World::new();
    write(world.base("old"), "old");
    opaque(world.up(""));
    assert_eq!(world.lines(), ["D old"]);
}

#[test]
fn a_change_of_kind_lists_what_was_or_is_beneath() {
    let world = World::new();
    write(world.base("was-dir/inner"), "one");
    write(world.base("was-file"), "two");
    symlink("target", world.base("was-link")).unwrap();
    write(world.up("was-dir"), "now a file");
    write(world.up("was-file/inner"), "four!");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        world.up("was-link"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    assert_eq!(
        world.lines(),
        [
            "T was-dir from Directory",
            "D was-dir/inner",
            "T was-file from File",
            "A was-file/inner",
            "T was-link from Symlink"
        ]
    );
}

#[test]
fn links_are_compared_by_their_target() {
    let world = World::new();
    for (name, old, new) in [("same", "a", "a"), ("short", "a", "bc"), ("long", "aa", "bb")] {
        symlink(old, world.base(name)).unwrap();
        symlink(new, world.up(name)).unwrap();
        let time = fs::symlink_metadata(world.base(name)).unwrap();
        let time = rustix::fs::Timespec {
            tv_sec: time.mtime(),
            tv_nsec: time.mtime_nsec(),
        };
        let times = rustix::fs::Timestamps {
            last_access: time,
            last_modification: time,
        };
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(rustix::fs::CWD, world.up(name), &times, flags).unwrap();
    }
    assert_eq!(world.lines(), ["M long content", "M short content"]);
}

#[test]
fn names_are_bytes_and_order_is_by_component() {
    let world = World::new();
    for (index, name) in [&b"a\xff"[..], b"a.b", b"a/b", b"a b", b"\n"]
        .into_iter()
        .enumerate()
    {
        let path = world.path("up").join(odd(name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, vec![b'x'; index]).unwrap();
    }
    let diff = world.diff();
    let paths: Vec<_> = diff.iter().map(|change| change.path.as_bytes()).collect();
    assert_eq!(paths, [&b"\n"[..], b"a", b"a/b", b"a b", b"a.b", b"a\xff"]);
    assert!(diff.is_sorted_by(|one, other| one.path < other.path));
}

#[test]
fn a_file_is_renamed_when_its_content_is_found_elsewhere() {
    let world = World::new();
    for (name, content) in [
        ("one/same", "xx"),
        ("two/same", "xx"),
        ("other", "xx"),
        ("changed", "yy"),
    ] {
        write(world.base(name), content);
        whiteout(world.up(name));
    }
    write(world.base("empty"), "");
    whiteout(world.up("empty"));
    for (name, content) in [
        ("new/same", "xx"),
        ("new/another", "xx"),
        ("third", "xx"),
        ("z", "zz"),
    ] {
        write(world.up(name), content);
    }
    write(world.up("new-empty"), "");
    assert_eq!(
        world.lines(),
        [
            "D changed",
            "D empty",
            "A new",
            "R new/another from other",
            "R new/same from one/same",
            "A new-empty",
            "R third from two/same",
            "A z"
        ]
    );
}

#[test]
fn long_files_that_differ_after_their_heads_are_not_taken_for_one() {
    let world = World::new();
    let long = |end: &str| format!("{}{end}", "x".repeat(300_000));
    for (name, end) in [("a", "1"), ("b", "2"), ("c", "3")] {
        write(world.base(name), &long(end));
        whiteout(world.up(name));
    }
    for (name, end) in [("x", "2"), ("y", "4")] {
        write(world.up(name), &long(end));
    }
    assert_eq!(world.lines(), ["D a", "D c", "R x from b", "A y"]);
}

#[test]
fn a_file_that_was_moved_and_edited_is_renamed_when_it_came_from_somewhere() {
    let world = World::new();
    let text = (0..100).fold(String::new(), |text, line| format!("{text}line {line}\n"));
    write(world.base("old"), &text);
    write(world.base("unlike"), &"nothing of it\n".repeat(90));
    whiteout(world.up("old"));
    whiteout(world.up("unlike"));
    write(world.up("new"), &text.replace("line 5\n", "another\n"));
    assert_eq!(world.lines(), ["A new", "D old", "D unlike"]);
    xattr(world.up("new"), "user.overlay.origin", "");
    assert_eq!(world.lines(), ["R new from old content", "D unlike"]);
}

#[test]
fn a_directory_without_permissions_is_read_and_left_as_it_was() {
    let world = World::new();
    write(world.base("dir/file"), "old");
    write(world.up("dir/file"), "new and longer");
    write(world.up("dir/sub/deep/file"), "x");
    write(world.up("secret"), "x");
    write(world.base("secret"), "y");
    same_time(world.base("dir/file"), world.up("dir/file"));
    same_time(world.base("secret"), world.up("secret"));
    mode(world.up("secret"), 0o000);
    for (path, bits) in [
        ("dir/sub/deep", 0o000),
        ("dir/sub", 0o400),
        ("dir", 0o100),
        ("", 0o000),
    ] {
        mode(world.up(path), bits);
    }
    let lines = world.lines();
    let bits = |path: &str| fs::metadata(world.up(path)).map(|meta| meta.permissions().mode() & 0o7777);
    assert_eq!(bits("").unwrap(), 0o000);
    mode(world.up(""), 0o700);
    assert_eq!(bits("secret").unwrap(), 0o000);
    assert_eq!(bits("dir").unwrap(), 0o100);
    assert_eq!(bits("dir/sub").unwrap(), 0o400);
    mode(world.up("dir/sub"), 0o700);
    assert_eq!(bits("dir/sub/deep").unwrap(), 0o000);
    assert_eq!(
        lines,
        [
            "M dir Mode",
            "M dir/file content",
            "A dir/sub",
            "A dir/sub/deep",
            "A dir/sub/deep/file",
            "M secret content Mode"
        ]
    );
}

#[test]
fn a_directory_of_the_base_that_cannot_be_read_is_an_error_that_names_it() {
    let world = World::new();
    write(world.base("closed/file"), "x");
    write(world.up("closed/file"), "y");
    mode(world.base("closed"), 0o000);
    let (stack, knowledge) = (world.stack(), &world.knowledge);
    without_capabilities(|| {
        let error = changes(&stack, knowledge, &mut |_| {}).unwrap_err();
        let DiffError::Read { path, side, .. } = &error;
        assert_eq!((path, side), (&rel("closed"), &Side::Base));
        assert!(error.hint().is_some());
    });
    assert_eq!(
        fs::metadata(world.base("closed")).unwrap().permissions().mode() & 0o777,
        0
    );
}

#[test]
fn trees_deeper_than_there_are_descriptors_are_walked() {
    let world = World::new();
    let depth = 1100;
    let mut dir = fs::File::open(world.up("")).unwrap();
    for _ in 0..depth {
        rustix::fs::mkdirat(&dir, "d", rustix::fs::Mode::RWXU).unwrap();
        rustix::fs::mknodat(
            &dir,
            "z",
            rustix::fs::FileType::RegularFile,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        dir = rustix::fs::openat(&dir, "d", flags, rustix::fs::Mode::empty())
            .unwrap()
            .into();
    }
    let diff = world.diff();
    assert_eq!(diff.len(), 2 * depth);
    assert!(diff.iter().all(|change| change.change == ChangeKind::Added));
    assert!(diff.is_sorted_by(|one, other| one.path < other.path));
}

#[test]
fn what_is_left_out_is_in_neither_tree() {
    let world = World::new();
    write(world.base(".git/config"), "x");
    whiteout(world.up(".git"));
    write(world.up("dir/.git/x"), "x");
    let stack = world.stack().exclude([rel(".git"), rel("dir/.git")]);
    let diff = changes(&stack, &world.knowledge, &mut |_| {}).unwrap();
    let paths: Vec<_> = diff.iter().map(|change| change.path.clone()).collect();
    assert_eq!(paths, [rel("dir")]);
}

#[test]
fn holes_are_the_same_as_zeros_and_are_not_read() {
    let world = World::new();
    let size = 1 << 40;
    for (name, end) in [("same", b"x"), ("other", b"y")] {
        for (path, end) in [(world.base(name), b"x"), (world.up(name), end)] {
            let file = fs::File::create(path).unwrap();
            file.set_len(size).unwrap();
            std::os::unix::fs::FileExt::write_at(&file, end, size / 2).unwrap();
        }
        same_time(world.base(name), world.up(name));
    }
    write(world.base("zeros"), &"\0".repeat(8192));
    fs::File::create(world.up("zeros"))
        .unwrap()
        .set_len(8192)
        .unwrap();
    same_time(world.base("zeros"), world.up("zeros"));
    assert_eq!(world.lines(), ["M other content"]);
}
