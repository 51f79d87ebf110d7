//! What a copy keeps, and that there is one.

use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::watched::{Lacks, Watched};
use super::{Fs, ctx, dual, lookup, mem, tree};
use crate::fs::{
    DynFileSystem, Errno, LockOwner, OpenFlags, ROOT_INO, ReadRequest, SetAttr, SetTime, Timestamp,
    WriteRequest, XattrFlags, XattrReply,
};

fn open(fs: &dyn DynFileSystem, ino: u64, flags: OpenFlags) -> Option<u64> {
    fs.open(&ctx(), ino, flags).unwrap().handle
}

fn write_at(fs: &dyn DynFileSystem, ino: u64, handle: Option<u64>, offset: u64, bytes: &[u8]) {
    let request = WriteRequest {
        offset,
        size: u32::try_from(bytes.len()).unwrap(),
        flags: OpenFlags::RDWR,
        delayed: false,
        kill_privileges: false,
    };
    let mut data = bytes;
    assert_eq!(
        fs.write(&ctx(), ino, handle, &request, &mut data),
        Ok(bytes.len())
    );
}

fn read_at(fs: &dyn DynFileSystem, ino: u64, handle: Option<u64>, offset: u64, size: u32) -> Vec<u8> {
    let request = ReadRequest {
        offset,
        size,
        flags: OpenFlags::empty(),
    };
    let mut data = crate::fs::Buffer::with_room(size as usize);
    fs.read(&ctx(), ino, handle, &request, &mut data).unwrap();
    data.into_bytes()
}

fn close(fs: &dyn DynFileSystem, ino: u64, handle: Option<u64>) {
    fs.flush(&ctx(), ino, handle, LockOwner(1)).unwrap();
    fs.release(&ctx(), ino, handle, OpenFlags::RDWR, None).unwrap();
}

/// 64 MiB with 8 KiB of data, an owner, a mode, times and an attribute of its own.
fn original(b: &Fs) {
    let name = OsStr::new("f");
    let made = b
        .create(&ctx(), ROOT_INO, name, 0o640, OpenFlags::RDWR, 0)
        .unwrap();
    let (ino, handle) = (made.entry.ino, made.opened.handle);
    write_at(&**b, ino, handle, 1 << 20, &[7; 4096]);
    write_at(&**b, ino, handle, 32 << 20, &[8; 4096]);
    close(&**b, ino, handle);
    let attribute = OsStr::new("user.note");
    b.setxattr(&ctx(), ino, attribute, b"kept", XattrFlags::empty())
        .unwrap();
    // A client's own, which overlayfs would take for its.
    let own = OsStr::new("user.overlay.opaque");
    b.setxattr(&ctx(), ino, own, b"mine", XattrFlags::empty())
        .unwrap();
    let change = SetAttr {
        size: Some(64 << 20),
        uid: Some(1234),
        gid: Some(4321),
        ..SetAttr::default()
    };
    b.setattr(&ctx(), ino, &change).unwrap();
    let change = SetAttr {
        mode: Some(0o4751),
        atime: Some(SetTime::At(time(111))),
        mtime: Some(SetTime::At(time(222))),
        ..SetAttr::default()
    };
    b.setattr(&ctx(), ino, &change).unwrap();
    b.forget(ino, 1);
}

fn time(seconds: i64) -> Timestamp {
    Timestamp {
        seconds,
        nanoseconds: 5,
    }
}

#[test]
fn a_copy_has_content_holes_owner_mode_times_and_attributes() {
    for seeking in [false, true] {
        let lacks = Lacks {
            seeking: !seeking,
            ..Lacks::default()
        };
        let a = Arc::new(Watched::new(mem(), Lacks::default()));
        let b: Fs = Arc::new(Watched::new(mem(), lacks));
        original(&b);
        let above: Fs = a.clone();
        let fs = dual(&above, &b);
        let before = tree(&fs).stat("f").unwrap();
        let entry = lookup(&fs, ROOT_INO, "f").unwrap();
        // A link changes nothing of the file but its count and ctime.
        let linked = fs.link(&ctx(), entry.ino, ROOT_INO, OsStr::new("g")).unwrap();
        let after = tree(&*above).stat("f").unwrap();
        assert_eq!(linked.attr.ino, before.ino);
        assert_eq!(
            (after.uid, after.gid, after.mode),
            (before.uid, before.gid, before.mode)
        );
        assert_eq!(
            (after.size, after.atime, after.mtime),
            (64 << 20, time(111), time(222))
        );
        assert!(
            after.blocks <= before.blocks,
            "{} {}",
            after.blocks,
            before.blocks
        );
        assert_eq!(a.bytes_written.load(Ordering::SeqCst), 8192);
        for (name, value) in [("user.note", &b"kept"[..]), ("user.overlay.opaque", b"mine")] {
            let found = fs.getxattr(&ctx(), entry.ino, OsStr::new(name), 64);
            assert_eq!(found, Ok(XattrReply::Data(value.to_vec())), "{name}");
        }
        let listed = fs.listxattr(&ctx(), entry.ino, 1000).unwrap();
        assert_eq!(
            listed,
            XattrReply::Data(b"user.note\0user.overlay.opaque\0".to_vec())
        );
        let handle = open(&fs, entry.ino, OpenFlags::empty());
        assert_eq!(read_at(&fs, entry.ino, handle, 1 << 20, 4096), [7; 4096]);
        assert_eq!(read_at(&fs, entry.ino, handle, (32 << 20) - 1, 2), [0, 8]);
        close(&fs, entry.ino, handle);
        fs.forget(entry.ino, 2);
    }
}

