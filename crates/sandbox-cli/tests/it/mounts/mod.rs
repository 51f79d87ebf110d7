//! `sandbox mount` as its users meet it.

mod bad_input;
mod confined;
mod ends;
mod works;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Harness, Ran, binary};

/// The name of the test that the macro is used in.
macro_rules! name_of_test {
    () => {{
        fn here() {}
        let path = std::any::type_name_of_val(&here);
        let path = path.strip_suffix("::here").unwrap_or(path);
        path.split_once("::").map_or(path, |(_, name)| name)
    }};
}
pub(crate) use name_of_test;

/// A site where mounts work, or the end of the test.
macro_rules! site {
    () => {
        match $crate::mounts::Site::usable() {
            Ok(site) => site,
            Err(reason) => skip!($crate::mounts::name_of_test!(), "{reason}"),
        }
    };
}
pub(crate) use site;

/// A directory to serve with a file in it, and a mount point.
pub(crate) struct Site {
    pub(crate) place: Harness,
    pub(crate) dir: PathBuf,
    pub(crate) point: PathBuf,
}

/// `sandbox mount` in the foreground.
pub(crate) struct Mounted {
    pub(crate) child: Child,
    stderr: Option<BufReader<std::process::ChildStderr>>,
    /// What it said until it was mounted.
    pub(crate) said: String,
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Site {
    pub(crate) fn new() -> Self {
        let place = Harness::new();
        let root = place.root().canonicalize().expect("it exists");
        place.write("dir/file", "before\n");
        let point = root.join("point");
        fs::create_dir(&point).expect("mkdir");
        Self {
            dir: root.join("dir"),
            point,
            place,
        }
    }

    /// One where something can be mounted; or why not.
    fn usable() -> Result<Self, String> {
        let site = Self::new();
        let ran = site.passthrough(&["--daemon"]);
        if ran.status == 0 {
            site.unmount();
            return Ok(site);
        }
        let known = ["/dev/fuse", "fusermount3"];
        let is_the_machine_s = !is_root() && known.iter().any(|word| ran.stderr.contains(word));
        assert!(is_the_machine_s, "{ran:?}");
        Err(ran.stderr)
    }

    pub(crate) fn arguments(&self, flags: &[&str]) -> Vec<String> {
        let mut arguments: Vec<_> = ["mount", "passthrough"].map(str::to_owned).into();
        arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
        arguments.extend([&self.dir, &self.point].map(|path| path.display().to_string()));
        arguments
    }

    /// `sandbox mount passthrough FLAGS DIR POINT` to its end.
    pub(crate) fn passthrough(&self, flags: &[&str]) -> Ran {
        self.place.sandbox(self.arguments(flags))
    }

    /// The same in the foreground, mounted.
    pub(crate) fn start(&self, flags: &[&str]) -> Mounted {
        Mounted::start(&mut self.place.command(self.arguments(flags)))
    }

    pub(crate) fn is_mounted(&self) -> bool {
        let table = fs::read_to_string("/proc/self/mountinfo").expect("/proc");
        table.contains(self.point.to_str().expect("UTF-8"))
    }

    /// Unmounts it as its user would, and waits until the server knows.
    pub(crate) fn unmount(&self) {
        let mut command = if is_root() {
            Command::new("umount")
        } else {
            let mut command = Command::new("fusermount3");
            command.arg("-u");
            command
        };
        let status = command.arg(&self.point).status().expect("it can be executed");
        assert!(status.success());
        assert!(!self.is_mounted());
    }
}

impl Mounted {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("sandbox starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
        let mut said = String::new();
        while !said.contains("confined") {
            let count = stderr.read_line(&mut said).expect("UTF-8");
            assert!(count > 0, "it ended before it was mounted: {said}");
        }
        Self {
            child,
            stderr: Some(stderr),
            said,
        }
    }

    /// The process that serves.
    pub(crate) fn server(&self) -> u32 {
        let of = self.child.id();
        let children = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).expect("/proc");
        let pids = children.split_whitespace().map(|pid| pid.parse().expect("a pid"));
        let is_server = |pid: &u32| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.windows(20).any(|text| text == b"SANDBOX_MOUNT_SERVER")
        };
        let found: Vec<_> = pids.filter(is_server).collect();
        assert_eq!(found.len(), 1, "children: {children:?}");
        found[0]
    }

    /// How it ended, and what it said after it was mounted.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        let mut said = String::new();
        let mut stderr = self.stderr.take().expect("once");
        // Until the last process that has it is gone.
        std::io::Read::read_to_string(&mut stderr, &mut said).expect("UTF-8");
        (self.child.wait().expect("reaped"), said)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if self.stderr.is_some() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Sends a signal to a process of this test's.
pub(crate) fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("not 0");
    rustix::process::kill_process(pid, signal).expect("it is there");
}

/// Waits for what must come true.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(
            start.elapsed() < Duration::from_mins(1),
            "never came true: {what}"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn is_alive(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}

pub(crate) fn program() -> PathBuf {
    binary()
}

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
