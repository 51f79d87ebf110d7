//! Starting other programs: every one is echoed, and a failure names its command line.

use std::{
    ffi::OsStr,
    fmt,
    io::{self, BufRead, BufReader},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use crate::{
    error::{Error, Result},
    quote, workspace,
};

/// How long the output may stay open after the program has ended.
const GRACE: Duration = Duration::from_secs(10);

/// A program to start, in the workspace's root unless told otherwise.
pub(crate) struct Cmd {
    command: Command,
    echo: bool,
    /// The environment is this program's own with additions, which then are worth showing.
    own_env: bool,
}

/// The cargo that runs this program.
pub(crate) fn cargo() -> Cmd {
    Cmd::new(
        std::env::var_os("CARGO")
            .as_deref()
            .unwrap_or(OsStr::new("cargo")),
    )
}

impl Cmd {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.current_dir(workspace::root());
        Self {
            command,
            echo: true,
            own_env: true,
        }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts from an empty environment; what was set before is dropped too.
    pub(crate) fn clear_env(mut self) -> Self {
        self.command.env_clear();
        self.own_env = false;
        self
    }

    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Gives up root for this user, its group and no supplementary groups.
    pub(crate) fn user(mut self, uid: u32, gid: u32) -> Self {
        self.command.uid(uid).gid(gid);
        self
    }

    /// The same, started by `wrapper`, which gets the command line as its last arguments.
    pub(crate) fn through(self, mut wrapper: Self) -> Self {
        if !self.own_env {
            wrapper = wrapper.clear_env();
        }
        let (inner, outer) = (&self.command, &mut wrapper.command);
        outer.arg(inner.get_program()).args(inner.get_args());
        outer.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(dir) = inner.get_current_dir() {
            outer.current_dir(dir);
        }
        wrapper
    }

    /// Does not echo: the caller shows it in its own way.
    pub(crate) fn silent(mut self) -> Self {
        self.echo = false;
        self
    }

    /// Runs with this program's own input and output; any status but 0 is an error.
    pub(crate) fn run(mut self) -> Result<()> {
        if self.echo {
            println!("$ {self}");
        }
        let status = self.command.status().map_err(|source| self.start_error(source))?;
        self.check(status)
    }

    /// Its standard output; any status but 0 is an error.
    pub(crate) fn read(mut self) -> Result<String> {
        self.command.stdin(Stdio::null()).stderr(Stdio::inherit());
        let output = self.command.output().map_err(|source| self.start_error(source))?;
        self.check(output.status)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Whether it can be started and ends with status 0; its output is not shown.
    pub(crate) fn succeeds(mut self) -> bool {
        self.command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.command.status().is_ok_and(|status| status.success())
    }

    /// Its status; standard output and error, merged, are handed to `on_line` as they come.
    ///
    /// It is killed after `limit`. A program that ends while something it started keeps the output
    /// open is an error: tests leave nothing behind.
    pub(crate) fn follow(self, limit: Duration, on_line: &mut dyn FnMut(&str)) -> Result<ExitStatus> {
        self.follow_or(limit, on_line, &mut |_| {})
    }

    /// The same; `on_overdue` is told of the process that is about to be killed.
    pub(crate) fn follow_or(
        mut self,
        limit: Duration,
        on_line: &mut dyn FnMut(&str),
        on_overdue: &mut dyn FnMut(u32),
    ) -> Result<ExitStatus> {
        if self.echo {
            println!("$ {self}");
        }
        let command = self.to_string();
        let (reader, writer) = io::pipe().map_err(|source| self.start_error(source))?;
        let errors = writer.try_clone().map_err(|source| self.start_error(source))?;
        self.command.stdin(Stdio::null()).stdout(writer).stderr(errors);
        let mut child = self.command.spawn().map_err(|source| self.start_error(source))?;
        // The command holds the pipe's writing ends; without this the output would never end.
        drop(self);
        let lines = read_lines(reader);
        let kept_open = deliver(&mut child, &lines, Instant::now() + limit, on_line, on_overdue);
        match kept_open {
            Ok(()) => child.wait().map_err(|source| Error::Start { command, source }),
            Err(Overdue::Program) => Err(Error::TimeLimit { command, limit }),
            Err(Overdue::Output) => Err(Error::LeftBehind { command }),
        }
    }

    fn check(&self, status: ExitStatus) -> Result<()> {
        if status.success() {
            return Ok(());
        }
        Err(Error::Exit {
            command: self.to_string(),
            status,
        })
    }

    fn start_error(&self, source: io::Error) -> Error {
        Error::Start {
            command: self.to_string(),
            source,
        }
    }
}

impl fmt::Display for Cmd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = self
            .command
            .get_envs()
            .filter(|(name, _)| self.own_env && *name != "PATH");
        for (name, value) in told {
            let value = value.unwrap_or_default().to_string_lossy();
            write!(f, "{}={} ", name.to_string_lossy(), quote::word(&value))?;
        }
        // `cargo` reads better than the toolchain's full path to it.
        let program = Path::new(self.command.get_program())
            .file_name()
            .unwrap_or_default();
        f.write_str(&quote::join(
            std::iter::once(program).chain(self.command.get_args()),
        ))
    }
}

enum Overdue {
    Program,
    Output,
}

fn read_lines(reader: io::PipeReader) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(reader).split(b'\n') {
            let Ok(line) = line else { break };
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
        }
    });
    receiver
}

fn deliver(
    child: &mut Child,
    lines: &Receiver<String>,
    deadline: Instant,
    on_line: &mut dyn FnMut(&str),
    on_overdue: &mut dyn FnMut(u32),
) -> Result<(), Overdue> {
    let mut ended: Option<Instant> = None;
    loop {
        match lines.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => on_line(&line),
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if ended.is_none() && matches!(child.try_wait(), Ok(Some(_))) {
            ended = Some(Instant::now());
        }
        if ended.is_some_and(|at| at.elapsed() > GRACE) {
            return Err(Overdue::Output);
        }
        if ended.is_none() && Instant::now() > deadline {
            on_overdue(child.id());
            if child.kill().is_ok() && child.wait().is_ok() {
                return Err(Overdue::Program);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Cmd {
        Cmd::new("sh").args(["-c", script])
    }

    #[test]
    fn a_followed_program_delivers_both_streams_and_its_status() {
        let mut lines = Vec::new();
        let status = shell("echo out; echo err >&2; exit 3")
            .follow(Duration::from_mins(1), &mut |line| lines.push(line.to_owned()))
            .unwrap();
        assert_eq!(status.code(), Some(3));
        assert_eq!(lines, ["out", "err"]);
    }

    #[test]
    fn a_followed_program_is_killed_at_its_time_limit() {
        let mut overdue = Vec::new();
        let note =
            &mut |pid: u32| overdue.push(std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap());
        let followed = shell("exec sleep 60").follow_or(Duration::ZERO, &mut |_| {}, note);
        assert!(matches!(followed, Err(Error::TimeLimit { .. })));
        assert_eq!(overdue, ["sleep\n"]);
    }

    #[test]
    fn a_failure_names_the_command_line() {
        let error = shell("exit 1").read().unwrap_err();
        assert_eq!(error.to_string(), "`sh -c 'exit 1'` failed: exit status: 1");
    }
}