#[test]
fn what_will_be_cut_off_is_not_copied() {
    let a = Arc::new(Watched::new(mem(), Lacks::default()));
    let above: Fs = a.clone();
    let b = mem();
    for name in ["one", "two", "three"] {
        tree(&*b).write(name, &vec![9; 100_000]).unwrap();
    }
    let fs = dual(&above, &b);
    let entry = lookup(&fs, ROOT_INO, "one").unwrap();
    let handle = open(&fs, entry.ino, OpenFlags::WRONLY | OpenFlags::TRUNC);
    close(&fs, entry.ino, handle);
    fs.forget(entry.ino, 1);
    assert_eq!(a.bytes_written.load(Ordering::SeqCst), 0);
    let change = SetAttr {
        size: Some(10),
        ..SetAttr::default()
    };
    tree(&fs).set_attr("two", &change).unwrap();
    assert_eq!(a.bytes_written.load(Ordering::SeqCst), 10);
    assert_eq!(tree(&fs).read("two").unwrap(), [9; 10]);
    tree(&fs).rename("three", "moved").unwrap();
    assert_eq!(tree(&fs).read("moved").unwrap(), vec![9; 100_000]);
}

#[test]
fn hard_links_stay_together_also_when_it_is_built_again() {
    let (a, b) = (mem(), mem());
    tree(&*b).write("one", b"base").unwrap();
    tree(&*b).mkdir("d", 0o755).unwrap();
    tree(&*b).link("one", "two").unwrap();
    tree(&*b).link("one", "d/three").unwrap();
    let fs = dual(&a, &b);
    tree(&fs).remove_file("two").unwrap();
    assert_eq!(tree(&fs).stat("one").unwrap().nlink, 2);
    tree(&fs).write("one", b"changed").unwrap();
    assert_eq!(tree(&fs).read("d/three").unwrap(), b"changed");
    drop(fs);
    let fs = dual(&a, &b);
    let (one, three) = (tree(&fs).stat("one").unwrap(), tree(&fs).stat("d/three").unwrap());
    assert_eq!((one.ino, one.nlink), (three.ino, 2));
    assert_eq!(tree(&fs).read("d/three").unwrap(), b"changed");
    tree(&fs).write("d/three", b"again").unwrap();
    assert_eq!(tree(&fs).read("one").unwrap(), b"again");
    tree(&fs).remove_file("one").unwrap();
    assert_eq!(tree(&fs).stat("d/three").unwrap().nlink, 1);
    tree(&fs).remove_file("d/three").unwrap();
    // The index holds nothing that nobody can reach.
    assert!(tree(&*a).list(".sandbox-dual/index").unwrap().is_empty());
    assert_eq!(tree(&*b).read("two").unwrap(), b"base");
}

#[test]
fn who_has_a_file_open_for_reading_reads_what_others_write() {
    let (a, b) = (mem(), mem());
    tree(&*b).write("f", b"base").unwrap();
    let fs = dual(&a, &b);
    let entry = lookup(&fs, ROOT_INO, "f").unwrap();
    let reader = open(&fs, entry.ino, OpenFlags::empty());
    assert_eq!(read_at(&fs, entry.ino, reader, 0, 10), b"base");
    tree(&fs).write("f", b"new").unwrap();
    assert_eq!(read_at(&fs, entry.ino, reader, 0, 10), b"new");
    tree(&fs).remove_file("f").unwrap();
    assert_eq!(read_at(&fs, entry.ino, reader, 0, 10), b"new");
    let (attr, _) = fs.getattr(&ctx(), entry.ino, reader).unwrap();
    assert_eq!((attr.nlink, attr.ino), (0, entry.attr.ino));
    close(&fs, entry.ino, reader);
    fs.forget(entry.ino, 1);
}

