//! Trees with everything that makes a writer stumble.

use std::fmt::Write;

use sandbox_types::{TreeDevice, TreeFlags, TreeNodeKind, TreeTime};

use super::{GIB, MIB, MemoryTree, fill, fitting, memory_tree::ROOT, options, view::agree};
use crate::harness::{debugfs, is_clean, place};

/// A little of everything.
pub(super) fn nasty() -> MemoryTree {
    let mut tree = MemoryTree::new();
    *tree.node(ROOT) = sandbox_types::TreeNode {
        permissions: 0o1750,
        uid: 1000,
        gid: 70_000,
        ..tree.node(ROOT).clone()
    };
    names(&mut tree);
    files(&mut tree);
    specials(&mut tree);
    xattrs(&mut tree);
    tree
}

fn names(tree: &mut MemoryTree) {
    let dir = tree.directory(ROOT, b"names");
    tree.file(dir, &[b'n'; 255], b"long");
    tree.file(dir, b"\xff\xfe not utf-8 \x80", b"bytes");
    tree.file(dir, b" leading and trailing ", b"");
    tree.file(dir, b"new\nline", b"line");
    tree.file(dir, "\u{1f600}".as_bytes(), b"smile");
    let mut deep = dir;
    for level in 0..60 {
        deep = tree.directory(deep, format!("level {level}").as_bytes());
    }
    tree.file(deep, b"bottom", b"reached");
}

fn files(tree: &mut MemoryTree) {
    let dir = tree.directory(ROOT, b"files");
    for len in [0, 1, 59, 60, 1023, 1024, 1025, 4095, 4096, 4097, 8192, 300_000] {
        let content: Vec<u8> = (0..len).map(|byte| (byte % 251) as u8).collect();
        tree.file(dir, format!("{len} bytes").as_bytes(), &content);
    }
    // Holes at the start, in the middle and at the end; data that starts and ends within blocks.
    let pieces = vec![
        (5000, vec![1; 100]),
        (70_000, vec![2; 9000]),
        (1_000_000, vec![3; 1]),
    ];
    tree.sparse(dir, b"holes", 2_000_000, pieces);
    tree.sparse(dir, b"only a hole", 3_000_000, Vec::new());
    // More extents than fit into an inode, and into the first level beneath it.
    let many = |count: u64| {
        (0..count)
            .map(|at| (at * 8192, vec![(at % 255) as u8 + 1; 10]))
            .collect::<Vec<_>>()
    };
    tree.sparse(dir, b"5 extents", 5 * 8192, many(5));
    tree.sparse(dir, b"400 extents", 400 * 8192, many(400));
    let linked = tree.file(dir, b"linked", b"three names");
    tree.link(dir, b"also linked", linked);
    tree.link(ROOT, b"linked elsewhere", linked);
}

fn specials(tree: &mut MemoryTree) {
    let dir = tree.directory(ROOT, b"specials");
    for len in [1, 59, 60, 61, 1000] {
        tree.symlink(dir, format!("to {len} bytes").as_bytes(), &target(len));
    }
    tree.add(dir, b"fifo", TreeNodeKind::Fifo);
    tree.add(dir, b"socket", TreeNodeKind::Socket);
    tree.add(
        dir,
        b"null",
        TreeNodeKind::CharDevice(TreeDevice { major: 1, minor: 3 }),
    );
    tree.add(
        dir,
        b"large numbers",
        TreeNodeKind::CharDevice(TreeDevice {
            major: 4095,
            minor: 1_048_575,
        }),
    );
    tree.add(
        dir,
        b"disk",
        TreeNodeKind::BlockDevice(TreeDevice {
            major: 259,
            minor: 70_000,
        }),
    );
    let setuid = tree.file(dir, b"setuid", b"#!");
    let node = tree.node(setuid);
    (node.permissions, node.uid, node.gid) = (0o6755, 4_000_000_000, 65_536);
    let late = tree.file(dir, b"late", b"");
    tree.node(late).modified = TreeTime {
        seconds: 10_000_000_000,
        nanoseconds: 999_999_999,
    };
    let flags = tree.file(dir, b"flags", b"");
    tree.node(flags).flags = TreeFlags {
        no_dump: true,
        no_atime: true,
        append_only: true,
        immutable: true,
    };
}

/// ext4-view takes a target for a path, whose parts have 255 bytes at most.
pub(super) fn target(len: usize) -> Vec<u8> {
    (1..=len)
        .map(|at| if at % 100 == 0 { b'/' } else { b't' })
        .collect()
}

