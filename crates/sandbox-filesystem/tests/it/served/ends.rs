//! However it ends, nothing stale is left.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::Ordering;

use sandbox_filesystem::serve::fuse::UnmountError;

use super::mounted;
use super::tiny::{DEAF, Tiny};
use crate::harness::{comes_true, is_root, kill, mounts_with, other_process, part, wait_for};

#[test]
fn a_server_that_is_killed_leaves_no_mount() {
    if let Some(place) = part() {
        match super::session(&Tiny::new(), &place.join("mount")) {
            Ok(session) => {
                println!("mounted");
                session.wait();
            }
            Err(reason) => println!("cannot: {reason} mounted"),
        }
        return;
    }
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("mount")).unwrap();
    let probe = tempfile::tempdir().unwrap();
    drop(mounted!(&Tiny::new(), probe.path()));

    let mut server = other_process(
        "served::ends::a_server_that_is_killed_leaves_no_mount",
        place.path(),
    )
    .spawn()
    .unwrap();
    wait_for(&mut server, "mounted");
    assert_eq!(mounts_with(place.path()).len(), 1);
    kill(server);
    assert!(comes_true(|| mounts_with(place.path()).is_empty()));
    fs::write(place.path().join("mount/usable"), b"").unwrap();
}

/// As a plain user, who mounts by fusermount3. The device is the one that udev would make, seen by this test alone.
#[test]
fn a_plain_users_server_that_is_killed_leaves_no_mount() {
    if let Some(place) = part() {
        let session = super::builder(&Tiny::new()).mount(place.join("mount")).unwrap();
        // The guard is a copy of this process and has its name, so the number is needed.
        println!("mounted by {} today", std::process::id());
        session.wait();
        return;
    }
    if !is_root() {
        skip!("only root can make the device that a plain user may open");
    }
    if let Some(missing) = ["unshare", "runuser", "fusermount3"]
        .into_iter()
        .find(|program| !has(program))
    {
        skip!("there is no {missing}");
    }
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mount = place.path().join("mount");
    fs::create_dir(&mount).unwrap();
    std::os::unix::fs::chown(&mount, Some(65534), Some(65534)).unwrap();
    // The test user may not read the build directory.
    let program = place.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let script = r"mknod -m 666 $PLACE/fuse c 10 229 && mount --bind $PLACE/fuse /dev/fuse || exit 9
        runuser -u nobody -- env SANDBOX_TEST_PART=$PLACE $PLACE/test --nocapture --exact \
            served::ends::a_plain_users_server_that_is_killed_leaves_no_mount > $PLACE/said &
        until grep -q today $PLACE/said; do sleep 0.1; done
        grep -c $PLACE/mount /proc/self/mounts
        kill -9 $(sed -n 's/.*mounted by \([0-9]*\) today.*/\1/p' $PLACE/said)
        for i in $(seq 300); do grep -q $PLACE/mount /proc/self/mounts || exit 0; sleep 0.1; done; exit 8";
    let output = Command::new("unshare")
        .args(["--mount", "--propagation=private", "sh", "-c", script])
        .env("PLACE", place.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "1", "{output:?}");
}

fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|place| place.join(program).is_file())
}

#[test]
fn a_mount_that_is_in_use_stays_when_it_is_asked_to_go_and_goes_when_it_is_dropped() {
    let place = tempfile::tempdir().unwrap();
    let fs = Tiny::new();
    let session = mounted!(&fs, place.path());
    fs::write(place.path().join("held"), b"content").unwrap();
    let mut held = fs::File::open(place.path().join("held")).unwrap();
    let (session, error) = session.unmount().unwrap_err();
    assert!(matches!(error, UnmountError::Busy), "{error:?}");
    let mut content = Vec::new();
    held.read_to_end(&mut content).unwrap();
    assert_eq!(content, b"content");

    drop(session);
    assert!(mounts_with(place.path()).is_empty());
    let error = fs::metadata(place.path().join("held")).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert!(held.metadata().is_err());
    assert_eq!(fs.destroyed.load(Ordering::SeqCst), 1);
}

#[test]
fn a_mount_that_nobody_uses_is_unmounted_when_asked() {
    let place = tempfile::tempdir().unwrap();
    let session = mounted!(&Tiny::new(), place.path());
    assert!(session.unmount().is_ok());
    assert!(mounts_with(place.path()).is_empty());
}

fn unmount_as_others_do(place: &std::path::Path) {
    let program = if is_root() {
        ("umount", None)
    } else {
        ("fusermount3", Some("-u"))
    };
    let status = Command::new(program.0).args(program.1).arg(place).status();
    assert!(status.unwrap().success());
}

#[test]
fn who_waits_for_a_session_learns_that_somebody_has_unmounted_it() {
    let place = tempfile::tempdir().unwrap();
    let session = mounted!(&Tiny::new(), place.path());
    let ended = session.ended().unwrap();
    unmount_as_others_do(place.path());
    session.wait();
    let mut eight = [0; 8];
    rustix::io::read(&ended, &mut eight).unwrap();
    assert_eq!(u64::from_ne_bytes(eight), 1);
}

#[test]
fn a_client_whose_request_is_never_answered_can_die_once_the_session_is_gone() {
    let place = tempfile::tempdir().unwrap();
    let fs = Tiny::new();
    let session = mounted!(&fs, place.path());
    let mut client = Command::new("cat")
        .arg(place.path().join(DEAF))
        .process_group(0)
        .spawn()
        .unwrap();
    assert!(comes_true(|| fs.waiting.load(Ordering::SeqCst) == 1));
    client.kill().unwrap();
    // Its request is with the filesystem, so it cannot die yet.
    assert!(client.try_wait().unwrap().is_none());
    // The worker stays stuck, and holds nobody up for long.
    let dropped = std::thread::spawn(move || drop(session));
    client.wait().unwrap();
    fs.release();
    dropped.join().unwrap();
    assert!(mounts_with(place.path()).is_empty());
}

#[test]
fn a_session_whose_mount_was_taken_away_leaves_the_next_one_there_alone() {
    let place = tempfile::tempdir().unwrap();
    let first = mounted!(&Tiny::new(), place.path());
    unmount_as_others_do(place.path());
    // The kernel gives the number of a mount that is gone to the next one.
    let second = mounted!(&Tiny::new(), place.path());
    drop(first);
    assert_eq!(mounts_with(place.path()).len(), 1);
    fs::write(place.path().join("file"), b"content").unwrap();
    second.unmount().map_err(|(_, error)| error).unwrap();
    assert!(mounts_with(place.path()).is_empty());
}
