//! What a copy-up takes along, and what it does not do.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::XattrFlags;

use super::{World, open, read, write};
use crate::fs::{Context, DynFileSystem, Errno, FsResult, OpenFlags, SetAttr};
use crate::tree::Tree;

fn tree(fs: &dyn DynFileSystem) -> Tree<'_> {
    Tree::new(
        fs,
        Context::new(
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        ),
    )
}

fn with_file(content: &[u8]) -> World {
    let world = World::new(1);
    fs::create_dir_all(world.lower(0).join("a/b")).unwrap();
    fs::write(world.lower(0).join("a/b/file"), content).unwrap();
    world
}

#[test]
fn what_is_written_goes_to_the_upper_and_the_layer_stays_as_it_was() {
    let world = with_file(b"lower");
    let lower = world.lower(0).join("a/b/file");
    fs::set_permissions(&lower, fs::Permissions::from_mode(0o640)).unwrap();
    rustix::fs::setxattr(&lower, "user.color", b"blue", XattrFlags::empty()).unwrap();
    fs::set_permissions(world.lower(0).join("a"), fs::Permissions::from_mode(0o711)).unwrap();
    let before = fs::metadata(&lower).unwrap();
    let above = fs::metadata(world.lower(0).join("a")).unwrap();
    {
        let fs = world.mount();
        let number = tree(&fs).stat("a/b/file").unwrap().ino;
        let (ino, handle) = open(&fs, "a/b/file", OpenFlags::RDWR).unwrap();
        write(&fs, ino, handle, 3, b"EVEN");
        let attr = tree(&fs).stat("a/b/file").unwrap();
        assert_eq!((attr.ino, attr.size, attr.mode & 0o7777), (number, 7, 0o640));
    }
    assert_eq!(fs::read(&lower).unwrap(), b"lower");
    assert_eq!(fs::metadata(&lower).unwrap().ctime_nsec(), before.ctime_nsec());
    let upper = world.upper().join("a/b/file");
    assert_eq!(fs::read(&upper).unwrap(), b"lowEVEN");
    let mut value = [0; 16];
    let length = rustix::fs::getxattr(&upper, "user.color", &mut value[..]).unwrap();
    assert_eq!(&value[..length], b"blue");
    let made = fs::metadata(world.upper().join("a")).unwrap();
    assert_eq!(made.permissions().mode() & 0o7777, 0o711);
    assert_eq!(
        (made.mtime(), made.mtime_nsec()),
        (above.mtime(), above.mtime_nsec())
    );
    // And after a restart it is the same file to programs.
    let fs = world.mount();
    assert_eq!(tree(&fs).read("a/b/file").unwrap(), b"lowEVEN");
}

#[test]
fn numbers_stay_over_a_copy_up_and_a_restart_wherever_the_file_goes() {
    let world = with_file(b"x");
    let number = |fs: &dyn DynFileSystem, path: &str| tree(fs).stat(path).unwrap().ino;
    let (file, dir) = {
        let fs = world.mount();
        let before = (number(&fs, "a/b/file"), number(&fs, "a/b"));
        tree(&fs).rename("a/b/file", "a/moved").unwrap();
        assert_eq!(number(&fs, "a/moved"), before.0);
        tree(&fs).rename("a/b", "c").unwrap();
        assert_eq!(number(&fs, "c"), before.1);
        before
    };
    let fs = world.mount();
    assert_eq!((number(&fs, "a/moved"), number(&fs, "c")), (file, dir));
}

#[test]
fn nothing_is_copied_that_is_going_to_be_cut_off() {
    let world = with_file(&vec![7; 100_000]);
    let fs = world.mount();
    let (ino, handle) = open(&fs, "a/b/file", OpenFlags::WRONLY | OpenFlags::TRUNC).unwrap();
    fs.release(&Context::new(0, 0), ino, Some(handle), OpenFlags::WRONLY, None)
        .unwrap();
    assert_eq!(tree(&fs).read("a/b/file").unwrap(), b"");

    let world = with_file(&vec![7; 100_000]);
    let fs = world.mount();
    let change = SetAttr {
        size: Some(10),
        ..SetAttr::default()
    };
    tree(&fs).set_attr("a/b/file", &change).unwrap();
    assert_eq!(tree(&fs).read("a/b/file").unwrap(), [7; 10]);
    let longer = SetAttr {
        size: Some(20),
        ..SetAttr::default()
    };
    tree(&fs).set_attr("a/b/file", &longer).unwrap();
    assert_eq!(tree(&fs).read("a/b/file").unwrap(), [[7; 10], [0; 10]].concat());
}

