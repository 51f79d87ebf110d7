//! Walls around the calling process: what a server that has been taken over cannot reach.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{Mode, OFlags};
use sandbox_confine::own::{Entered, OwnWalls, OwnWallsError};
use sandbox_types::Access;

use crate::harness::{Place, deny_landlock, in_own_process, is_root, name_of_test};

/// A directory that is served, and a neighbor that is not.
struct Site {
    place: Place,
    served: PathBuf,
    neighbor: PathBuf,
}

impl Site {
    fn new() -> Self {
        let place = Place::new();
        let served = place.dir("served");
        place.file("served/file", "served");
        let neighbor = place.file("neighbor/secret", "secret");
        Self {
            place,
            served,
            neighbor,
        }
    }

    /// As the server of a directory is confined.
    fn enter(&self, access: Access) -> Entered {
        let walls = OwnWalls::new().reach(&self.served, access).many_owners();
        let walls = walls.keep("mknod").keep("sys_admin");
        walls.enter().expect("it can be confined here")
    }
}

fn is_refused<T>(result: Result<T, impl Into<std::io::Error>>) -> bool {
    result.is_err_and(|error| {
        let kind = error.into().kind();
        matches!(
            kind,
            ErrorKind::PermissionDenied
                | ErrorKind::NotFound
                | ErrorKind::Unsupported
                | ErrorKind::ReadOnlyFilesystem
        )
    })
}

/// Runs `body` in a process that may be confined for ever; what it has left behind is removed from outside.
macro_rules! alone {
    ($body:expr) => {
        in_own_process(name_of_test!(), || {
            let site = Site::new();
            crate::harness::sys::in_a_fork(|| ($body)(&site));
        })
    };
}

#[test]
fn what_is_served_can_be_changed_in_every_way() {
    alone!(|site: &Site| {
        site.enter(Access::Write);
        let in_it = |name: &str| site.served.join(name);
        assert_eq!(fs::read(in_it("file")).unwrap(), b"served");
        fs::write(in_it("new"), "new").unwrap();
        fs::create_dir(in_it("dir")).unwrap();
        fs::rename(in_it("new"), in_it("dir/moved")).unwrap();
        fs::hard_link(in_it("dir/moved"), in_it("other")).unwrap();
        symlink("anywhere", in_it("link")).unwrap();
        fs::set_permissions(in_it("other"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::remove_file(in_it("other")).unwrap();
        let names = fs::read_dir(&site.served).unwrap().count();
        assert_eq!(names, 3);
        // By number, as files are opened again.
        let held = rustix::fs::open(in_it("file"), OFlags::PATH, Mode::empty()).unwrap();
        let again = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&held));
        fs::write(again, "again").unwrap();
        let worker = std::thread::spawn(|| 7);
        assert_eq!(worker.join().unwrap(), 7);
    });
}

#[test]
fn a_server_reads_and_writes_nothing_elsewhere() {
    alone!(|site: &Site| {
        let above = rustix::fs::open(&site.served, OFlags::PATH, Mode::empty()).unwrap();
        let entered = site.enter(Access::Write);
        let elsewhere = [
            site.neighbor.clone(),
            "/etc/passwd".into(),
            "/proc/self/mem".into(),
            "/proc/self/environ".into(),
            "/proc/1/status".into(),
            "/bin/sh".into(),
        ];
        for path in &elsewhere {
            assert!(is_refused(fs::read(path)), "{}", path.display());
            let opened = fs::OpenOptions::new().write(true).open(path);
            assert!(is_refused(opened), "{}", path.display());
        }
        for directory in ["/etc", "/home", "/root", "/dev"].map(Path::new) {
            assert!(is_refused(fs::read_dir(directory)), "{}", directory.display());
        }
        assert!(is_refused(fs::write(site.place.path().join("new"), "")));
        assert!(is_refused(fs::write("/tmp/sandbox-own-walls", "")));
        // Around the name: upwards from what is open, by a link, by a process of the host.
        let up = "../neighbor/secret";
        let opened = rustix::fs::openat(&above, up, OFlags::RDONLY, Mode::empty());
        assert!(is_refused(opened), "upwards");
        symlink(&site.neighbor, site.served.join("out")).unwrap();
        assert!(is_refused(fs::read(site.served.join("out"))), "by a link");
        let host = format!(
            "/proc/{}/root/etc/passwd",
            rustix::process::getppid().unwrap().as_raw_nonzero()
        );
        assert!(is_refused(fs::read(host)), "by a process");
        let linked = fs::hard_link(&site.neighbor, site.served.join("stolen"));
        assert!(linked.is_err(), "by another name");
        if entered.private_root {
            assert!(site.neighbor.symlink_metadata().is_err(), "it is not even there");
            let mode = fs::set_permissions(&site.neighbor, fs::Permissions::from_mode(0o777));
            assert!(is_refused(mode));
        }
    });
}

