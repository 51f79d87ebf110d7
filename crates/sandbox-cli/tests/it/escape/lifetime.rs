//! What a command does to outlive its sandbox, and what is left of it: nothing.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::outside::{Outside, SCRATCH};
use super::programs::program;
use crate::harness::{Harness, binary, has};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long the programs live when nobody ends them, and how many processes the fork bomb is.
const SECONDS: &str = "15";
const COUNT: &str = "200";

/// Whether the host gives namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Walls {
    Namespaces,
    InPlace,
}

/// How a run comes to its end without being told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nature {
    /// With this exit status.
    Ends(i32),
    /// Not at all.
    Lasts,
}

/// One program that tries to stay.
struct Attempt {
    mode: &'static str,
    walls: Walls,
    place: Harness,
    outside: Outside,
    program: PathBuf,
}

impl Attempt {
    fn new(mode: &'static str, walls: Walls) -> Self {
        let place = Harness::new();
        let outside = Outside::new(&place, &program("whoami"));
        let program = program("escape-lifetime");
        Self {
            mode,
            walls,
            place,
            outside,
            program,
        }
    }

    /// Where every process of the run leaves a byte now and then; no other process names it.
    fn heartbeat(&self) -> PathBuf {
        self.place.root().join(SCRATCH).join(self.mode)
    }

    fn start(&self, flags: &[&str], stdout: Stdio) -> Child {
        let mut command = match self.walls {
            Walls::Namespaces => self.place.at_home(&binary()),
            Walls::InPlace => {
                let mut wrapped = self.place.at_home(&program("no-namespaces"));
                wrapped.arg(binary());
                wrapped
            }
        };
        command
            .args(["run", "-q", "-r"])
            .arg(&self.program)
            .arg("-w")
            .arg(self.place.root().join(SCRATCH));
        for (name, value) in self.outside.variables() {
            command.args(["--env", &format!("{name}={value}")]);
        }
        command
            .args(flags)
            .arg("--")
            .arg(&self.program)
            .arg(self.mode)
            .arg(self.heartbeat())
            .args([SECONDS, COUNT]);
        command
            .stdin(Stdio::null())
            .stdout(stdout)
            .spawn()
            .expect("sandbox starts")
    }

    /// Until the program is at work: a byte of its, or its end.
    fn await_work(&self, child: &mut Child) {
        let begun = || fs::metadata(self.heartbeat()).is_ok_and(|file| file.len() > 0);
        eventually("the program is at work", || {
            begun() || child.try_wait().expect("wait").is_some()
        });
    }

    /// No process, mount or file, and the outside unharmed.
    fn assert_nothing_left(mut self, supervisor: u32) {
        let root = self.place.root().to_owned();
        let left = alive(&self.heartbeat());
        assert!(
            left.is_empty(),
            "{} {:?}: {left:?} live on",
            self.mode,
            self.walls
        );
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("always there");
        assert!(
            !mounts.contains(root.to_str().expect("our own paths are")),
            "a mount is left:\n{mounts}"
        );
        assert_eq!(
            leftovers(&self.place, supervisor),
            "",
            "{} {:?}",
            self.mode,
            self.walls
        );
        self.outside.assert_unharmed();
    }

    /// It is ended by the wall-clock limit, or was before. Then everything has ended already.
    fn ends_in_time(self, nature: Nature) {
        let mut child = self.start(&["--wall-time", "300ms"], Stdio::null());
        let status = wait(&mut child);
        let expected = match nature {
            Nature::Ends(status) => status,
            Nature::Lasts => 124,
        };
        assert_eq!(status.code(), Some(expected), "{} {:?}", self.mode, self.walls);
        self.assert_nothing_left(child.id());
    }

    /// Its supervisor is killed; `gc` may have to remove what is no process.
    fn ends_with_its_supervisor(self) {
        let mut child = self.start(&[], Stdio::null());
        self.await_work(&mut child);
        let inits = children(child.id());
        child.kill().expect("it is ours");
        wait(&mut child);
        let heartbeat = self.heartbeat();
        eventually("its processes end", || alive(&heartbeat).is_empty());
        eventually("its init ends", || inits.iter().all(|init| !init.is_alive()));
        let ran = self.place.sandbox(["gc"]);
        assert_eq!(ran.status, 0, "{ran:?}");
        self.assert_nothing_left(child.id());
    }
}

/// A process, safe against its number being used again.
struct Process {
    pid: u32,
    started: String,
}

impl Process {
    fn is_alive(&self) -> bool {
        started(self.pid).is_some_and(|started| started == self.started)
    }
}

/// When a process started, unless it is gone or a zombie (proc_pid_stat(5)).
fn started(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<_> = stat.rsplit_once(") ")?.1.split(' ').collect();
    (fields.first() != Some(&"Z")).then(|| fields.get(19).copied().unwrap_or_default().to_owned())
}

fn children(pid: u32) -> Vec<Process> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        let pids = children.split_whitespace().filter_map(|pid| pid.parse().ok());
        found.extend(pids.filter_map(|pid| {
            Some(Process {
                pid,
                started: started(pid)?,
            })
        }));
    }
    found
}

/// The processes with `marker` among their arguments.
fn alive(marker: &Path) -> Vec<String> {
    let marker = marker.to_str().expect("our own paths are");
    let processes = fs::read_dir("/proc").expect("always there").flatten();
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines
        .filter(|line| line.split(' ').any(|word| word == marker))
        .collect()
}

