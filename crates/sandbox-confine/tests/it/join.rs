//! One live sandbox, held by several processes.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use sandbox_confine::{Command, JoinError, Policy, RunError, Sandbox, ShareError, StartError, Stdio};
use sandbox_types::{ByteSize, Guarantee, Mechanism, SandboxStatus};

use crate::harness::second::{Host, Second, serve_if_asked};
use crate::harness::{
    DEADLINE, Place, eventually, is_root, live_with_argument, name_of_test, needs_program, skip,
    unique_seconds, within,
};

/// A directory of one's own, and the path of a socket in it.
struct Room {
    _place: Place,
    socket: PathBuf,
}

impl Room {
    fn new() -> Self {
        let place = Place::new();
        let socket = place.dir("state").join("control.sock");
        let mode = fs::Permissions::from_mode(0o700);
        fs::set_permissions(place.path().join("state"), mode).expect("own directory");
        Self {
            _place: place,
            socket,
        }
    }

    fn path(&self) -> &Path {
        &self.socket
    }

    fn named(&self, word: &str) -> String {
        format!("{word} {}", self.socket.display())
    }

    fn is_empty(&self) -> bool {
        let parent = self.socket.parent().expect("in a directory");
        fs::read_dir(parent).expect("own directory").next().is_none()
    }
}

/// Two processes that hold one sandbox.
fn two(room: &Room, host: Host) -> (Second, Second) {
    let (mut first, mut second) = (Second::start_on(host), Second::start_on(host));
    first.tell(&room.named("share"));
    second.tell(&room.named("join"));
    (first, second)
}

fn hosts(name: &str) -> Vec<Host> {
    if sandbox_confine::Host::detect().expect("/proc").landlock_abi >= 3 {
        vec![Host::Usual, Host::WithoutNamespaces]
    } else {
        skip(
            name,
            "Landlock ABI 3 is the least that suffices without namespaces",
        );
        vec![Host::Usual]
    }
}

/// Whether a process with that argument lives.
fn runs(marker: &str) -> bool {
    !live_with_argument(marker).is_empty()
}

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
fn another_process_does_as_it_is_told() {
    if serve_if_asked() {
        return;
    }
    let mut second = Second::start();
    assert_eq!(second.ask("nonsense"), Err("unknown".to_owned()));
    assert_eq!(second.ask("run true"), Err("no sandbox".to_owned()));
}

#[test]
fn the_second_sees_what_the_first_has_left_and_runs_in_the_same_surroundings() {
    for host in hosts(name_of_test!()) {
        let room = Room::new();
        let (mut first, mut second) = two(&room, host);
        assert_eq!(first.tell("run echo kept > $TMPDIR/file"), "Exited { code: 0 }\n");
        assert_eq!(
            second.tell("run cat $TMPDIR/file; exit 3"),
            "Exited { code: 3 }\nkept\n"
        );
        let surroundings = "run pwd; env | sort; id -u; ulimit -a; grep -h Seccomp: /proc/self/status";
        assert_eq!(first.tell(surroundings), second.tell(surroundings));
    }
}

#[test]
fn a_joined_sandbox_has_the_policy_the_report_and_the_pid_of_the_one_that_is_shared() {
    let room = Room::new();
    let policy = Policy::builder().env("WORD", "value").build().expect("valid");
    let mut first = Sandbox::new(&policy).expect("plans");
    let _gate = first
        .share(room.path())
        .expect("shares")
        .in_thread()
        .expect("a thread");
    let mut second = Sandbox::join(room.path()).expect("joins");
    assert_eq!((second.policy(), second.report()), (&policy, first.report()));
    assert_eq!(second.pid(), first.pid());
    let command = Command::new("printenv").arg("WORD").stdout(Stdio::capture());
    let result = second.spawn(command).expect("starts").wait().expect("ends");
    assert_eq!(result.stdout, b"value\n");
    second.kill().expect("ours");
    assert_eq!((second.policy(), second.report()), (&policy, first.report()));
    assert!(matches!(
        second.spawn(Command::new("true")),
        Err(StartError::Ended)
    ));
}

