//! The socket: where it may be, who may come in, and what else comes along.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use sandbox_confine::{Command, JoinError, Policy, Sandbox, ShareError, StartError};
use sandbox_types::SandboxStatus;

use super::{Room, hosts, shared, two};
use crate::harness::second::{Host, Second};
use crate::harness::{
    DEADLINE, Place, eventually, is_root, name_of_test, needs_namespaces, needs_program, skip, within,
};

fn connect(path: &Path) -> OwnedFd {
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None);
    let socket = socket.expect("a socket");
    let address = SocketAddrUnix::new(path).expect("short");
    rustix::net::connect(&socket, &address).expect("somebody listens");
    socket
}

/// What the other side says before it closes the connection.
fn read(socket: OwnedFd) -> Vec<u8> {
    within(DEADLINE, move || {
        let mut bytes = [0; 256];
        let (read, _) = rustix::net::recv(&socket, &mut bytes, RecvFlags::empty()).expect("a socket");
        bytes[..read].to_vec()
    })
}

#[test]
fn who_holds_a_sandbox_but_serves_nobody_leaves_the_next_without_an_answer() {
    let room = Room::new();
    let (mut first, mut second) = (Second::start(), Second::start());
    first.tell(&room.named("share"));
    second.tell(&room.named("join-quietly"));
    first.tell("leave");
    assert!(matches!(
        Sandbox::join(room.path()),
        Err(JoinError::NoAnswer { .. })
    ));
    assert_eq!(second.tell("run echo lives"), "Exited { code: 0 }\nlives\n");
}

