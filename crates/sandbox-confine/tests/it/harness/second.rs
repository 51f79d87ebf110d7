//! Another process that holds sandboxes and does as it is told, line by line: the test binary runs itself.
#![expect(clippy::print_stdout, reason = "what it answers goes to standard output")]

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};

use sandbox_confine::{Command, GateThread, Left, Policy, Process, Sandbox};

use super::{DEADLINE, deny_namespaces, own_process};

/// The test that becomes such a process where [`ROLE`] is set.
const TEST: &str = "join::another_process_does_as_it_is_told";
const ROLE: &str = "CONFINE_IT_SECOND";
const POLICY: &str = "CONFINE_IT_SECOND_POLICY";
const IN_PLACE: &str = "in place";

thread_local! {
    /// What the names of private directories start with that processes of this test have made.
    static MADE: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Such a process. Dropping it kills it with SIGKILL.
pub(crate) struct Second {
    child: Child,
    prefix: String,
    input: ChildStdin,
    answers: Receiver<String>,
}

/// Whether there are namespaces where it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host {
    Usual,
    WithoutNamespaces,
    /// In a user namespace of its own, made by unshare(1).
    UserNamespace,
}

impl Second {
    pub(crate) fn start() -> Self {
        Self::start_with(Host::Usual, &Policy::default(), |_| {})
    }

    pub(crate) fn start_on(host: Host) -> Self {
        Self::start_with(host, &Policy::default(), |_| {})
    }