#[test]
fn the_first_leaves_and_the_second_s_command_goes_on() {
    for host in hosts(name_of_test!()) {
        let room = Room::new();
        let marker = unique_seconds();
        let (mut first, mut second) = two(&room, host);
        first.tell("run echo kept > $TMPDIR/file");
        second.tell(&format!("start exec sleep {marker}"));
        eventually("it runs", || runs(&marker));
        assert_eq!(first.tell("leave"), "goes on");
        assert!(runs(&marker), "{host:?}");
        assert_eq!(second.tell("run cat $TMPDIR/file"), "Exited { code: 0 }\nkept\n");
        assert_eq!(second.tell("status"), "Running");
    }
}

#[test]
fn leaving_ends_one_s_own_commands_and_their_verdict_is_that_they_were_ended() {
    let room = Room::new();
    let (own, other) = (unique_seconds(), unique_seconds());
    let (mut first, mut second) = two(&room, Host::Usual);
    first.tell(&format!("start sleep {own} & sleep {own}"));
    second.tell(&format!("start exec sleep {other}"));
    eventually("all run", || live_with_argument(&own).len() == 2 && runs(&other));
    first.tell("drop");
    assert_eq!(live_with_argument(&own), [0_u32; 0]);
    assert_eq!(first.tell("wait"), "Cancelled");
    assert!(runs(&other));
}

#[test]
fn when_the_last_one_leaves_everything_is_dead_and_nothing_is_left() {
    for host in hosts(name_of_test!()) {
        for word in ["leave", "drop"] {
            let room = Room::new();
            let marker = unique_seconds();
            let (mut first, mut second) = two(&room, host);
            second.tell(&format!("run (setsid sleep {marker} > /dev/null 2>&1 &)"));
            assert_eq!(first.tell("leave"), "goes on");
            eventually("it runs", || runs(&marker));
            second.tell(word);
            assert_eq!(live_with_argument(&marker), [0_u32; 0], "{host:?}");
            assert!(room.is_empty(), "the socket is gone");
            assert_eq!(private_directories(&first), [""; 0].map(PathBuf::from));
            assert!(matches!(
                Sandbox::join(room.path()),
                Err(JoinError::Nobody { .. })
            ));
        }
    }
}

/// Private directories that a process has made for sandboxes.
fn private_directories(of: &Second) -> Vec<PathBuf> {
    let part = format!("-{}-", of.id());
    let entries = fs::read_dir(std::env::temp_dir())
        .expect("a temporary directory")
        .flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("sandbox-") && name.contains(&part)
        })
        .collect()
}

#[test]
fn kill_9_of_the_first_leaves_the_second_all_it_has() {
    for host in hosts(name_of_test!()) {
        let room = Room::new();
        let (gone, stays) = (unique_seconds(), unique_seconds());
        let (mut first, mut second) = two(&room, host);
        first.tell(&format!("start exec sleep {gone}"));
        second.tell(&format!("start exec sleep {stays}"));
        eventually("both run", || runs(&gone) && runs(&stays));
        first.kill_9();
        eventually("the first one's command ends", || !runs(&gone));
        assert!(runs(&stays));
        assert_eq!(
            second.tell("run echo $TMPDIR > $TMPDIR/x; exit 4"),
            "Exited { code: 4 }\n"
        );
        assert_eq!(second.tell("leave"), "ended");
        assert_eq!(live_with_argument(&stays), [0_u32; 0]);
    }
}