fn xattrs(tree: &mut MemoryTree) {
    let dir = tree.directory(ROOT, b"xattrs");
    let small = tree.file(dir, b"in the inode", b"");
    tree.xattr(small, "user.small", b"value");
    tree.xattr(small, "user.empty", b"");
    let large = tree.file(dir, b"in a block", b"x");
    tree.xattr(large, "user.large", &[9; 700]);
    tree.xattr(large, "user.small", b"v");
    for number in 0..6 {
        tree.xattr(large, &format!("user.number{number}"), &[number; 5]);
    }
    let capable = tree.file(dir, b"capable", b"");
    // VFS_CAP_REVISION_2 with cap_net_raw, effective.
    let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    tree.xattr(capable, "security.capability", &capability);
    tree.xattr(capable, "trusted.secret", b"root only");
    let acl = tree.directory(dir, b"with an acl");
    tree.node(acl).permissions = 0o775;
    tree.xattr(acl, "system.posix_acl_access", &acl_with_user(1234));
    tree.xattr(acl, "system.posix_acl_default", &acl_with_user(70_000));
    let link = tree.symlink(dir, b"a link with one", b"target");
    tree.xattr(link, "security.selinux", b"system_u:object_r:bin_t:s0\0");
}

/// `u::rwx,u:ID:r-x,g::r-x,m::rwx,o::r-x`.
pub(super) fn acl_with_user(user: u32) -> Vec<u8> {
    let mut acl = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in [
        (1_u16, 7_u16, u32::MAX),
        (2, 5, user),
        (4, 5, u32::MAX),
        (0x10, 7, u32::MAX),
        (0x20, 5, u32::MAX),
    ] {
        acl.extend(tag.to_le_bytes());
        acl.extend(permissions.to_le_bytes());
        acl.extend(id.to_le_bytes());
    }
    acl
}

#[test]
fn a_nasty_tree_is_clean_and_reads_back_with_every_block_size() {
    let place = place();
    let image = place.path().join("disk");
    for block in [1024, 2048, 4096] {
        fill(&image, &nasty(), options(32 * MIB).block_size(block));
        is_clean(&image);
        agree(&image, &nasty());
        fill(&image, &nasty(), fitting(0).block_size(block));
        is_clean(&image);
        agree(&image, &nasty());
    }
}

#[test]
fn debugfs_sees_types_owners_xattrs_and_holes() {
    let place = place();
    let image = place.path().join("disk");
    fill(&image, &nasty(), options(32 * MIB).block_size(4096));
    let has = |request: &str, wanted: &[&str]| {
        let answer = debugfs(&image, request);
        wanted
            .iter()
            .for_each(|wanted| assert!(answer.contains(wanted), "{request}: {wanted} in {answer}"));
    };
    has(
        "stat /specials/setuid",
        &["Mode:  06755", "User: -294967296", "Group: 65536"],
    );
    has("stat /specials/disk", &["Type: block special", "259:70000"]);
    has(
        "stat /specials/null",
        &["Type: character special", "Device major/minor number: 01:03"],
    );
    has("stat \"/specials/to 59 bytes\"", &["Fast link dest: \"ttttt"]);
    has("stat \"/specials/to 60 bytes\"", &["(0):"]);
    has("stat /files/linked", &["Links: 3"]);
    has("stat \"/files/only a hole\"", &["Size: 3000000", "Blockcount: 0"]);
    has("stat \"/files/5 extents\"", &["(ETB0):", "(8):"]);
    has("stat /xattrs/capable", &["security.capability", "trusted.secret"]);
    has("ea_get /xattrs/capable trusted.secret", &["root only"]);
    has(
        "stat \"/xattrs/with an acl\"",
        &[
            "system.posix_acl_access (28) = 01 00 00 00 01 00 07 00 02 00 05 00 d2 04 00 00 04 00",
            "system.posix_acl_default (28) = 01 00 00 00 01 00 07 00 02 00 05 00 70 11 01 00 04 00",
        ],
    );
    has("stat /specials/flags", &["0x800f0"]);
    has("stat /specials/late", &["mtime: 0x540be400:ee6b27fe"]);
}

#[test]
fn large_directories_have_an_index_and_every_name_is_found() {
    let place = place();
    let image = place.path().join("disk");
    for (block, count, levels) in [
        (4096, 300_u32, "Indirect levels: 0"),
        (1024, 4000, "Indirect levels: 1"),
        (4096, 20_000, "Indirect levels: 0"),
    ] {
        let mut tree = MemoryTree::new();
        let dir = tree.directory(ROOT, b"many");
        let file = tree.file(dir, b"first", b"x");
        for number in 0..count {
            tree.link(dir, format!("{number:0>60}").as_bytes(), file);
        }
        fill(&image, &tree, options(64 * MIB).block_size(block));
        is_clean(&image);
        agree(&image, &tree);
        let dump = debugfs(&image, "htree_dump /many");
        assert!(
            dump.contains(levels),
            "{block}: {}",
            dump.get(..600).unwrap_or(&dump)
        );
        assert!(dump.contains("Hash Version: 1"));
    }
}