#[test]
fn holes_stay_holes() {
    let world = with_file(b"");
    let file = fs::File::options()
        .write(true)
        .open(world.lower(0).join("a/b/file"))
        .unwrap();
    file.set_len(64 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"end", (64 << 20) - 3).unwrap();
    let fs = world.mount();
    let change = SetAttr {
        mode: Some(0o600),
        ..SetAttr::default()
    };
    let attr = tree(&fs).set_attr("a/b/file", &change).unwrap();
    assert_eq!(attr.size, 64 << 20);
    assert!(attr.blocks * 512 < 1 << 20, "{} blocks", attr.blocks);
}

#[test]
fn who_has_the_old_file_open_reads_what_is_written() {
    let world = with_file(b"before");
    let fs = world.mount();
    let (ino, reader) = open(&fs, "a/b/file", OpenFlags::empty()).unwrap();
    assert_eq!(read(&fs, ino, reader), b"before");
    let (_, writer) = open(&fs, "a/b/file", OpenFlags::WRONLY).unwrap();
    write(&fs, ino, writer, 0, b"AFTER!!");
    assert_eq!(read(&fs, ino, reader), b"AFTER!!");
    let attr = fs.getattr(&Context::new(0, 0), ino, Some(reader)).unwrap().0;
    assert_eq!(attr.size, 7);
}

#[test]
fn a_file_that_was_unlinked_can_still_be_changed_and_gets_no_name() {
    let world = with_file(b"content");
    let fs = world.mount();
    let (ino, reader) = open(&fs, "a/b/file", OpenFlags::empty()).unwrap();
    tree(&fs).remove_file("a/b/file").unwrap();
    let change = SetAttr {
        mode: Some(0o600),
        size: Some(4),
        ..SetAttr::default()
    };
    let attr = fs.setattr(&Context::new(0, 0), ino, &change).unwrap().0;
    assert_eq!((attr.mode & 0o7777, attr.size, attr.nlink), (0o600, 4, 0));
    assert_eq!(read(&fs, ino, reader), b"cont");
    assert_eq!(tree(&fs).read("a/b/file"), Err(Errno::ENOENT));
    drop(fs);
    assert_eq!(
        fs::read_dir(world.path("work/sandbox/stage")).unwrap().count(),
        1,
        "the shared whiteout"
    );
    assert_eq!(tree(&world.mount()).read("a/b/file"), Err(Errno::ENOENT));
}

#[test]
fn a_change_that_fails_copies_nothing() {
    let world = with_file(b"x");
    let fs = world.mount();
    let ino = open(&fs, "a/b/file", OpenFlags::empty()).unwrap().0;
    let ctx = Context::new(0, 0);
    assert_eq!(
        fs.removexattr(&ctx, ino, "user.none".as_ref()),
        Err(Errno::ENODATA)
    );
    let replace = crate::fs::XattrFlags::REPLACE;
    assert_eq!(
        fs.setxattr(&ctx, ino, "user.none".as_ref(), b"", replace),
        Err(Errno::ENODATA)
    );
    let tree = tree(&fs);
    assert_eq!(tree.rename("a/b/file", "a"), Err(Errno::ENOTEMPTY));
    assert_eq!(tree.rename("a", "a/b/c"), Err(Errno::EINVAL));
    assert_eq!(tree.remove_dir("a/b"), Err(Errno::ENOTEMPTY));
    assert_eq!(tree.mkdir("a/b", 0o755), Err(Errno::EEXIST));
    assert!(!world.upper().join("a/b/file").exists());
}

