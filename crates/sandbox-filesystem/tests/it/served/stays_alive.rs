//! Whatever one request does, the others are answered.

use std::fs;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;

use super::tiny::{DEAF, PANIC, STUCK, Tiny};
use super::{builder, mounted, usable};
use crate::harness::{comes_true, kill, mounts_with, other_process, part, wait_for};

fn cat(path: &std::path::Path) -> Child {
    let mut command = Command::new("cat");
    command.arg(path).stdout(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_request_that_is_stuck_holds_up_nobody_else() {
    let place = tempfile::tempdir().unwrap();
    let fs = Tiny::new();
    let _session = mounted!(&fs, place.path());
    let mut stuck: Vec<_> = (0..20).map(|_| cat(&place.path().join(STUCK))).collect();
    // The kernel reads a page of a file for one reader at a time.
    assert!(comes_true(|| fs.waiting.load(Ordering::SeqCst) >= 1));
    fs::write(place.path().join("other"), b"content").unwrap();
    assert_eq!(fs::read(place.path().join("other")).unwrap(), b"content");
    fs.release();
    for child in &mut stuck {
        let mut content = String::new();
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_to_string(&mut content)
            .unwrap();
        assert_eq!(content, "something");
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn an_interrupt_ends_the_request_that_it_is_for() {
    let place = tempfile::tempdir().unwrap();
    let fs = Tiny::new();
    let _session = mounted!(&fs, place.path());
    let mut client = cat(&place.path().join(STUCK));
    assert!(comes_true(|| fs.waiting.load(Ordering::SeqCst) == 1));
    client.kill().unwrap();
    assert_eq!(client.wait().unwrap().signal(), Some(libc::SIGKILL));
    assert_eq!(fs::metadata(place.path().join(STUCK)).unwrap().len(), 9);
}

#[test]
fn with_all_workers_busy_the_kernel_keeps_what_comes() {
    let place = tempfile::tempdir().unwrap();
    let fs = Tiny::new();
    let session = match usable(builder(&fs).most_workers(1).mount(place.path())) {
        Ok(session) => session,
        Err(reason) => skip!("{reason}"),
    };
    let mut stuck = cat(&place.path().join(DEAF));
    assert!(comes_true(|| fs.waiting.load(Ordering::SeqCst) == 1));
    let path = place.path().join("later");
    let later = std::thread::spawn(move || fs::write(path, b"content"));
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert!(!later.is_finished());
    fs.release();
    later.join().unwrap().unwrap();
    assert!(stuck.wait().unwrap().success());
    drop(session);
}

#[test]
fn a_program_that_is_executed_gets_the_files_closed_that_it_is_not_to_have() {
    use sandbox_filesystem::backend::MemFs;
    use sandbox_filesystem::fs::{Context, SetAttr};
    use sandbox_filesystem::serve::fuse::Session;
    use sandbox_filesystem::tree::Tree;
    use sandbox_types::SizeExt;

    let place = tempfile::tempdir().unwrap();
    let fs = std::sync::Arc::new(MemFs::builder().capacity(16.mib()).build().unwrap());
    let change = SetAttr {
        mode: Some(0o777),
        ..SetAttr::default()
    };
    Tree::new(&*fs, Context::new(0, 0)).set_attr("", &change).unwrap();
    // As root its workers look where their callers are, which must not wait for them.
    let session = match usable(Session::builder(fs).beside_callers(true).mount(place.path())) {
        Ok(session) => session,
        Err(reason) => skip!("{reason}"),
    };
    let file = |number: u32| fs::File::create(place.path().join(number.to_string())).unwrap();
    // Each is a request in the middle of execve(2), which nothing interrupts.
    let files: Vec<_> = (0..200).map(file).collect();
    let executed = std::thread::spawn(|| (0..10).all(|_| Command::new("true").status().unwrap().success()));
    let has_ended = comes_true(|| executed.is_finished());
    // Whoever still waits for an answer gets an error.
    drop(session);
    assert!(executed.join().unwrap() && has_ended);
    drop(files);
}

#[test]
fn a_backend_that_panics_has_failed_at_that_request_alone() {
    let place = tempfile::tempdir().unwrap();
    let fs = Tiny::new();
    let _session = mounted!(&fs, place.path());
    for _ in 0..3 {
        let error = fs::read(place.path().join(PANIC)).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EIO));
    }
    fs::write(place.path().join("other"), b"content").unwrap();
}

#[test]
fn more_waiters_for_a_lock_than_workers_do_not_keep_it_from_being_given_up() {
    let place = tempfile::tempdir().unwrap();
    let fs = std::sync::Arc::new(Tiny::with(
        std::time::Duration::ZERO,
        sandbox_filesystem::fs::Capabilities::USUAL | sandbox_filesystem::fs::Capabilities::POSIX_LOCKS,
    ));
    let _session = match usable(builder(&fs).most_workers(4).mount(place.path())) {
        Ok(session) => session,
        Err(reason) => skip!("{reason}"),
    };
    fs.put("locked", b"");
    let open = || {
        let options = fs::OpenOptions::new().read(true).write(true).to_owned();
        options.open(place.path().join("locked")).unwrap()
    };
    // Locks of descriptions rather than processes: this is one process.
    let lock = |file: &fs::File, command, kind: i32| {
        let flock = libc::flock {
            l_type: i16::try_from(kind).unwrap(),
            l_whence: 0,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        sys::lock(file.as_raw_fd(), command, &flock)
    };
    let holder = open();
    assert!(lock(&holder, libc::F_OFD_SETLK, libc::F_WRLCK));
    std::thread::scope(|scope| {
        for _ in 0..12 {
            let waiter = open();
            scope.spawn(move || {
                assert!(lock(&waiter, libc::F_OFD_SETLKW, libc::F_WRLCK));
                assert!(lock(&waiter, libc::F_OFD_SETLK, libc::F_UNLCK));
            });
        }
        assert!(comes_true(|| fs.waiting.load(Ordering::SeqCst) == 12));
        assert!(lock(&holder, libc::F_OFD_SETLK, libc::F_UNLCK));
    });
}

mod sys {
    #![expect(
        unsafe_code,
        reason = "fcntl(2) has no safe wrapper for locks of descriptions"
    )]

    pub(super) fn lock(fd: i32, command: i32, lock: &libc::flock) -> bool {
        // SAFETY: the kernel reads and writes one `struct flock`; the descriptor is the caller's.
        unsafe { libc::fcntl(fd, command, std::ptr::from_ref(lock).cast_mut()) == 0 }
    }
}

/// Whoever uses a mount can have as much open as its server may. In a process of its own, whose limit is its own.
#[test]
fn a_server_that_has_no_descriptor_left_goes_on() {
    if let Some(place) = part() {
        match super::session(&Tiny::new(), &place.join("mount")) {
            Ok(session) => {
                let limit = rustix::process::Rlimit {
                    current: Some(100),
                    maximum: Some(100),
                };
                rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
                let taken: Vec<_> = std::iter::from_fn(|| rustix::io::dup(std::io::stdin()).ok()).collect();
                println!("mounted");
                session.wait();
                drop(taken);
            }
            Err(reason) => println!("cannot: {reason} mounted"),
        }
        return;
    }
    let probe = tempfile::tempdir().unwrap();
    drop(mounted!(&Tiny::new(), probe.path()));
    let place = tempfile::tempdir().unwrap();
    let mount = place.path().join("mount");
    fs::create_dir(&mount).unwrap();
    let test = "served::stays_alive::a_server_that_has_no_descriptor_left_goes_on";
    let mut server = other_process(test, place.path()).spawn().unwrap();
    wait_for(&mut server, "mounted");
    // While it is stuck another worker has to listen, which has no descriptor to wait with.
    let mut stuck = cat(&mount.join(DEAF));
    for round in 0..100 {
        let content = format!("content {round}");
        fs::write(mount.join("other"), &content).unwrap();
        assert_eq!(fs::read(mount.join("other")).unwrap(), content.as_bytes());
    }
    assert!(stuck.try_wait().unwrap().is_none());
    kill(server);
    assert!(!stuck.wait().unwrap().success());
    assert!(comes_true(|| mounts_with(place.path()).is_empty()));
}