#[test]
fn what_a_killed_process_has_made_is_not_left_over_while_somebody_else_needs_it() {
    for host in hosts(name_of_test!()) {
        let room = Room::new();
        let (first, mut second) = two(&room, host);
        let directories = private_directories(&first);
        assert_eq!(directories.len(), usize::from(host == Host::WithoutNamespaces));
        first.kill_9();
        for directory in &directories {
            let leftovers = second.tell("leftovers");
            assert!(!leftovers.contains(&*directory.to_string_lossy()), "{leftovers}");
            assert!(directory.exists());
        }
        second.tell("drop");
        assert!(directories.iter().all(|directory| !directory.exists()));
    }
}

#[test]
fn kill_9_of_all_holders_leaves_nothing_that_runs() {
    for host in hosts(name_of_test!()) {
        let room = Room::new();
        let marker = unique_seconds();
        let (mut first, mut second) = two(&room, host);
        first.tell(&format!(
            "start sleep {marker} & setsid sleep {marker} & exec sleep {marker}"
        ));
        second.tell(&format!("start setsid setsid sleep {marker}"));
        eventually("all run", || live_with_argument(&marker).len() >= 4);
        let directories = private_directories(&first);
        first.kill_9();
        second.kill_9();
        eventually("nothing of it runs", || !runs(&marker));
        // And what is left, gc finds.
        eventually("its private directory is left over", || {
            let leftovers = format!("{:?}", sandbox_confine::gc::leftovers().expect("readable"));
            directories
                .iter()
                .all(|directory| leftovers.contains(&*directory.to_string_lossy()))
        });
        for leftover in sandbox_confine::gc::leftovers().expect("readable") {
            if leftover.paths().iter().any(|path| directories.contains(path)) {
                leftover.remove().expect("nobody uses it");
            }
        }
    }
}