#[test]
fn a_directory_too_large_for_two_levels_has_no_index_and_is_clean() {
    let place = place();
    let image = place.path().join("disk");
    let mut tree = MemoryTree::new();
    let dir = tree.directory(ROOT, b"many");
    let files = [tree.file(dir, b"a", b"x"), tree.file(dir, b"b", b"x")];
    for number in 0..64_000_u32 {
        let name = format!("{number:0>240}");
        tree.link(dir, name.as_bytes(), files[number as usize % 2]);
    }
    fill(&image, &tree, options(64 * MIB).block_size(1024));
    is_clean(&image);
    assert!(debugfs(&image, "stat /many").contains("Flags: 0x80000"));
}

#[test]
fn more_than_65000_subdirectories_are_counted_as_one() {
    let place = place();
    let image = place.path().join("disk");
    let mut tree = MemoryTree::new();
    let dir = tree.directory(ROOT, b"many");
    for number in 0..65_010_u32 {
        tree.directory(dir, number.to_string().as_bytes());
    }
    fill(&image, &tree, fitting(0).block_size(1024));
    is_clean(&image);
    assert!(debugfs(&image, "stat /many").contains("Links: 1 "));
}

#[test]
fn more_than_65000_names_of_a_file_are_refused() {
    let mut tree = MemoryTree::new();
    let file = tree.file(ROOT, b"f", b"");
    for number in 0..65_000_u32 {
        tree.link(ROOT, number.to_string().as_bytes(), file);
    }
    let asked = options(64 * MIB).build().expect("options");
    let mut device = std::io::Cursor::new(Vec::new());
    let source = sandbox_volumes::ext4::Source::Tree(&tree);
    let error = sandbox_volumes::ext4::write(&mut device, source, &asked).expect_err("too many");
    assert!(error.to_string().contains("65001 hard links"), "{error}");
}

#[test]
fn a_sparse_file_of_a_tib_needs_blocks_for_its_data_only() {
    let place = place();
    let image = place.path().join("disk");
    let mut tree = MemoryTree::new();
    let pieces = (0..2000).map(|at| (at * 512 * MIB, vec![1; 5000])).collect();
    tree.sparse(ROOT, b"huge", 1000 * GIB, pieces);
    fill(&image, &tree, options(200 * MIB));
    is_clean(&image);
    let stat = debugfs(&image, "stat /huge");
    assert!(stat.contains("Size: 1073741824000"), "{stat}");
    // 2000 extents do not fit into four blocks of 340: the tree has a level more.
    assert!(debugfs(&image, "dump_extents /huge").contains(" 2/ 2 "));
    let read = debugfs(&image, "blocks /huge");
    assert_eq!(read.split_whitespace().count(), 4000 + 7);
}

#[test]
fn times_before_1970_and_after_2038_are_kept() {
    // ext4-view takes those before 1970 for damage, so this tree is not among the others.
    let place = place();
    let image = place.path().join("disk");
    let mut tree = MemoryTree::new();
    for (name, seconds, shown) in [
        ("old", -1_000_000_000, "0xc4653600:00000004"),
        ("late", 5_000_000_000, "0x2a05f200:00000005"),
    ] {
        let file = tree.file(ROOT, name.as_bytes(), b"");
        tree.node(file).modified = TreeTime {
            seconds,
            nanoseconds: 1,
        };
        fill(&image, &tree, options(8 * MIB));
        is_clean(&image);
        let stat = debugfs(&image, &format!("stat /{name}"));
        assert!(stat.contains(&format!("mtime: {shown}")), "{stat}");
    }
}

#[test]
fn lost_and_found_of_the_tree_is_kept() {
    let place = place();
    let image = place.path().join("disk");
    let mut tree = MemoryTree::new();
    let dir = tree.directory(ROOT, b"lost+found");
    tree.node(dir).permissions = 0o711;
    tree.file(dir, b"#12", b"found");
    fill(&image, &tree, options(8 * MIB));
    is_clean(&image);
    let stat = debugfs(&image, "stat /lost+found");
    assert!(
        stat.starts_with("Inode: 11 ") && stat.contains("Mode:  0711"),
        "{stat}"
    );
    assert_eq!(debugfs(&image, "cat /lost+found/#12"), "found");
}

#[test]
fn a_file_named_lost_and_found_is_left_what_it_is() {
    let place = place();
    let image = place.path().join("disk");
    let mut tree = MemoryTree::new();
    tree.file(ROOT, b"lost+found", b"a file");
    fill(&image, &tree, options(8 * MIB));
    assert_eq!(debugfs(&image, "cat /lost+found"), "a file");
}

#[test]
fn a_tree_with_more_files_than_the_default_gets_more_inodes() {
    let place = place();
    let image = place.path().join("disk");
    let mut tree = MemoryTree::new();
    let mut name = String::new();
    for number in 0..5000 {
        name.clear();
        write!(name, "{number}").expect("memory");
        tree.file(ROOT, name.as_bytes(), b"");
    }
    fill(&image, &tree, options(8 * MIB));
    is_clean(&image);
}
