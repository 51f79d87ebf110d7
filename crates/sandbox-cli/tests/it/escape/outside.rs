//! The objects outside that the programs try to get at.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::harness::Harness;

/// Listeners, directories and a process, gone with it.
#[derive(Debug)]
pub(crate) struct Outside {
    victim: Child,
    tcp: TcpListener,
    udp: UdpSocket,
    _listeners: (UnixListener, UnixListener, UnixListener, UnixDatagram),
    abstract_name: String,
    other_port: u16,
    before: Vec<Entry>,
    root: PathBuf,
}

/// What must not have changed of a file.
#[derive(Debug, PartialEq)]
struct Entry {
    path: PathBuf,
    mode: u32,
    owner: (u32, u32),
    modified: (i64, i64),
    content: Option<Vec<u8>>,
}

/// Not granted.
pub(crate) const HIDDEN: &str = "hidden";
/// Granted for reading.
pub(crate) const GRANTED: &str = "granted";
/// Granted for writing.
pub(crate) const SCRATCH: &str = "scratch";

impl Outside {
    /// Puts everything below the harness's root. `set_uid` is a program that a root caller gives to somebody else.
    pub(crate) fn new(place: &Harness, set_uid: &Path) -> Self {
        let root = place.root().to_owned();
        for path in ["hidden/victim", GRANTED, SCRATCH] {
            fs::create_dir_all(root.join(path)).expect("mkdir");
        }
        let secret = place.write("hidden/secret", "the secret\n");
        fs::set_permissions(secret, fs::Permissions::from_mode(0o700)).expect("chmod");
        for path in [
            "hidden/input",
            "hidden/victim/file",
            "hidden/victim/doomed",
            "granted/file",
            "granted/doomed",
        ] {
            place.write(path, "content\n");
        }
        if rustix::process::geteuid().is_root() {
            let helper = root.join("granted/whoami");
            fs::copy(set_uid, &helper).expect("copy");
            chown(&helper, Some(65534), Some(65534)).expect("chown");
            fs::set_permissions(helper, fs::Permissions::from_mode(0o6755)).expect("chmod");
        }
        let abstract_name = format!("sandbox-escape-{}", root.display());
        let address = SocketAddr::from_abstract_name(&abstract_name).expect("a short name");
        let listeners = (
            UnixListener::bind(root.join("hidden/socket")).expect("bind"),
            UnixListener::bind(root.join("granted/socket")).expect("bind"),
            UnixListener::bind_addr(&address).expect("bind"),
            UnixDatagram::bind_addr(&address).expect("bind"),
        );
        let victim = Command::new("sleep")
            .arg("600")
            .process_group(0)
            .stdin(Stdio::null())
            .spawn();
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let other_port = free.local_addr().expect("bound").port();
        Self {
            victim: victim.expect("sleep"),
            tcp: TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind"),
            udp: echo(),
            _listeners: listeners,
            abstract_name,
            other_port,
            before: entries(&root),
            root,
        }
    }

    /// The variables that name it all.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let path = |path: &str| self.root.join(path).display().to_string();
        let own = fs::read_link("/proc/self/ns/pid").expect("always there");
        let mut variables = vec![
            ("ESCAPE_SECRET", path("hidden/secret")),
            ("ESCAPE_VICTIM_DIR", path("hidden/victim")),
            ("ESCAPE_READONLY_DIR", path(GRANTED)),
            ("ESCAPE_SCRATCH", path(SCRATCH)),
            ("ESCAPE_UNIX", path("hidden/socket")),
            ("ESCAPE_ABSTRACT", self.abstract_name.clone()),
            (
                "ESCAPE_TCP",
                self.tcp.local_addr().expect("bound").port().to_string(),
            ),
            (
                "ESCAPE_UDP",
                self.udp.local_addr().expect("bound").port().to_string(),
            ),
            ("ESCAPE_OTHER_PORT", self.other_port.to_string()),
            ("ESCAPE_FD", super::LEAKED.to_string()),
            ("ESCAPE_PID", self.victim.id().to_string()),
            ("ESCAPE_PIDNS", own.display().to_string()),
        ];
        if rustix::process::geteuid().is_root() {
            variables.push(("ESCAPE_SETUID", path("granted/whoami")));
        }
        variables
    }

    /// Everything is as it was: the process sleeps, and no file has another content, mode, owner or time.
    pub(crate) fn assert_unharmed(&mut self) {
        assert!(
            self.victim.try_wait().expect("wait").is_none(),
            "the process outside was killed"
        );
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.victim.id())).expect("it lives");
        assert!(stat.contains(") S "), "the process outside was stopped: {stat}");
        assert_eq!(entries(&self.root), self.before, "a file outside was changed");
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.victim.kill().ok();
        self.victim.wait().ok();
        // Ends the echo.
        self.udp.send_to(b"", self.udp.local_addr().expect("bound")).ok();
    }
}

/// A port that answers what it gets, until that is nothing.
fn echo() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
    let answering = socket.try_clone().expect("dup");
    std::thread::spawn(move || {
        let mut bytes = [0; 64];
        while let Ok((count @ 1.., sender)) = answering.recv_from(&mut bytes) {
            answering.send_to(&bytes[..count], sender).ok();
        }
    });
    socket
}

/// The state of what is not granted for writing.
fn entries(root: &Path) -> Vec<Entry> {
    let mut open = vec![root.join(HIDDEN), root.join(GRANTED)];
    let mut entries = Vec::new();
    while let Some(path) = open.pop() {
        let metadata = fs::symlink_metadata(&path).expect("it is there");
        if metadata.is_dir() {
            open.extend(
                fs::read_dir(&path)
                    .expect("ours")
                    .map(|entry| entry.expect("entry").path()),
            );
        }
        entries.push(Entry {
            mode: metadata.mode(),
            owner: (metadata.uid(), metadata.gid()),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            content: metadata.is_file().then(|| fs::read(&path).expect("ours")),
            path,
        });
    }
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    entries
}
