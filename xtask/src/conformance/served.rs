//! A backend that is mounted for as long as it is tested.

use std::{
    ffi::OsString,
    fs,
    io::{self, BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use super::stuck;
use crate::{
    cmd::Cmd,
    error::{Error, Result},
};

/// How long a server that hangs may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// A directory of the host, without anything of ours.
    Host,
    /// `MemFs`.
    Memory,
    /// `PassthroughFs` on a directory of the host: what it is called, and the options of the example `serve`.
    Passthrough(&'static str, &'static [&'static str]),
    /// `OverlayFs` on a layer that has files, with this stat virtualization.
    Overlay(&'static str),
    /// `DualFs` on a directory of the host over one that has files, with this stat virtualization.
    Dual(&'static str),
}

impl Subject {
    /// What is served where nothing else is asked for.
    pub(super) const STRICT: Self = Self::Passthrough("strict", &["strict"]);

    /// The letters that the words of its name begin with: pjdfstest makes sockets, whose paths have 107 bytes at most
    /// (unix(7)), in directories that are called as its tests.
    fn initials(self) -> String {
        let name = self.name();
        name.split('-').filter_map(|word| word.chars().next()).collect()
    }

    /// One word.
    pub(super) fn name(self) -> String {
        match self {
            Self::Host => "host".to_owned(),
            Self::Memory => "mem".to_owned(),
            Self::Passthrough(name, _) => format!("passthrough-{name}"),
            Self::Overlay(stat) => format!("overlay-{stat}"),
            Self::Dual(stat) => format!("dual-{stat}"),
        }
    }
}

/// A directory on the filesystem under test. What serves it ends, and unmounts, when this is dropped.
pub(super) struct Served {
    directory: PathBuf,
    /// The directory of the host behind it.
    root: Option<PathBuf>,
    command: Option<Line>,
    server: Option<Child>,
    /// What the server says: that it is ready, and at its end how often each operation was asked for.
    said: Option<BufReader<ChildStdout>>,
}

/// How the server is started.
struct Line {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Served {
    /// In new directories of `scratch`.
    pub(super) fn start(subject: Subject, program: &Path, scratch: &Path) -> Result<Self> {
        let directory = scratch.join(subject.initials());
        fs::create_dir(&directory).map_err(Error::io(&directory))?;
        let mut served = Self {
            directory,
            root: None,
            command: None,
            server: None,
            said: None,
        };
        let mount_point = served.directory.clone().into_os_string();
        let mut arguments = match subject {
            Subject::Host => return Ok(served),
            Subject::Memory => vec!["mem".into(), mount_point, "1G".into()],
            Subject::Passthrough(_, options) => {
                let root = scratch.join(format!("{}-root", subject.name()));
                fs::create_dir(&root).map_err(Error::io(&root))?;
                let mut arguments = vec!["passthrough".into(), root.clone().into(), mount_point];
                arguments.extend(options.iter().map(OsString::from));
                served.root = Some(root);
                arguments
            }
            Subject::Overlay(stat) => {
                let [layer, upper, work] =
                    ["layer", "upper", "work"].map(|name| scratch.join(format!("{}-{name}", subject.name())));
                for new in [&layer, &upper, &work] {
                    fs::create_dir(new).map_err(Error::io(new))?;
                }
                make_merged(&layer)?;
                let mut arguments = vec!["overlay".into()];
                arguments.extend([layer, upper, work].map(PathBuf::into_os_string));
                arguments.extend([mount_point, stat.into()]);
                arguments
            }
            Subject::Dual(stat) => {
                let [a, b] = ["a", "b"].map(|name| scratch.join(format!("{}-{name}", subject.name())));
                for new in [&a, &b] {
                    fs::create_dir(new).map_err(Error::io(new))?;
                }
                make_merged(&b)?;
                vec!["dual".into(), a.into(), b.into(), mount_point, stat.into()]
            }
        };
        arguments.push("stats".into());
        served.command = Some(Line {
            program: program.to_owned(),
            arguments,
        });
        served.again()?;
        Ok(served)
    }

    pub(super) fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// SIGKILL, in the middle of whatever it does.
    pub(super) fn kill(&mut self) -> Result<()> {
        if let Some(mut server) = self.server.take() {
            let killed = server.kill().and_then(|()| server.wait());
            killed.map_err(Error::io(&self.directory))?;
        }
        Ok(())
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// After [`kill`](Self::kill): the same in the same place.
    pub(super) fn again(&mut self) -> Result<()> {
        if let Some(line) = &self.command {
            let (server, said) = line.spawn()?;
            (self.server, self.said) = (Some(server), Some(said));
        }
        Ok(())
    }

    /// Follows a suite, and tells what it is doing where it does not end in time; then both that and the server end.
    pub(super) fn follow(
        &mut self,
        suite: Cmd,
        limit: Duration,
        on_line: &mut dyn FnMut(&str),
    ) -> Result<ExitStatus> {
        self.follow_or(suite, limit, on_line, &mut |line| println!("{line}"))
    }

    fn follow_or(
        &mut self,
        suite: Cmd,
        limit: Duration,
        on_line: &mut dyn FnMut(&str),
        on_stuck: &mut dyn FnMut(&str),
    ) -> Result<ExitStatus> {
        suite.follow_or(limit, on_line, &mut |pid| {
            stuck::tell(self.server.as_ref().map(Child::id), pid, on_stuck);
            self.end_with(pid, on_stuck);
        })
    }

    /// Ends what hangs. Who waits for an answer of the server cannot die before that is gone, not even by SIGKILL.
    fn end_with(&mut self, suite: u32, on_stuck: &mut dyn FnMut(&str)) {
        let mut kill = Command::new("kill");
        kill.arg("-KILL")
            .args(stuck::descendants(suite).iter().map(u32::to_string));
        // Some of them may have ended by now.
        if let Err(error) = kill.stderr(Stdio::null()).status() {
            on_stuck(&format!("kill: {error}"));
        }
        let Some(mut server) = self.server.take() else {
            return;
        };
        // It unmounts by itself where it still can, and says what it was asked for.
        drop(server.stdin.take());
        let said = self.said.take().map(figures_soon);
        match said.and_then(|said| said.recv_timeout(PATIENCE).ok()) {
            Some(figures) => on_stuck(&format!("--- what the server was asked for:\n{figures}")),
            None => on_stuck("--- the server does not end, and is killed"),
        }
        if let Err(error) = server.kill().and_then(|()| server.wait()) {
            on_stuck(&format!("the server: {error}"));
        }
    }

    /// Unmounts. That the server is still there and ends well is a part of every test.
    pub(super) fn end(mut self) -> Result<()> {
        let Some(status) = self.ended() else {
            return Ok(());
        };
        let status = status.map_err(Error::io(&self.directory))?;
        if status.success() {
            Ok(())
        } else {
            Err(Error::Exit {
                command: "serve".to_owned(),
                status,
            })
        }
    }

    fn ended(&mut self) -> Option<io::Result<ExitStatus>> {
        let mut server = self.server.take()?;
        drop(server.stdin.take());
        // Read to its end, or a server that says more than a pipe holds would wait.
        drop(self.said.take().map(figures));
        Some(server.wait())
    }
}

/// What a server says at its end: when this returns, it has ended.
fn figures(mut said: BufReader<ChildStdout>) -> String {
    let mut figures = Vec::new();
    // What came before an error is what there is.
    let _ = said.read_to_end(&mut figures);
    String::from_utf8_lossy(&figures).into_owned()
}

/// The same, for who does not wait for ever.
fn figures_soon(said: BufReader<ChildStdout>) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    // Nobody may listen any more.
    thread::spawn(move || drop(sender.send(figures(said))));
    receiver
}

/// So that the suites work in directories that are merged.
fn make_merged(layer: &Path) -> Result<()> {
    for suite in ["pjdfstest", "fsx", "programs", "stress"] {
        let directory = layer.join(suite);
        fs::create_dir(&directory).map_err(Error::io(&directory))?;
    }
    Ok(())
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.ended() {
            eprintln!("warning: the server of {}: {error}", self.directory.display());
        }
    }
}

impl Line {
    /// Returns when the mount is there.
    fn spawn(&self) -> Result<(Child, BufReader<ChildStdout>)> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut server = command.spawn().map_err(|source| Error::Start {
            command: "serve".to_owned(),
            source,
        })?;
        if let Some(output) = server.stdout.take() {
            let mut said = BufReader::new(output);
            let mut line = String::new();
            said.read_line(&mut line).map_err(Error::io("serve"))?;
            if line.trim() == "ready" {
                return Ok((server, said));
            }
        }
        let status = server.wait().map_err(Error::io("serve"))?;
        Err(Error::Exit {
            command: "serve".to_owned(),
            status,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{scratch::Scratch, workspace};

    /// The example that is built beside the tests; none where only these were built, or where nothing can be mounted.
    fn server() -> std::result::Result<PathBuf, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let program = program
            .ancestors()
            .nth(2)
            .unwrap_or(&program)
            .join("examples/serve");
        if !workspace::is_root() || !Path::new("/dev/fuse").exists() {
            return Err("mounting takes root and a /dev/fuse".to_owned());
        }
        program
            .exists()
            .then_some(program)
            .ok_or_else(|| "the example `serve` is not built".to_owned())
    }

    fn signal(name: &str, pid: u32) {
        assert!(
            Command::new("kill")
                .arg(name)
                .arg(pid.to_string())
                .status()
                .unwrap()
                .success()
        );
    }

    #[test]
    fn a_suite_that_hangs_at_its_server_is_told_and_ends_and_nothing_stays() {
        let program = match server() {
            Ok(program) => program,
            Err(why) => {
                println!(
                    "SKIP: conformance::served::a_suite_that_hangs_at_its_server_is_told_and_ends_and_nothing_stays: {why}"
                );
                return;
            }
        };
        let scratch = Scratch::new(&std::env::temp_dir(), "sandbox-stuck").unwrap();
        let mut served = Served::start(Subject::Memory, &program, scratch.path()).unwrap();
        let (place, pid) = (
            served.directory().to_owned(),
            served.server.as_ref().unwrap().id(),
        );
        signal("-STOP", pid);
        // Two of them: what the suite has started hangs as well.
        let suite = Cmd::new("sh").args(["-c", "cat \"$1/one\" & cat \"$1/other\"; wait", "sh"]);
        let suite = suite.arg(&place);
        let mut told = String::new();
        let ended = served.follow_or(suite, Duration::from_secs(2), &mut |_| {}, &mut |line| {
            told.push_str(line);
            told.push('\n');
        });
        assert!(matches!(ended, Err(Error::TimeLimit { .. })), "{ended:?}");
        let waits = format!("({}): ", place.display());
        for part in [waits.as_str(), "/one", "/other", "serve mem", "is killed"] {
            assert!(told.contains(part), "{part}: {told}");
        }
        served.end().unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while fs::read_to_string("/proc/self/mountinfo")
            .unwrap()
            .contains(scratch.path().to_str().unwrap())
        {
            assert!(std::time::Instant::now() < deadline, "the mount stays");
            thread::sleep(Duration::from_millis(20));
        }
    }
}
