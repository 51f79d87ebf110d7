//! What a mount is like.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;

use sandbox_filesystem::serve::fuse::MountError;

use super::tiny::Tiny;
use super::{builder, mounted, usable};
use crate::harness::{is_root, mounts_with};

#[test]
fn a_mount_is_ready_when_it_is_there() {
    let place = tempfile::tempdir().unwrap();
    let fs = Tiny::new();
    let session = mounted!(&fs, place.path());
    assert!(fs::metadata(place.path().join("panic")).is_ok());
    fs::write(place.path().join("new"), b"content").unwrap();
    assert_eq!(fs.content("new").as_deref(), Some(&b"content"[..]));
    assert_eq!(fs::read(place.path().join("new")).unwrap(), b"content");
    let names = fs::read_dir(place.path()).unwrap().count();
    assert_eq!(names, 4);
    drop(session);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    assert_eq!(fs.destroyed.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[test]
fn more_than_one_request_holds_arrives_as_it_was_sent() {
    let place = tempfile::tempdir().unwrap();
    let fs = Tiny::new();
    let _session = mounted!(&fs, place.path());
    let path = place.path().join("large");
    let content: Vec<u8> = (0..3_500_001_u32).map(|n| (n % 251) as u8).collect();
    fs::write(&path, &content).unwrap();
    assert!(fs.content("large").unwrap() == content);
    assert!(fs::read(&path).unwrap() == content);
}

#[test]
fn the_mount_table_shows_what_was_asked_for() {
    let place = tempfile::tempdir().unwrap();
    let fs = Tiny::new();
    let builder = builder(&fs).fs_name("notes, mine").subtype("tiny").read_only();
    let session = match usable(builder.mount(place.path())) {
        Ok(session) => session,
        Err(reason) => skip!("{reason}"),
    };
    let [line] = &mounts_with(place.path())[..] else {
        panic!("one mount: {:?}", mounts_with(place.path()))
    };
    assert!(line.contains(" ro,"), "{line}");
    assert!(line.contains("- fuse.tiny notes,\\040mine ro,"), "{line}");
    assert!(line.contains("default_permissions"), "{line}");
    let error = fs::write(place.path().join("new"), b"x").unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EROFS));
    drop(session);
}

#[test]
fn a_mount_can_be_made_read_only_and_back() {
    if !is_root() {
        skip!("only root may mount anew");
    }
    let place = tempfile::tempdir().unwrap();
    let fs = Tiny::new();
    let _session = mounted!(&fs, place.path());
    let remount = |how: &str| {
        // `-i`: without it mount(8) runs mount.fuse, which knows no remounting.
        let status = Command::new("mount")
            .args(["-i", "-o", how])
            .arg(place.path())
            .status();
        assert!(status.unwrap().success(), "{how}");
    };
    remount("remount,ro");
    let error = fs::write(place.path().join("new"), b"x").unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EROFS));
    remount("remount,rw");
    fs::write(place.path().join("new"), b"x").unwrap();
}

#[test]
fn what_is_no_mount_point_is_refused_by_name() {
    let place = tempfile::tempdir().unwrap();
    let fs = Tiny::new();
    let missing = place.path().join("missing");
    let error = builder(&fs).mount(&missing).unwrap_err();
    assert!(
        matches!(&error, MountError::NoMountPoint { path } if *path == missing),
        "{error:?}"
    );
    assert!(error.hint().is_some());

    fs::write(place.path().join("file"), b"").unwrap();
    let error = builder(&fs).mount(place.path()).unwrap_err();
    assert!(matches!(error, MountError::NotEmpty { .. }), "{error:?}");
    let beneath = place.path().join("file/beneath");
    let error = builder(&fs).mount(&beneath).unwrap_err();
    assert!(matches!(error, MountError::NoDirectory { .. }), "{error:?}");
    let error = builder(&fs).mount("/dev/null").unwrap_err();
    assert!(matches!(error, MountError::NoDirectory { .. }), "{error:?}");
    let error = builder(&fs).mount("/proc").unwrap_err();
    assert!(matches!(error, MountError::AlreadyMounted { .. }), "{error:?}");
    if !is_root() {
        let error = builder(&fs).over_what_is_there().mount("/usr/lib").unwrap_err();
        assert!(matches!(error, MountError::NotYours { .. }), "{error:?}");
    }
}

#[test]
fn a_detached_mount_stands_in_no_table() {
    let fs = Tiny::new();
    let session = match usable(builder(&fs).fs_name("nowhere-to-be-seen").mount_detached()) {
        Ok(session) => session,
        Err(reason) => skip!("{reason}"),
    };
    let root = format!("/proc/self/fd/{}", session.root().unwrap().as_raw_fd());
    fs::write(format!("{root}/new"), b"content").unwrap();
    assert_eq!(fs.content("new").as_deref(), Some(&b"content"[..]));
    assert_eq!(mounts_with(Path::new("nowhere-to-be-seen")), Vec::<String>::new());
    let mut open = fs::File::open(format!("{root}/new")).unwrap();
    drop(session);
    assert!(open.read(&mut [0; 8]).is_err());
}

#[test]
fn what_is_no_device_is_not_served() {
    let fs = Tiny::new();
    // Not a device: what is read from it is no request.
    let (socket, other) = std::os::unix::net::UnixStream::pair().unwrap();
    (&other).write_all(&[0xff; 100]).unwrap();
    drop(other);
    let error = builder(&fs).serve(socket.into()).unwrap_err();
    assert!(matches!(error, MountError::Refused { .. }), "{error:?}");
}

#[test]
fn four_clients_at_once_see_their_own_files() {
    let place = tempfile::tempdir().unwrap();
    let fs = Tiny::new();
    let session = mounted!(&fs, place.path());
    std::thread::scope(|scope| {
        for client in 0..4 {
            let path = place.path().to_owned();
            scope.spawn(move || {
                for round in 0..100 {
                    let path = path.join(format!("client-{client}-{round}"));
                    fs::write(&path, format!("{client} {round}")).unwrap();
                    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{client} {round}"));
                    fs::remove_file(&path).unwrap();
                }
            });
        }
    });
    let counted = session.counters().counted();
    let creates = counted
        .iter()
        .find(|counted| counted.opcode == sandbox_filesystem::serve::Opcode::Create);
    assert_eq!(creates.unwrap().requests, 400);
}