    pub(crate) fn start_with(
        host: Host,
        policy: &Policy,
        change: impl FnOnce(&mut std::process::Command),
    ) -> Self {
        let mut command = own_process(TEST);
        if host == Host::UserNamespace {
            let mut wrapped = std::process::Command::new("unshare");
            let program = command.get_program().to_owned();
            let words = command.get_args();
            wrapped
                .args(["--user", "--map-root-user"])
                .arg(program)
                .args(words);
            wrapped.envs(
                command
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            );
            command = wrapped;
        }
        let role = if host == Host::WithoutNamespaces {
            IN_PLACE
        } else {
            "usual"
        };
        command.env(ROLE, role).env(POLICY, policy.to_toml());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        change(&mut command);
        let mut child = command.spawn().expect("runs itself");
        let prefix = prefix(child.id());
        MADE.with_borrow_mut(|made| made.push(prefix.clone()));
        let input = child.stdin.take().expect("piped");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            let lines = output.lines().map_while(Result::ok);
            let mut answers = lines.filter_map(|line| Some(line.split_once("@@ ")?.1.to_owned()));
            answers.try_for_each(|answer| sender.send(answer))
        });
        Self {
            child,
            prefix,
            input,
            answers,
        }
    }

    /// What came of it: the answer, or the error.
    pub(crate) fn ask(&mut self, line: &str) -> Result<String, String> {
        self.say(line);
        self.answer(line)
    }

    /// What came of something that must work.
    pub(crate) fn tell(&mut self, line: &str) -> String {
        self.ask(line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// Says something, whose answer is read later.
    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("it lives");
    }

    pub(crate) fn answer(&mut self, to: &str) -> Result<String, String> {
        let answer = self.answers.recv_timeout(DEADLINE);
        let answer = answer.unwrap_or_else(|error| panic!("{to}: {error}"));
        match answer.split_once(' ') {
            Some(("ok", text)) => Ok(text.replace("\\n", "\n")),
            Some(("error", text)) => Err(text.to_owned()),
            _ => panic!("{to}: {answer}"),
        }
    }

    /// Private directories that it has made for sandboxes.
    pub(crate) fn private_directories(&self) -> Vec<PathBuf> {
        private_directories(&self.prefix)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn kill_9(mut self) {
        self.child.kill().expect("our child");
        self.child.wait().expect("our child");
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Removes what the processes of this test have left, all of which are gone.
pub(crate) fn tidy_up() {
    for prefix in MADE.take() {
        for directory in private_directories(&prefix) {
            // Its init may be about to end what runs in it.
            super::eventually("it can be removed", || {
                let _ = std::fs::remove_dir_all(&directory);
                !directory.exists()
            });
        }
    }
}

fn private_directories(prefix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(std::env::temp_dir())
        .expect("a temporary directory")
        .flatten();
    let of_it = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    of_it.map(|entry| entry.path()).collect()
}

/// The pid alone may be another's tomorrow.
fn prefix(pid: u32) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("our child");
    let fields = stat.rsplit_once(") ").expect("a name").1;
    let began = fields.split(' ').nth(19).expect("proc_pid_stat(5)");
    format!("sandbox-{}-{pid}-{began}-", rustix::process::getuid().as_raw())
}

/// Becomes such a process, if that is what this one was started for.
pub(crate) fn serve_if_asked() -> bool {
    let Ok(role) = std::env::var(ROLE) else {
        return false;
    };
    if role == IN_PLACE {
        deny_namespaces();
    }
    let policy =
        Policy::from_toml(&std::env::var(POLICY).expect("set with it")).expect("written by the test");
    let mut held = Held {
        policy,
        sandbox: None,
        processes: Vec::new(),
        gate: None,
    };
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("text");
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match held.carry_out(word, rest) {
            Ok(text) => println!("@@ ok {}", text.replace('\n', "\\n")),
            Err(error) => println!("@@ error {error}"),
        }
    }
    true
}

struct Held {
    policy: Policy,
    sandbox: Option<Sandbox>,
    processes: Vec<Process>,
    gate: Option<GateThread>,
}

type Answer = Result<String, Box<dyn std::error::Error>>;

impl Held {
    fn carry_out(&mut self, word: &str, rest: &str) -> Answer {
        let path = Path::new(rest);
        match word {
            "share" => {
                let mut sandbox = Sandbox::new(&self.policy)?;
                self.gate = Some(sandbox.share(path)?.in_thread()?);
                self.sandbox = Some(sandbox);
            }
            "join" => {
                let sandbox = Sandbox::join(path)?;
                self.gate = Some(sandbox.gate()?.in_thread()?);
                self.sandbox = Some(sandbox);
            }
            "join-quietly" => self.sandbox = Some(Sandbox::join(path)?),
            "join-times" => {
                let (count, path) = rest.split_once(' ').expect("a number and a path");
                for _ in 0..count.parse::<u32>()? {
                    self.sandbox = Some(Sandbox::join(path)?);
                }
            }
            "run" => return self.run(rest),
            "run-pty" => return self.run_on_terminal(rest),
            "start" => {
                let command = Command::new("sh")
                    .args(["-c", rest])
                    .stdin(sandbox_confine::Stdio::Null);
                let process = self.sandbox()?.spawn(command)?;
                self.processes.push(process);
            }
            "wait" => {
                let process = self.processes.remove(0);
                return Ok(format!("{:?}", process.wait()?.outcome));
            }
            "pause" => self.sandbox()?.pause()?,
            "resume" => self.sandbox()?.resume()?,
            "pause-and-resume" => {
                for _ in 0..rest.parse::<u32>()? {
                    self.sandbox()?.pause()?;
                    self.sandbox()?.resume()?;
                }
            }
            "status" => return Ok(format!("{:?}", self.sandbox()?.status())),
            "kill" => self.sandbox()?.kill()?,
            "drop" => self.sandbox = None,
            "leave" => {
                let sandbox = self.sandbox.take().ok_or("nothing to leave")?;
                return Ok(match sandbox.leave()? {
                    Left::Ended => "ended".to_owned(),
                    Left::GoesOn => "goes on".to_owned(),
                });
            }
            "leftovers" => return Ok(format!("{:?}", sandbox_confine::gc::leftovers()?)),
            _ => return Err("unknown".into()),
        }
        Ok(String::new())
    }

    fn sandbox(&mut self) -> Result<&mut Sandbox, &'static str> {
        self.sandbox.as_mut().ok_or("no sandbox")
    }

    fn run(&mut self, script: &str) -> Answer {
        let capture = sandbox_confine::Stdio::capture;
        let command = Command::new("sh")
            .args(["-c", script])
            .stdin(sandbox_confine::Stdio::Null);
        let result = self
            .sandbox()?
            .spawn(command.stdout(capture()).stderr(capture()))?
            .wait()?;
        let text = [result.stdout, result.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ok(format!("{:?}\n{}", result.outcome, text.concat()))
    }

    fn run_on_terminal(&mut self, script: &str) -> Answer {
        let command = Command::new("sh").args(["-c", script]).pty();
        let mut process = self.sandbox()?.spawn(command)?;
        let mut terminal = process.pty.take().ok_or("no terminal")?;
        let mut text = Vec::new();
        // EIO: the command has closed its side.
        let _ = terminal.read_to_end(&mut text);
        let outcome = process.wait()?.outcome;
        Ok(format!(
            "{outcome:?}\n{}",
            String::from_utf8_lossy(&text).replace('\r', "")
        ))
    }
}