/// What `gc` would remove that was made by `supervisor`.
fn leftovers(place: &Harness, supervisor: u32) -> String {
    let ran = place.sandbox(["gc", "--dry-run", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&ran.stdout).expect("valid");
    let found = found.as_array().expect("a list").iter().map(ToString::to_string);
    found
        .filter(|entry| entry.contains(&format!("-{supervisor}-")))
        .collect()
}

#[track_caller]
fn eventually(what: &str, mut happens: impl FnMut() -> bool) {
    let start = Instant::now();
    while !happens() {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[track_caller]
fn wait(child: &mut Child) -> ExitStatus {
    let mut status = None;
    eventually("sandbox ends", || {
        status = child.try_wait().expect("wait");
        status.is_some()
    });
    status.expect("just seen")
}

fn stays(mode: &'static str, walls: Walls, nature: Nature) {
    if !has("cc") {
        skip!("escape", "no C compiler");
    }
    Attempt::new(mode, walls).ends_in_time(nature);
    Attempt::new(mode, walls).ends_with_its_supervisor();
}

macro_rules! modes {
    ($($test:ident $mode:literal $nature:expr;)+) => {
        /// In a pid namespace, which the kernel ends as a whole.
        mod namespaces {$(
            #[test]
            fn $test() {
                super::stays($mode, super::Walls::Namespaces, $nature);
            }
        )+}
        /// Without one: init hunts them down.
        mod in_place {$(
            #[test]
            fn $test() {
                super::stays($mode, super::Walls::InPlace, $nature);
            }
        )+}
        /// Every mode of the program has its test.
        const MODES: &[&str] = &[$($mode),+];
    };
}

use Nature::{Ends, Lasts};

modes! {
    a_daemon "setsid-double-fork" super::Ends(0);
    a_daemon_that_holds_the_output "setsid-hold-output" super::Ends(0);
    a_stopped_session "setsid-stopped" super::Ends(0);
    a_command_that_stops_itself "sigstop-self" super::Lasts;
    a_command_that_ignores_every_signal "ignore-term" super::Lasts;
    kill_to_everybody "kill-all" super::Ends(0);
    stop_to_everybody "stop-all" super::Lasts;
    kill_to_its_group "kill-group" super::Ends(137);
    kill_to_init "kill-init" super::Lasts;
    a_fork_bomb "fork-bomb" super::Lasts;
    a_chain_of_forks "fork-chain" super::Ends(0);
    a_busy_loop_with_closed_output "busy-loop-without-output" super::Lasts;
    orphans_in_sessions_of_their_own "orphan-tree" super::Ends(0);
    a_process_whose_first_thread_has_ended "leaderless" super::Lasts;
}

#[test]
fn every_mode_of_the_program_is_tried() {
    if !has("cc") {
        skip!("escape", "no C compiler");
    }
    let listed = Command::new(program("escape-lifetime"))
        .arg("--list")
        .output()
        .expect("it runs");
    let listed = String::from_utf8(listed.stdout).expect("names");
    // It writes no heartbeat and has tests of its own.
    assert!(
        listed
            .lines()
            .filter(|mode| *mode != "endless-output")
            .eq(MODES.iter().copied()),
        "{listed}"
    );
}

#[test]
fn endless_output_is_ended_by_its_limit() {
    if !has("cc") {
        skip!("escape", "no C compiler");
    }
    for walls in [Walls::Namespaces, Walls::InPlace] {
        let attempt = Attempt::new("endless-output", walls);
        let mut child = attempt.start(&["--output-limit", "100K"], Stdio::piped());
        let mut output = Vec::new();
        child
            .stdout
            .take()
            .expect("piped")
            .read_to_end(&mut output)
            .expect("read");
        assert_eq!(wait(&mut child).code(), Some(153), "{walls:?}");
        assert_eq!(output.len(), 100 << 10, "{walls:?}");
        attempt.assert_nothing_left(child.id());
    }
}

#[test]
fn endless_output_that_nobody_reads_is_ended_in_time() {
    if !has("cc") {
        skip!("escape", "no C compiler");
    }
    for walls in [Walls::Namespaces, Walls::InPlace] {
        for flags in [
            &["--wall-time", "300ms"][..],
            &["--wall-time", "300ms", "--output-limit", "100M"],
        ] {
            let attempt = Attempt::new("endless-output", walls);
            let mut child = attempt.start(flags, Stdio::piped());
            let mut stdout = child.stdout.take().expect("piped");
            stdout.read_exact(&mut [0; 100]).expect("it writes");
            eventually("the command ends", || children(child.id()).is_empty());
            // What was within the limit is still there for whoever reads on.
            stdout.read_to_end(&mut Vec::new()).expect("read");
            assert_eq!(wait(&mut child).code(), Some(124), "{walls:?} {flags:?}");
            attempt.assert_nothing_left(child.id());
        }
    }
}

#[test]
fn endless_output_ends_with_its_supervisor() {
    if !has("cc") {
        skip!("escape", "no C compiler");
    }
    for walls in [Walls::Namespaces, Walls::InPlace] {
        let attempt = Attempt::new("endless-output", walls);
        let mut child = attempt.start(&["--output-limit", "100M"], Stdio::piped());
        child
            .stdout
            .as_mut()
            .expect("piped")
            .read_exact(&mut [0; 100])
            .expect("it writes");
        child.kill().expect("it is ours");
        wait(&mut child);
        let heartbeat = attempt.heartbeat();
        eventually("it ends", || alive(&heartbeat).is_empty());
        assert_eq!(attempt.place.sandbox(["gc"]).status, 0);
        attempt.assert_nothing_left(child.id());
    }
}