#[test]
fn special_files_and_links_are_copied_as_what_they_are() {
    let world = World::new(1);
    let fifo = rustix::fs::FileType::Fifo;
    let mode = rustix::fs::Mode::from_raw_mode(0o622);
    rustix::fs::mknodat(rustix::fs::CWD, world.lower(0).join("fifo"), fifo, mode, 0).unwrap();
    std::os::unix::fs::symlink("nowhere", world.lower(0).join("link")).unwrap();
    let fs = world.mount();
    let tree = tree(&fs);
    tree.rename("fifo", "pipe").unwrap();
    tree.rename("link", "other").unwrap();
    assert_eq!(tree.readlink("other").unwrap(), b"nowhere");
    assert_eq!(tree.stat("pipe").unwrap().mode & libc::S_IFMT, libc::S_IFIFO);
    assert_eq!(tree.names("/"), ["other", "pipe"]);
}

#[test]
fn what_may_not_be_written_to_is_not_cut_off() {
    if rustix::process::geteuid().is_root() {
        println!("SKIP: what_may_not_be_written_to_is_not_cut_off: root may write to it");
        return;
    }
    let world = with_file(b"content");
    let lower = world.lower(0).join("a/b/file");
    fs::set_permissions(&lower, fs::Permissions::from_mode(0o444)).unwrap();
    let fs = world.mount();
    let ino = open(&fs, "a/b/file", OpenFlags::empty()).unwrap().0;
    let ctx = Context::new(0, 0);
    let opened = fs.open(&ctx, ino, OpenFlags::WRONLY | OpenFlags::TRUNC);
    assert_eq!(opened.map(drop), Err(Errno::EACCES));
    let shorter = SetAttr {
        size: Some(3),
        ..SetAttr::default()
    };
    assert_eq!(fs.setattr(&ctx, ino, &shorter).map(drop), Err(Errno::EACCES));
    assert_eq!(tree(&fs).read("a/b/file").unwrap(), b"content");
}

#[test]
fn an_owner_that_cannot_be_given_is_an_error_and_nothing_is_lost() -> FsResult<()> {
    if rustix::process::geteuid().is_root() {
        println!("SKIP: an_owner_that_cannot_be_given_is_an_error: root can give it");
        return Ok(());
    }
    let foreign = Path::new("/etc");
    let world = World::new(0);
    let fs = world.builder().layer(foreign).build().unwrap();
    fs.init(crate::fs::Capabilities::all())?;
    let change = SetAttr {
        mode: Some(0o777),
        ..SetAttr::default()
    };
    assert_eq!(tree(&fs).set_attr("passwd", &change), Err(Errno::EPERM));
    assert!(!world.upper().join("passwd").exists());
    Ok(())
}

/// Which the server is not: it has no capabilities where it is no root.
#[test]
fn modes_that_keep_the_owner_out_do_not_keep_a_copy_up_out() {
    let world = with_file(b"content");
    let lower = world.lower(0);
    let mode = |mode| fs::Permissions::from_mode(mode);
    fs::hard_link(lower.join("a/b/file"), lower.join("a/b/other")).unwrap();
    fs::set_permissions(lower.join("a/b/file"), mode(0o444)).unwrap();
    fs::create_dir(lower.join("a/closed")).unwrap();
    for (path, bits) in [("a/closed", 0o000), ("a/b", 0o555), ("a", 0o555)] {
        fs::set_permissions(lower.join(path), mode(bits)).unwrap();
    }
    let fs = world.mount();
    let tree = tree(&fs);
    let change = SetAttr {
        mtime: Some(crate::fs::SetTime::Now),
        ..SetAttr::default()
    };
    for path in ["a/b/file", "a/closed"] {
        tree.set_attr(path, &change).unwrap();
    }
    assert_eq!(tree.stat("a/b/file").unwrap().mode & 0o777, 0o444);
    assert_eq!(tree.stat("a/b/other").unwrap().nlink, 2);
    for (path, bits) in [("a/closed", 0o000), ("a/b", 0o555), ("a", 0o555)] {
        assert_eq!(tree.stat(path).unwrap().mode & 0o777, bits, "{path}");
        let made = fs::metadata(world.upper().join(path)).unwrap();
        assert_eq!(made.permissions().mode() & 0o777, bits, "{path}");
    }
    drop(fs);
    let fs = world.mount();
    assert_eq!(
        Tree::new(&fs, Context::new(0, 0)).stat("a/closed").unwrap().mode & 0o777,
        0
    );
    drop(fs);
    // So that they can be removed.
    for root in [lower, world.upper()] {
        for path in ["a", "a/b", "a/closed"] {
            fs::set_permissions(root.join(path), mode(0o755)).unwrap();
        }
    }
}