#[test]
fn a_hundred_join_one_after_the_other_and_twenty_at_once() {
    let room = Room::new();
    let (first, _gate) = shared(&room, &Policy::default());
    for _ in 0..100 {
        drop(Sandbox::join(room.path()).expect("joins"));
    }
    let threads: Vec<_> = (0..20)
        .map(|number| {
            let path = room.path().to_owned();
            std::thread::spawn(move || {
                let mut sandbox = Sandbox::join(path).expect("joins");
                let command = Command::new("sh").args(["-c", &format!("exit {number}")]);
                let outcome = sandbox
                    .spawn(command)
                    .expect("starts")
                    .wait()
                    .expect("ends")
                    .outcome;
                assert_eq!(outcome, sandbox_confine::Outcome::Exited { code: number });
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
    assert_eq!(first.status(), SandboxStatus::Running);
    assert_eq!(first.leave().expect("ours"), sandbox_confine::Left::Ended);
}

#[test]
fn joining_and_leaving_leaks_no_descriptor() {
    crate::harness::in_own_process(name_of_test!(), || {
        let room = Room::new();
        let (first, gate) = shared(&room, &Policy::default());
        let before = crate::harness::descriptors().len();
        for _ in 0..50 {
            let mut sandbox = Sandbox::join(room.path()).expect("joins");
            sandbox.pause().expect("runs");
            sandbox.resume().expect("runs");
            drop(sandbox);
        }
        eventually("nothing is left open", || {
            crate::harness::descriptors().len() == before
        });
        drop((gate, first));
        assert_eq!(crate::harness::children(), [0_u32; 0]);
    });
}

#[test]
fn a_stale_socket_is_nobody_s_and_gives_way() {
    let room = Room::new();
    let mut first = Second::start();
    first.tell(&room.named("share"));
    first.kill_9();
    assert!(
        fs::metadata(room.path())
            .expect("left behind")
            .file_type()
            .is_socket()
    );
    assert!(matches!(
        Sandbox::join(room.path()),
        Err(JoinError::Nobody { .. })
    ));
    let (mut second, mut third) = two(&room, Host::Usual);
    assert_eq!(second.tell("run echo a"), third.tell("run echo a"));
    let mode = fs::metadata(room.path())
        .expect("made again")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn paths_of_any_length_can_be_shared_and_joined() {
    let place = Place::new();
    let deep = place.dir(&format!("{0}/{0}/{0}", "d".repeat(200)));
    for name in ["s".to_owned(), "n".repeat(255)] {
        fs::set_permissions(&deep, fs::Permissions::from_mode(0o700)).expect("own directory");
        let path = deep.join(name);
        let mut first = Sandbox::new(&Policy::default()).expect("plans");
        let _gate = first.share(&path).expect("shares").in_thread().expect("a thread");
        drop(Sandbox::join(&path).expect("joins"));
        drop(first);
        assert!(!path.exists());
    }
}

#[test]
fn a_directory_that_is_renamed_meanwhile_takes_the_socket_along() {
    let place = Place::new();
    let (old, new) = (place.dir("old"), place.path().join("new"));
    fs::set_permissions(&old, fs::Permissions::from_mode(0o700)).expect("own directory");
    let mut first = Sandbox::new(&Policy::default()).expect("plans");
    let _gate = first
        .share(old.join("s"))
        .expect("shares")
        .in_thread()
        .expect("a thread");
    fs::rename(&old, &new).expect("own directories");
    drop(Sandbox::join(new.join("s")).expect("joins"));
    drop(first);
    assert_eq!(fs::read_dir(&new).expect("own directory").count(), 0);
}

#[test]
fn what_cannot_be_shared_is_refused_with_the_reason_and_nothing_is_harmed() {
    let room = Room::new();
    let parent = room.path().parent().expect("in a directory").to_owned();
    let (mut first, _gate) = shared(&room, &Policy::default());
    assert!(matches!(first.share(room.path()), Err(ShareError::AlreadyShared)));
    let mut second = Sandbox::new(&Policy::default()).expect("plans");
    assert!(matches!(second.gate(), Err(ShareError::NotShared)));
    let error = second.share(room.path()).expect_err("in use");
    assert!(
        matches!(error, ShareError::InUse { .. }) && error.hint().is_some(),
        "{error}"
    );
    drop(Sandbox::join(room.path()).expect("still there"));
    let file = parent.join("file");
    fs::write(&file, "kept").expect("own directory");
    assert!(matches!(second.share(&file), Err(ShareError::NotASocket { .. })));
    assert_eq!(fs::read_to_string(&file).expect("kept"), "kept");
    assert!(matches!(Sandbox::join(&file), Err(JoinError::NotASocket { .. })));
    assert!(matches!(
        second.share(parent.join("no/such/place")),
        Err(ShareError::Io { .. })
    ));
    fs::set_permissions(&parent, fs::Permissions::from_mode(0o750)).expect("own directory");
    let error = second.share(parent.join("other")).expect_err("others may enter");
    assert!(matches!(error, ShareError::PublicDirectory { .. }), "{error}");
    let process = second.spawn(Command::new("true")).expect("it is as it was");
    assert!(process.wait().expect("ends").outcome.success());
    second.kill().expect("ours");
    assert!(matches!(
        second.share(parent.join("other")),
        Err(ShareError::Start(StartError::Ended))
    ));
}

#[test]
fn garbage_silence_and_a_flood_at_the_door_keep_nobody_out() {
    let room = Room::new();
    let (mut first, mut second) = two(&room, Host::Usual);
    let silent: Vec<_> = (0..100).map(|_| connect(room.path())).collect();
    let garbage: [&[u8]; 4] = [b"", b"x", &[0xff; 64], &[b'y'; 10_000]];
    for bytes in garbage {
        let socket = connect(room.path());
        rustix::net::send(&socket, bytes, SendFlags::NOSIGNAL).expect("sent");
        assert_eq!(read(socket), b"");
    }
    drop(Sandbox::join(room.path()).expect("joins all the same"));
    for socket in silent {
        assert_eq!(read(socket), b"", "dropped without an answer");
    }
    drop(Sandbox::join(room.path()).expect("joins"));
    assert_eq!(first.tell("run echo a"), second.tell("run echo a"));
}

#[test]
fn another_user_is_refused_even_where_the_socket_can_be_reached() {
    if !is_root() {
        return skip(name_of_test!(), "only root can be somebody else");
    }
    let room = Room::new();
    let (_first, _gate) = shared(&room, &Policy::default());
    let open = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("own file");
    };
    open(room.path().parent().expect("in a directory"), 0o755);
    open(room.path().parent().and_then(Path::parent).expect("twice"), 0o755);
    open(room.path(), 0o666);
    let script = "import socket, struct, sys\ns = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n\
                  s.connect(sys.argv[1])\nprint(struct.unpack('8Q', s.recv(64))[2])";
    needs_program!("python3");
    let answer = std::os::unix::process::CommandExt::uid(&mut std::process::Command::new("python3"), 65534)
        .args(["-c", script])
        .arg(room.path())
        .output()
        .expect("runs");
    assert_eq!(String::from_utf8_lossy(&answer.stdout), "4\n", "{answer:?}");
    // And root goes by nobody else's word.
    std::os::unix::fs::chown(room.path(), Some(65534), None).expect("root");
    assert!(matches!(
        Sandbox::join(room.path()),
        Err(JoinError::AnotherUser { uid: 65534, .. })
    ));
}

#[test]
fn who_asks_from_another_user_namespace_is_refused_with_the_reason() {
    needs_program!("unshare");
    crate::harness::needs_namespaces!();
    let room = Room::new();
    let mut first = Second::start();
    first.tell(&room.named("share"));
    let mut other = Second::start_on(Host::UserNamespace);
    for _ in 0..20 {
        let error = other.ask(&room.named("join")).expect_err("elsewhere");
        assert!(error.contains("another pid or user namespace"), "{error}");
    }
}

#[test]
fn a_command_inside_that_reaches_the_socket_is_refused() {
    needs_program!("python3");
    let script = "import socket, struct, sys\ntry:\n  s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n  \
                  s.connect(sys.argv[1])\n  print(struct.unpack('8Q', s.recv(64))[2])\n\
                  except PermissionError: print('none')";
    for host in hosts(name_of_test!()) {
        let room = Room::new();
        let parent = room.path().parent().expect("in a directory");
        let script_file = parent.join("script.py");
        fs::write(&script_file, script).expect("own directory");
        let policy = Policy::builder().write(parent).build().expect("valid");
        let mut first = Second::start_with(host, &policy, |_| {});
        first.tell(&room.named("share"));
        let run = format!("run python3 {} {}", script_file.display(), room.path().display());
        let answer = first.tell(&run);
        let refused = match host {
            Host::Usual | Host::UserNamespace => ["Exited { code: 0 }\n5\n"; 2],
            Host::WithoutNamespaces => ["Exited { code: 0 }\n6\n", "Exited { code: 0 }\nnone\n"],
        };
        assert!(refused.contains(&answer.as_str()), "{host:?}: {answer}");
    }
}

#[test]
fn a_command_inside_that_listens_in_the_place_of_a_holder_is_not_believed() {
    needs_namespaces!();
    needs_program!("python3");
    let script = "import array, os, socket, struct, sys\n\
                  s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\ns.bind(sys.argv[1])\ns.listen()\n\
                  while True:\n  c = s.accept()[0]\n  build = struct.unpack('8Q', c.recv(64))[1]\n  \
                  open_ = struct.unpack('Q', b'sbx-open')[0]\n  \
                  fds = array.array('i', [0, 1, 2, 0])\n  \
                  c.sendmsg([struct.pack('8Q', open_, build, 1, 0, 0, 0, 0, 0)], \
                  [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])\n";
    let room = Room::new();
    let parent = room.path().parent().expect("in a directory");
    fs::write(parent.join("script.py"), script).expect("own directory");
    let policy = Policy::builder().write(parent).build().expect("valid");
    let mut sandbox = Sandbox::new(&policy).expect("plans");
    let command = Command::new("python3")
        .arg(parent.join("script.py"))
        .arg(room.path());
    let process = sandbox.spawn(command).expect("starts");
    eventually("it listens", || {
        let joined = Sandbox::join(room.path());
        match joined.expect_err("an impostor") {
            JoinError::Impostor { .. } => true,
            JoinError::Nobody { .. } => false,
            error => panic!("{error}"),
        }
    });
    drop(process);
}