#[test]
fn a_third_joins_through_the_second_when_the_first_has_gone() {
    for host in hosts(name_of_test!()) {
        let room = Room::new();
        let (mut first, mut second) = two(&room, host);
        first.tell("run echo kept > $TMPDIR/file");
        first.kill_9();
        let mut third = Second::start_on(host);
        third.tell(&room.named("join"));
        assert_eq!(third.tell("run cat $TMPDIR/file"), "Exited { code: 0 }\nkept\n");
        assert_eq!(second.tell("leave"), "goes on");
        let mut fourth = Second::start_on(host);
        fourth.tell(&room.named("join"));
        third.kill_9();
        assert_eq!(fourth.tell("run cat $TMPDIR/file"), "Exited { code: 0 }\nkept\n");
        assert_eq!(fourth.tell("leave"), "ended");
        assert!(room.is_empty());
    }
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
fn two_that_leave_at_once_leave_nothing_behind() {
    for host in hosts(name_of_test!()) {
        let (mut first, mut second) = (Second::start_on(host), Second::start_on(host));
        for _ in 0..20 {
            let room = Room::new();
            first.tell(&room.named("share"));
            second.tell(&room.named("join"));
            first.say("leave");
            second.say("leave");
            let left = [first.answer("leave"), second.answer("leave")];
            assert!(left.contains(&Ok("ended".to_owned())), "{left:?}");
            eventually("whoever is last cleans up", || {
                room.is_empty() && private_directories(&first).is_empty()
            });
        }
    }
}

#[test]
fn one_that_is_killed_while_it_joins_or_leaves_does_not_disturb_the_others() {
    let room = Room::new();
    let mut first = Second::start();
    first.tell(&room.named("share"));
    for delay in 0..20 {
        let mut other = Second::start();
        other.say(&format!("join-times 1000 {}", room.path().display()));
        std::thread::sleep(std::time::Duration::from_millis(10 + delay));
        other.kill_9();
    }
    assert_eq!(first.tell("run echo lives"), "Exited { code: 0 }\nlives\n");
    assert_eq!(first.tell("leave"), "ended");
    assert!(room.is_empty());
}

#[test]
fn a_hundred_join_one_after_the_other_and_twenty_at_once() {
    let room = Room::new();
    let mut first = Sandbox::new(&Policy::default()).expect("plans");
    let _gate = first
        .share(room.path())
        .expect("shares")
        .in_thread()
        .expect("a thread");
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
        let mut first = Sandbox::new(&Policy::default()).expect("plans");
        let gate = first
            .share(room.path())
            .expect("shares")
            .in_thread()
            .expect("a thread");
        drop(Sandbox::join(room.path()).expect("joins"));
        eventually("the connection is closed", || no_visitor(&room));
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

fn no_visitor(room: &Room) -> bool {
    let name = room.path().display().to_string();
    let table = fs::read_to_string("/proc/net/unix").expect("/proc");
    table
        .lines()
        .filter(|line| line.ends_with("sandbox-unfinished") || line.ends_with(&name))
        .count()
        <= 1
}

#[test]
fn a_child_that_was_left_to_others_is_reaped_with_the_next_sandbox() {
    crate::harness::in_own_process(name_of_test!(), || {
        let room = Room::new();
        let mut first = Sandbox::new(&Policy::default()).expect("plans");
        let gate = first
            .share(room.path())
            .expect("shares")
            .in_thread()
            .expect("a thread");
        let mut second = Second::start();
        second.tell(&room.named("join"));
        assert_eq!(first.leave().expect("ours"), sandbox_confine::Left::GoesOn);
        drop(gate);
        assert_eq!(second.tell("leave"), "ended");
        drop(second);
        crate::harness::sh("true");
        assert_eq!(crate::harness::children(), [0_u32; 0]);
    });
}

#[test]
fn both_may_pause_at_once_and_each_learns_when_it_is_done() {
    for host in hosts(name_of_test!()) {
        let room = Room::new();
        let marker = unique_seconds();
        let (mut first, mut second) = two(&room, host);
        first.tell(&format!("start exec sh -c 'while :; do :; done' x {marker}"));
        first.say("pause-and-resume 50");
        second.say("pause-and-resume 50");
        assert_eq!(
            (first.answer("f"), second.answer("s")),
            (Ok(String::new()), Ok(String::new()))
        );
        first.tell("pause");
        second.tell("pause");
        assert_eq!(
            (first.tell("status"), second.tell("status")),
            ("Paused".into(), "Paused".into())
        );
        first.tell("resume");
        assert_eq!(
            (first.tell("status"), second.tell("status")),
            ("Running".into(), "Running".into())
        );
        assert_eq!(second.tell("run echo lives"), "Exited { code: 0 }\nlives\n");
    }
}

#[test]
fn any_holder_may_kill_it_and_the_others_are_told() {
    for host in hosts(name_of_test!()) {
        let room = Room::new();
        let marker = unique_seconds();
        let (mut first, mut second) = two(&room, host);
        first.tell(&format!("start exec sleep {marker}"));
        second.tell("kill");
        assert_eq!(live_with_argument(&marker), [0_u32; 0]);
        assert_eq!(first.ask("wait"), Err(RunError::InitDied.to_string()));
        assert_eq!(first.tell("status"), "Crashed");
        assert!(matches!(Sandbox::join(room.path()), Err(JoinError::Ended { .. })));
        assert_eq!(first.tell("leave"), "ended");
        drop(second);
        assert_eq!(private_directories(&first), [""; 0].map(PathBuf::from));
    }
}

#[test]
fn a_joined_sandbox_has_terminals_like_any_other() {
    let room = Room::new();
    let (first, mut second) = two(&room, Host::Usual);
    let script = "run-pty test -t 0 && test -t 2 && echo terminal; exit 5";
    assert_eq!(second.tell(script), "Exited { code: 5 }\nterminal\n");
    first.kill_9();
    assert_eq!(second.tell(script), "Exited { code: 5 }\nterminal\n");
}

#[test]
fn a_joiner_without_standard_streams_hands_none_of_the_sandbox_s_own_to_a_command() {
    crate::harness::in_own_process(name_of_test!(), || {
        let room = Room::new();
        let mut second = Second::start();
        second.tell(&room.named("share"));
        let saved = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 10).expect("a descriptor");
        for fd in 0..3 {
            crate::harness::sys::close(fd);
        }
        let mut sandbox = Sandbox::join(room.path()).expect("joins");
        let command = Command::new("sh").args(["-c", "readlink /proc/self/fd/0 /proc/self/fd/2"]);
        let result = sandbox
            .spawn(command.stdout(Stdio::capture()))
            .expect("starts")
            .wait()
            .expect("ends");
        rustix::stdio::dup2_stderr(&saved).expect("a descriptor");
        rustix::stdio::dup2_stdout(&saved).expect("a descriptor");
        let text = String::from_utf8_lossy(&result.stdout).into_owned();
        let is_harmless = |line: &str| line == "/dev/null" || line.starts_with("pipe:");
        assert!(
            text.lines().count() == 2 && text.lines().all(is_harmless),
            "{text}"
        );
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
    let mut first = Sandbox::new(&Policy::default()).expect("plans");
    let _gate = first
        .share(room.path())
        .expect("shares")
        .in_thread()
        .expect("a thread");
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
    let mut first = Sandbox::new(&Policy::default()).expect("plans");
    let _gate = first
        .share(room.path())
        .expect("shares")
        .in_thread()
        .expect("a thread");
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
fn the_clock_of_a_command_is_that_of_who_has_started_it() {
    let wall_time = std::time::Duration::from_millis(300);
    let policy = Policy::builder().wall_time(wall_time).build().expect("valid");
    let room = Room::new();
    let mut first = Second::start_with(Host::Usual, &policy, |_| {});
    first.tell(&room.named("share"));
    let mut second = Second::start();
    second.tell(&room.named("join"));
    first.kill_9();
    assert_eq!(second.tell("run while :; do :; done"), "WallTime\n");
}

#[test]
fn memory_has_its_verdict_for_who_has_joined() {
    let policy = Policy::builder()
        .memory(ByteSize::from_bytes(64 << 20))
        .build()
        .expect("valid");
    let room = Room::new();
    let mut first = Second::start_with(Host::Usual, &policy, |_| {});
    first.tell(&room.named("share"));
    let mut second = Second::start();
    second.tell(&room.named("join"));
    let sandbox = Sandbox::join(room.path()).expect("joins");
    let report = sandbox.report();
    let by = report
        .get(Guarantee::Memory)
        .map(|entry| entry.by.clone())
        .unwrap_or_default();
    if !by.contains(&Mechanism::CgroupMemory) {
        return skip(name_of_test!(), "no memory controller here");
    }
    drop(sandbox);
    first.kill_9();
    assert_eq!(
        second.tell("run exec head -c 200000000 /dev/zero > /tmp/big"),
        "Memory\n"
    );
}

#[test]
fn the_cgroup_of_a_killed_process_stays_until_the_last_one_leaves() {
    let policy = Policy::builder().processes(50).build().expect("valid");
    let room = Room::new();
    let mut first = Second::start_with(Host::Usual, &policy, |_| {});
    first.tell(&room.named("share"));
    let mut second = Second::start();
    second.tell(&room.named("join"));
    let sandbox = Sandbox::join(room.path()).expect("joins");
    let report = sandbox.report();
    let by = report
        .get(Guarantee::Processes)
        .map(|entry| entry.by.clone())
        .unwrap_or_default();
    if !by.contains(&Mechanism::CgroupPids) {
        return skip(name_of_test!(), "no pids controller here");
    }
    drop(sandbox);
    let part = format!("sandbox-{}-", first.id());
    first.kill_9();
    assert!(!second.tell("leftovers").contains(&part));
    assert_eq!(second.tell("run echo lives"), "Exited { code: 0 }\nlives\n");
    assert_eq!(second.tell("leave"), "ended");
    let groups = std::process::Command::new("find")
        .args(["/sys/fs/cgroup", "-name", &format!("{part}*")])
        .output();
    assert_eq!(String::from_utf8_lossy(&groups.expect("runs").stdout), "");
}