#[test]
fn a_file_that_lost_its_name_in_b_can_be_changed_and_is_nowhere_seen() {
    let (a, b) = (mem(), mem());
    tree(&*b).write("f", b"base").unwrap();
    let fs = dual(&a, &b);
    let entry = lookup(&fs, ROOT_INO, "f").unwrap();
    let reader = open(&fs, entry.ino, OpenFlags::empty());
    tree(&fs).remove_file("f").unwrap();
    let change = SetAttr {
        mode: Some(0o600),
        ..SetAttr::default()
    };
    let (attr, _) = fs.setattr(&ctx(), entry.ino, &change).unwrap();
    assert_eq!((attr.mode & 0o777, attr.nlink), (0o600, 0));
    assert_eq!(read_at(&fs, entry.ino, reader, 0, 10), b"base");
    assert_eq!(tree(&fs).read("f"), Err(Errno::ENOENT));
    close(&fs, entry.ino, reader);
    fs.forget(entry.ino, 1);
    assert!(tree(&*a).list(".sandbox-dual/stage").unwrap().is_empty());
}

#[test]
fn a_copy_is_made_once_and_nobody_else_waits_for_it() {
    let b = Arc::new(Watched::new(mem(), Lacks::default()));
    tree(&*b).write("f", &[1; 5000]).unwrap();
    tree(&*b).write("other", b"x").unwrap();
    let a = Arc::new(Watched::new(mem(), Lacks::default()));
    let (above, beneath): (Fs, Fs) = (a.clone(), b.clone());
    let fs = &dual(&above, &beneath);
    let entry = lookup(fs, ROOT_INO, "f").unwrap();
    let stuck = b.reading.lock().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || {
                let handle = open(fs, entry.ino, OpenFlags::RDWR);
                close(fs, entry.ino, handle);
            });
        }
        while b.reads.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        // While that is stuck: the same directory, the file itself, and copies of others.
        tree(fs).write("new", b"x").unwrap();
        tree(fs).rename("new", "newer").unwrap();
        assert_eq!(tree(fs).stat("f").unwrap().size, 5000);
        let change = SetAttr {
            size: Some(0),
            ..SetAttr::default()
        };
        tree(fs).set_attr("other", &change).unwrap();
        drop(stuck);
    });
    fs.forget(entry.ino, 1);
    let reads = b.reads.load(Ordering::SeqCst);
    assert_eq!(reads, 1);
    assert_eq!(tree(fs).read("f").unwrap(), [1; 5000]);
}

#[test]
fn what_cannot_be_cut_off_stays_whole() {
    let a = Arc::new(Watched::new(mem(), Lacks::default()));
    let (above, b): (Fs, Fs) = (a.clone(), mem());
    tree(&*b).write("f", b"content").unwrap();
    let fs = dual(&above, &b);
    let ino = lookup(&fs, ROOT_INO, "f").unwrap().ino;
    let shorter = SetAttr {
        size: Some(3),
        mtime: Some(SetTime::At(time(5))),
        ..SetAttr::default()
    };
    let truncating = OpenFlags::WRONLY | OpenFlags::TRUNC;
    a.keeps_all.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        assert_eq!(fs.open(&ctx(), ino, truncating).map(drop), Err(Errno::EACCES));
        assert_eq!(fs.setattr(&ctx(), ino, &shorter).map(drop), Err(Errno::EACCES));
        assert_eq!(tree(&fs).read("f").unwrap(), b"content");
        assert!(tree(&*above).stat("f").is_err(), "there is no copy");
    }
    a.keeps_all.store(false, Ordering::SeqCst);
    let attr = fs.setattr(&ctx(), ino, &shorter).unwrap().0;
    assert_eq!((attr.size, attr.mtime, attr.nlink), (3, time(5), 1));
    assert_eq!(tree(&fs).read("f").unwrap(), b"con");
    let handle = open(&fs, ino, truncating);
    write_at(&fs, ino, handle, 0, b"new");
    close(&fs, ino, handle);
    assert_eq!(tree(&fs).read("f").unwrap(), b"new");
    assert_eq!(tree(&*b).read("f").unwrap(), b"content");
}

#[test]
fn a_file_with_several_names_that_is_cut_off_has_all_of_them() {
    let (a, b) = (mem(), mem());
    tree(&*b).write("f", b"content").unwrap();
    tree(&*b).link("f", "g").unwrap();
    let fs = dual(&a, &b);
    let ino = lookup(&fs, ROOT_INO, "f").unwrap().ino;
    let shorter = SetAttr {
        size: Some(3),
        ..SetAttr::default()
    };
    let attr = fs.setattr(&ctx(), ino, &shorter).unwrap().0;
    assert_eq!((attr.size, attr.nlink), (3, 2));
    assert_eq!(tree(&fs).read("g").unwrap(), b"con");
    assert_eq!(tree(&fs).stat("g").unwrap().nlink, 2);
}