#[test]
fn a_device_that_root_makes_in_what_is_served_leads_nowhere() {
    if !is_root() {
        return crate::harness::skip(name_of_test!(), "only root makes devices");
    }
    alone!(|site: &Site| {
        let entered = site.enter(Access::Write);
        let node = site.served.join("memory");
        let made = rustix::fs::mknodat(
            rustix::fs::CWD,
            &node,
            rustix::fs::FileType::CharacterDevice,
            Mode::from_raw_mode(0o600),
            rustix::fs::makedev(1, 5),
        );
        assert_eq!(made.is_ok(), entered.private_root, "{made:?}");
        if made.is_ok() {
            assert_eq!(
                fs::symlink_metadata(&node).unwrap().rdev(),
                rustix::fs::makedev(1, 5)
            );
        }
        assert!(is_refused(fs::read(&node)));
    });
}

#[test]
fn a_server_starts_nothing_and_talks_to_nobody() {
    alone!(|site: &Site| {
        site.enter(Access::Write);
        assert!(is_refused(Command::new("/bin/true").status()), "exec");
        assert!(is_refused(std::net::TcpListener::bind("127.0.0.1:0")), "TCP");
        assert!(is_refused(std::net::UdpSocket::bind("127.0.0.1:0")), "UDP");
        let socket = std::os::unix::net::UnixDatagram::unbound();
        assert!(is_refused(socket), "a unix socket");
        let parent = rustix::process::getppid().unwrap();
        let signal = rustix::process::kill_process(parent, rustix::process::Signal::URG);
        assert!(is_refused(signal), "a signal");
        let mounted = rustix::mount::mount_bind(&site.served, &site.served);
        assert!(is_refused(mounted), "a mount");
        let namespace = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER);
        assert!(is_refused(namespace.map_err(std::io::Error::from)), "a namespace");
    });
}

#[test]
fn what_is_served_for_reading_cannot_be_written() {
    alone!(|site: &Site| {
        site.enter(Access::Read);
        let file = site.served.join("file");
        assert_eq!(fs::read(&file).unwrap(), b"served");
        assert!(is_refused(fs::write(&file, "changed")));
        assert!(is_refused(fs::write(site.served.join("new"), "")));
        assert!(is_refused(fs::remove_file(&file)));
    });
}

#[test]
fn what_is_listed_only_is_not_read() {
    alone!(|site: &Site| {
        let file = site.served.join("file");
        site.place.file("served/other", "other");
        let walls = OwnWalls::new().list(&site.served).reach(&file, Access::Write);
        walls.enter().expect("it can be confined here");
        assert_eq!(fs::read(&file).unwrap(), b"served");
        let names: Vec<_> = fs::read_dir(&site.served).unwrap().flatten().collect();
        assert!(names.iter().any(|entry| entry.file_name() == "file"));
        assert!(is_refused(fs::read(site.served.join("other"))));
    });
}

#[test]
fn without_any_wall_for_files_it_is_an_error() {
    alone!(|site: &Site| {
        deny_landlock();
        // Nobody without capabilities has a root of their own.
        let none = rustix::thread::CapabilitySet::empty();
        let none = rustix::thread::CapabilitySets {
            effective: none,
            permitted: none,
            inheritable: none,
        };
        rustix::thread::set_capabilities(None, none).unwrap();
        let refused = OwnWalls::new().reach(&site.served, Access::Write).enter();
        let is_no_wall = matches!(refused, Err(OwnWallsError::NoWall { landlock_abi: 0 }));
        assert!(is_no_wall, "{refused:?}");
        assert!(fs::read(&site.neighbor).is_ok(), "nothing was taken away");
    });
}

#[test]
fn a_path_that_is_not_there_is_named() {
    alone!(|_: &Site| {
        let refused = OwnWalls::new().reach("/nowhere/at/all", Access::Read).enter();
        let text = refused.expect_err("it is not there").to_string();
        assert!(text.starts_with("/nowhere/at/all: "), "{text}");
    });
}

#[test]
fn a_process_with_threads_is_refused() {
    in_own_process(name_of_test!(), || {
        let (_keep, waits) = std::sync::mpsc::channel::<()>();
        std::thread::spawn(move || waits.recv().is_err());
        let refused = OwnWalls::new().enter();
        assert!(
            matches!(refused, Err(OwnWallsError::Threads { .. })),
            "{refused:?}"
        );
    });
}
